"""Connections: how long a request may take to arrive, and how many may be open.

A connection costs some memory and a file descriptor, and anybody can open one: nobody has been asked who they are yet.
So what is slow to say what it wants is closed, and when there is no room for a new connection, those go that have been
idle for the longest: whoever opens ten thousand and leaves them loses them to those who come.
"""

import asyncio
import logging
import resource
from functools import cache, partial
from http import HTTPStatus

from aiohttp import ClientPayloadError, StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError

from statekeep.controller.api import problems
from statekeep.controller.api.problems import Problem

HEAD_S = 30.0
"""From the first byte of a request to the end of its head."""

MAX_CONNECTIONS = 10_000
"""Of one process; less where the system gives it fewer file descriptors."""

SPARE_FILES = 200
"""File descriptors for everything else: the database, the log, what is being accepted."""

AT_ONCE = 20
"""One in so many idle connections is closed when there is no room: to look for them takes a moment."""

MAX_WAITING_BYTES = 1024 * 1024
"""Of bodies whose requests wait for the answer to an earlier one of their connection; one alone may be as long."""

_LATE = Problem(
    HTTPStatus.REQUEST_TIMEOUT,
    "too-slow",
    f"the head of the request was not there within {HEAD_S:.0f} seconds",
)


@cache
def room() -> int:
    """Return how many connections this process can hold; it asks the system for as many as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + SPARE_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(min(wanted, soft) - SPARE_FILES, AT_ONCE)


class Runner(web.AppRunner):
    """Serves an application on connections of our kind.

    What aiohttp refuses before any middleware of the application is asked becomes a problem too.
    """

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            partial(problems.middleware, handler=server.request_handler),
            request_factory=server.request_factory,
            loop=server._loop,
            **server._kwargs,
        )


class _Server(web.Server):
    """Makes our kind of connection, and room for it."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count one more; where that is too many, close those that have been idle for the longest."""
        if len(self._connections) >= room():
            idle = [
                one for one in self._connections if isinstance(one, _Connection) and one.is_idle
            ]
            idle.sort(key=lambda one: one.idle_until)
            for one in idle[: len(idle) // AT_ONCE + 1]:
                one.force_close()
        super().connection_made(handler, transport)


class _Connection(web.RequestHandler):
    """One connection. What its parser refuses never becomes a request, so no middleware sees it."""

    __slots__ = ("_arriving", "_drops", "_late", "_left")

    _arriving: StreamReader | None
    """The body of the request whose head came last."""

    _drops: bool
    """Whether nothing of what comes is read any more."""

    _late: asyncio.TimerHandle | None
    _left: StreamReader | None
    """The body that had not come to its end when its request was answered."""

    @property
    def is_idle(self) -> bool:
        """Whether no request of it is being answered."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def idle_until(self) -> float:
        """When it would be closed for being idle; the later, the more lately it was used."""
        return self._next_keepalive_close_time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin without a request that is late."""
        self._arriving = None
        self._drops = False
        self._late = None
        self._left = None
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take what has come; a head that has begun must be there soon.

        What is no part of the body that is arriving ends it: aiohttp tells nobody who waits for the rest of it.
        """
        if self._drops:
            return
        super().data_received(data)
        if self._messages:
            message, body = self._messages[-1]
            if not isinstance(message, RawRequestMessage):
                self._break(message.message)
            else:
                self._arriving = body
                if len(self._messages) > 1:
                    self._bound()
        if not self.is_idle:
            self._forget()
        elif self._late is None:
            self._late = self._loop.call_later(HEAD_S, self._give_up)

    def _break(self, reason: str) -> None:
        """Tell whoever waits for the rest of the body that is arriving, if there is one, that none will come."""
        body = self._arriving
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(web.RequestPayloadError(reason))

    def _bound(self) -> None:
        """End with the answer to the request at hand where too much waits behind it: no place is held for that.

        As whenever a connection ends, its client sends again what has no answer.
        """
        at_hand = 1 if self._current_request is None else 0
        waiting = list(self._messages)[at_hand:]
        if sum(body.total_bytes for _, body in waiting) > MAX_WAITING_BYTES:
            for _ in waiting:
                self._messages.pop()
            self._arriving = None
            self.close()
            # What still comes is dropped, and the end of it noticed.
            self._buffer_paused = False
            self.resume_reading(resume_parser=False)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End; nobody waits for the rest of a body any more."""
        self._forget()
        super().connection_lost(exc)
        if self._left is not None and not self._left.is_eof():
            self._left.feed_eof()

    def log_access(
        self, request: web.BaseRequest, response: web.StreamResponse, time: float | None
    ) -> None:
        """Let go of a body that has not come to its end; aiohttp calls this whenever it has answered.

        It would read on, for a client that is still sending and is to see the answer. What is left of a compressed
        body is dropped as it comes instead: unpacking it takes far longer than sending it. Our own log of requests is
        written elsewhere.
        """
        body = request.content
        error = body.exception()
        if error is not None:
            # The frames that it came through hold what had arrived, and some of them hold it: a circle, in which
            # all of that would stay until Python looks for garbage.
            error.__traceback__ = None
            self.force_close()
        elif not body.is_eof():
            self._left = body
            if hdrs.CONTENT_ENCODING in request.headers:
                self._drops = True
                if self.transport is not None:
                    self.transport.write_eof()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Log the error as aiohttp does, and answer as we do."""
        super().handle_error(request, status, exc, message)
        response = problems.unparsed(HTTPStatus(status), exc).response()
        response.force_close()
        return response

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        """Say that the request was too slow, which no handler can: there is none yet."""
        self._late = None
        if self.is_idle and self.transport is not None:
            self.transport.write(problems.plain(_LATE))
            self.force_close()


def is_our_fault(record: logging.LogRecord) -> bool:
    """Return whether to log; a request that is not HTTP is its caller's, who is told with a 4xx."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(
        error,
        HttpProcessingError | ClientPayloadError | web.RequestPayloadError | ConnectionError,
    )
