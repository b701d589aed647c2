"""What every process of the API must know alike, and no caller may."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.store import schema


async def of_cursors(connection: AsyncConnection) -> bytes:
    """Return what cursors are sealed with, 32 bytes, as long as the database lives."""
    table = schema.secret
    query = sa.select(table.c.value).where(table.c.name == "cursors")
    value: bytes = (await connection.execute(query)).scalar_one()
    return value
