"""Requests and responses as values; names on the wire are camelCase."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@~+=,-]*$(?!\n)"
"""Ids of actors: safe in a URL path as they are. To Python, ``$`` also stands before a last line feed."""

TEXT_PATTERN = r"^[^\x00]*$"
"""What Postgres can store."""

ActorId = Annotated[str, Meta(min_length=1, max_length=253, pattern=ID_PATTERN)]
Name = Annotated[str, Meta(min_length=1, max_length=253, pattern=TEXT_PATTERN)]
Key = Annotated[str, Meta(min_length=1, max_length=255, pattern=TEXT_PATTERN)]
RowId = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Json = dict[str, Any]


class Request(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A body that a caller sends; a field that is not known is an error, not a surprise."""


class Response(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """A body that we send; what is not there is left out."""


class SpawnRequest(Request, kw_only=True):
    """``POST /v1/actors``."""

    id: ActorId | UnsetType = UNSET
    version: Name | UnsetType = UNSET
    machine: Name | UnsetType = UNSET
    context: Json | UnsetType = UNSET


class EventRequest(Request, kw_only=True):
    """``POST /v1/actors/{id}/events``."""

    type: str
    data: Any = UNSET
    context: Json | UnsetType = UNSET
    id: Key | UnsetType = UNSET
    """An idempotency key, where the header has none."""


class BatchEvent(EventRequest, kw_only=True):
    """One item of ``POST /v1/events``."""

    actor: ActorId
    if_seq: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    strict: bool = False


class CloudEvent(msgspec.Struct, kw_only=True):
    """A CloudEvent, as far as it concerns us; its further attributes are left alone."""

    specversion: Literal["1.0"]
    id: Key
    source: Annotated[str, Meta(max_length=255, pattern=r"^[^\s\x00]+$(?!\n)")]
    type: str
    subject: ActorId
    """Whom it is for: optional elsewhere, not here."""

    datacontenttype: str | None = None
    data: Any = UNSET
    data_base64: str | UnsetType = UNSET


class MigrationRequest(Request, kw_only=True):
    """``migration`` of a preview request, as in a manifest."""

    unhandled_events: Literal["Stay", "Skip"] = "Stay"
    completed_actors: Literal["Stay", "Migrate"] = "Stay"
    unseen_moves: Literal["Hold", "Stay"] = "Hold"


class PreviewRequest(Request, kw_only=True):
    """``POST /v1/previews``."""

    id: Name
    parent_id: Name
    history_path: (
        Annotated[
            list[Annotated[str, Meta(min_length=1, max_length=256, pattern=TEXT_PATTERN)]],
            Meta(min_length=1, max_length=256),
        ]
        | UnsetType
    ) = UNSET
    migration: MigrationRequest = msgspec.field(default_factory=MigrationRequest)
    definition: Json


class StandingResponse(Response, kw_only=True):
    """An actor and where it stands, now or then."""

    id: str
    machine: str
    version: str
    state_value: Any
    state: str
    status: Literal["active", "done"]
    seq: int
    fingerprint: str


class ActorResponse(StandingResponse, kw_only=True):
    """An actor as it stands."""

    created_at: datetime
    updated_at: datetime
    context: Any = UNSET


class ActorsResponse(Response, kw_only=True):
    """A page of actors."""

    actors: list[ActorResponse]
    next_cursor: str | UnsetType = UNSET


class AnswerResponse(StandingResponse, kw_only=True):
    """Where an actor stood when an event had been processed."""

    handled: bool


class LoggedResponse(Response, kw_only=True):
    """One event of an actor's history."""

    seq: int
    type: str
    version: str
    state_value: Any
    state: str
    fingerprint: str
    at: datetime
    data: Any = UNSET


class HistoryResponse(Response, kw_only=True):
    """A page of an actor's history."""

    id: str
    events: list[LoggedResponse]
    next_cursor: str | UnsetType = UNSET


class Place(Response, kw_only=True):
    """A version and a state of it."""

    version: str
    state_value: Any
    state: str


class DecisionResponse(Response, kw_only=True):
    """What one deployment decided of an actor, or of a cohort."""

    deployment: int
    version: str
    outcome: Literal["Migrate", "Stay"]
    before: Place
    after: Place | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    skipped: dict[str, int] | UnsetType = UNSET
    fingerprint: str
    events: int
    history_path: list[str] | UnsetType = UNSET
    prefix_hash: str | UnsetType = UNSET
    at: datetime
    actors: int | UnsetType = UNSET
    actor: str | UnsetType = UNSET


class DecisionsResponse(Response, kw_only=True):
    """Decisions, oldest first, or by cohort."""

    decisions: list[DecisionResponse]
    next_cursor: str | UnsetType = UNSET


class ChangeResponse(Response, kw_only=True):
    """One line of the change feed; ``cursor`` is the place behind it."""

    cursor: str
    kind: Literal["spawn", "event", "migration", "deployment", "bookmark"]


class ActorChangeResponse(ChangeResponse, kw_only=True):
    """A spawn, an event or a migration: where the actor stands now, and why."""

    actor: str
    seq: int
    machine: str
    version: str
    state_value: Any
    state: str
    status: Literal["active", "done"]
    fingerprint: str
    at: datetime
    type: str | UnsetType = UNSET
    """Of the event."""

    deployment: int | UnsetType = UNSET
    """What migrated the actor."""

    before: Place | UnsetType = UNSET
    """Where it migrated from."""


class DeploymentChangeResponse(ChangeResponse, kw_only=True):
    """A version was applied; the actors that it moved come next."""

    deployment: int
    machine: str
    version: str
    parent_id: str
    migrated: int
    stayed: int
    needs_rescue: int
    at: datetime


class StateCount(Response, kw_only=True):
    """How many actors are in a state."""

    state_value: Any
    state: str
    actors: int


class VersionResponse(Response, kw_only=True):
    """A version with its actors."""

    name: str
    machine: str
    standing: Literal["Proposed", "Applied"]
    created_at: datetime
    actors: int
    states: list[StateCount]
    parent_id: str | UnsetType = UNSET
    history_path: list[str] | UnsetType = UNSET
    applied_at: datetime | UnsetType = UNSET
    definition: Any = UNSET
    preview: Any = UNSET
    migration: Any = UNSET


class VersionsResponse(Response, kw_only=True):
    """Every version of a namespace."""

    versions: list[VersionResponse]


class Passenger(Response, kw_only=True):
    """One actor in a preview's list."""

    id: str
    state: str
    to: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class PassengerPage(Response, kw_only=True):
    """A page of the actors that would move, or would stay."""

    actors: list[Passenger]
    next_cursor: str | UnsetType = UNSET


class MigrationPreview(Response, kw_only=True):
    """Who would move and who would not."""

    would_migrate: PassengerPage
    would_stay: PassengerPage


class PreviewResponse(Response, kw_only=True):
    """What deploying a version would do now."""

    id: str
    approve: str
    prefix_hash: str | UnsetType = UNSET
    actors: dict[str, int]
    moves: list[Any]
    stays: list[Any]
    more_moves: Any = UNSET
    more_stays: Any = UNSET
    warnings: list[Any]
    migration: MigrationPreview
