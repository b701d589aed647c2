"""Short stories about versions in a cluster: the same on an emulated API server and on a real one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.operator.objects import Name, Object
from tests.operator.patience import until
from tests.operator.process import Operator
from tests.store.conftest import World

from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION
from statekeep.engine.ids import Namespace
from statekeep.engine.store.database import Database

CLUSTERS = ["emulator", pytest.param("api server", marks=pytest.mark.cluster)]
"""What a story runs on; ``make test`` has only the first of them."""

emulated = pytest.mark.parametrize("kubernetes", ["emulator"], indirect=True)
"""Marks a story that needs what no API server would do for a test, or that a real one refuses to begin."""


class Cluster(Protocol):
    """What a story needs of an API server."""

    @property
    def refused(self) -> Sequence[str]:
        """What an operator asked for and must not."""

    def namespaces(self, count: int) -> Sequence[str]:
        """Make namespaces that nobody else uses."""

    def scope(self, namespaces: Sequence[str]) -> Sequence[str]:
        """Return the arguments of an operator that is to look after these namespaces, at least."""

    def kubeconfig(self, path: Path) -> Path:
        """Write the file that leads an operator here."""

    def apply(self, manifest: Object, *, manager: str = "kubectl") -> Object: ...

    def write_status(self, name: Name, status: Object) -> Object: ...

    def delete(self, name: Name) -> None: ...

    def mark_deleted(self, name: Name) -> None:
        """Delete an object that somebody's finalizer holds."""

    def get(self, name: Name) -> Object: ...

    def names(self, namespace: str) -> list[Name]:
        """Return the names of the objects in a namespace."""

    def events(self, name: Name) -> list[Object]:
        """Return the Events of an object, oldest first."""


@dataclass
class Story:
    """One namespace of the cluster and of the database."""

    kubernetes: Cluster
    world: World
    namespace: str

    def manifest(self, name: str, *, approve: str | None = None, **spec: Any) -> Object:
        """Return a manifest made of the fields of its spec."""
        annotated = {} if approve is None else {"annotations": {APPROVE_ANNOTATION: approve}}
        return {
            "apiVersion": "statekeep.io/v1alpha1",
            "kind": "MachineVersion",
            "metadata": {"namespace": self.namespace, "name": name, **annotated},
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
        return _ready(self.status(name))

    def becomes(self, name: str, reason: str, *, saying: str = "") -> Any:
        """Wait for a standing of the object as it is now; return its status."""

        def status() -> Any:
            one = self.get(name)
            _, found, message = _ready(one["status"])
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

    def end(self) -> None:
        """Delete what is left."""
        for name in self.kubernetes.names(self.namespace):
            self.kubernetes.delete(name)


def _ready(status: Any) -> tuple[str, str, str]:
    for condition in status.get("conditions", []):
        if condition["type"] == "Ready":
            return condition["status"], condition["reason"], condition["message"]
    return "", "", ""


def begin(kubernetes: Cluster, database: Database, namespace: str) -> Story:
    """Begin a story in a namespace, which has the same name in the database."""
    return Story(kubernetes, World(database, namespace=Namespace(namespace)), namespace)
