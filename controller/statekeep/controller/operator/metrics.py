"""What Prometheus is told; docs/operator.md lists every series."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from statekeep.controller.operator.index import Index
from statekeep.controller.operator.queue import Queue
from statekeep.controller.operator.resource import Key

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The series of one operator."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.reconciles = Counter(
            "statekeep_operator_reconciles",
            "Reconciliations, by the standing that they ended in.",
            ["standing"],
            registry=self.registry,
        )
        self.errors = Counter(
            "statekeep_operator_errors",
            "Turns that could not be finished and are repeated, by the kind of error.",
            ["error"],
            registry=self.registry,
        )
        self.previews = Counter(
            "statekeep_operator_previews",
            "Previews computed.",
            registry=self.registry,
        )
        self.deployments = Counter(
            "statekeep_operator_deployments",
            "Versions applied to the actors of their parent.",
            registry=self.registry,
        )
        self.status_writes = Counter(
            "statekeep_operator_status_writes",
            "Statuses written to the API server.",
            registry=self.registry,
        )
        self.withdrawals = Counter(
            "statekeep_operator_withdrawals",
            "Versions forgotten because their object went before they were applied.",
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "statekeep_operator_reconcile_seconds",
            "Time of one reconciliation.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.deployment_seconds = Histogram(
            "statekeep_operator_deployment_seconds",
            "Time of one deployment, from the first evaluation to the last row.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._versions = Gauge(
            "statekeep_operator_versions",
            "MachineVersions, by the reason of their Ready condition.",
            ["standing"],
            registry=self.registry,
        )
        self._queue = Gauge(
            "statekeep_operator_queue_length",
            "MachineVersions that wait for their turn.",
            registry=self.registry,
        )

    def text(self, index: Index, queue: Queue[Key]) -> bytes:
        """Return everything in the Prometheus text format."""
        self._versions.clear()
        for reason, count in index.counts().items():
            self._versions.labels(reason).set(count)
        self._queue.set(len(queue))
        return generate_latest(self.registry)
