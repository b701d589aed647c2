"""Admission: a request that there is no room for is turned away at once, before its body is read.

What waits costs memory and makes everything behind it slower; a caller that is told so can come back. A body whose
length nobody has announced counts as what is held of it, from one moment to the next: a stream that is idle costs
next to nothing, however long it lasts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from statekeep.controller.api.contract import NDJSON
from statekeep.controller.api.metrics import Metrics
from statekeep.controller.api.problems import Handler, Problem
from statekeep.engine.ids import Namespace

MAX_REQUESTS = 2_000
"""Requests of one process that are being answered; idle connections are none."""

MOST_OF_ONE = MAX_REQUESTS * 3 // 4
"""Of them those of one namespace: whatever one tenant does, there is room for others."""

MAX_BYTES = 256 * 1024 * 1024
"""Bytes of bodies that such requests may hold, or have announced, between them."""

MOST_BYTES_OF_ONE = MAX_BYTES // 2
"""Of them those of one namespace."""

RETRY_AFTER_S = 1


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Room:
    """What is being answered of some requests."""

    requests: int = 0
    size: int = 0

    def fits(self, size: int, max_size: int, *, held: int = 0) -> bool:
        """Return whether what holds some bytes may hold ``size`` in place of them; alone it always may."""
        others = self.size - held
        return not others or others + size <= max_size


class Place:
    """What one request holds: of the process, and of its namespace's share once it is known whose it is.

    A context, which gives all of it back at its end.
    """

    __slots__ = ("_announced", "_left", "_refusal", "_rooms", "_size")

    def __init__(
        self, announced: int, refusal: Callable[[], Problem], left: Callable[[], None]
    ) -> None:
        self._announced = announced
        self._size = announced
        self._refusal = refusal
        self._left = left
        self._rooms: list[tuple[_Room, int]] = []
        """With the bytes that each has for all."""

    def take(self, room: _Room, max_requests: int, max_size: int) -> None:
        """Hold a place in a room, too.

        Raises:
            Problem: there is none.
        """
        if room.requests >= max_requests or not room.fits(self._size, max_size):
            raise self._refusal()
        room.requests += 1
        room.size += self._size
        self._rooms.append((room, max_size))

    def hold(self, size: int) -> None:
        """Say how many bytes of the body are held now; what was announced stays held.

        Raises:
            Problem: there is no room for so many.
        """
        size = max(size, self._announced)
        if size == self._size:
            return
        if size > self._size and not all(
            room.fits(size, max_size, held=self._size) for room, max_size in self._rooms
        ):
            raise self._refusal()
        for room, _ in self._rooms:
            room.size += size - self._size
        self._size = size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for room, _ in self._rooms:
            room.requests -= 1
            room.size -= self._size
        self._left()


PLACE = web.RequestKey("place", Place)


class Admission:
    """Counts what is being answered."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._all = _Room()
        self._shares: WeakValueDictionary[Namespace, _Room] = WeakValueDictionary()
        """Of the namespaces whose requests are being answered."""

    def admit(self, size: int) -> Place:
        """Return a place for a request with a body of so many bytes.

        Raises:
            Problem: there is no room.
        """
        place = Place(size, self._refused, self._metrics.in_flight.dec)
        place.take(self._all, MAX_REQUESTS, MAX_BYTES)
        self._metrics.in_flight.inc()
        return place

    def share(self, namespace: Namespace, place: Place) -> None:
        """Count a place as one of a namespace's share, once it is known whose request it is.

        Raises:
            Problem: the namespace has had its share.
        """
        share = self._shares.get(namespace)
        if share is None:
            share = self._shares[namespace] = _Room()
        place.take(share, MOST_OF_ONE, MOST_BYTES_OF_ONE)

    def _refused(self) -> Problem:
        self._metrics.refused.inc()
        return overloaded()


def announced(request: web.Request, biggest: int) -> int:
    """Return how many bytes of a body are going to be held, as far as that is known.

    A stream is never held as a whole, and what is compressed becomes longer: they count as they arrive.
    """
    if request.content_type == NDJSON or hdrs.CONTENT_ENCODING in request.headers:
        return 0
    return min(request.content_length or 0, biggest)


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
        with admission.admit(announced(request, biggest)) as place:
            request[PLACE] = place
            return await handler(request)

    return admit
