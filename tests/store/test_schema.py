"""The tables say what the code believes, and Postgres holds them to it."""

import os
import socket

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.conftest import KEYS
from tests.operator.outage import Way
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.engine.errors import SchemaOutdated, StoreUnavailable
from statekeep.engine.store import versions
from statekeep.engine.store.database import Database, check, connect, upgrade
from statekeep.engine.store.deployments import Deployment
from statekeep.engine.store.schema import SCHEMA, metadata


async def test_the_revisions_create_exactly_the_tables_of_the_code(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        options = {
            "version_table_schema": SCHEMA,
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
        }
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    assert await database.read(lambda connection: connection.run_sync(differences)) == []


async def test_upgrading_twice_does_nothing_the_second_time(database: Database) -> None:
    before, after = await upgrade(database)
    assert before == after
    await check(database)


async def test_a_database_without_our_schema_is_named_as_such(embedded: object) -> None:
    database = connect(embedded.url, KEYS)  # type: ignore[attr-defined]
    with pytest.raises(SchemaOutdated, match="revision none"):
        await check(database)
    await database.close()


async def test_a_later_schema_is_as_good_and_left_alone(
    database: Database, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("update statekeep.alembic_version set version_num = 'later'")
    await check(database)
    assert await upgrade(database) == ("later", "later")


async def test_an_earlier_schema_is_not_enough(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("update statekeep.alembic_version set version_num = '0001'")
    with pytest.raises(SchemaOutdated, match="run `statekeep db upgrade`"):
        await check(database)


async def test_tables_that_went_are_no_outage(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("drop schema statekeep cascade")
    with pytest.raises(SchemaOutdated, match="run `statekeep db upgrade`"):
        await database.read(versions.names)


async def test_an_unreachable_database_is_unavailable_not_a_driver_error() -> None:
    database = connect("postgresql://nobody@127.0.0.1:1/nothing", KEYS)
    with pytest.raises(StoreUnavailable):
        await check(database)
    await database.close()


async def test_a_host_that_vanishes_is_noticed_within_half_a_minute(database_url: str) -> None:
    way = Way(database_url)
    database = connect(way.url, KEYS)

    async def options(connection: AsyncConnection) -> list[int]:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        with socket.socket(fileno=os.dup(raw.driver_connection.fileno())) as one:
            names = ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
            return [one.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]

    patience_ms, idle_s, interval_s, count = await database.read(options)
    await database.close()
    way.close()
    assert patience_ms <= 30_000
    assert idle_s + interval_s * count <= 30


@pytest.mark.parametrize(
    "statement",
    [
        "update statekeep.event set seq = seq + 1",
        "delete from statekeep.event",
        "update statekeep.history set event_type = 'X' where depth > 0",
        "update statekeep.version set name = 'other'",
        "update statekeep.configuration set label = 'other'",
        "delete from statekeep.actor",
        "delete from statekeep.cohort",
        "delete from statekeep.deployment",
        "truncate statekeep.event",
        "truncate statekeep.actor cascade",
        "truncate statekeep.cohort cascade",
        "truncate statekeep.history cascade",
        "truncate statekeep.configuration cascade",
        "truncate statekeep.deployment cascade",
        "truncate statekeep.decision",
    ],
)
async def test_the_log_cannot_be_rewritten(world: World, database_url: str, statement: str) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    await world.propose("v2", LOAN_2, parent="v1")
    assert isinstance(await world.apply("v2"), Deployment)
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.RestrictViolation),
    ):
        connection.execute(statement)


async def test_an_actor_cannot_be_given_the_key_of_another(world: World, database_url: str) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute("update statekeep.actor set id = 'b'")


async def test_a_family_has_one_root(world: World) -> None:
    await world.propose("v1", LOAN_1)
    with pytest.raises(sa.exc.IntegrityError, match="version_root_idx"):
        await world.propose("v1b", LOAN_1)
