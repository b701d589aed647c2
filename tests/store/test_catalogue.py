"""What a process remembers of the database stays true, also when Postgres forgets what was not committed."""

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.conftest import World
from tests.store.definitions import LOAN_1

from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import initial, step
from statekeep.engine.store import interning
from statekeep.engine.store.versions import StoredVersion


class Crash(Exception):
    """Ends a transaction before its commit."""


async def interned(connection: AsyncConnection, version: StoredVersion, one: Configuration) -> int:
    [id_] = (await interning.configurations(connection, {(version.id, one)})).values()
    return id_


async def test_a_configuration_that_was_never_committed_is_not_remembered(world: World) -> None:
    version = await world.propose("v1", LOAN_1)
    start = initial(version.version.machine)
    after = step(version.version.machine, start, "START").configuration
    ids: list[int] = []

    async def crash(connection: AsyncConnection) -> None:
        ids.append(await interned(connection, version, start))
        [found] = (await world.catalogue.configurations(connection, ids)).values()
        assert found.value == start.value
        raise Crash

    with pytest.raises(Crash):
        await world.database.transact(crash)

    async def recover(connection: AsyncConnection) -> None:
        """Draw the same number again, as after a crash that lost the record of its having been drawn."""
        sequence = "pg_get_serial_sequence('statekeep.configuration', 'id')"
        await connection.execute(sa.text(f"select setval({sequence}, :id, false)"), {"id": ids[0]})
        assert [await interned(connection, version, after)] == ids

    await world.database.transact(recover)
    for _ in range(2):  # read, then remembered
        found = await world.database.read(lambda one: world.catalogue.configurations(one, ids))
        assert found[ids[0]].value == after.value
