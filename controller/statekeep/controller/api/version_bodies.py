"""Bodies about versions: what they are, what a new one would do, and what it did."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from statekeep.controller.api.bodies import Detail, NextCursor, PrefixHash, Request, Response
from statekeep.controller.api.scalars import (
    ActorId,
    Count,
    DeploymentId,
    EventType,
    HistoryPath,
    Name,
    Object,
    PreviewId,
    StateLabel,
    StateValue,
    Time,
)
from statekeep.engine.routing.reason import Reason

Definition = Annotated[
    Object, Meta(description="An XState v5 machine config: up to 1 MB, 10,000 states, 100 levels.")
]


class MigrationRequest(Request, kw_only=True):
    """How a version migrates actors, as in a manifest."""

    unhandled_events: Annotated[
        Literal["Stay", "Skip"],
        Meta(
            description="What to do about an event of the history that the new version does not handle."
        ),
    ] = "Stay"
    completed_actors: Annotated[
        Literal["Stay", "Migrate"], Meta(description="What to do with actors that are done.")
    ] = "Stay"
    unseen_moves: Annotated[
        Literal["Hold", "Stay"],
        Meta(description="What to do about kinds of move that the approved preview did not show."),
    ] = "Hold"


class PreviewRequest(Request, kw_only=True):
    """A version that need not exist yet, as in the `spec` of a manifest."""

    id: Annotated[Name, Meta(description="The version's name.")]
    parent_id: Annotated[Name, Meta(description="The version whose actors it is for.")]
    history_path: HistoryPath | UnsetType = UNSET
    migration: MigrationRequest = msgspec.field(default_factory=MigrationRequest)
    definition: Definition


class StateCount(Response, kw_only=True):
    """How many actors are in a state."""

    state_value: StateValue
    state: StateLabel
    actors: Count


class PreviewCounts(Response, kw_only=True):
    """How many actors would do what."""

    evaluated: Annotated[int, Meta(description="All actors of the parent.")]
    would_migrate: Count
    would_stay: Annotated[int, Meta(description="Those that need a rescue not counted.", ge=0)]
    needs_rescue: Annotated[
        int,
        Meta(
            description="Those that lived through an event that the new version does not handle.",
            ge=0,
        ),
    ]


class MoveCount(Response, kw_only=True):
    """One kind of move."""

    source: Annotated[StateLabel, Meta(description="The state before.")] = msgspec.field(
        name="from"
    )
    target: Annotated[StateLabel, Meta(description="The state after.")] = msgspec.field(name="to")
    skipped: (
        Annotated[list[EventType], Meta(description="Events that the replay skips.")] | UnsetType
    ) = UNSET
    actors: Count


class StayCount(Response, kw_only=True):
    """One kind of stay."""

    state: StateLabel
    reason: Reason
    detail: Detail
    actors: Count


class RestCount(Response, kw_only=True):
    """What a list leaves out."""

    kinds: Annotated[int, Meta(description="Rows that are not shown.", ge=1)]
    actors: Annotated[int, Meta(description="Actors in them.", ge=0)]


Approve = Annotated[str, Meta(description="The annotation that approves it, as a line of YAML.")]

MoveCounts = Annotated[list[MoveCount], Meta(description="Most actors first.")]

StayCounts = Annotated[list[StayCount], Meta(description="Most actors first.")]


class PreviewSummary(Response, kw_only=True):
    """What deploying a version would do now, by kinds of move and of stay."""

    id: PreviewId
    approve: Approve
    actors: PreviewCounts
    moves: MoveCounts
    stays: StayCounts
    more_moves: RestCount | UnsetType = UNSET
    more_stays: RestCount | UnsetType = UNSET


class MigrationResponse(Response, kw_only=True):
    """What the deployment of a version did."""

    deployment: DeploymentId
    preview_id: PreviewId
    approval: Annotated[Literal["Manual", "Automatic"], Meta(description="Who said yes.")]
    migrated: Annotated[int, Meta(description="Actors that came over.", ge=0)]
    stayed: Annotated[
        int, Meta(description="Actors that did not; those that need a rescue not counted.", ge=0)
    ]
    needs_rescue: Count
    started_at: Time
    completed_at: Time


Standing = Literal["Proposed", "Applied", "Reinterpreted"]


class VersionResponse(Response, kw_only=True):
    """A version with its actors."""

    name: Name
    machine: Name
    standing: Annotated[
        Standing,
        Meta(
            description="A proposed version has no actors. One that is `Reinterpreted` is applied and means something "
            "else to this release: its actors can be read, and events for them are refused."
        ),
    ]
    created_at: Time
    actors: Count
    states: Annotated[list[StateCount], Meta(description="The states that have actors.")]
    parent_id: (
        Annotated[Name, Meta(description="The version before it; a root has none.")] | UnsetType
    ) = UNSET
    history_path: HistoryPath | UnsetType = UNSET
    applied_at: Time | UnsetType = UNSET
    definition: Definition | UnsetType = UNSET
    preview: PreviewSummary | UnsetType = UNSET
    migration: MigrationResponse | UnsetType = UNSET


class VersionsResponse(Response, kw_only=True):
    """A page of versions."""

    versions: Annotated[
        list[VersionResponse],
        Meta(description="Oldest first; without definitions, previews and migrations."),
    ]
    next_cursor: NextCursor | UnsetType = UNSET


class Passenger(Response, kw_only=True):
    """One actor in a preview's list."""

    id: ActorId
    state: StateLabel
    to: Annotated[StateLabel, Meta(description="Where it would land.")] | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    detail: Detail | UnsetType = UNSET


class PassengerPage(Response, kw_only=True):
    """A page of the actors that would move, or would stay. Only the last one has no `nextCursor`."""

    actors: Annotated[
        list[Passenger],
        Meta(
            description="In the order of their ids; there may be fewer than `limit`, even none, on any page."
        ),
    ]
    next_cursor: NextCursor | UnsetType = UNSET


class MigrationPreview(Response, kw_only=True):
    """Who would move and who would not: both lists, or those whose cursors were given."""

    would_migrate: PassengerPage | UnsetType = UNSET
    would_stay: PassengerPage | UnsetType = UNSET


class WarningResponse(Response, kw_only=True):
    """Something legal that will surprise."""

    code: Annotated[str, Meta(description="One of those in docs/codes.md.")]
    pointer: Annotated[str, Meta(description="A JSON pointer into the body.")]
    message: Annotated[str, Meta(description="What will surprise, and what to do about it.")]


class PreviewResponse(Response, kw_only=True):
    """What deploying a version would do now, actor by actor; with a cursor only `migration`, a page of a list."""

    id: PreviewId | UnsetType = UNSET
    approve: Approve | UnsetType = UNSET
    actors: PreviewCounts | UnsetType = UNSET
    moves: MoveCounts | UnsetType = UNSET
    stays: StayCounts | UnsetType = UNSET
    more_moves: RestCount | UnsetType = UNSET
    more_stays: RestCount | UnsetType = UNSET
    prefix_hash: PrefixHash | UnsetType = UNSET
    warnings: (
        Annotated[list[WarningResponse], Meta(description="What is legal but will surprise.")]
        | UnsetType
    ) = UNSET
    migration: MigrationPreview
