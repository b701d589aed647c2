"""``statekeep``: the group of all commands, each imported only when it is called."""

import sys
from collections.abc import Mapping
from importlib import import_module, metadata
from typing import ClassVar

import click

from statekeep.controller.cli.printable import printable
from statekeep.engine.errors import StatekeepError

COMMANDS = {
    "dev": "dev",
    "operator": "operator",
    "api": "api",
    "validate": "validate",
    "simulate": "simulate",
    "preview": "preview",
    "review": "review.command",
    "approve": "approve",
    "actors": "actors",
    "versions": "versions",
    "changes": "changes",
    "demo": "demo",
    "db": "database",
    "keys": "keys",
}
"""The module of this package that each command stands in, in the order of the help."""


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(click.Group):
    """Finds a command in its module, so that one does not pay for what the others import."""

    modules: ClassVar[Mapping[str, str]] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of ``modules``."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self.modules:
            return None
        module = import_module(f"statekeep.controller.cli.{self.modules[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=Commands, context_settings=SETTINGS)
@click.version_option(metadata.version("statekeep"), prog_name="statekeep")
def statekeep() -> None:
    """Change long-running workflows while thousands of instances are in flight."""


def main() -> None:
    """Run the command line."""
    run(statekeep, "statekeep")


def run(command: click.Command, name: str) -> None:
    """Run a command; an expected error is one line and exit status 1."""
    try:
        command(prog_name=name)
    except StatekeepError as error:
        click.echo(f"{name}: {error}", err=True)
        sys.exit(1)
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        # Python stands for bytes that are not UTF-8, and for \ud800 in JSON, with half characters.
        text = printable(error.object)
        click.echo(f"{name}: {text} cannot be sent: it is not valid Unicode", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
