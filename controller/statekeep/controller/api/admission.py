"""Admission: a request that there is no room for is turned away at once, before its body is read.

What waits costs memory and makes everything behind it slower; a caller that is told so can come back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Middleware

from statekeep.controller.api.metrics import Metrics
from statekeep.controller.api.problems import Handler, Problem
from statekeep.engine.ids import Namespace

MAX_REQUESTS = 2_000
"""Requests of one process that are being answered; idle connections are none."""

MOST_OF_ONE = MAX_REQUESTS * 3 // 4
"""Of them those of one namespace: whatever one tenant does, there is room for others."""

MAX_BYTES = 256 * 1024 * 1024
"""Bytes of bodies that such requests may have announced between them."""

MOST_BYTES_OF_ONE = MAX_BYTES // 2
"""Of them those of one namespace."""

RETRY_AFTER_S = 1


@dataclass(slots=True)
class _Share:
    """What is being answered of one namespace."""

    requests: int = 0
    size: int = 0


class Admission:
    """Counts what is being answered."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._requests = 0
        self._bytes = 0
        self._shares: dict[Namespace, _Share] = {}

    @contextmanager
    def admitted(self, size: int) -> Iterator[None]:
        """Hold a place for a request with a body of so many bytes.

        Raises:
            Problem: there is no room.
        """
        if self._requests >= MAX_REQUESTS or (self._bytes and self._bytes + size > MAX_BYTES):
            self._metrics.refused.inc()
            raise overloaded()
        self._requests += 1
        self._bytes += size
        self._metrics.in_flight.inc()
        try:
            yield
        finally:
            self._requests -= 1
            self._bytes -= size
            self._metrics.in_flight.dec()

    @contextmanager
    def shared(self, namespace: Namespace, size: int) -> Iterator[None]:
        """Hold a place that is of a namespace's share, once it is known whose request it is.

        Raises:
            Problem: the namespace has had its share.
        """
        share = self._shares.setdefault(namespace, _Share())
        if share.requests >= MOST_OF_ONE or (share.size and share.size + size > MOST_BYTES_OF_ONE):
            self._metrics.refused.inc()
            raise overloaded()
        share.requests += 1
        share.size += size
        try:
            yield
        finally:
            share.requests -= 1
            share.size -= size
            if not share.requests:
                del self._shares[namespace]


def announced(request: web.Request, biggest: int) -> int:
    """Return how many bytes a body will have; one of unknown length counts as one of ``biggest``."""
    size = request.content_length
    if size is None:
        size = biggest if request.body_exists else 0
    return min(size, biggest)


def overloaded() -> Problem:
    """Return the refusal of a request that there is no room for."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "overloaded",
        "too many requests are being answered; retry a little later",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def middleware(admission: Admission, biggest: int) -> Middleware:
    """Return the middleware that asks for a place.

    Probes and metrics need none: they must answer when nothing else can.
    """

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/v1/"):
            return await handler(request)
        with admission.admitted(announced(request, biggest)):
            return await handler(request)

    return admit
