"""Bodies of requests and responses as values; names on the wire are camelCase.

``/openapi.json`` is made of these, so every field says what it means where its type does not.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from statekeep.controller.api.kinds import KINDS, TYPE_BASE
from statekeep.controller.api.scalars import (
    ActorId,
    Context,
    Count,
    DeploymentId,
    EventType,
    Fingerprint,
    HistoryPath,
    Key,
    Name,
    Object,
    Payload,
    Seq,
    StateLabel,
    StateValue,
    Status,
    Time,
)
from statekeep.engine.routing.reason import Reason

Outcome = Literal["Migrate", "Stay"]

Detail = Annotated[str, Meta(description="The reason as a sentence, with what it depends on.")]
NextCursor = Annotated[
    str,
    Meta(
        description="There may be more: ask again with this as the cursor. Absent on the last page."
    ),
]
PrefixHash = Annotated[
    Fingerprint,
    Meta(description="The fingerprint of the history path, if that has no wildcards."),
]


class Request(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A body that a caller sends; a field that is not known is an error, not a surprise."""


class Response(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """A body that we send; what is not there is left out."""


class SpawnRequest(Request, kw_only=True):
    """A wish for an actor, on a version or on the one of a machine that was applied last: name one of the two."""

    id: ActorId | UnsetType = UNSET
    version: Name | UnsetType = UNSET
    machine: Name | UnsetType = UNSET
    context: Context | UnsetType = UNSET


class EventRequest(Request, kw_only=True):
    """One event for an actor."""

    type: EventType
    data: Payload = UNSET
    context: (
        Annotated[
            Object,
            Meta(description="A merge patch (RFC 7396) of the actor's context: `null` removes."),
        ]
        | UnsetType
    ) = UNSET
    id: (
        Annotated[
            Key,
            Meta(description="An idempotency key, where no header gives one; unique per actor."),
        ]
        | UnsetType
    ) = UNSET


class BatchEvent(EventRequest, kw_only=True):
    """One of many events, with what headers say of a single one."""

    actor: ActorId
    if_seq: (
        Annotated[int, Meta(description="Process it only if the actor has this seq.", ge=0)]
        | UnsetType
    ) = UNSET
    strict: Annotated[
        bool,
        Meta(description="Refuse it if no transition takes it, as `Prefer: handling=strict` does."),
    ] = False


class CloudEvent(msgspec.Struct, kw_only=True):
    """A CloudEvent 1.0, as far as it concerns us; its further attributes are left alone."""

    specversion: Annotated[Literal["1.0"], Meta(description="The specification's version.")]
    id: Annotated[
        Key,
        Meta(description="With `source`, the idempotency key: together 255 characters at most."),
    ]
    source: Annotated[
        str,
        Meta(
            description="Where it comes from: a URI reference.",
            max_length=255,
            pattern=r"^[^\s\x00]+$(?!\n)",
        ),
    ]
    type: EventType
    subject: ActorId
    datacontenttype: Annotated[
        str | None,
        Meta(description="The type of `data_base64`: JSON, which is also the default, or text."),
    ] = None
    data: Payload = UNSET
    data_base64: Annotated[
        str | UnsetType, Meta(description="The data as Base64; it and `data` exclude each other.")
    ] = UNSET


class StandingResponse(Response, kw_only=True):
    """An actor and where it stands, now or then."""

    id: ActorId
    machine: Annotated[Name, Meta(description="The machine that it is an instance of.")]
    version: Annotated[Name, Meta(description="The version that it is on.")]
    state_value: StateValue
    state: StateLabel
    status: Status
    seq: Seq
    fingerprint: Fingerprint


class ActorResponse(StandingResponse, kw_only=True):
    """An actor as it stands."""

    created_at: Time
    updated_at: Annotated[Time, Meta(description="When it last took an event.")]
    context: Context | UnsetType = UNSET
    context_error: Annotated[
        str | UnsetType, Meta(description="Why the context does not open; then it is left out.")
    ] = UNSET


class ActorsResponse(Response, kw_only=True):
    """A page of actors."""

    actors: Annotated[
        list[ActorResponse], Meta(description="In the order of their ids; without their contexts.")
    ]
    next_cursor: NextCursor | UnsetType = UNSET


class AnswerResponse(StandingResponse, kw_only=True):
    """Where an actor stood when an event had been processed."""

    handled: Annotated[
        bool,
        Meta(
            description="Whether a transition took the event. If not, nothing changed and the event is not "
            "in the history; `status: done` says that this actor takes none any more."
        ),
    ]


Results = Annotated[
    Any,
    Meta(
        description="A result for each event, in order; or the answer to a single CloudEvent.",
        extra_json_schema={
            "anyOf": [
                {
                    "type": "array",
                    "items": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/AnswerResponse"},
                            {"$ref": "#/components/schemas/ProblemResponse"},
                        ]
                    },
                },
                {"$ref": "#/components/schemas/AnswerResponse"},
            ]
        },
    ),
]


