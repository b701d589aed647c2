"""``statekeep changes``: watch what happens to actors, over the event API."""

import asyncio
import json
from typing import Any

import click

from statekeep.controller.cli.calls import NoAnswer, Server, calling, server_option
from statekeep.controller.cli.printable import printable

RETRY_S = 1.0
"""Before coming back to a server that ended the stream, or is away."""


@click.command()
@click.option(
    "--after",
    default="now",
    show_default=True,
    metavar="CURSOR",
    help="Where to begin: behind the change with this cursor.",
)
@click.option("--all", "everything", is_flag=True, help="Begin with the first change there is.")
@click.option("--machine", help="Changes of this machine only.")
@click.option(
    "--follow/--no-follow", default=True, help="Stay and wait for more, or end when there is none."
)
@click.option("--json", "raw", is_flag=True, help="Print what the API answered, a change a line.")
@server_option
def changes(
    server: Server, after: str, machine: str | None, *, everything: bool, follow: bool, raw: bool
) -> None:
    """Print every change of an actor, in the order in which they happened.

    A server that goes away is waited for; nothing is missed meanwhile and nothing is printed twice.
    """
    query = {"follow": "true" if follow else "false"}
    if machine is not None:
        query["machine"] = machine
    reader = _Reader(None if everything else after, raw=raw)
    try:
        asyncio.run(reader.run(server, query))
    except KeyboardInterrupt:
        return


class _Reader:
    """Prints changes, and remembers the last one."""

    def __init__(self, cursor: str | None, *, raw: bool) -> None:
        self._cursor = cursor
        self._raw = raw
        self._is_known = False

    async def run(self, server: Server, query: dict[str, str]) -> None:
        """Read to the end; where there is none, come back whenever the server has gone."""
        async with calling(server) as caller:
            while True:
                place = {} if self._cursor is None else {"after": self._cursor}
                try:
                    async for line in caller.lines("/v1/changes", **query, **place):
                        self._take(line)
                    if query["follow"] == "false":
                        return
                except NoAnswer as error:
                    if not self._is_known:
                        raise
                    click.echo(f"{error}; waiting for it", err=True)
                await asyncio.sleep(RETRY_S)

    def _take(self, line: Any) -> None:
        self._cursor = line["cursor"]
        self._is_known = True
        if line["kind"] == "bookmark":
            return
        click.echo(json.dumps(line, ensure_ascii=False) if self._raw else _told(line))


def _told(line: Any) -> str:
    """Return a change as a sentence."""
    match line["kind"]:
        case "deployment":
            return (
                f"{line['version']} was applied to actors on {line['parentId']}: {line['migrated']} "
                f"migrated, {line['stayed']} stayed, {line['needsRescue']} need a rescue"
            )
        case "migration":
            before = line["before"]
            what = f"migrated from {before['state']} on {before['version']} →"
        case "spawn":
            what = "was spawned in"
        case _:
            what = f"{line['type']} →"
    where = f"{line['state']} on {line['version']}"
    is_done = ", done" if line["status"] == "done" else ""
    return printable(f"{line['actor']}: {what} {where} (seq {line['seq']}{is_done})")
