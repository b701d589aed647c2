"""The chart speaks to the program in options that the program has."""

from pathlib import Path

import click
import pytest
from tests.chart.render import REQUIRED, SETS, Object, environment, objects, pod, pods

from statekeep.controller.cli.main import statekeep

every_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS)


def command(container: Object) -> click.Command:
    """Return what a container runs."""
    found: click.Command = statekeep
    context = click.Context(found)
    for word in container["args"]:
        assert isinstance(found, click.Group)
        following = found.get_command(context, word)
        assert following is not None, word
        found = following
    return found


def options(program: click.Command) -> dict[str, click.Parameter]:
    """Return the options of a command by the variable that sets them."""
    return {str(option.envvar): option for option in program.params if option.envvar}


@every_set
def test_every_variable_is_an_option(values: Object) -> None:
    extra = {variable["name"] for variable in values.get("extraEnv", [])}
    for one in pods(objects(values)):
        for container in one.containers:
            if "command" in container:  # the check of `helm test` runs Python
                continue
            known = set(options(command(container)))
            assert set(environment(container)) - extra <= known, container["name"]


@every_set
def test_every_option_that_is_required_is_set(values: Object) -> None:
    for one in pods(objects(values)):
        for container in one.containers:
            if "command" not in container:
                required = {name for name, it in options(command(container)).items() if it.required}
                assert required <= set(environment(container))


@every_set
@pytest.mark.parametrize("name", ["operator", "api"])
def test_the_program_takes_the_values(
    values: Object, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    container = pod(objects(values), name).container(name)
    ring = tmp_path / "keyring"
    ring.touch()
    for variable, value in environment(container).items():
        monkeypatch.setenv(variable, value if variable != "STATEKEEP_KEYS_FILE" else str(ring))
    context = command(container).make_context(name, [])
    assert context.params["url"] == environment(container)["STATEKEEP_DATABASE_URL"]


def test_an_option_that_the_chart_does_not_set_is_none_that_a_cluster_needs() -> None:
    """Whoever adds an option decides here whether the chart sets it."""
    rendered = objects(REQUIRED)
    for name in ("operator", "api"):
        container = pod(rendered, name).container(name)
        assert set(options(command(container))) - set(environment(container)) == set()


def test_values_become_what_they_say() -> None:
    rendered = objects(SETS["namespaced"])
    operator = environment(pod(rendered, "operator").container("operator"))
    assert operator["STATEKEEP_NAMESPACES"] == "loans,loans-staging"
    assert operator["STATEKEEP_DATABASE_URL"] == "statekeep-runtime/url"
    assert operator["POD_NAME"] == "metadata.name"
    migration = environment(pod(rendered, "migration").container("migrate"))
    assert migration == {"STATEKEEP_DATABASE_URL": "statekeep-owner/url"}
    everything = objects(SETS["everything"])
    api = environment(pod(everything, "api").container("api"))
    assert (api["STATEKEEP_AUTH"], api["STATEKEEP_WORKERS"]) == ("kubernetes,keys", "2")
    assert (
        environment(pod(everything, "operator").container("operator"))["STATEKEEP_REFRESH"] == "0.5"
    )


def test_the_default_of_every_option_is_the_programs() -> None:
    container = pod(objects(REQUIRED), "operator").container("operator")
    meant = {"STATEKEEP_DATABASE_URL", "STATEKEEP_LOGS", "POD_NAME"}
    for variable, option in options(command(container)).items():
        if variable not in meant:
            value = environment(container)[variable]
            assert option.type.convert(value, None, None) == option.default, variable
