"""Routes: spawn, read and list actors, their history and the decisions that concerned them."""

import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.controller.api import bodies, requests
from statekeep.controller.api.problems import Problem, invalid, missing
from statekeep.controller.api.state import State, state
from statekeep.engine.ids import ActorId, MachineName, VersionName
from statekeep.engine.store import actors, audit, spawning
from statekeep.engine.store.actors import Actor, Selection
from statekeep.engine.store.audit import Explained
from statekeep.engine.store.catalogue import StoredConfiguration
from statekeep.engine.store.keyring import context_place, event_place
from statekeep.engine.store.spawning import Spawn, Taken
from statekeep.engine.store.walk import MAX_CONTEXT_BYTES

SPAWN_SPACE = uuid.UUID("5a7e4b1e-9d55-4b4f-8f5e-0b6b0f3c8a11")
"""Where ids of actors come from whose spawn named an idempotency key and no id."""


async def spawn(request: web.Request) -> web.Response:
    """``POST /v1/actors``."""
    requests.only(request)
    wish = _wish(request, await requests.body(request, bodies.SpawnRequest))
    shared = state(request)
    result = await spawning.spawn(shared.database, shared.catalogue, wish)
    if isinstance(result, Taken):
        raise Problem(
            HTTPStatus.CONFLICT,
            "actor-exists",
            f"actor {wish.actor_id} exists and was spawned with another body",
        )
    actor = result.actor
    return requests.json_response(
        shown(shared, actor, with_context=True),
        status=HTTPStatus.CREATED if result.created else HTTPStatus.OK,
        headers={"ETag": f'"{actor.seq}"', "Location": f"{request.path}/{actor.id}"},
    )


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
        digest=requests.digest([by_machine, target, context and context.decode()]),
    )


async def read(request: web.Request) -> web.Response:
    """``GET /v1/actors/{id}``."""
    requests.only(request)
    actor = await _actor(request)
    return requests.json_response(
        shown(state(request), actor, with_context=True), headers={"ETag": f'"{actor.seq}"'}
    )


async def index(request: web.Request) -> web.Response:
    """``GET /v1/actors``."""
    requests.only(request, "version", "machine", "state", "status", "cursor", "limit")
    query = request.query
    status = query.get("status")
    if status not in (None, "active", "done"):
        raise invalid("status is active or done")
    selection = Selection(
        namespace=requests.namespace(request),
        machine=MachineName(query["machine"]) if "machine" in query else None,
        version=VersionName(query["version"]) if "version" in query else None,
        state=query.get("state"),
        done=None if status is None else status == "done",
    )
    _refuse_nul(selection.machine, selection.version, selection.state)
    after = requests.position(query.get("cursor"), tuple[bodies.ActorId])
    limit = requests.page_size(request)
    shared = state(request)
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
            next_cursor=requests.cursor(found[limit - 1].id) if len(found) > limit else UNSET,
        )
    )


async def history(request: web.Request) -> web.Response:
    """``GET /v1/actors/{id}/events``."""
    requests.only(request, "cursor", "limit")
    actor = await _actor(request)
    after = requests.position(request.query.get("cursor"), tuple[bodies.RowId])
    limit = requests.page_size(request)
    shared = state(request)
    logged = await shared.database.read(
        lambda connection: actors.log(
            connection,
            shared.catalogue,
            actor.key,
            after=after[0] if after else 0,
            limit=limit + 1,
        )
    )
    keys = shared.database.keys
    events = [
        bodies.LoggedResponse(
            seq=one.seq,
            type=one.event_type,
            version=one.configuration.version,
            state_value=one.configuration.value,
            state=one.configuration.label,
            fingerprint=one.fingerprint,
            at=one.at.astimezone(UTC),
            data=UNSET
            if one.data is None
            else msgspec.Raw(keys.open(one.data, event_place(actor.key, one.seq))),
        )
        for one in logged[:limit]
    ]
    return requests.json_response(
        bodies.HistoryResponse(
            id=actor.id,
            events=events,
            next_cursor=requests.cursor(events[-1].seq) if len(logged) > limit else UNSET,
        )
    )


async def decisions(request: web.Request) -> web.Response:
    """``GET /v1/actors/{id}/decisions``."""
    requests.only(request)
    actor = await _actor(request)
    shared = state(request)
    explained = await shared.database.read(
        lambda connection: audit.decisions(connection, shared.catalogue, actor.key)
    )
    return requests.json_response(
        bodies.DecisionsResponse(decisions=[decision(one) for one in explained])
    )


async def snapshot(request: web.Request) -> web.Response:
    """``GET /v1/actors/{id}/snapshot``: what XState's ``createActor(machine, {snapshot})`` takes."""
    requests.only(request)
    actor = await _actor(request)
    database = state(request).database
    stored = await database.read(lambda connection: actors.document(connection, actor))
    context: object = {}
    if actor.context is not None:
        context = msgspec.Raw(database.keys.open(actor.context, context_place(actor.key)))
    remembered = stored.get("historyValue")
    history_value = {
        history_id: [{"id": state_id} for state_id in state_ids]
        for history_id, state_ids in (remembered if isinstance(remembered, dict) else {}).items()
        if isinstance(state_ids, list)
    }
    return requests.json_response(
        {
            "status": stored["status"],
            "value": stored["value"],
            "historyValue": history_value,
            "context": context,
            "children": {},
        },
        headers={"ETag": f'"{actor.seq}"'},
    )


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
        msgspec.convert(text, bodies.ActorId)
    except msgspec.ValidationError:
        return False
    return True


def _refuse_nul(*texts: str | None) -> None:
    if any(text and "\0" in text for text in texts):
        raise invalid("a filter holds a NUL character, which no name has")


def shown(shared: State, actor: Actor, *, with_context: bool = False) -> bodies.ActorResponse:
    """Return an actor as callers see it; its context is opened only if asked for."""
    context: object = UNSET
    if with_context and actor.context is not None:
        context = msgspec.Raw(shared.database.keys.open(actor.context, context_place(actor.key)))
    return bodies.ActorResponse(
        id=actor.id,
        **standing(actor.configuration),
        seq=actor.seq,
        fingerprint=actor.fingerprint,
        created_at=_utc(actor.created_at),
        updated_at=_utc(actor.updated_at),
        context=context,
    )


def standing(configuration: StoredConfiguration) -> dict[str, Any]:
    """Return what every answer about an actor says of its configuration."""
    return {
        "machine": configuration.machine,
        "version": configuration.version,
        "state_value": configuration.value,
        "state": configuration.label,
        "status": "done" if configuration.done else "active",
    }


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def decision(one: Explained, *, actors: int | None = None) -> bodies.DecisionResponse:
    """Return a decision as callers see it."""
    return bodies.DecisionResponse(
        deployment=one.deployment_id,
        version=one.version,
        outcome="Stay" if one.after is None else "Migrate",
        before=_place(one.before),
        after=UNSET if one.after is None else _place(one.after),
        reason=one.reason or UNSET,
        detail=one.detail or UNSET,
        skipped=dict(one.skipped) or UNSET,
        fingerprint=one.fingerprint,
        events=one.events,
        history_path=list(one.history_path) or UNSET,
        prefix_hash=one.prefix_hash or UNSET,
        at=_utc(one.at),
        actors=UNSET if actors is None else actors,
    )


def _place(configuration: StoredConfiguration) -> bodies.Place:
    return bodies.Place(
        version=configuration.version,
        state_value=configuration.value,
        state=configuration.label,
    )
