"""Watching requests: each one is counted and timed, and written to the access log if that is wanted.

Streams are counted, not timed: how long one lasts is up to whoever reads the changes, or sends the lines.
"""

import logging
import re
import time
from collections.abc import Sequence
from enum import StrEnum
from functools import cache

from aiohttp import web
from aiohttp.typedefs import Middleware

from statekeep.controller.api.batcher import A, Process
from statekeep.controller.api.metrics import Metrics
from statekeep.controller.api.problems import CALLER_GONE, Handler
from statekeep.engine.store.events import Answer, Busy, Event, Outcome

_access = logging.getLogger("statekeep.access")

SLOW_S = 1.0
"""From here on a request is worth a line of its own, whatever it was answered with."""

_IS_STREAM = web.RequestKey("is_stream", bool)

_REQUEST_ID = re.compile(r"[!-~]{1,128}")


class AccessLog(StrEnum):
    """Which requests are written down."""

    ALL = "all"
    FAILURES = "failures"
    """Those refused or failed, and those that took longer than ``SLOW_S`` and are no streams; that a caller went
    away is no failure."""

    NONE = "none"


def middleware(metrics: Metrics, access_log: AccessLog) -> Middleware:
    """Return the outermost middleware."""

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        status = CALLER_GONE  # or the server stops, and breaks the request off
        request[_IS_STREAM] = False
        try:
            response = await handler(request)
            status = response.status
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            seconds = time.perf_counter() - began
            is_timed = not request[_IS_STREAM]
            metrics.answered(
                request.method, route_of(request), status, seconds if is_timed else None
            )
            if access_log is AccessLog.ALL or (
                access_log is AccessLog.FAILURES
                and ((status >= 400 and status != CALLER_GONE) or (is_timed and seconds > SLOW_S))
            ):
                _write(request, status, seconds)
        return response

    return observe


def note_stream(request: web.Request) -> None:
    """Remember that the head of an answer is sent before what follows is there."""
    request[_IS_STREAM] = True


def route_of(request: web.Request) -> str:
    """Return the path of the route that a request found, the same with and without a namespace."""
    resource = request.match_info.route.resource
    return "unmatched" if resource is None else _short(resource.canonical)


@cache
def _short(path: str) -> str:
    return path.replace("/v1/namespaces/{namespace}/", "/v1/", 1)


def counting(process: Process[A], metrics: Metrics) -> Process[A]:
    """Return the same way to process events, which counts what becomes of them."""

    async def counted(events: Sequence[Event]) -> Sequence[A]:
        began = time.perf_counter()
        outcomes = await process(events)
        done = [_name(outcome) for outcome in outcomes if not isinstance(outcome, Busy)]
        if done:
            metrics.processed(done, time.perf_counter() - began)
        return outcomes

    return counted


def _name(outcome: Outcome) -> str:
    match outcome:
        case Answer(repeated=True):
            return "Repeated"
        case Answer(handled=handled):
            return "Handled" if handled else "Ignored"
        case _:
            return type(outcome).__name__


def _write(request: web.Request, status: int, seconds: float) -> None:
    """Write one line: no query, no header but the id that a caller gave it, no body."""
    fields: dict[str, object] = {
        "method": request.method,
        "path": request.path,
        "status": status,
        "ms": round(seconds * 1000, 1),
        "remote": request.remote or "",
    }
    request_id = request.headers.get("X-Request-Id", "")
    if _REQUEST_ID.fullmatch(request_id):
        fields["requestId"] = request_id
    _access.info("request", extra={"fields": fields})
