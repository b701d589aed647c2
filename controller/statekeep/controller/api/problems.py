"""Errors as RFC 9457 problems, from our own refusals and from everything else that goes wrong."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError, LineTooLong

from statekeep.controller.api.kinds import TYPE_BASE
from statekeep.controller.kubernetes.errors import ClusterUnavailable
from statekeep.engine.errors import (
    SchemaOutdated,
    SealBroken,
    SemanticsDiffer,
    SemanticsOutdated,
    StoreUnavailable,
    VersionUnknown,
)
from statekeep.engine.finding import Finding

_log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

RETRY_AFTER_S = 1
"""What a caller is told to wait when Postgres, or the Kubernetes API server, does not answer."""

MAX_HEAD_BYTES = 8_190
"""Of the line with the URL, and of one header: aiohttp's own limit, and enough for a ServiceAccount's token."""

ENCODINGS = ("gzip", "deflate")
"""What a body may be packed with."""

_SILENT = "the database does not answer; retry"

_UNKNOWN = (
    "the database does not answer, and may have done this or not: retry with the same Idempotency-Key or id; "
    "where you sent neither, read the actor first"
)
"""Of an event or a spawn."""

CALLER_GONE = 499
"""Never sent: the connection is closed. So nginx names it, and nothing of ours went wrong."""

QUIET_S = 30.0
"""While the database is away every request and every probe fails; one line in so long is enough."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):
    """A refusal; raised anywhere below the middleware, or shown as an item of a batch."""

    def __init__(
        self,
        status: HTTPStatus,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = headers or {}
        self.extensions = extensions

    def document(self) -> dict[str, Any]:
        """Return the problem's members."""
        return {
            "type": TYPE_BASE + self.kind,
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            **self.extensions,
        }

    def response(self) -> web.Response:
        """Return the problem as a whole response."""
        return web.Response(
            status=self.status,
            body=msgspec.json.encode(self.document()),
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )


def plain(problem: Problem) -> bytes:
    """Return a problem as the bytes of a last response, for where there is no request to answer."""
    body = msgspec.json.encode(problem.document())
    head = (
        f"HTTP/1.1 {problem.status.value} {problem.status.phrase}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def invalid(detail: str, findings: Sequence[Finding] = ()) -> Problem:
    """Return the refusal of a body that can be read but not used."""
    errors = [{"pointer": f.pointer, "code": f.code, "detail": f.message} for f in findings]
    problem = Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail)
    if errors:
        problem.extensions["errors"] = errors
    return problem


def packed_otherwise() -> Problem:
    """Return the refusal of a body whose ``Content-Encoding`` is none that is taken."""
    return Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        f"send the body as it is, or with Content-Encoding: {' or '.join(ENCODINGS)}",
        headers={"Accept-Encoding": ", ".join(ENCODINGS)},
    )


def _broken() -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "broken-body",
        "the body broke off, or its encoding is wrong",
    )


def missing(what: str) -> Problem:
    """Return the refusal of a request for something that is not there."""
    return Problem(HTTPStatus.NOT_FOUND, "not-found", f"{what} does not exist")


def translated(error: Exception) -> Problem:
    """Return the problem for an error of the engine, or of aiohttp; the one place for it."""
    match error:
        case Problem():
            return error
        case StoreUnavailable():
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "database-unavailable",
                _UNKNOWN,
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        case SchemaOutdated():
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "not-ready",
                str(error),
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        case SemanticsDiffer() | SemanticsOutdated():
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "semantics-differ",
                str(error),
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        case ClusterUnavailable():
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "authorization-unavailable",
                "the Kubernetes API server does not answer, so nobody can tell who may call; retry",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        case VersionUnknown():
            return invalid(str(error))
        case SealBroken():
            return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "not-decryptable", str(error))
        case web.RequestPayloadError():
            return _broken()
        case web.HTTPException():
            return _from_aiohttp(error)
        case _:
            return Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "an unexpected error; it is logged"
            )


def _from_aiohttp(error: web.HTTPException) -> Problem:
    status = HTTPStatus(error.status)
    known = {
        HTTPStatus.NOT_FOUND: ("not-found", "there is nothing at this path"),
        HTTPStatus.METHOD_NOT_ALLOWED: (
            "method-not-allowed",
            "this path does not take this method",
        ),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("too-large", "the body is larger than the limit"),
    }
    kind, detail = known.get(status, ("refused", error.reason or status.phrase))
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return Problem(status, kind, detail, headers=headers)


def unparsed(status: HTTPStatus, error: BaseException | None) -> Problem:
    """Return the problem for what is not HTTP, or more of it than anybody sends."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Problem(status, "internal", "an unexpected error; it is logged")
    if isinstance(error, LineTooLong):
        return Problem(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head-too-large",
            f"the URL or a header has more than {MAX_HEAD_BYTES} bytes",
        )
    if isinstance(error, ContentEncodingError):
        # Of a body that has no end it says with what it is packed, of others that it cannot unpack them.
        return _broken() if error.message in ENCODINGS else packed_otherwise()
    reason = next(iter(str(getattr(error, "message", "")).splitlines()), "").rstrip(":")
    return Problem(status, "refused", f"this is not HTTP: {reason or status.phrase}")


def logged(error: Exception, request: web.Request) -> Problem:
    """Return the problem for an error; write down what nobody expected."""
    problem = translated(error)
    if isinstance(error, StoreUnavailable):
        if not _is_write(request):
            problem.detail = _SILENT
        elif "Idempotency-Key" in request.headers:
            problem.detail = f"{_SILENT} with the same Idempotency-Key"
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        note(problem.kind, _cause(error))
    elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("request failed: %s %s", request.method, request.path, exc_info=error)
    return problem


def _is_write(request: web.Request) -> bool:
    """Return whether a call changes anything; a preview is a POST that does not."""
    return request.method == "POST" and not request.path.endswith("/previews")


def note(kind: str, text: str) -> None:
    """Log that something does not work which every request may meet: one line in ``QUIET_S`` for a kind."""
    if _outages.is_due(kind):
        _log.error("%s: %s", kind, text)


class _Seldom:
    """Remembers what was said lately."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def is_due(self, kind: str) -> bool:
        """Return whether a kind was not said for ``QUIET_S``; it counts as said from now on."""
        now = time.monotonic()
        if now - self._said.get(kind, -QUIET_S) < QUIET_S:
            return False
        self._said[kind] = now
        return True


_outages = _Seldom()


def _cause(error: BaseException) -> str:
    """Return the first line of what began it: the driver says more than we do."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).splitlines()), type(error).__name__)


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever is raised below into a problem."""
    try:
        return await handler(request)
    except ConnectionError:
        return web.Response(status=CALLER_GONE)
    except Exception as error:
        if isinstance(error, web.HTTPException) and error.status < HTTPStatus.BAD_REQUEST:
            raise
        return logged(error, request).response()
