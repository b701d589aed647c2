"""``statekeep db``: the schema, and the index of the present."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from statekeep.controller.cli.printable import counted, printable
from statekeep.engine.statechart import semantics
from statekeep.engine.store import takeover
from statekeep.engine.store.database import Database, check, connect, upgrade
from statekeep.engine.store.keyring import new_key_ring_text, read_key_ring
from statekeep.engine.store.partitioning import MOST, partition
from statekeep.engine.store.rebuilding import Rebuilt, rebuild
from statekeep.engine.store.takeover import Survey

database_url = click.option(
    "--database-url",
    "url",
    envvar="STATEKEEP_DATABASE_URL",
    required=True,
    help="postgresql://… of Postgres 15 or later; or STATEKEEP_DATABASE_URL.",
)

keys_file = click.option(
    "--keys",
    "keys_file",
    envvar="STATEKEEP_KEYS_FILE",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="The key ring: a file (`id: base64` a line, the sealing key first) or a mounted Secret.",
)


SHOWN = 20
"""Differences printed of one version; the rest is a number."""


@asynccontextmanager
async def keyless(url: str, *, pool_size: int = 1) -> AsyncIterator[Database]:
    """Hold a database for work that opens nothing sealed, so that any key will do."""
    database = connect(url, read_key_ring(new_key_ring_text()), pool_size=pool_size)
    try:
        yield database
    finally:
        await database.close()


@click.group()
def db() -> None:
    """Look after the database."""


@db.command("upgrade")
@database_url
def upgrade_schema(url: str) -> None:
    """Bring the schema to this release; safe to run at any time, from several places at once."""

    async def run() -> tuple[str | None, str]:
        async with keyless(url) as database:
            return await upgrade(database)

    before, after = asyncio.run(run())
    if before == after:
        click.echo(f"The schema is at revision {after}; nothing to do.")
    else:
        click.echo(f"The schema went from revision {before or 'none'} to {after}.")


@db.command("check")
@database_url
@click.option(
    "--take-over",
    is_flag=True,
    help="Keep what means the same under this release, even what a later one has taken over.",
)
def check_semantics(url: str, *, take_over: bool) -> None:
    """Say which stored versions would mean something else to this release; exit status 1 if any would.

    Run it with the new release before an upgrade: it reads what is stored, asks this release's interpreter again,
    and changes nothing unless told to.
    """

    async def run() -> Survey:
        async with keyless(url) as database:
            await check(database)
            return await (takeover.take_over_all if take_over else takeover.survey)(database)

    found = asyncio.run(run())
    word = "is now kept under" if take_over else "means the same under"
    for taken in found.alike:
        click.echo(
            f"{taken.namespace}/{taken.version} of machine {taken.machine} {word} semantics {semantics.SEMANTICS} "
            f"(before: {taken.before})"
        )
    for error in found.differing:
        click.echo(f"{error.version} means something else to this release:")
        for difference in error.differences[:SHOWN]:
            click.echo(f"  {printable(difference)}")
        if (more := len(error.differences) - SHOWN) > 0:
            click.echo(f"  and {more:,} more")
    if found.differing:
        click.echo("Events for their actors would be refused: stay with the release before, or")
        click.echo("upgrade and move these actors to a new version that they are previewed on.")
        raise SystemExit(1)
    if not found.alike:
        click.echo(f"Every version is kept under semantics {semantics.SEMANTICS}, this release's.")


@db.command("rebuild-index")
@database_url
def rebuild_index(url: str) -> None:
    """Make cohorts and edges anew from the log; events of a machine wait while it is its turn."""

    async def run() -> Rebuilt:
        async with keyless(url) as database:
            await check(database)
            return await rebuild(database)

    done = asyncio.run(run())
    click.echo(
        f"Rebuilt {counted(done.cohorts, 'cohort')} and {counted(done.edges, 'edge')} "
        f"of {counted(done.machines, 'machine')}."
    )
    if done.misplaced:
        click.echo(
            f"{counted(done.misplaced, 'actor')} had another place than in the log; now all are where the log has them."
        )
    else:
        click.echo("Every actor was where the log has it.")


@db.command("partition")
@database_url
@click.argument("number", type=click.IntRange(2, MOST))
def partition_tables(url: str, number: int) -> None:
    """Spread actors and events over NUMBER partitions; nobody can use them meanwhile."""

    async def run() -> None:
        async with keyless(url) as database:
            await check(database)
            await partition(database, number)

    asyncio.run(run())
    click.echo(f"Actors and events are spread over {number} partitions.")
