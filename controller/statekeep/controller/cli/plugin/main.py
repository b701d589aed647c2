"""``kubectl-statekeep``, which ``kubectl statekeep`` runs."""

from collections.abc import Mapping
from importlib import metadata
from typing import ClassVar

import click

from statekeep.controller.cli.calls import REACH
from statekeep.controller.cli.main import SETTINGS, Commands, run
from statekeep.controller.cli.plugin.options import flags, reach, with_options


class PluginCommands(Commands):
    """The plugin's commands, each with kubectl's flags."""

    modules: ClassVar[Mapping[str, str]] = {
        "status": "plugin.status",
        "preview": "plugin.preview",
        "approve": "plugin.approve",
        "actors": "actors",
    }

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        command = super().get_command(ctx, cmd_name)
        return None if command is None else with_options(command)


@click.group(cls=PluginCommands, context_settings=SETTINGS, params=flags())
@click.version_option(metadata.version("statekeep"), prog_name="kubectl statekeep")
@click.pass_context
def kubectl_statekeep(context: click.Context) -> None:
    """See where machine versions stand, approve them, and look after actors."""
    context.meta[REACH] = reach


def main() -> None:
    """Run the plugin."""
    run(kubectl_statekeep, "kubectl statekeep")


if __name__ == "__main__":
    main()
