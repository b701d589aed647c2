"""What Prometheus is told of the API; docs/api.md lists every series.

Nothing in it names a tenant: whoever may read the metrics learns nothing of one namespace in particular.
"""

import os
from collections import Counter as Counts
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where workers keep their series, by the name that the client library looks for when it is imported."""


class Metrics:
    """The series of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "statekeep_api_requests",
            "Requests answered, by method, route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "statekeep_api_request_seconds",
            "Time from the head of a request to the end of its answer, by method and route; not of streams.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "statekeep_api_requests_in_flight",
            "Requests that are being answered.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.refused = Counter(
            "statekeep_api_requests_refused",
            "Requests turned away since there was too much to do.",
            registry=self.registry,
        )
        self._events = Counter(
            "statekeep_api_events",
            "Events, by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self._batch_events = Histogram(
            "statekeep_api_batch_events",
            "Events that shared one transaction.",
            buckets=_EVENTS,
            registry=self.registry,
        )
        self._batch_seconds = Histogram(
            "statekeep_api_batch_seconds",
            "Time of one such transaction.",
            buckets=_SECONDS,
            registry=self.registry,
        )

        # Looking a series up takes longer than counting. As many are kept as there are series.
        self._count_of = cache(self._requests.labels)
        self._seconds_of = cache(self._request_seconds.labels)

    def answered(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count a request, and its time where that says something of us."""
        self._count_of(method, route, status).inc()
        if seconds is not None:
            self._seconds_of(method, route).observe(seconds)

    def processed(self, outcomes: Iterable[str], seconds: float) -> None:
        """Count the events of one transaction."""
        counts = Counts(outcomes)
        for outcome, count in counts.items():
            self._events.labels(outcome).inc(count)
        self._batch_events.observe(counts.total())
        self._batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """Return the series of this process in the Prometheus text format; of all workers where it is one of them."""
        folder = os.environ.get(METRICS_FOLDER)
        return generate_latest(self.registry) if folder is None else text_of_workers(Path(folder))


def text_of_workers(folder: Path) -> bytes:
    """Return the sums over all worker processes that keep their series in a folder."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return generate_latest(registry)
