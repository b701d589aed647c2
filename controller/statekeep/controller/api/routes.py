"""Every route of the API in one table: what routing, authorization and the OpenAPI document are made of."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from msgspec import Meta

from statekeep.controller.api import (
    actors,
    bodies,
    changes,
    cloudevents,
    events,
    health,
    queries,
    version_bodies,
    versions,
)
from statekeep.controller.api.contract import (
    ACTOR_TAG,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE_MATCH,
    LAST_EVENT_ID,
    LOCATION,
    LONE_SEQ_TAG,
    NDJSON,
    PREFER,
    REPLAYED,
    SEQ_TAG,
    Answer,
    Content,
    Contract,
    ResponseHeader,
    Tag,
)
from statekeep.controller.api.scalars import ChangeEvents, ChangeLines, Lines
from statekeep.controller.api.streams import SSE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One call, under ``/v1`` for the caller's own namespace and under ``/v1/namespaces/{namespace}``."""

    method: str
    path: str
    """Behind the prefix, as aiohttp's router reads it."""

    handler: Handler

    verb: str
    """What it does, in the words of Kubernetes RBAC."""

    resource: str
    """What it does it to: a resource of the API group ``statekeep.io``, with its subresource; most are virtual."""

    contract: Contract
    """What it takes and answers; a request that says something else never reaches the handler."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One call without a prefix, for whoever runs the server: anybody may ask."""

    path: str
    handler: Handler
    contract: Contract


def _ok(says: str, kind: object, *headers: ResponseHeader) -> Answer:
    """Return the answer 200 with a JSON body."""
    return Answer(HTTPStatus.OK, says, (Content(kind),), headers)


_THEIRS = Answer(HTTPStatus.NOT_MODIFIED, "The caller has it: `If-None-Match`.", (), (ACTOR_TAG,))


EVENTS_OF_ACTOR = "/actors/{id}/events"

