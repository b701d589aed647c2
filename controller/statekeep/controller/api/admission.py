"""Admission: a request that there is no room for is turned away at once, before its body is read.

What waits costs memory and makes everything behind it slower; a caller that is told so can come back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Middleware

from statekeep.controller.api.metrics import Metrics
from statekeep.controller.api.problems import Handler, Problem

MAX_REQUESTS = 2_000
"""Requests of one process that are being answered; idle connections are none."""

MAX_BYTES = 256 * 1024 * 1024
"""Bytes of bodies that such requests may have announced between them."""

RETRY_AFTER_S = 1


class Admission:
    """Counts what is being answered."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._requests = 0
        self._bytes = 0

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


def overloaded() -> Problem:
    """Return the refusal of a request that there is no room for."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "overloaded",
        "too many requests are being answered; retry a little later",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def middleware(admission: Admission, biggest: int) -> Middleware:
    """Return the middleware that asks for a place; a body of unknown length counts as one of ``biggest`` bytes.

    Probes and metrics need none: they must answer when nothing else can.
    """

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/v1/"):
            return await handler(request)
        size = request.content_length
        if size is None:
            size = biggest if request.body_exists else 0
        with admission.admitted(min(size, biggest)):
            return await handler(request)

    return admit
