"""Routes: spawn, read and list actors, their history and the decisions that concerned them."""

import hashlib
import uuid
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, assert_never

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.controller.api import bodies, queries, requests, scalars
from statekeep.controller.api.authorization import may
from statekeep.controller.api.problems import Problem, invalid, missing, note
from statekeep.controller.api.state import State, state
from statekeep.engine.errors import SealBroken
from statekeep.engine.ids import ActorId, MachineName, VersionName
from statekeep.engine.routing.reason import Reason
from statekeep.engine.store import actors, audit, spawning
from statekeep.engine.store.actors import Actor, Logged, Selection
from statekeep.engine.store.audit import Explained
from statekeep.engine.store.catalogue import StoredConfiguration
from statekeep.engine.store.events import KeyReused
from statekeep.engine.store.keyring import context_place, event_place
from statekeep.engine.store.spawning import Spawn, Spawned, Taken
from statekeep.engine.store.walk import MAX_CONTEXT_BYTES

MAX_PAGE_BYTES = 8 * 1024 * 1024
"""Payloads on one page of a history; each may have a megabyte."""

SPAWN_SPACE = uuid.UUID("5a7e4b1e-9d55-4b4f-8f5e-0b6b0f3c8a11")
"""Where ids of actors come from whose spawn named an idempotency key and no id."""


async def spawn(request: web.Request) -> web.Response:
    """Spawn an actor.

    The same id and body again find the actor that there is, wherever it stands by now. A retry with the
    same `Idempotency-Key` gets the first answer; without an id, the key makes one.
    """
    wish = _wish(request, await requests.body(request, bodies.SpawnRequest))
    shared = state(request)
    result: Spawned | Taken | KeyReused = await shared.waits.through(
        partial(spawning.attempt, shared.database, shared.catalogue, wish),
        partial(spawning.spawn, shared.database, shared.catalogue, wish),
    )
    match result:
        case Taken():
            raise Problem(
                HTTPStatus.CONFLICT,
                "actor-exists",
                f"actor {wish.actor_id} exists and was spawned with another body",
            )
        case KeyReused(key):
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                f"the key {key} belongs to a spawn with another body: use a new one",
            )
        case Spawned(actor, created, repeated):
            headers = {"ETag": f'"{actor.seq}"', "Location": f"{request.path}/{actor.id}"}
            if repeated:
                headers["Idempotency-Replayed"] = "true"
            # Whoever spawns again what somebody spawned must not learn what has become of its context.
            may_read = created or await may(request, "get", "actors", actor.id)
            return requests.json_response(
                shown(shared, actor, with_context=may_read),
                status=HTTPStatus.CREATED if created or repeated else HTTPStatus.OK,
                headers=headers,
            )
        case other:
            assert_never(other)


def _wish(request: web.Request, body: bodies.SpawnRequest) -> Spawn:
    """Return what the caller wants; the id is theirs, or made of their key, or new."""
    if (body.version is UNSET) == (body.machine is UNSET):
        raise invalid("name either a version or a machine")
    namespace = requests.namespace(request)
    key = requests.idempotency_key(request)
    if body.id is not UNSET:
        actor_id = body.id
    elif key is not None:
        actor_id = str(uuid.uuid5(SPAWN_SPACE, f"{namespace}/{key}"))
    else:
        actor_id = str(uuid.uuid4())
    by_machine = body.version is UNSET
    target = body.machine if by_machine else body.version
    assert isinstance(target, str)
    context = None if body.context is UNSET else requests.encode(body.context)
    if context is not None and len(context) > MAX_CONTEXT_BYTES:
        raise invalid(f"context: {len(context)} bytes, the limit is {MAX_CONTEXT_BYTES}")
    return Spawn(
        namespace=namespace,
        actor_id=ActorId(actor_id),
        target=MachineName(target) if by_machine else VersionName(target),
        by_machine=by_machine,
        context=context,
        idempotency_key=key,
        digest=requests.digest([by_machine, target, context and context.decode()]),
    )


