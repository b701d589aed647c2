"""What a call takes and what it answers: the part of a route that ``/openapi.json`` is made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta

from statekeep.controller.api.queries import Nothing, Parameters

JSON = "application/json"
NDJSON = "application/x-ndjson"


class Tag(StrEnum):
    """What a call is about; the document groups calls by it."""

    ACTORS = "actors"
    EVENTS = "events"
    VERSIONS = "versions"
    PROBES = "probes"


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """A header that a call takes."""

    name: str
    type: Any
    kinds: tuple[str, ...]
    """The problems that come with it."""


IDEMPOTENCY_KEY = RequestHeader(
    "Idempotency-Key",
    Annotated[
        str,
        Meta(
            description="Makes a retry safe: the same key with the same body returns the first answer. 1 to 255 "
            "printable ASCII characters, bare or in double quotes.",
            pattern=r'^(?!""$)("[ -~]{1,255}"|[!-~]([ -~]{0,253}[!-~])?)$',
        ),
    ],
    ("idempotency-key", "idempotency-key-reused"),
)
IF_MATCH = RequestHeader(
    "If-Match",
    Annotated[
        str,
        Meta(
            description='The seq that the actor must have, in quotes: `"3"`. An `ETag` will do.',
            pattern=r'^(\*|(W/)?"[0-9]{1,18}(-[0-9a-f]{8})?")$',
        ),
    ],
    ("if-match", "seq-differs"),
)
PREFER = RequestHeader(
    "Prefer",
    Annotated[
        str,
        Meta(description="`handling=strict` refuses an event that no transition takes (RFC 7240)."),
    ],
    ("unhandled",),
)
IF_NONE_MATCH = RequestHeader(
    "If-None-Match",
    Annotated[str, Meta(description="The `ETag` of what the caller has: 304 if that is still so.")],
    (),
)
LAST_EVENT_ID = RequestHeader(
    "Last-Event-ID",
    Annotated[
        str,
        Meta(
            description="The cursor of the last change that was seen, as a browser's `EventSource` sends it; it goes "
            "before `after`.",
            pattern=r"^[A-Za-z0-9_-]*$",
            max_length=1_000,
        ),
    ],
    (),
)


@dataclass(frozen=True, slots=True)
class ResponseHeader:
    """A header that an answer has, or may have."""

    name: str
    type: Any
    always: bool = True


SEQ_TAG = ResponseHeader(
    "ETag", Annotated[str, Meta(description="The actor's seq, in quotes: for `If-Match`.")]
)
LONE_SEQ_TAG = ResponseHeader(
    "ETag",
    Annotated[
        str, Meta(description="The actor's seq, in quotes, where the body was a single CloudEvent.")
    ],
    always=False,
)
ACTOR_TAG = ResponseHeader(
    "ETag",
    Annotated[
        str,
        Meta(
            description="The actor's seq and a mark of its version, in quotes: for `If-None-Match`, and "
            "for `If-Match`, which looks at the seq alone."
        ),
    ],
)
LOCATION = ResponseHeader("Location", Annotated[str, Meta(description="The actor's path.")])
REPLAYED = ResponseHeader(
    "Idempotency-Replayed",
    Annotated[str, Meta(description="`true` if this is the first answer again.", pattern="^true$")],
    always=False,
)


@dataclass(frozen=True, slots=True)
class Content:
    """One form that a body has, or may have."""

    type: Any
    media: str = JSON


@dataclass(frozen=True, slots=True)
class Answer:
    """One way in which all is well."""

    status: HTTPStatus
    says: str
    contents: tuple[Content, ...] = ()
    headers: tuple[ResponseHeader, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a call takes and what it answers; its handler's docstring says what it does."""

    id: str
    """The operation's id: what generated clients call it. Never to be changed."""

    tag: Tag
    answers: tuple[Answer, ...]
    path: type[Parameters] = Nothing
    query: type[Parameters] = Nothing
    headers: tuple[RequestHeader, ...] = ()
    bodies: tuple[Content, ...] = ()
    kinds: tuple[str, ...] = ()
    """The problems of its own; those that come with what it takes are known from that."""


ANY_CALL = (
    "refused",
    "unauthenticated",
    "forbidden",
    "invalid",
    "internal",
    "database-unavailable",
    "authorization-unavailable",
    "overloaded",
    "semantics-differ",
)
"""What every call but a probe may answer: it has a namespace, a caller and a database behind it."""

ANY_PATH = ("not-found",)
ANY_BODY = ("not-json", "broken-body", "too-slow", "too-large", "unsupported-media-type")


def kinds(contract: Contract) -> Iterator[str]:
    """Yield the kinds of problem that come with what a call takes, and those of its own."""
    if contract.path is not Nothing:
        yield from ANY_PATH
    if contract.bodies:
        yield from ANY_BODY
    for header in contract.headers:
        yield from header.kinds
    yield from contract.kinds