class LoggedResponse(Response, kw_only=True):
    """One event of an actor's history, and where it led then."""

    seq: Annotated[Seq, Meta(description="Its place in the history, from 1 on.")]
    type: EventType
    version: Annotated[Name, Meta(description="The version that the actor was on.")]
    state_value: StateValue
    state: StateLabel
    fingerprint: Fingerprint
    at: Annotated[Time, Meta(description="When it was processed.")]
    data: Payload = UNSET
    data_error: Annotated[
        str | UnsetType, Meta(description="Why the payload does not open; then it is left out.")
    ] = UNSET


class HistoryResponse(Response, kw_only=True):
    """A page of an actor's history."""

    id: ActorId
    events: Annotated[list[LoggedResponse], Meta(description="Oldest first.")]
    next_cursor: NextCursor | UnsetType = UNSET


class HistoryState(Response, kw_only=True):
    """A state that was active when its history state's parent was left."""

    id: Annotated[str, Meta(description="The state's id.")]


class SnapshotResponse(Response, kw_only=True):
    """A snapshot as XState persists it."""

    status: Status
    value: StateValue
    history_value: Annotated[
        dict[str, list[HistoryState]],
        Meta(description="What each history state remembers, by its id."),
    ]
    context: Context
    children: Annotated[Object, Meta(description="Always empty: nothing is invoked.")]


class Place(Response, kw_only=True):
    """A version and a state of it."""

    version: Name
    state_value: StateValue
    state: StateLabel


class DecisionResponse(Response, kw_only=True):
    """What one deployment decided of an actor, or of a cohort."""

    deployment: DeploymentId
    version: Annotated[Name, Meta(description="The version that was deployed.")]
    outcome: Annotated[Outcome, Meta(description="Whether it moved to that version.")]
    before: Place
    after: Place | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    detail: Detail | UnsetType = UNSET
    skipped: (
        Annotated[
            dict[str, Count],
            Meta(
                description="Events that the replay skipped, with how often: `unhandledEvents: Skip`."
            ),
        ]
        | UnsetType
    ) = UNSET
    fingerprint: Fingerprint
    events: Annotated[int, Meta(description="How many events the history had.", ge=0)]
    history_path: HistoryPath | UnsetType = UNSET
    prefix_hash: PrefixHash | UnsetType = UNSET
    at: Annotated[Time, Meta(description="When it was decided.")]
    actors: (
        Annotated[int, Meta(description="How many actors the cohort had.", ge=0)] | UnsetType
    ) = UNSET
    actor: ActorId | UnsetType = UNSET


class DecisionsResponse(Response, kw_only=True):
    """A page of decisions."""

    decisions: Annotated[
        list[DecisionResponse],
        Meta(
            description="An actor's oldest first; a deployment's by cohort, or by actor id, where there may be fewer "
            "than `limit`, even none, on any page."
        ),
    ]
    next_cursor: NextCursor | UnsetType = UNSET


