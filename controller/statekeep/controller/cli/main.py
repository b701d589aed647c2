"""``statekeep``: the group of all commands."""

import sys
from importlib import metadata

import click

from statekeep.controller.api.server import AddressRefused
from statekeep.controller.cli.actors import actors
from statekeep.controller.cli.approve import approve
from statekeep.controller.cli.calls import CallFailed
from statekeep.controller.cli.database import db
from statekeep.controller.cli.demo import demo
from statekeep.controller.cli.serve import api, dev
from statekeep.controller.dev.postgres import PostgresFailed
from statekeep.controller.dev.workspace import WorkspaceBusy
from statekeep.engine.errors import StatekeepError

EXPECTED = (StatekeepError, AddressRefused, CallFailed, PostgresFailed, WorkspaceBusy)
"""Errors whose message is all that a user needs; anything else is a fault of ours."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(metadata.version("statekeep"), prog_name="statekeep")
def statekeep() -> None:
    """Change long-running workflows while thousands of instances are in flight."""


for command in (dev, api, approve, actors, db, demo):
    statekeep.add_command(command)


def main() -> None:
    """Run the command line; an expected error is one line and exit status 1."""
    try:
        statekeep()
    except EXPECTED as error:
        click.echo(f"statekeep: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