ROUTES = (
    Route(
        "GET",
        "/actors",
        actors.index,
        "list",
        "actors",
        Contract(
            id="listActors",
            tag=Tag.ACTORS,
            query=queries.ActorFilter,
            answers=(_ok("A page of actors.", bodies.ActorsResponse),),
        ),
    ),
    Route(
        "POST",
        "/actors",
        actors.spawn,
        "create",
        "actors",
        Contract(
            id="spawnActor",
            tag=Tag.ACTORS,
            headers=(IDEMPOTENCY_KEY,),
            bodies=(Content(bodies.SpawnRequest),),
            answers=(
                Answer(
                    HTTPStatus.CREATED,
                    "The actor as it begins.",
                    (Content(bodies.ActorResponse),),
                    (SEQ_TAG, LOCATION, REPLAYED),
                ),
                _ok(
                    "The actor was there already; as it stands.",
                    bodies.ActorResponse,
                    SEQ_TAG,
                    LOCATION,
                ),
            ),
            kinds=("actor-exists", "not-decryptable"),
        ),
    ),
    Route(
        "GET",
        "/actors/{id}",
        actors.read,
        "get",
        "actors",
        Contract(
            id="getActor",
            tag=Tag.ACTORS,
            path=queries.OfActor,
            headers=(IF_NONE_MATCH,),
            answers=(_ok("The actor.", bodies.ActorResponse, ACTOR_TAG), _THEIRS),
            kinds=("not-decryptable",),
        ),
    ),
    Route(
        "GET",
        EVENTS_OF_ACTOR,
        actors.history,
        "get",
        "actors/events",
        Contract(
            id="getActorEvents",
            tag=Tag.EVENTS,
            path=queries.OfActor,
            query=queries.Page,
            answers=(_ok("A page of its history.", bodies.HistoryResponse),),
            kinds=("not-decryptable",),
        ),
    ),
    Route(
        "POST",
        EVENTS_OF_ACTOR,
        events.send,
        "create",
        "actors/events",
        Contract(
            id="sendEvent",
            tag=Tag.EVENTS,
            path=queries.OfActor,
            headers=(IDEMPOTENCY_KEY, IF_MATCH, PREFER),
            bodies=(Content(bodies.EventRequest),),
            answers=(_ok("Where the actor stands now.", bodies.AnswerResponse, SEQ_TAG, REPLAYED),),
            kinds=("unstable", "context-refused"),
        ),
    ),
    Route(
        "GET",
        "/actors/{id}/decisions",
        actors.decisions,
        "get",
        "actors/decisions",
        Contract(
            id="getActorDecisions",
            tag=Tag.ACTORS,
            path=queries.OfActor,
            query=queries.Page,
            answers=(_ok("A page of decisions.", bodies.DecisionsResponse),),
        ),
    ),
    Route(
        "GET",
        "/actors/{id}/snapshot",
        actors.snapshot,
        "get",
        "actors/snapshot",
        Contract(
            id="getActorSnapshot",
            tag=Tag.ACTORS,
            path=queries.OfActor,
            headers=(IF_NONE_MATCH,),
            answers=(_ok("The snapshot.", bodies.SnapshotResponse, ACTOR_TAG), _THEIRS),
            kinds=("not-decryptable",),
        ),
    ),
    Route(
        "POST",
        "/events",
        events.send_many,
        "create",
        "actors/events",
        Contract(
            id="sendEvents",
            tag=Tag.EVENTS,
            bodies=(
                Content(Annotated[list[bodies.BatchEvent], Meta(max_length=events.MAX_ITEMS)]),
                Content(Lines, NDJSON),
                Content(bodies.CloudEvent, cloudevents.STRUCTURED),
                Content(
                    Annotated[list[bodies.CloudEvent], Meta(max_length=events.MAX_ITEMS)],
                    cloudevents.BATCH,
                ),
            ),
            answers=(
                Answer(
                    HTTPStatus.OK,
                    "A result for each event, in order; to a single CloudEvent, where its actor stands.",
                    (Content(bodies.Results), Content(Lines, NDJSON)),
                    (LONE_SEQ_TAG, REPLAYED),
                ),
            ),
            kinds=(
                "not-found",
                "idempotency-key",
                "idempotency-key-reused",
                "if-match",
                "seq-differs",
                "unhandled",
                "unstable",
                "context-refused",
            ),
        ),
    ),
    Route(
        "GET",
        "/changes",
        changes.follow,
        "watch",
        "actors",
        Contract(
            id="followChanges",
            tag=Tag.EVENTS,
            query=queries.ChangeFilter,
            headers=(LAST_EVENT_ID,),
            answers=(
                Answer(
                    HTTPStatus.OK,
                    "The changes, for as long as the caller reads them.",
                    (Content(ChangeLines, NDJSON), Content(ChangeEvents, SSE)),
                ),
            ),
            kinds=("cursor-gone", "too-many-followers", "broken-off"),
        ),
    ),
    Route(
        "GET",
        "/versions",
        versions.index,
        "list",
        "machineversions",
        Contract(
            id="listVersions",
            tag=Tag.VERSIONS,
            query=queries.VersionFilter,
            answers=(_ok("A page of versions.", version_bodies.VersionsResponse),),
        ),
    ),
    Route(
        "GET",
        "/versions/{name}",
        versions.read,
        "get",
        "machineversions",
        Contract(
            id="getVersion",
            tag=Tag.VERSIONS,
            path=queries.OfVersion,
            answers=(_ok("The version.", version_bodies.VersionResponse),),
        ),
    ),
    Route(
        "POST",
        "/previews",
        versions.preview,
        "create",
        "previews",
        Contract(
            id="previewVersion",
            tag=Tag.VERSIONS,
            query=queries.PreviewPages,
            bodies=(Content(version_bodies.PreviewRequest),),
            answers=(_ok("What its deployment would do.", version_bodies.PreviewResponse),),
        ),
    ),
    Route(
        "GET",
        "/deployments/{id}/decisions",
        versions.decisions,
        "get",
        "deployments/decisions",
        Contract(
            id="getDeploymentDecisions",
            tag=Tag.VERSIONS,
            path=queries.OfDeployment,
            query=queries.DecisionPage,
            answers=(_ok("A page of decisions.", bodies.DecisionsResponse),),
        ),
    ),
)

PROBES = (
    Probe(
        "/healthz",
        health.live,
        Contract(id="isLive", tag=Tag.PROBES, answers=(_ok("It does.", bodies.HealthResponse),)),
    ),
    Probe(
        "/readyz",
        health.ready,
        Contract(
            id="isReady",
            tag=Tag.PROBES,
            answers=(_ok("It can.", bodies.HealthResponse),),
            kinds=("not-ready",),
        ),
    ),
)
"""Beside them ``/openapi.json`` and ``/docs``, which show all of this."""
