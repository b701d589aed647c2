"""The plugin's commands are documented, and understand kubectl's flags wherever those stand."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from statekeep.controller.cli import actors
from statekeep.controller.cli.plugin.main import kubectl_statekeep

FLAGS = {"--namespace", "--context", "--kubeconfig", "--cluster", "--user", "--as"}


def commands(
    group: click.Group = kubectl_statekeep, path: str = ""
) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


COMMANDS = dict(commands())


def test_the_commands_are_those_that_are_promised() -> None:
    assert {name for name in COMMANDS if " " not in name} == {
        "status",
        "preview",
        "approve",
        "actors",
    }
    assert {"actors list", "actors show", "actors send"} < set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_flags_once_and_says_what_its_options_do(name: str) -> None:
    options = [one for one in COMMANDS[name].params if isinstance(one, click.Option)]
    names = [flag for one in options for flag in one.opts]
    assert len(names) == len(set(names))
    assert set(names) >= FLAGS
    assert COMMANDS[name].help
    for one in options:
        assert one.help or one.name == "limit", one.name


def test_the_flags_may_stand_before_the_command() -> None:
    assert {flag for one in kubectl_statekeep.params for flag in one.opts} >= FLAGS


def test_the_commands_of_statekeep_are_left_as_they_are() -> None:
    assert "--kubeconfig" not in {flag for one in actors.show.params for flag in one.opts}


def test_every_command_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "gitops.md").read_text()
    for name in COMMANDS:
        if " " not in name:
            assert f"kubectl statekeep {name}" in page
