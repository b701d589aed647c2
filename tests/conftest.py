"""What tests share: one embedded Postgres a run, an empty database a test, one API server for those that need it."""

import asyncio
import itertools
import logging
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from sqlalchemy.engine import make_url
from tests import indiscretion
from tests.cluster import found
from tests.cluster.api_server import ApiServer
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kubectl import Kubectl

from statekeep.controller.dev import postgres
from statekeep.controller.dev.postgres import EmbeddedPostgres
from statekeep.engine.store.database import Database, connect, upgrade
from statekeep.engine.store.keyring import KeyRing

KEYS = KeyRing({"test": bytes(range(32))})

_numbers = itertools.count(1)


settings.register_profile("statekeep", deadline=None)  # other work may share the machine
settings.load_profile("statekeep")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        action="store_true",
        help="run the tests that need a Kubernetes API server, and those alone",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what runs in the background so that it ignores Ctrl-C, and so would all that we start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--cluster") and not found.is_named():
        pytest.exit(f"The cluster tests are skipped: {found.ABSENT}", returncode=0)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that were asked for; a cluster is never touched unasked."""
    asked = config.getoption("--cluster")
    wanted = [item for item in items if bool(item.get_closest_marker("cluster")) == asked]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
    items[:] = wanted


@pytest.fixture(scope="session")
def ear() -> Iterator[None]:
    """Listen to everything that this process logs, at any level that is on."""
    heard = indiscretion.Ear()
    logging.getLogger().addHandler(heard)
    yield
    logging.getLogger().removeHandler(heard)


@pytest.fixture(autouse=True)
def discretion(ear: None) -> Iterator[None]:
    """No log says a key, a token, a payload or a password, whatever the test is about."""
    yield
    told, indiscretion.heard = indiscretion.heard, []
    assert told == [], "a log said what it must not"


@pytest.fixture(scope="session")
def cluster() -> Iterator[tuple[Kubectl, ControlPlane | None]]:
    """The way to a cluster, and its control plane where that is our own."""
    with tempfile.TemporaryDirectory(prefix="statekeep-cluster-") as folder:
        try:
            with found.found(Path(folder)) as way:
                yield way
        except found.Unusable as error:
            pytest.exit(f"The cluster tests cannot run: {error}", returncode=1)


@pytest.fixture(scope="session")
def api_server(cluster: tuple[Kubectl, ControlPlane | None]) -> Iterator[ApiServer]:
    """A real API server with our CustomResourceDefinition."""
    with tempfile.TemporaryDirectory(prefix="statekeep-proxy-") as folder:
        server = ApiServer(cluster[0], Path(folder))
        try:
            server.begin()
            yield server
        finally:
            server.close()


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
    return fresh_database(embedded, template)


def fresh_database(embedded: EmbeddedPostgres, template: str) -> str:
    """Make a database like the template, and return its URL."""
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