ChangeCursor = Annotated[str, Meta(description="The place behind this line: `after` begins there.")]


class BookmarkResponse(Response, kw_only=True):
    """How far the reader has got; nothing has happened."""

    cursor: ChangeCursor
    kind: Annotated[Literal["bookmark"], Meta(description="No change.")]


class ActorChangeResponse(Response, kw_only=True):
    """A spawn, an event or a migration: where the actor stands now, and why."""

    cursor: ChangeCursor
    kind: Annotated[
        Literal["spawn", "event", "migration"], Meta(description="What happened to the actor.")
    ]
    actor: ActorId
    seq: Seq
    machine: Annotated[Name, Meta(description="The machine that it is an instance of.")]
    version: Annotated[Name, Meta(description="The version that it is on.")]
    state_value: StateValue
    state: StateLabel
    status: Status
    fingerprint: Fingerprint
    at: Annotated[Time, Meta(description="When it happened.")]
    type: Annotated[EventType, Meta(description="Of the event.")] | UnsetType = UNSET
    deployment: (
        Annotated[DeploymentId, Meta(description="What migrated the actor.")] | UnsetType
    ) = UNSET
    before: Place | UnsetType = UNSET


class DeploymentChangeResponse(Response, kw_only=True):
    """A version was applied; the actors that it moved come next."""

    cursor: ChangeCursor
    kind: Annotated[Literal["deployment"], Meta(description="A deployment.")]
    deployment: DeploymentId
    machine: Annotated[Name, Meta(description="The machine that got a new version.")]
    version: Annotated[Name, Meta(description="The version that was applied.")]
    parent_id: Annotated[Name, Meta(description="The version whose actors it was for.")]
    migrated: Annotated[int, Meta(description="How many actors moved.", ge=0)]
    stayed: Annotated[int, Meta(description="How many stayed.", ge=0)]
    needs_rescue: Annotated[
        int,
        Meta(
            description="How many lived through an event that the new version does not handle.",
            ge=0,
        ),
    ]
    at: Annotated[Time, Meta(description="When it was applied.")]


class ErrorResponse(Response, kw_only=True):
    """One of several things that are wrong."""

    pointer: Annotated[str, Meta(description="A JSON pointer into the body.")]
    code: Annotated[str, Meta(description="One of those in docs/codes.md.")]
    detail: Annotated[str, Meta(description="What is wrong, and how to mend it.")]


class ProblemResponse(Response, kw_only=True):
    """What went wrong (RFC 9457), and how to mend it."""

    type: Annotated[
        str,
        Meta(
            description="What a program may go by; each is explained in docs/api.md.",
            extra_json_schema={"enum": [TYPE_BASE + kind for kind in KINDS]},
        ),
    ]
    title: Annotated[str, Meta(description="The name of the status.")]
    status: Annotated[int, Meta(description="The status.", ge=400, le=599)]
    detail: Annotated[str, Meta(description="What went wrong this time, for people.")]
    errors: (
        Annotated[
            list[ErrorResponse], Meta(description="Each thing that is wrong with a definition.")
        ]
        | UnsetType
    ) = UNSET
    seq: Annotated[Seq, Meta(description="Where the actor is: `seq-differs`.")] | UnsetType = UNSET
    state: (
        Annotated[StateLabel, Meta(description="Where the actor is: `unhandled`, `unstable`.")]
        | UnsetType
    ) = UNSET
    verb: (
        Annotated[str, Meta(description="What the caller may not do: `forbidden`.")] | UnsetType
    ) = UNSET
    resource: Annotated[str, Meta(description="To what: `forbidden`.")] | UnsetType = UNSET
    namespace: Annotated[str, Meta(description="And where: `forbidden`.")] | UnsetType = UNSET


class HealthResponse(Response, kw_only=True):
    """All is well."""

    status: Literal["ok"]
