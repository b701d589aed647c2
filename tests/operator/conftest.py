"""One API server and one operator for most stories, which live in namespaces of their own."""

import itertools
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url
from tests.conftest import KEYS
from tests.operator.kubernetes import Kubernetes, until
from tests.operator.objects import Object
from tests.operator.process import STOP_S, Operator
from tests.store.conftest import World

from statekeep.controller.dev.postgres import EmbeddedPostgres
from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION
from statekeep.engine.ids import Namespace
from statekeep.engine.store.database import Database, connect

_numbers = itertools.count(1)


@dataclass
class Story:
    """One namespace of the cluster and of the database."""

    kubernetes: Kubernetes
    world: World
    namespace: str = field(default_factory=lambda: f"story-{next(_numbers)}")

    def manifest(self, name: str, *, approve: str | None = None, **spec: Any) -> Object:
        """Return a manifest made of the fields of its spec."""
        annotations = {} if approve is None else {APPROVE_ANNOTATION: approve}
        return {
            "apiVersion": "statekeep.io/v1alpha1",
            "kind": "MachineVersion",
            "metadata": {"namespace": self.namespace, "name": name, "annotations": annotations},
            "spec": spec,
        }

    def apply(
        self, name: str, *, approve: str | None = None, manager: str = "kubectl", **spec: Any
    ) -> Object:
        """Apply a manifest."""
        manifest = self.manifest(name, approve=approve, **spec)
        return self.kubernetes.apply(manifest, manager=manager)

    def delete(self, name: str) -> None:
        self.kubernetes.delete((self.namespace, name))

    def get(self, name: str) -> Object:
        return self.kubernetes.get((self.namespace, name))

    def status(self, name: str) -> Any:
        return self.get(name)["status"]

    def ready(self, name: str) -> tuple[str, str, str]:
        """Return (status, reason, message) of the condition, empty while there is none."""
        for condition in self.status(name).get("conditions", []):
            if condition["type"] == "Ready":
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    def becomes(self, name: str, reason: str, *, saying: str = "") -> Any:
        """Wait for a standing of the object as it is now; return its status."""

        def status() -> Any:
            one = self.get(name)
            _, found, message = self.ready(name)
            current = one["status"].get("observedGeneration") == one["metadata"]["generation"]
            return one["status"] if current and found == reason and saying in message else None

        try:
            return until(status, f"{name} becomes {reason}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.ready(name)}") from None

    def passes(self, operator: Operator) -> None:
        """Let an operator look at what waits in this namespace at least twice more."""
        self.apply("pace", parentId="never", definition={"initial": "a", "states": {"a": {}}})
        self.becomes("pace", "AwaitingParent")
        series = 'statekeep_operator_reconciles_total{standing="AwaitingParent"}'
        before = operator.metric(series)
        until(lambda: operator.metric(series) >= before + 3, "three more looks")

    def announced(self, name: str) -> list[str]:
        """Return the reasons of an object's Events."""
        return [event["reason"] for event in self.kubernetes.events((self.namespace, name))]


@pytest.fixture(scope="package")
def kubernetes() -> Iterator[Kubernetes]:
    """An API server."""
    server = Kubernetes()
    yield server
    server.close()


@pytest.fixture(scope="package")
def shared_url(embedded: EmbeddedPostgres, template: str) -> str:
    """The URL of the database of the shared operator."""
    with psycopg.connect(embedded.url, autocommit=True) as connection:
        connection.execute(f"create database operator template {template}")
    return make_url(embedded.url).set(database="operator").render_as_string(hide_password=False)


@pytest.fixture(scope="package")
def operator(
    kubernetes: Kubernetes, shared_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator over everything; at the end it has asked for nothing that it may not have."""
    config = kubernetes.kubeconfig(tmp_path_factory.mktemp("kube") / "config")
    running = Operator(config, shared_url)
    yield running
    began = time.monotonic()
    assert running.stop() == 0, running.log
    assert time.monotonic() - began < STOP_S
    assert kubernetes.refused == []
    assert "Traceback" not in running.log


@pytest.fixture
async def shared_database(shared_url: str) -> AsyncIterator[Database]:
    """The database of the shared operator."""
    database = connect(shared_url, KEYS)
    yield database
    await database.close()


@pytest.fixture
def story(kubernetes: Kubernetes, operator: Operator, shared_database: Database) -> Iterator[Story]:
    """A namespace that the shared operator looks after, until the story is told."""
    told = Story(kubernetes, World(shared_database))
    told.world.namespace = Namespace(told.namespace)
    yield told
    for name in kubernetes.names(told.namespace):
        kubernetes.delete(name)
