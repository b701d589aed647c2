"""Spreading actors and their events over partitions by hash of the actor's key.

All that concerns one actor is in partitions of one number, and every key of these tables begins with the
actor's. So an event touches one partition of each, and vacuum and index maintenance go partition by
partition. The tables are written anew, with whatever hangs on them, in one transaction: nobody else can
read or write them meanwhile.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import StatekeepError
from statekeep.engine.store.database import Database
from statekeep.engine.store.sql import statements

_SQL = statements("partitioning.sql")

TABLES = {"actor": "key", "event": "actor_key", "ignored_event": "actor_key"}
"""What is spread, by which column; the referenced one first."""

MOST = 1024
"""Partitions at most: each statement that names no actor plans for all of them."""


class PartitioningRefused(StatekeepError):
    """The tables stay as they are; the message says why."""


async def partition(database: Database, number: int) -> None:
    """Spread the tables over so many partitions.

    Raises:
        PartitioningRefused: they are spread already, or not over a number of that size.
    """
    if not 2 <= number <= MOST:
        raise PartitioningRefused(f"{number} partitions are not between 2 and {MOST}")

    async def work(connection: AsyncConnection) -> None:
        if (await connection.execute(_SQL["is_partitioned"])).scalar_one():
            raise PartitioningRefused("actors and events are partitioned already")
        names = [f"statekeep.{table}" for table in TABLES]
        await _run(connection, f"lock table {', '.join(names)} in access exclusive mode")
        keys = (await connection.execute(_SQL["foreign_keys"], {"tables": names})).all()
        for row in keys:
            await _run(connection, f"alter table {row.target} drop constraint {row.name}")
        for table, column in TABLES.items():
            await _spread(connection, table, column, number)
        for row in keys:
            await _run(
                connection, f"alter table {row.target} add constraint {row.name} {row.definition}"
            )

    await database.transact(work)


async def _spread(connection: AsyncConnection, table: str, column: str, number: int) -> None:
    """Write one table anew, with its keys, indexes and triggers, its owner and what others may do with it."""
    name, new = f"statekeep.{table}", f"statekeep.{table}_new"
    target = {"target": name}
    made = [
        f"alter table {name} add constraint {row.name} {row.definition}"
        for row in await connection.execute(_SQL["keys"], target)
    ]
    made += [row.definition for row in await connection.execute(_SQL["indexes"], target)]
    made += [row.definition for row in await connection.execute(_SQL["triggers"], target)]
    made += [row.definition for row in await connection.execute(_SQL["grants"], target)]
    owner = (await connection.execute(_SQL["owner"], target)).scalar_one()
    like = "including all excluding indexes"
    options = (await connection.execute(_SQL["options"], target)).scalar_one()
    await _run(connection, f"create table {new} (like {name} {like}) partition by hash ({column})")
    for remainder in range(number):
        await _run(
            connection,
            f"create table {name}_{remainder} partition of {new}"
            f" for values with (modulus {number}, remainder {remainder}){options}",
        )
    await _run(connection, f"insert into {new} table {name}")
    await _run(connection, f"drop table {name}")
    await _run(connection, f"alter table {new} rename to {table}")
    for one in (name, *(f"{name}_{remainder}" for remainder in range(number))):
        await _run(connection, f"alter table {one} owner to {owner}")
    for statement in made:
        await _run(connection, statement)


async def _run(connection: AsyncConnection, statement: str) -> None:
    await connection.exec_driver_sql(statement)
