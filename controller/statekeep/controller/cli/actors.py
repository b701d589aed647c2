"""``statekeep actors``: look at actors and drive them, over the event API."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from statekeep.controller.cli.calls import Caller, calling, server_option
from statekeep.controller.cli.tables import decisions_table

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
def list_actors(server: str, limit: int, *, raw: bool, **filters: str | None) -> None:
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
    Console().print(table)
    if "nextCursor" in page:
        click.echo(f"There are more than {limit}; narrow the list, or raise --limit.")


@actors.command("show")
@click.argument("actor")
@server_option
def show(actor: str, server: str) -> None:
    """Show one ACTOR."""
    _print_json(_call(server, lambda caller: caller.get(f"/v1/actors/{actor}")))


@actors.command("history")
@click.argument("actor")
@server_option
@as_json
def history(actor: str, server: str, *, raw: bool) -> None:
    """Show the events that ACTOR has processed."""
    page = _call(server, lambda caller: caller.get(f"/v1/actors/{actor}/events", limit="1000"))
    if raw:
        _print_json(page)
        return
    table = Table("SEQ", "EVENT", "STATE", "VERSION", "AT", "DATA", box=None, pad_edge=False)
    for event in page["events"]:
        data = json.dumps(event["data"]) if "data" in event else ""
        row = (event["type"], event["state"], event["version"], event["at"], data)
        table.add_row(str(event["seq"]), *row)
    Console().print(table)


@actors.command("decisions")
@click.argument("actor")
@server_option
@as_json
def decisions(actor: str, server: str, *, raw: bool) -> None:
    """Show why ACTOR moved, or did not, at every deployment."""
    page = _call(server, lambda caller: caller.get(f"/v1/actors/{actor}/decisions"))
    if raw:
        _print_json(page)
    elif page["decisions"]:
        Console().print(decisions_table(page["decisions"]))
    else:
        click.echo(f"No deployment has looked at {actor} yet.")


@actors.command("spawn")
@click.argument("actor")
@click.option("--machine", help="Its newest applied version.")
@click.option("--version", help="This version.")
@click.option("--context", type=json.loads, help="A JSON object.")
@server_option
def spawn(actor: str, server: str, **wish: Any) -> None:
    """Spawn ACTOR on a version, or on the newest one of a machine."""
    body = {name: value for name, value in wish.items() if value is not None}
    _print_json(_call(server, lambda caller: caller.post("/v1/actors", {"id": actor, **body})))


@actors.command("send")
@click.argument("actor")
@click.argument("event_type", metavar="EVENT")
@click.option("--data", type=json.loads, help="The event's payload, JSON.")
@click.option("--key", help="An idempotency key: the same one again changes nothing.")
@server_option
def send(actor: str, event_type: str, data: Any, key: str | None, server: str) -> None:
    """Send ACTOR an EVENT."""
    body = {"type": event_type, **({} if data is None else {"data": data})}
    headers = {} if key is None else {"Idempotency-Key": key}
    path = f"/v1/actors/{actor}/events"
    _print_json(_call(server, lambda caller: caller.post(path, body, headers=headers)))


def _call(server: str, work: Callable[[Caller], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with calling(server) as caller:
            return await work(caller)

    return asyncio.run(run())


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
