"""The database of an embedded Postgres."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from statekeep.controller.dev.postgres import EmbeddedPostgres
from statekeep.engine.store.database import Database, connect, upgrade
from statekeep.engine.store.keyring import KeyRing


@asynccontextmanager
async def opened(server: EmbeddedPostgres, keys: KeyRing) -> AsyncIterator[Database]:
    """Connect and bring the schema to this release; in the end Postgres is stopped too."""
    try:
        database = connect(server.url, keys)
        try:
            await upgrade(database)
            yield database
        finally:
            await database.close()
    finally:
        await asyncio.to_thread(server.close)
