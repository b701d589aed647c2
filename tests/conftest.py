"""What tests share: one embedded Postgres a run, and an empty database a test."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from statekeep.controller.dev import postgres
from statekeep.controller.dev.postgres import EmbeddedPostgres
from statekeep.engine.store.database import Database, connect, upgrade
from statekeep.engine.store.keyring import KeyRing

KEYS = KeyRing({"test": bytes(range(32))})

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedPostgres]:
    """A Postgres that ends with the run, however the run ends.

    Its folder is not pytest's: another run beside this one closes that to the user that Postgres
    runs as where we are root.
    """
    with tempfile.TemporaryDirectory(prefix="statekeep-tests-") as folder:
        server = postgres.start(Path(folder), durable=False)
        yield server
        server.close()


@pytest.fixture(scope="session")
def template(embedded: EmbeddedPostgres) -> str:
    """The name of a database with this release's schema and nothing in it."""
    with psycopg.connect(embedded.url, autocommit=True) as connection:
        connection.execute("create database template_statekeep")

    async def migrate() -> None:
        database = connect(_url(embedded, "template_statekeep"), KEYS)
        await upgrade(database)
        await database.close()

    asyncio.run(migrate())
    return "template_statekeep"


@pytest.fixture
def database_url(embedded: EmbeddedPostgres, template: str) -> str:
    """The URL of a fresh database with this release's schema."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(embedded.url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
    return _url(embedded, name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh database, connected."""
    database = connect(database_url, KEYS)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of the examples."""
    return Path(__file__).parent.parent / "examples"


def _url(server: EmbeddedPostgres, name: str) -> str:
    return make_url(server.url).set(database=name).render_as_string(hide_password=False)
