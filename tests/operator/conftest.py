"""One API server and one operator for most stories, which live in namespaces of their own."""

import itertools
import re
import time
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from sqlalchemy.engine import make_url
from tests.conftest import KEYS
from tests.operator.kubernetes import Kubernetes
from tests.operator.process import STOP_S, Operator
from tests.operator.story import CLUSTERS, Cluster, Story, begin

from statekeep.controller.dev.postgres import EmbeddedPostgres
from statekeep.controller.operator.rights import RULES
from statekeep.engine.store.database import Database, connect

_numbers = itertools.count(1)

RIGHTS = {
    (verb, resource) for rule in RULES for resource in rule["resources"] for verb in rule["verbs"]
}
"""Even these are refused while an API server that was started again has not read its roles yet."""


@pytest.fixture(scope="package", params=CLUSTERS)
def kubernetes(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """An API server."""
    if request.param != "emulator":
        yield request.getfixturevalue("api_server")
        return
    server = Kubernetes()
    yield server
    server.close()


@pytest.fixture(scope="package")
def shared_url(embedded: EmbeddedPostgres, template: str) -> str:
    """The URL of the database of the shared operator."""
    name = f"operator_{next(_numbers)}"
    with psycopg.connect(embedded.url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
    return make_url(embedded.url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="package")
def stages(kubernetes: Cluster, request: pytest.FixtureRequest) -> list[str]:
    """Namespaces for all stories of this run; the shared operator looks after them."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    return list(kubernetes.namespaces(sum("story" in item.fixturenames for item in items)))


@pytest.fixture(scope="package")
def operator(
    kubernetes: Cluster,
    stages: list[str],
    shared_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Operator]:
    """An operator over all stories; at the end it has asked for nothing that it may not have."""
    config = kubernetes.kubeconfig(tmp_path_factory.mktemp("kube") / "config")
    running = Operator(config, shared_url, *kubernetes.scope(stages))
    yield running
    began = time.monotonic()
    assert running.stop() == 0, running.log
    assert time.monotonic() - began < STOP_S
    assert list(kubernetes.refused) == []
    assert set(re.findall(r'cannot (\w+) resource "(\S+)"', running.log)) <= RIGHTS
    assert "Traceback" not in running.log


@pytest.fixture
async def shared_database(shared_url: str) -> AsyncIterator[Database]:
    """The database of the shared operator."""
    database = connect(shared_url, KEYS)
    yield database
    await database.close()


@pytest.fixture
def story(
    kubernetes: Cluster, operator: Operator, stages: list[str], shared_database: Database
) -> Iterator[Story]:
    """A namespace that the shared operator looks after, until the story is told."""
    told = begin(kubernetes, shared_database, stages.pop())
    yield told
    told.end()
