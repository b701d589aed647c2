"""``statekeep db``: the schema."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from statekeep.engine.store.database import Database, connect, upgrade
from statekeep.engine.store.keyring import new_key_ring_text, read_key_ring

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
