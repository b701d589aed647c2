"""``statekeep preview``: what deploying a manifest would do to the actors of its parent, before it is deployed."""

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from statekeep.controller.cli.calls import Caller, Server, calling, server_option
from statekeep.controller.cli.checked import choose
from statekeep.controller.cli.comment import comment, root_comment, root_sentence
from statekeep.controller.cli.printable import printable
from statekeep.controller.cli.tables import console, preview_tables
from statekeep.controller.conditions import actors
from statekeep.controller.inspection import misread
from statekeep.controller.manifest.manifest import Manifest
from statekeep.engine.ids import Namespace
from statekeep.engine.json import JsonObject

RESCUE_NEEDED = 3
"""Exit status under ``--fail-on-rescue``."""

PAGE = 1_000
"""Actors of one page: the most that the API gives."""

SIDES = {"wouldMigrate": "migrateCursor", "wouldStay": "stayCursor"}
"""Whose pages each query parameter turns."""

MISREAD = (
    "kubectl reads these words as true and false, and would send the cluster another version than the file declares, "
    "whose preview has another id; put them in quotes"
)
"""Why nothing is said of a manifest that kubectl reads otherwise than we do."""


@click.command()
@click.argument("file", required=False)
@click.option("-f", "--file", "option", help="The same as FILE.")
@click.option("--name", help="The version, if FILE holds several.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "json"]),
    default="table",
    show_default=True,
    help="markdown: a comment for a pull request; json: what the API answered.",
)
@click.option("--all", "everybody", is_flag=True, help="List every actor; with --format json.")
@click.option("--fail-on-rescue", is_flag=True, help="Exit with 3 if actors need a rescue.")
@server_option
def preview(
    file: str | None,
    option: str | None,
    name: str | None,
    form: str,
    server: Server,
    *,
    everybody: bool,
    fail_on_rescue: bool,
) -> None:
    """Show what deploying the MachineVersion in FILE would do now; nothing is changed.

    The version need not exist on the server, its parent must.
    """
    path = file or option
    if path is None or (file and option):
        raise click.UsageError("name one FILE, or - for standard input")
    if everybody and form != "json":
        raise click.UsageError("--all lists actors, which only --format json has room for")
    chosen = choose(path, name)
    manifest, machine = chosen.manifest, chosen.machine
    if manifest is None or machine is None:
        raise click.UsageError(f"{path} holds a bare machine; only a manifest has a parent")
    if words := misread(chosen):
        click.echo("\n".join(printable(str(word)) for word in words))
        raise click.ClickException(f"there is no preview of {manifest.name}: {MISREAD}")
    if manifest.parent_id is None:
        shown = {"table": root_sentence(manifest), "markdown": root_comment(manifest), "json": "{}"}
        click.echo(shown[form])
        return
    answer = asyncio.run(_answer(server, manifest, everybody=everybody, form=form))
    match form:
        case "json":
            click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        case "markdown":
            click.echo(comment(manifest, machine, answer))
        case _:
            _print_tables(manifest, answer)
    if fail_on_rescue and answer["actors"]["needsRescue"]:
        sys.exit(RESCUE_NEEDED)


def request(manifest: Manifest) -> JsonObject:
    """Return the body of ``POST /v1/previews``."""
    policy = manifest.migration
    body: JsonObject = {
        "id": manifest.name,
        "parentId": manifest.parent_id,
        "migration": {
            "unhandledEvents": policy.unhandled_events.value,
            "completedActors": policy.completed_actors.value,
            "unseenMoves": policy.unseen_moves.value,
        },
        "definition": manifest.definition,
    }
    if manifest.history_path is not None:
        body["historyPath"] = list(manifest.history_path)
    return body


def within(namespace: Namespace | None, path: str) -> str:
    """Return the path of a call in a namespace, or in the one that the server decides."""
    return f"/v1/namespaces/{namespace}{path}" if namespace else f"/v1{path}"


async def _answer(server: Server, manifest: Manifest, *, everybody: bool, form: str) -> Any:
    path, body = within(manifest.namespace, "/previews"), request(manifest)
    async with calling(server) as caller:
        if everybody:
            return await everybody_of(caller, path, body)
        # Only JSON shows actors at all.
        limit = {} if form == "json" else {"limit": "1"}
        return await caller.post(path, body, headers=None, **limit)


async def everybody_of(caller: Caller, path: str, body: JsonObject) -> Any:
    """Return the first answer, its lists of actors filled up from all the pages that follow."""
    terminal = Console(stderr=True)
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        task = progress.add_task("Listing actors")
        answer = await caller.post(path, body, limit=str(PAGE))
        progress.update(task, total=answer["actors"]["evaluated"])
        listed = answer["migration"]
        page = listed
        while cursors := dict(_cursors(page)):
            turned = await caller.post(path, body, headers=None, **cursors, limit=str(PAGE))
            page = {
                side: turned["migration"][side] for side, name in SIDES.items() if name in cursors
            }
            for side, found in page.items():
                listed[side]["actors"] += found["actors"]
            progress.update(task, completed=sum(len(listed[side]["actors"]) for side in SIDES))
    for side in SIDES:
        listed[side].pop("nextCursor", None)
    return answer


def _cursors(page: Any) -> Iterator[tuple[str, str]]:
    for side, name in SIDES.items():
        if "nextCursor" in page.get(side, {}):
            yield name, page[side]["nextCursor"]


def _print_tables(manifest: Manifest, answer: Any) -> None:
    counts = answer["actors"]
    for warning in answer["warnings"]:
        click.secho("warning", fg="yellow", bold=True, nl=False)
        click.echo(printable(f"[{warning['code']}] {warning['pointer']}: {warning['message']}"))
    click.echo(
        f"{counts['wouldMigrate']:,} of {actors(counts['evaluated'])} on {manifest.parent_id} would migrate, "
        f"{counts['wouldStay']:,} would stay, {counts['needsRescue']:,} need a rescue"
    )
    for table in preview_tables(answer):
        console().print(table)
    click.echo(f"To approve {manifest.name}, commit the annotation {answer['approve']}")
