"""The kinds of problem: the last part of a problem's ``type``, its statuses, and when it is met."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

TYPE_BASE = "https://statekeep.io/problems/"
"""What a problem's type begins with; the rest is its kind, listed in ``docs/api.md``."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem."""

    status: HTTPStatus
    when: str
    """A clause that says when it is met."""


KINDS: Mapping[str, Kind] = {
    "not-json": Kind(HTTPStatus.BAD_REQUEST, "the body is not JSON"),
    "broken-body": Kind(
        HTTPStatus.BAD_REQUEST, "the body ends before it is whole, or its encoding is wrong"
    ),
    "idempotency-key": Kind(HTTPStatus.BAD_REQUEST, "the `Idempotency-Key` cannot be read"),
    "if-match": Kind(HTTPStatus.BAD_REQUEST, "the `If-Match` cannot be read"),
    "refused": Kind(HTTPStatus.BAD_REQUEST, "HTTP itself was misused"),
    "unauthenticated": Kind(HTTPStatus.UNAUTHORIZED, "there is no token, or it is not accepted"),
    "forbidden": Kind(
        HTTPStatus.FORBIDDEN,
        "the caller lacks the right that `verb`, `resource` and `namespace` name",
    ),
    "not-found": Kind(HTTPStatus.NOT_FOUND, "there is no such path, actor, version or deployment"),
    "method-not-allowed": Kind(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "the path does not take this method; `Allow` names those it takes",
    ),
    "too-slow": Kind(
        HTTPStatus.REQUEST_TIMEOUT,
        "the head of the request took longer than 30 seconds to arrive, or its body longer than 60",
    ),
    "actor-exists": Kind(HTTPStatus.CONFLICT, "the id was spawned with another body"),
    "unhandled": Kind(
        HTTPStatus.CONFLICT,
        "strict handling, and no transition takes the event, or the actor is done",
    ),
    "unstable": Kind(
        HTTPStatus.CONFLICT, "the event would never come to rest; nothing was changed"
    ),
    "context-refused": Kind(HTTPStatus.CONFLICT, "the context cannot be patched"),
    "cursor-gone": Kind(
        HTTPStatus.GONE, "the database no longer holds the change that the cursor names"
    ),
    "seq-differs": Kind(
        HTTPStatus.PRECONDITION_FAILED, "the actor has moved on; `seq` says where it is"
    ),
    "too-large": Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than 8 MiB"),
    "unsupported-media-type": Kind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "the body's `Content-Type` is not one that the call takes, or its `Content-Encoding` neither "
        "`gzip` nor `deflate`",
    ),
    "invalid": Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "the request can be read but not used; `errors` lists each finding with pointer and code",
    ),
    "idempotency-key-reused": Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "the key belongs to a call with another body"
    ),
    "head-too-large": Kind(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the URL or a header is longer than 8,190 bytes"
    ),
    "not-decryptable": Kind(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the context of a snapshot does not open with the keys at hand",
    ),
    "internal": Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of ours; it is logged"),
    "database-unavailable": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer; try again"
    ),
    "overloaded": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE, "too many requests are being answered; try again"
    ),
    "too-many-followers": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "as many follow the changes as one process serves; try again",
    ),
    "broken-off": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the server stops before it has told all changes there were; come back with the last cursor",
    ),
    "authorization-unavailable": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the Kubernetes API server does not answer, so nobody can tell who may call",
    ),
    "semantics-differ": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the release that answers gives the actor's definition another meaning than the one that stored its state",
    ),
    "not-ready": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE, "the database or its schema is not there yet"
    ),
}
"""All of them, by status. ``refused`` is also what other statuses of HTTP itself are called."""
