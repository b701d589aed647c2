"""``statekeep db``: the schema, and the index of the present."""

import asyncio

import click

from statekeep.engine.store.database import check, connect, upgrade
from statekeep.engine.store.keyring import new_key_ring_text, read_key_ring
from statekeep.engine.store.partitioning import MOST, partition
from statekeep.engine.store.rebuilding import Rebuilt, rebuild

database_url = click.option(
    "--database-url",
    "url",
    envvar="STATEKEEP_DATABASE_URL",
    required=True,
    help="postgresql://… of Postgres 15 or later; or STATEKEEP_DATABASE_URL.",
)


@click.group()
def db() -> None:
    """Look after the database."""


@db.command("upgrade")
@database_url
def upgrade_schema(url: str) -> None:
    """Bring the schema to this release; safe to run at any time, from several places at once."""

    async def run() -> tuple[str | None, str]:
        # The schema holds nothing sealed, so any key will do.
        database = connect(url, read_key_ring(new_key_ring_text()))
        try:
            return await upgrade(database)
        finally:
            await database.close()

    before, after = asyncio.run(run())
    if before == after:
        click.echo(f"The schema is at revision {after}; nothing to do.")
    else:
        click.echo(f"The schema went from revision {before or 'none'} to {after}.")


@db.command("rebuild-index")
@database_url
def rebuild_index(url: str) -> None:
    """Make cohorts and edges anew from the log; events of a machine wait while it is its turn."""

    async def run() -> Rebuilt:
        database = connect(url, read_key_ring(new_key_ring_text()))  # nothing sealed is opened
        try:
            await check(database)
            return await rebuild(database)
        finally:
            await database.close()

    done = asyncio.run(run())
    click.echo(
        f"Rebuilt {done.cohorts:,} cohorts and {done.edges:,} edges of {done.machines:,} machines."
    )
    if done.misplaced:
        click.echo(
            f"{done.misplaced:,} actors were elsewhere than the log has them; now they are not."
        )


@db.command("partition")
@database_url
@click.argument("number", type=click.IntRange(2, MOST))
def partition_tables(url: str, number: int) -> None:
    """Spread actors and events over NUMBER partitions; nobody can use them meanwhile."""

    async def run() -> None:
        database = connect(url, read_key_ring(new_key_ring_text()))  # nothing sealed is opened
        try:
            await check(database)
            await partition(database, number)
        finally:
            await database.close()

    asyncio.run(run())
    click.echo(f"Actors and events are spread over {number} partitions.")