async def read(request: web.Request) -> web.Response:
    """Read an actor.

    It comes with its context, opened.
    """
    actor = await _actor(request)
    tag = _tag(actor)
    if requests.has(request, tag):
        return requests.not_modified(tag)
    return requests.json_response(
        shown(state(request), actor, with_context=True), headers={"ETag": tag}
    )


async def index(request: web.Request) -> web.Response:
    """List actors.

    In the order of their ids. Filters that are given must all hold.
    """
    query = requests.query(request, queries.ActorFilter)
    selection = Selection(
        namespace=requests.namespace(request),
        machine=None if query.machine is UNSET else MachineName(query.machine),
        version=None if query.version is UNSET else VersionName(query.version),
        state=None if query.state is UNSET else query.state,
        done=None if query.status is UNSET else query.status == "done",
    )
    limit, shared = query.limit, state(request)
    cursors = await shared.cursors.ready()
    after = cursors.read(selection.namespace, query.cursor, tuple[scalars.ActorId])
    found = await shared.database.read(
        lambda connection: actors.select(
            connection,
            shared.catalogue,
            selection,
            after=ActorId(after[0]) if after else None,
            limit=limit + 1,
        )
    )
    return requests.json_response(
        bodies.ActorsResponse(
            actors=[shown(shared, actor) for actor in found[:limit]],
            next_cursor=cursors.write(selection.namespace, found[limit - 1].id)
            if len(found) > limit
            else UNSET,
        )
    )


async def history(request: web.Request) -> web.Response:
    """Read an actor's history.

    The events that it has processed, with their payloads, oldest first. An event that no transition took is not in it.
    """
    page = requests.query(request, queries.Page)
    actor = await _actor(request)
    namespace, shared = requests.namespace(request), state(request)
    cursors = await shared.cursors.ready()
    after = cursors.read(namespace, page.cursor, tuple[scalars.RowId])
    found = await shared.database.read(
        lambda connection: actors.log(
            connection,
            shared.catalogue,
            actor.key,
            after=after[0] if after else 0,
            limit=page.limit,
            most_bytes=MAX_PAGE_BYTES,
        )
    )
    events = [_logged(shared, actor, one) for one in found.events]
    return requests.json_response(
        bodies.HistoryResponse(
            id=actor.id,
            events=events,
            next_cursor=UNSET if found.is_last else cursors.write(namespace, events[-1].seq),
        )
    )


def _logged(shared: State, actor: Actor, one: Logged) -> bodies.LoggedResponse:
    data, error = _opened(shared, one.data, event_place(actor.key, one.seq))
    return bodies.LoggedResponse(
        seq=one.seq,
        type=one.event_type,
        version=one.configuration.version,
        state_value=one.configuration.value,
        state=one.configuration.label,
        fingerprint=one.fingerprint,
        at=utc(one.at),
        data=data,
        data_error=error,
    )


async def decisions(request: web.Request) -> web.Response:
    """Ask why an actor moved.

    Or why it did not: one decision for every deployment that concerned it, oldest first.
    """
    page = requests.query(request, queries.Page)
    namespace, shared = requests.namespace(request), state(request)
    cursors = await shared.cursors.ready()
    after = cursors.read(namespace, page.cursor, tuple[scalars.RowId])
    actor = await _actor(request)
    explained = await shared.database.read(
        lambda connection: audit.decisions(connection, shared.catalogue, actor.key)
    )
    # A machine's deployments follow one another: their numbers grow as their epochs do.
    rest = [one for one in explained if after is None or one.deployment > after[0]]
    shown = rest[: page.limit]
    return requests.json_response(
        bodies.DecisionsResponse(
            decisions=[decision(one) for one in shown],
            next_cursor=cursors.write(namespace, shown[-1].deployment)
            if len(rest) > len(shown)
            else UNSET,
        )
    )


