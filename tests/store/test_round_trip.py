"""Several statements at once: in order, all of them or an error, and the connection is good afterwards."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.conftest import KEYS
from tests.store.conftest import World
from tests.store.definitions import LOAN_1

from statekeep.engine.errors import StoreUnavailable
from statekeep.engine.store import round_trip
from statekeep.engine.store.database import Database, connect
from statekeep.engine.store.round_trip import COMMIT, Rows, exchange
from statekeep.engine.store.sql import Prepared

NUMBERS = Prepared(b"select n, n * 2 from unnest(cast($1 as bigint[])) as n", ("numbers",))
DIVIDE = Prepared(b"select 1 / cast($1 as bigint)", ("by",))
INSERT = Prepared(b"insert into kept select cast($1 as bigint)", ("n",))


@pytest.fixture
async def single(database_url: str) -> AsyncIterator[Database]:
    """A database with one connection, so that what one transaction leaves behind meets the next."""
    database = connect(database_url, KEYS, pool_size=1)
    yield database
    await database.close()


async def test_rows_come_back_in_the_order_of_the_statements(single: Database) -> None:
    async def work(connection: AsyncConnection) -> list[Rows]:
        return await exchange(
            connection, (NUMBERS, {"numbers": [1, 2]}), (NUMBERS, {"numbers": []}), COMMIT
        )

    for _ in range(3):
        assert await single.transact(work) == [[(1, 2), (2, 4)], []]


async def test_numbers_of_any_size_are_taken(single: Database) -> None:
    async def work(connection: AsyncConnection, number: int) -> list[Rows]:
        return await exchange(connection, (NUMBERS, {"numbers": [1, number]}), COMMIT)

    for number in (2, 2**15, 2**31, 2**40, 3):
        [rows] = await single.transact(lambda c, number=number: work(c, number))  # type: ignore[misc]
        assert rows == [(1, 2), (number, number * 2)]


async def test_the_first_error_is_raised_and_nothing_stays(single: Database) -> None:
    async def create(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("create table kept (n bigint)"))

    async def fail(connection: AsyncConnection) -> None:
        insert = (INSERT, {"n": 1})
        await exchange(connection, insert, (DIVIDE, {"by": 0}), insert, COMMIT)

    async def count(connection: AsyncConnection) -> int:
        return int((await connection.execute(sa.text("select count(*) from kept"))).scalar_one())

    await single.transact(create)
    for _ in range(2):
        with pytest.raises(psycopg.errors.DivisionByZero):
            await single.transact(fail)
        assert await single.read(count) == 0


async def test_more_than_fits_the_sockets_comes_through_in_both_directions(
    single: Database,
) -> None:
    many = list(range(200_000))

    async def work(connection: AsyncConnection) -> list[Rows]:
        call = (NUMBERS, {"numbers": many})
        return await exchange(connection, call, call, call, COMMIT)

    assert [len(rows) for rows in await single.transact(work)] == [len(many)] * 3


async def test_statements_that_postgres_has_forgotten_are_prepared_anew_beside_those_it_knows(
    single: Database,
) -> None:
    statements = [Prepared(b"select %d" % number, ()) for number in range(4)]

    async def run(connection: AsyncConnection, first: int, last: int) -> None:
        await connection.execute(sa.select(1))  # begins the transaction
        for statement in statements[first:last]:
            await exchange(connection, (statement, {}))

    async def forget(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("deallocate all"))

    await single.transact(lambda connection: run(connection, 0, 3))
    await single.transact(forget)
    await single.transact(lambda connection: run(connection, 3, 4))
    await single.transact(lambda connection: run(connection, 0, 4))


async def test_a_connection_that_ends_in_the_middle_means_unavailable(single: Database) -> None:
    leave = Prepared(b"select pg_terminate_backend(pg_backend_pid())", ())

    async def work(connection: AsyncConnection) -> list[Rows]:
        return await exchange(connection, (leave, {}), COMMIT)

    with pytest.raises(StoreUnavailable):
        await single.transact(work)
    assert await single.transact(
        lambda connection: exchange(connection, (NUMBERS, {"numbers": [1]}), COMMIT)
    ) == [[(1, 2)]]


async def test_a_round_trip_that_is_given_up_in_the_middle_costs_its_connection_and_no_more(
    single: Database,
) -> None:
    """As by whoever is cancelled, and cancelled again while it waits for Postgres to hear of it."""

    given_up: list[psycopg.AsyncConnection[Any]] = []

    async def work(connection: AsyncConnection) -> None:
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        waiting = round_trip._exchanged(driver, {}, [(NUMBERS, {"numbers": [1]})])
        next(waiting)
        waiting.close()
        given_up.append(driver)

    with pytest.raises(StoreUnavailable):
        await single.transact(work)
    assert [driver.closed for driver in given_up] == [True]
    assert await single.transact(
        lambda connection: exchange(connection, (NUMBERS, {"numbers": [1]}), COMMIT)
    ) == [[(1, 2)]]


async def test_statements_that_a_rollback_made_postgres_forget_are_prepared_again(
    single: Database,
) -> None:
    """The driver deallocates all of them; the batch that meets this is run again."""
    world = World(single)
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")

    async def broken(connection: AsyncConnection) -> None:
        for _ in range(10):  # often enough for the driver to prepare it
            await connection.execute(sa.text("select 1"))
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        await single.transact(broken)
    assert (await world.answered("a", "PAY")).seq == 2
