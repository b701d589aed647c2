"""``statekeep actors``: look at actors and drive them, over the event API."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import click
from rich.table import Table

from statekeep.controller.cli.calls import Caller, Server, calling, server_option
from statekeep.controller.cli.tables import console, decisions_table


def json_value(text: str) -> Any:
    """Return the value that an option given as JSON stands for."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text} is not JSON: {error}") from error


def header_value(text: str) -> str:
    """Return a text that can stand in a header of HTTP."""
    if any(ord(character) < ord(" ") or character == "\x7f" for character in text):
        raise click.BadParameter("a key has no line breaks and no control characters")
    return text


as_json = click.option("--json", "raw", is_flag=True, help="Print what the API answered.")


@click.group()
def actors() -> None:
    """Look at actors and send them events."""


@actors.command("list")
@click.option("--version", help="On this version only.")
@click.option("--machine", help="Of this machine only.")
@click.option("--state", help="In this state, or below it.")
@click.option("--status", type=click.Choice(["active", "done"]), help="Running, or done.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@server_option
@as_json
def list_actors(server: Server, limit: int, *, raw: bool, **filters: str | None) -> None:
    """List actors."""
    query = {name: value for name, value in filters.items() if value is not None}
    page = _call(server, lambda caller: caller.get("/v1/actors", limit=str(limit), **query))
    if raw:
        _print_json(page)
        return
    table = Table("ACTOR", "VERSION", "STATE", "STATUS", "SEQ", box=None, pad_edge=False)
    for actor in page["actors"]:
        row = (actor["id"], actor["version"], actor["state"], actor["status"], str(actor["seq"]))
        table.add_row(*row)
    console().print(table)
    if "nextCursor" in page:
        click.echo(f"There are more than {limit}; narrow the list, or raise --limit.")


@actors.command("show")
@click.argument("actor")
@server_option
def show(actor: str, server: Server) -> None:
    """Show one ACTOR."""
    _print_json(_call(server, lambda caller: caller.get(f"/v1/actors/{quote(actor, safe='')}")))


@actors.command("history")
@click.argument("actor")
@server_option
@as_json
def history(actor: str, server: Server, *, raw: bool) -> None:
    """Show the events that ACTOR has processed."""
    page = _call(
        server,
        lambda caller: caller.get(f"/v1/actors/{quote(actor, safe='')}/events", limit="1000"),
    )
    if raw:
        _print_json(page)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("SEQ", "EVENT", "STATE", "VERSION", "AT", "DATA"):
        table.add_column(column, overflow="fold")
    for event in page["events"]:
        data = json.dumps(event["data"]) if "data" in event else event.get("dataError", "")
        at = event["at"].partition(".")[0] + "Z"
        row = (event["type"], event["state"], event["version"], at, data)
        table.add_row(str(event["seq"]), *row)
    console().print(table)


@actors.command("decisions")
@click.argument("actor")
@server_option
@as_json
def decisions(actor: str, server: Server, *, raw: bool) -> None:
    """Show why ACTOR moved, or did not, at every deployment."""
    page = _call(
        server,
        lambda caller: caller.get(f"/v1/actors/{quote(actor, safe='')}/decisions", limit="1000"),
    )
    if raw:
        _print_json(page)
    elif page["decisions"]:
        console().print(decisions_table(page["decisions"]))
    else:
        click.echo(f"No deployment has looked at {actor} yet.")


@actors.command("spawn")
@click.argument("actor")
@click.option("--machine", help="Its newest applied version.")
@click.option("--version", help="This version.")
@click.option("--context", type=json_value, help="A JSON object.")
@server_option
@as_json
def spawn(actor: str, server: Server, *, raw: bool, **wish: Any) -> None:
    """Spawn ACTOR on a version, or on the newest one of a machine."""
    body = {name: value for name, value in wish.items() if value is not None}
    answer = _call(server, lambda caller: caller.post("/v1/actors", {"id": actor, **body}))
    if raw:
        _print_json(answer)
    else:
        click.echo(f"{actor} is in {_standing(answer)}")


@actors.command("send")
@click.argument("actor")
@click.argument("event_types", metavar="EVENT...", nargs=-1, required=True)
@click.option("--data", type=json_value, help="The events' payload, JSON.")
@click.option(
    "--key", type=header_value, help="An idempotency key, for one event: again, it changes nothing."
)
@server_option
@as_json
def send(
    actor: str,
    event_types: tuple[str, ...],
    data: Any,
    key: str | None,
    server: Server,
    *,
    raw: bool,
) -> None:
    """Send ACTOR one EVENT after the other."""
    if key is not None and len(event_types) > 1:
        raise click.UsageError("--key goes with one event")
    headers = {} if key is None else {"Idempotency-Key": key}
    path = f"/v1/actors/{quote(actor, safe='')}/events"

    async def work(caller: Caller) -> None:
        for event_type in event_types:
            body = {"type": event_type, **({} if data is None else {"data": data})}
            answer = await caller.post(path, body, headers=headers)
            if raw:
                _print_json(answer)
            else:
                verb = "→" if answer["handled"] else "is not handled in"
                click.echo(f"{event_type} {verb} {_standing(answer)}")

    _call(server, work)


def _standing(actor: Any) -> str:
    return f"{actor['state']} on {actor['version']} (seq {actor['seq']})"


def _call(server: Server, work: Callable[[Caller], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with calling(server) as caller:
            return await work(caller)

    return asyncio.run(run())


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
