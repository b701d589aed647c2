"""The connection to Postgres: pool, transactions, schema.

Everything above the store sees ``StoreUnavailable`` where Postgres did not answer, and never a
driver's error. A transaction that lost a deadlock or a serialization race is run again: it has
left nothing behind.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from statekeep.engine.errors import DatabaseUrlInvalid, SchemaOutdated, StoreUnavailable
from statekeep.engine.store.keyring import KeyHolder, KeyRing
from statekeep.engine.store.schema import SCHEMA
from statekeep.engine.store.silence import sqlstate, unavailable

ATTEMPTS = 5
"""How often a transaction that lost a race is run in all."""

_LIVENESS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
"""Half a minute, in seconds and in libpq's milliseconds: a host that vanishes with its addresses says no
word, and the system's own patience of a quarter of an hour, or of two hours, would hold everything up."""

_NO_SCHEMA = ("42P01", "3F000")
"""SQLSTATEs of a table, or a schema, that is not there."""

_GATE = f"LOCK TABLE {SCHEMA}.actor IN ACCESS EXCLUSIVE MODE"
"""Whoever writes events begins with this table: so all of them wait here, holding nothing, while the schema changes.
Otherwise changes and events wait for each other in circles."""

UPGRADE = "run `statekeep db upgrade`"

_LOST_RACE = ("40001", "40P01", "55P03", "26000")
"""SQLSTATEs of a serialization failure, a deadlock, a lock timeout, and a prepared statement that was forgotten."""

_DIALECTS = ("postgresql", "postgres")
"""What a URL may begin with, as libpq reads it."""

_URL_WANTED = (
    "the database URL cannot be used: a postgresql:// URL is needed, "
    "such as postgresql://user@host:5432/database"
)

_UNAVAILABLE = (
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    sa.exc.TimeoutError,
    psycopg.OperationalError,
    OSError,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Database:
    """A pool of connections, and the keys that open what is stored."""

    engine: AsyncEngine
    holder: KeyHolder

    @property
    def keys(self) -> KeyRing:
        """The keys in use at this moment; they may be others at the next."""
        return self.holder.ring

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run ``work`` in one transaction and return what it returns.

        Raises:
            StoreUnavailable: Postgres did not answer. Whether the transaction was committed is
                then unknown. Or every attempt lost a race.
            SchemaOutdated: there are no tables of ours.
        """

        async def once() -> T:
            async with _translated(self.engine.url), self.engine.begin() as connection:
                return await work(connection)

        return await _repeated(once)

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run ``work`` on one snapshot that can change nothing, and return what it returns.

        Raises:
            StoreUnavailable: Postgres did not answer, or every attempt lost a race: a reader may
                wait in a circle with a change of the schema.
            SchemaOutdated: there are no tables of ours.
        """
        return await self._look(work, "REPEATABLE READ")

    async def watch(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run ``work`` as ``read`` does, but each of its statements sees what was committed before that statement."""
        return await self._look(work, "READ COMMITTED")

    async def _look(self, work: Callable[[AsyncConnection], Awaitable[T]], isolation: str) -> T:
        async def once() -> T:
            async with _translated(self.engine.url), self.engine.connect() as connection:
                await connection.execution_options(
                    isolation_level=isolation, postgresql_readonly=True
                )
                found = await work(connection)
                await connection.commit()  # after a rollback every prepared statement is forgotten
                return found

        return await _repeated(once)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection: nothing is run again, and what is not committed is rolled back."""
        async with _translated(self.engine.url), self.engine.connect() as connection:
            yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def connect(url: str, keys: KeyRing, *, pool_size: int = 10, prepares: bool = True) -> Database:
    """Return a database for a ``postgresql://`` URL; nothing is opened yet.

    Args:
        url: of libpq's form.
        keys: that open what is stored.
        pool_size: connections at most.
        prepares: whether Postgres may be asked to prepare statements; a pooler that hands out another
            connection for every transaction may not know of them.

    Raises:
        DatabaseUrlInvalid: it is another URL, or none; the message does not repeat it, since it may
            hold a password.
    """
    arguments: dict[str, Any] = {**_LIVENESS, "application_name": "statekeep"}
    if not prepares:
        arguments["prepare_threshold"] = None
    try:
        address = make_url(url)
        if address.drivername.partition("+")[0] not in _DIALECTS:
            raise DatabaseUrlInvalid(_URL_WANTED)
        engine = create_async_engine(
            address.set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            connect_args=arguments,
            hide_parameters=True,  # errors are logged, and parameters are what must not be
        )
    except (sa.exc.ArgumentError, ValueError) as error:
        raise DatabaseUrlInvalid(_URL_WANTED) from error
    return Database(engine, KeyHolder(keys))


async def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the schema to this release; return the revision before and after.

    Safe to run from several processes at once: the second one waits and finds nothing to do. A later release's schema
    is left as it is.
    """

    def run(connection: sa.Connection) -> tuple[str | None, str]:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('statekeep/upgrade'))"))
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        before = _revision(connection)
        if before is not None and before not in _ours():
            return before, before
        if before is not None and before != _head():
            connection.execute(sa.text(_GATE))
        command.upgrade(_alembic(connection), "head")
        return before, _head()

    return await database.transact(lambda connection: connection.run_sync(run))


async def check(database: Database) -> None:
    """Return if Postgres answers and its schema is this release's, or a later one's.

    A revision that we do not know was made after us, and what is made after us lets us go on: the pods of the last
    release serve while those of the next one start.

    Raises:
        StoreUnavailable: it does not answer.
        SchemaOutdated: an earlier release's schema, or none.
    """
    found = await database.read(lambda connection: connection.run_sync(_revision))
    if found is None or (found in _ours() and found != _head()):
        raise SchemaOutdated(
            f"the database is at schema revision {found or 'none'}, this release needs {_head()}: {UPGRADE}"
        )


def _revision(connection: sa.Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
    return context.get_current_revision()


@cache
def _head() -> str:
    head = ScriptDirectory.from_config(_alembic(None)).get_current_head()
    assert head is not None
    return head


@cache
def _ours() -> frozenset[str]:
    """Return every revision that this release knows."""
    script = ScriptDirectory.from_config(_alembic(None))
    return frozenset(one.revision for one in script.walk_revisions())


def _alembic(connection: sa.Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", "statekeep.engine.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def lost_race(error: BaseException) -> bool:
    """Return whether an error says to run it again."""
    return sqlstate(error) in _LOST_RACE


async def _repeated(once: Callable[[], Awaitable[T]]) -> T:
    """Run a transaction again while it loses races, a few times."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await once()
        except (sa.exc.DBAPIError, psycopg.Error) as error:
            if not lost_race(error):
                raise
            if attempt == ATTEMPTS:
                raise StoreUnavailable(f"{ATTEMPTS} attempts lost a race in Postgres") from error
            await asyncio.sleep(0.01 * attempt)
    raise AssertionError("the loop returns or raises")


@asynccontextmanager
async def _translated(url: sa.URL) -> AsyncIterator[None]:
    """Turn every way in which Postgres can fail to answer into ``StoreUnavailable``, and say what is not there yet."""
    try:
        yield
    except (sa.exc.ProgrammingError, psycopg.ProgrammingError) as error:
        if sqlstate(error) not in _NO_SCHEMA:
            raise
        raise SchemaOutdated(f"the database has no tables of StateKeep: {UPGRADE}") from error
    except _UNAVAILABLE as error:
        if lost_race(error):
            raise
        raise unavailable(error, url) from error
