"""Where every actor of a machine stood, or stands, by the log alone: no cohort and no edge is asked.

The result is a temporary table, ``standing``, that ends with the transaction: a million rows would be too many to
bring here.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.store import schema
from statekeep.engine.store.sql import statements

_SQL = statements("index.sql")

NOW = 2**31 - 1
"""An epoch that comes after all others."""


async def gather(connection: AsyncConnection, machine_id: int, *, before: int = NOW) -> None:
    """Fill ``standing`` with where the actors of a machine stood when an epoch began."""
    keys = {"machine_id": machine_id, "epoch": before}
    await connection.execute(_SQL["create_standing"])
    await connection.execute(_SQL["fill_standing"], keys)
    await connection.execute(_SQL["analyze_standing"])
    deployment = schema.deployment
    earlier = (
        sa.select(deployment.c.id, deployment.c.epoch)
        .where(deployment.c.machine_id == machine_id, deployment.c.epoch < before)
        .order_by(deployment.c.epoch)
    )
    for id_, epoch in (await connection.execute(earlier)).all():
        await connection.execute(_SQL["follow_deployment"], {"deployment_id": id_, "epoch": epoch})


async def tally(connection: AsyncConnection, deployment_id: int) -> None:
    """Write how many of those who stand there each decision of a deployment concerned."""
    await connection.execute(_SQL["tally_standing"], {"deployment_id": deployment_id})
