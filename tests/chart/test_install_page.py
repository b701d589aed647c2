"""What docs/install.md shows works, as far as it can be tried without a cluster."""

import re
import shlex
import subprocess

import helm_python as helm
import psycopg
import pytest
import sqlalchemy as sa
import yaml
from sqlalchemy.engine import make_url
from tests.chart.render import REQUIRED, ROOT, objects, of_kind
from tests.chart.rights import aggregated, role
from tests.chart.validity import VERSIONS, problem
from tests.conftest import KEYS
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.controller.dev.postgres import EmbeddedPostgres
from statekeep.engine.store.database import check, connect, upgrade
from statekeep.engine.store.deployments import Deployment
from statekeep.engine.store.keyring import KEY_BYTES, read_key_ring

PAGE = (ROOT / "docs" / "install.md").read_text()


def blocks(language: str) -> list[str]:
    """Return what is shown in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.mark.parametrize("block", blocks("yml"), ids=["values", "a pod"])
def test_what_is_shown_is_values_or_an_object(block: str) -> None:
    shown = yaml.safe_load(block)
    if "kind" in shown:
        assert problem(shown, VERSIONS[-1]) is None
    else:
        assert objects({**REQUIRED, **shown})


@pytest.mark.parametrize(
    "command", [line for line in COMMANDS if "--set" in line], ids=["install", "template"]
)
def test_helm_takes_the_values_of_the_commands(command: str) -> None:
    words = shlex.split(command)
    assert any((ROOT / word / "Chart.yaml").exists() for word in words)
    values = helm.parse_set_string(words[words.index("--set") + 1])
    rendered = objects(values)
    if "--show-only" in words:
        template = words[words.index("--show-only") + 1].removeprefix("templates/")
        assert of_kind(objects(values, only=template), "ValidatingAdmissionPolicy")
    else:
        # The secrets that the commands before it make are those that it names.
        made = re.findall(
            r"create secret generic (\S+) --from-literal=(\S+?)=", "\n".join(COMMANDS)
        )
        for name, key in made:
            assert f"'{name}'" in str(rendered)
            assert f"'key': '{key}'" in str(rendered)
        assert len(made) == 2


def test_the_command_makes_a_key_ring() -> None:
    [made] = re.findall(r"--from-literal=keyring=(\".*?\")$", "\n".join(COMMANDS), re.MULTILINE)
    ran = subprocess.run(
        ["bash", "-c", f"printf %s {made}"], capture_output=True, text=True, check=True
    )
    [key] = read_key_ring(ran.stdout).keys.values()
    assert len(key) == KEY_BYTES


def test_what_the_commands_name_is_there() -> None:
    rendered = objects(REQUIRED)
    [service] = re.findall(r"http://([a-z-]+)\.statekeep/", PAGE)
    assert service in {one["metadata"]["name"] for one in of_kind(rendered, "Service")}
    [given] = re.findall(r"--clusterrole=([a-z-]+)", PAGE)
    assert role(rendered, given)


def test_the_roles_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| `statekeep-([a-z-]+)` \| .* \| (.*) \|$", PAGE, re.MULTILINE)
    rendered = objects(REQUIRED)
    assert len(rows) == 4
    for name, included in rows:
        said = set(re.findall(r"`(\w+)`", included))
        assert aggregated(role(rendered, f"statekeep-{name}")) == said


@pytest.mark.postgres
async def test_a_role_that_cannot_change_the_schema_is_enough_to_run(
    embedded: EmbeddedPostgres,
) -> None:
    [grants] = blocks("sql")
    admin = make_url(embedded.url)
    with psycopg.connect(embedded.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE loans")
        connection.execute("CREATE ROLE statekeep_owner LOGIN")
        connection.execute("CREATE ROLE statekeep_runtime LOGIN")
    url = admin.set(database="loans")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(grants)

    owner = connect(url.set(username="statekeep_owner").render_as_string(), KEYS)
    runtime = connect(url.set(username="statekeep_runtime").render_as_string(), KEYS)
    try:
        assert (await upgrade(owner))[0] is None
        await check(runtime)
        world = World(runtime)
        await world.propose("v1", LOAN_1)
        await world.spawn("alice", "v1", "START", "PAY", context=b"{}")
        await world.propose("v2", LOAN_2, parent="v1", path=["START", "PAY"])
        assert isinstance(await world.apply("v2"), Deployment)
        assert await world.place("alice") == ("v2", "income")
        assert len(await world.decisions("alice")) == 1
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            await runtime.transact(
                lambda connection: connection.execute(sa.text("CREATE TABLE statekeep.t ()"))
            )
    finally:
        await owner.close()
        await runtime.close()
