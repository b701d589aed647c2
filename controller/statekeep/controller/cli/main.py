"""``statekeep``: the group of all commands, each imported only when it is called."""

import sys
from importlib import import_module, metadata

import click

from statekeep.controller.cli.printable import printable
from statekeep.engine.errors import StatekeepError

COMMANDS = {
    "dev": "serve",
    "operator": "operator",
    "api": "serve",
    "validate": "validate",
    "simulate": "simulate",
    "preview": "preview",
    "approve": "approve",
    "actors": "actors",
    "changes": "changes",
    "demo": "demo",
    "db": "database",
}
"""The module of this package that each command stands in, in the order of the help."""


class Commands(click.Group):
    """Finds a command in its module, so that one does not pay for what the others import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of ``COMMANDS``."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"statekeep.controller.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(metadata.version("statekeep"), prog_name="statekeep")
def statekeep() -> None:
    """Change long-running workflows while thousands of instances are in flight."""


def main() -> None:
    """Run the command line; an expected error is one line and exit status 1."""
    try:
        statekeep()
    except StatekeepError as error:
        click.echo(f"statekeep: {error}", err=True)
        sys.exit(1)
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        # Python stands for bytes that are not UTF-8, and for \ud800 in JSON, with half characters.
        text = printable(error.object)
        click.echo(f"statekeep: {text} cannot be sent: it is not valid Unicode", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