async def snapshot(request: web.Request) -> web.Response:
    """Read a snapshot for XState.

    What `createActor(machine, {snapshot})` of `xstate` accepts.
    """
    actor = await _actor(request)
    tag = _tag(actor)
    if requests.has(request, tag):
        return requests.not_modified(tag)
    database = state(request).database
    stored = await database.read(lambda connection: actors.document(connection, actor))
    context: Any = {}
    if actor.context is not None:
        context = msgspec.Raw(database.keys.open(actor.context, context_place(actor.key)))
    remembered = stored.get("historyValue")
    history_value = {
        history_id: [bodies.HistoryState(id=str(state_id)) for state_id in state_ids]
        for history_id, state_ids in (remembered if isinstance(remembered, dict) else {}).items()
        if isinstance(state_ids, list)
    }
    return requests.json_response(
        bodies.SnapshotResponse(
            status="done" if actor.configuration.done else "active",
            value=stored["value"],
            history_value=history_value,
            context=context,
            children={},
        ),
        headers={"ETag": tag},
    )


def _tag(actor: Actor) -> str:
    """Return what changes whenever the actor does: an event moves its seq, a migration its version."""
    mark = hashlib.sha256(actor.configuration.version.encode()).hexdigest()[:8]
    return f'"{actor.seq}-{mark}"'


async def _actor(request: web.Request) -> Actor:
    namespace = requests.namespace(request)
    actor_id = request.match_info["id"]
    shared = state(request)

    async def work(connection: AsyncConnection) -> Actor | None:
        return await actors.find(connection, shared.catalogue, namespace, ActorId(actor_id))

    actor = await shared.database.read(work) if _is_id(actor_id) else None
    if actor is None:
        raise missing(f"actor {actor_id[:253]}")
    return actor


def _is_id(text: str) -> bool:
    """Return whether an actor could have that id at all."""
    try:
        msgspec.convert(text, scalars.ActorId)
    except msgspec.ValidationError:
        return False
    return True


def shown(shared: State, actor: Actor, *, with_context: bool = False) -> bodies.ActorResponse:
    """Return an actor as callers see it; its context is opened only if asked for."""
    sealed = actor.context if with_context else None
    context, error = _opened(shared, sealed, context_place(actor.key))
    return bodies.ActorResponse(
        id=actor.id,
        **standing(actor.configuration),
        seq=actor.seq,
        fingerprint=actor.fingerprint,
        created_at=utc(actor.created_at),
        updated_at=utc(actor.updated_at),
        context=context,
        context_error=error,
    )


def _opened(shared: State, sealed: bytes | None, place: bytes) -> tuple[Any, str | UnsetType]:
    """Return the JSON of a sealed value, or why it does not open: the rest of the answer is good all the same."""
    if sealed is None:
        return UNSET, UNSET
    try:
        return msgspec.Raw(shared.database.keys.open(sealed, place)), UNSET
    except SealBroken as error:
        note("not-decryptable", str(error))
        return UNSET, str(error)


def standing(configuration: StoredConfiguration) -> dict[str, Any]:
    """Return what every answer about an actor says of its configuration."""
    return {
        "machine": configuration.machine,
        "version": configuration.version,
        "state_value": configuration.value,
        "state": configuration.label,
        "status": "done" if configuration.done else "active",
    }


def utc(moment: datetime) -> datetime:
    """Return a time as callers see it."""
    return moment.astimezone(UTC)


def decision(one: Explained, *, actors: int | None = None) -> bodies.DecisionResponse:
    """Return a decision as callers see it."""
    return bodies.DecisionResponse(
        deployment=one.deployment,
        version=one.version,
        outcome="Stay" if one.after is None else "Migrate",
        before=place(one.before),
        after=UNSET if one.after is None else place(one.after),
        reason=UNSET if one.reason is None else Reason(one.reason),
        detail=one.detail or UNSET,
        skipped=dict(one.skipped) or UNSET,
        fingerprint=one.fingerprint,
        events=one.events,
        history_path=list(one.history_path) or UNSET,
        prefix_hash=one.prefix_hash or UNSET,
        at=utc(one.at),
        actors=UNSET if actors is None else actors,
    )


def place(configuration: StoredConfiguration) -> bodies.Place:
    """Return a version and a state of it as callers see them."""
    return bodies.Place(
        version=configuration.version,
        state_value=configuration.value,
        state=configuration.label,
    )
