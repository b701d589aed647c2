"""``kubectl statekeep preview``: what a version would do, as its status says, or as the event API says of a file."""

import json

import click

from statekeep.controller.cli.plugin.kubectl import KubectlFailed
from statekeep.controller.cli.plugin.live import Live, read_live
from statekeep.controller.cli.plugin.options import SERVER, kubectl
from statekeep.controller.cli.plugin.status import UNSEEN, show_preview
from statekeep.controller.cli.preview import preview as preview_file
from statekeep.controller.cli.printable import printable
from statekeep.controller.conditions import actors, approval_line


@click.command()
@click.argument("name", required=False)
@click.option(
    "-f",
    "--file",
    help="Preview this manifest instead, which need not be on the cluster; - is standard input.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "json"]),
    default="table",
    show_default=True,
    help="markdown, of a file: a comment for a pull request.",
)
@click.option(
    "--fail-on-rescue", is_flag=True, help="Of a file: exit with 3 if actors need a rescue."
)
@click.option("--server", SERVER)
@click.option("--token", help="Who calls it; better in STATEKEEP_TOKEN.")
@click.option("--token-file", help="The file that holds the token.")
@click.pass_context
def preview(
    context: click.Context,
    name: str | None,
    file: str | None,
    form: str,
    url: str | None,
    token: str | None,
    token_file: str | None,
    *,
    fail_on_rescue: bool,
) -> None:
    """Show what deploying NAME would do, by its status; with --file, what a manifest would do, by the event API."""
    if file is not None:
        given = {
            "--name": name,
            "--format": form,
            "--server": url,
            "--token": token,
            "--token-file": token_file,
        }
        words = [word for pair in given.items() if pair[1] is not None for word in map(str, pair)]
        words += ["--fail-on-rescue"] if fail_on_rescue else []
        # A context of its own: it looks into the environment, and reaches the API, as it does by itself.
        with preview_file.make_context("preview", [*words, "--", file], context) as inner:
            preview_file.invoke(inner)
        return
    if name is None:
        raise click.UsageError("name a version, or a manifest with --file")
    if form == "markdown":
        raise click.UsageError("a comment is made of a manifest: name it with --file")
    client = kubectl(context)
    live = read_live(client.version(client.namespace(), name))
    if live.preview is None:
        raise KubectlFailed(f"{name} has no preview: it is {live.reason or UNSEEN}: {live.message}")
    if form == "json":
        click.echo(json.dumps(live.preview, indent=2, ensure_ascii=False))
    else:
        _print(live)


def _print(live: Live) -> None:
    assert live.preview_id is not None
    counts = live.preview["actors"] if live.preview else {}
    if not live.is_current:
        click.echo(f"Out of date: {UNSEEN}.")
    verb = "This was shown before it was applied: " if live.migration is not None else ""
    click.echo(
        printable(
            f"{verb}{counts['wouldMigrate']:,} of {actors(counts['evaluated'])} on {live.parent} would migrate, "
            f"{counts['wouldStay']:,} would stay, {counts['needsRescue']:,} need a rescue"
        )
    )
    show_preview(live)
    if live.migration is None:
        click.echo(
            f"To approve {live.name}, commit the annotation {approval_line(live.preview_id)}"
        )
