"""The words that bodies, queries and paths are made of: what each may be, and what it means.

A constraint here is what requests are held to and what ``/openapi.json`` says of them. Patterns are
shown to JSON Schema, whose ``$`` is the end; to Python, ``$`` also stands before a last line feed.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

TEXT_PATTERN = r"^[^\x00]*$"
"""What Postgres can store."""

_SENDABLE = r"(?!xstate\.(?!done\.actor\.|error\.actor\.|after\.))"
_EVENT_PATTERN = rf"^(?!\*{{1,2}}$){_SENDABLE}[^\x00]+$"
"""As ``statekeep.engine.statechart.events.refusal`` has it, which says it in sentences."""

ActorId = Annotated[
    str,
    Meta(
        description="An actor's id, unique in its namespace: letters, digits and `._:@~+=,-`, the "
        "first one a letter or digit, so that it is safe in a path as it is.",
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@~+=,-]*$(?!\n)",
    ),
]

Name = Annotated[
    str,
    Meta(
        description="The name of a version or of a machine.",
        min_length=1,
        max_length=253,
        pattern=TEXT_PATTERN,
    ),
]

Key = Annotated[str, Meta(min_length=1, max_length=255, pattern=TEXT_PATTERN)]

EventType = Annotated[
    str,
    Meta(
        description="What happened, in the machine's words: 1 to 1,024 UTF-8 bytes. `xstate.*` is "
        "reserved, except `xstate.done.actor.<id>`, `xstate.error.actor.<id>` and "
        "`xstate.after.<delay>.<id>`.",
        extra_json_schema={"minLength": 1, "maxLength": 1024, "pattern": _EVENT_PATTERN},
    ),
]

PathElement = Annotated[
    str,
    Meta(
        description="An event type, `*` for any one event, or `**` for any number of them.",
        min_length=1,
        max_length=256,
        pattern=TEXT_PATTERN,
    ),
]

HistoryPath = Annotated[
    list[PathElement],
    Meta(
        description="Matched from the first event on: actors whose history contains it are eligible.",
        min_length=1,
        max_length=256,
    ),
]

RowId = Annotated[int, Meta(ge=0, le=2**63 - 1)]

DeploymentId = Annotated[int, Meta(description="The number of a deployment.", ge=1, le=2**31 - 1)]

Seq = Annotated[int, Meta(description="How many events the actor has processed.", ge=0)]

Count = Annotated[int, Meta(ge=0)]

Time = Annotated[datetime, Meta(tz=True, description="RFC 3339, in UTC.")]

Fingerprint = Annotated[
    str,
    Meta(
        description="The hash chain over a history: F(0) is SHA-256 of `statekeep/history/v1`, "
        "F(n+1) is SHA-256 of F(n) and the event type's UTF-8 bytes.",
        pattern=r"^sha256:[0-9a-f]{64}$",
    ),
]

PreviewId = Annotated[
    str,
    Meta(
        description="A digest of the version and of the kinds of move that the preview showed. "
        "Approving it approves these, and nothing else.",
        pattern=r"^[0-9a-f]{32}$",
    ),
]

StateLabel = Annotated[
    str,
    Meta(
        description="The state value as one line: `review.pending`, or "
        "`(power.off, volume.normal)` where several are active at once."
    ),
]

STATE_VALUE = {
    "description": "The state as XState writes it: a key, or an object with the state of each active child.",
    "anyOf": [
        {"type": "string"},
        {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/StateValue"}},
    ],
}
"""The schema of that name: msgspec has no type that contains itself without a class."""

StateValue = Annotated[Any, Meta(extra_json_schema={"$ref": "#/components/schemas/StateValue"})]

Status = Annotated[
    Literal["active", "done"],
    Meta(
        description="`done` once a final state of the machine is reached: it takes no event any more."
    ),
]

Object = dict[str, Any]

Context = Annotated[
    Object,
    Meta(description="What the actor remembers: any JSON object up to 1 MiB. Stored encrypted."),
]

Payload = Annotated[
    Any,
    Meta(description="What came with the event: any JSON value up to 1 MiB. Stored encrypted."),
]

Cursor = Annotated[
    str,
    Meta(
        description="Where the next page begins: the `nextCursor` of the page before, as it is.",
        min_length=1,
        max_length=1_000,
        pattern=r"^[A-Za-z0-9_-]*$",
    ),
]

Lines = Annotated[
    str,
    Meta(
        description="NDJSON: one JSON value a line, a line at most 2 MiB, any number of them.",
        extra_json_schema={"contentMediaType": "application/x-ndjson"},
    ),
]

_CHANGE = {
    "anyOf": [
        {"$ref": f"#/components/schemas/{name}"}
        for name in ("ActorChangeResponse", "DeploymentChangeResponse", "BookmarkResponse")
    ]
}

ChangeLines = Annotated[
    str,
    Meta(
        description="NDJSON: one change a line, as `x-line` says; a bookmark after a silence; a problem as the last "
        "line of an answer that breaks off.",
        extra_json_schema={"contentMediaType": "application/x-ndjson", "x-line": _CHANGE},
    ),
]

ChangeEvents = Annotated[
    str,
    Meta(
        description="Server-Sent Events: `event` is the kind, `id` the cursor, `data` the change, as `x-data` says.",
        extra_json_schema={"contentMediaType": "text/event-stream", "x-data": _CHANGE},
    ),
]
