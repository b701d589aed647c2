"""Routes: the change feed, for as long as somebody reads it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import assert_never

from aiohttp import web
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.controller.api import bodies, queries, requests
from statekeep.controller.api.actors import place, standing, utc
from statekeep.controller.api.authorization import renew
from statekeep.controller.api.cursors import Cursors, Foreign
from statekeep.controller.api.feed import Crowded, Follower, Rewound
from statekeep.controller.api.problems import Problem, invalid, logged
from statekeep.controller.api.queries import CHANGE_KINDS as KINDS
from statekeep.controller.api.scalars import RowId
from statekeep.controller.api.state import State, state
from statekeep.controller.api.streams import Stream, wants_sse
from statekeep.engine.ids import ActorId, Namespace
from statekeep.engine.store import audit, changes
from statekeep.engine.store.audit import ActorPage, Explained
from statekeep.engine.store.catalogue import StoredConfiguration
from statekeep.engine.store.changes import BEGINNING, ActorChanged, Change, Mark, VersionDeployed

NOW = "now"
"""The cursor of whoever wants only what is to come."""

LOOK_S = 1.0
"""How often a stream without news looks whether its reader has gone."""

LIFE_S = 1_800.0
"""A stream ends after so long, and its reader comes back, perhaps to a process that has less to do."""

PAGE = 1_000
"""Actors of a deployment looked up at once."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Behind a change; or within a deployment, on the way through the actors that it moved."""

    mark: Mark
    actor: ActorId | None = None
    """Behind this one, an empty id before the first one; ``None`` where the change is done with."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What somebody wants to read."""

    namespace: Namespace
    after: _Place | None
    """``None`` is now."""

    machine: str | None
    kinds: frozenset[str]
    stays: bool
    """Whether to stay when all that is there has been read."""

    limit: int | None
    """Changes after which the stream ends."""


async def follow(request: web.Request) -> web.StreamResponse:
    """Follow the changes.

    Every spawn, event, deployment and migration, in one order, without a gap or a repetition: as NDJSON, or as
    Server-Sent Events where `Accept` asks for them. Keep the `cursor` of the last line and come back with it as
    `after`: the answer goes on behind it. A bookmark breaks a silence; the server ends a long answer now and then.
    """
    shared = state(request)
    wish = _wish(request, await shared.cursors.ready())
    try:
        async with shared.feed.following(wish.namespace) as follower:
            start, end = await _bounds(shared, wish)
            stream = Stream(request, is_sse=wants_sse(request))
            await stream.open()
            try:
                await _Reading(shared, wish, follower, stream, start, partial(renew, request)).run(
                    end
                )
            except ConnectionError:
                raise
            except Rewound:
                await stream.fail(_gone().document())
            except Exception as error:
                await stream.fail(logged(error, request).document())
            return await stream.close()
    except Crowded as error:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "too-many-followers",
            "this server streams to as many readers as it can; try again a little later",
            headers={"Retry-After": "5"},
        ) from error


def _wish(request: web.Request, cursors: Cursors) -> _Wish:
    query = requests.query(request, queries.ChangeFilter)
    kinds = KINDS if query.kinds is UNSET else query.kinds.split(",")
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise invalid(f"kinds: {unknown[0][:20]!r} is none of {', '.join(KINDS)}")
    namespace = requests.namespace(request)
    return _Wish(
        namespace=namespace,
        after=_place(cursors, namespace, request.headers.get("Last-Event-ID") or query.after),
        machine=None if query.machine is UNSET else query.machine,
        kinds=frozenset(kinds),
        stays=query.follow,
        limit=None if query.limit is UNSET else query.limit,
    )


def _place(cursors: Cursors, namespace: Namespace, cursor: str | UnsetType) -> _Place | None:
    if cursor == NOW:
        return None
    try:
        numbers = cursors.read(namespace, cursor, tuple[RowId, RowId, str | None])
    except Foreign as error:
        raise _gone() from error
    if numbers is None:
        return _Place(BEGINNING)
    position, check, actor = numbers
    return _Place(Mark(position, check), None if actor is None else ActorId(actor))


async def _bounds(shared: State, wish: _Wish) -> tuple[_Place, int | None]:
    """Return where to begin, and the position to end at, if any."""
    after = wish.after

    async def work(connection: AsyncConnection) -> tuple[bool, Mark]:
        is_there = (
            after is None or await changes.mark_at(connection, after.mark.position) == after.mark
        )
        return is_there, await changes.newest(connection)

    is_there, newest = await shared.database.read(work)
    if not is_there:
        raise _gone()
    if after is not None and wish.stays:
        return after, None
    last = await shared.feed.settle(newest)
    return after or _Place(last), None if wish.stays else last.position


def _gone() -> Problem:
    return Problem(
        HTTPStatus.GONE,
        "cursor-gone",
        "the database does not hold the change that this cursor names: it was put back to an older "
        "state, or the cursor is of another one, or of another namespace. Begin anew: read a cursor "
        "with ?after=now&follow=false, then list the actors",
    )


def _broken_off() -> Problem:
    """Return what tells an end from the end that was asked for."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "broken-off",
        "the server has to stop before the end: come back with the last cursor",
    )


class _Reading:
    """One reader on the way through the feed."""

    def __init__(
        self,
        shared: State,
        wish: _Wish,
        follower: Follower,
        stream: Stream,
        start: _Place,
        renew: Callable[[], Awaitable[None]],
    ) -> None:
        self._shared = shared
        self._wish = wish
        self._follower = follower
        self._stream = stream
        self._place = start
        self._renew = renew
        self._left = wish.limit
        self._ends_at = asyncio.get_running_loop().time() + LIFE_S

    @property
    def _is_over(self) -> bool:
        return (
            self._left == 0
            or self._shared.feed.is_closing
            or asyncio.get_running_loop().time() > self._ends_at
        )

    async def run(self, end: int | None) -> None:
        """Write changes until the reader has had enough, or nobody should go on.

        Args:
            end: the position to end at; ``None`` is never.
        """
        if self._wish.after is None and end is None:  # whoever is cut off at once begins here again
            await self._stream.bookmark(self._cursor(self._place))
        if self._place.actor is not None:
            await self._resume(self._place)
        position = self._place.mark.position
        while not self._is_over and (end is None or position < end):
            await self._renew()
            passage = await self._follower.passage(position, LOOK_S)
            if passage is not None:
                for change in passage.changes:
                    await self._show(change)
                    if self._is_over:
                        break
                else:
                    position, self._place = passage.upto, _Place(passage.mark)
            await self._stream.breathe(self._cursor(self._place))
        if self._left == 0:
            return
        await self._stream.bookmark(self._cursor(self._place))
        if end is not None and position < end:
            await self._stream.fail(_broken_off().document())

    async def _resume(self, inside: _Place) -> None:
        """Show the rest of the deployment that the reader is in the midst of."""
        position = inside.mark.position
        found = await self._shared.feed.read(
            lambda connection: changes.stretch(
                connection,
                self._shared.catalogue,
                [self._wish.namespace],
                after=position - 1,
                upto=position,
            )
        )
        match found:
            case [VersionDeployed() as deployed]:
                await self._show_moved(deployed, inside.actor)

    async def _show(self, change: Change) -> None:
        behind = _Place(change.mark)
        match change:
            case ActorChanged():
                line = _changed(change, self._cursor(behind))
                if self._is_wanted(line.kind, line.machine):
                    await self._write(behind, line)
            case VersionDeployed():
                inside = _Place(change.mark, ActorId(""))
                if self._is_wanted("deployment", change.machine):
                    await self._write(inside, _deployed(change, self._cursor(inside)))
                await self._show_moved(change, inside.actor)
            case other:
                assert_never(other)
        if not self._is_over:
            self._place = behind

    async def _show_moved(self, deployed: VersionDeployed, after: ActorId | None) -> None:
        """Show the actors that a deployment moved, in the order of their ids."""
        if not deployed.migrated or not self._is_wanted("migration", deployed.machine):
            return
        while after is not None and not self._is_over:
            await self._renew()
            page = await self._shared.feed.read(partial(self._page, deployed.deployment_id, after))
            for actor_id, one in page.decisions:
                if one.after is not None and not self._is_over:
                    behind = _Place(deployed.mark, actor_id)
                    line = _migrated(actor_id, one, one.after, self._cursor(behind))
                    await self._write(behind, line)
            after = page.last
            await self._stream.breathe(self._cursor(self._place))

    async def _page(
        self, deployment_id: int, after: ActorId, connection: AsyncConnection
    ) -> ActorPage:
        return await audit.of_deployment_by_actor(
            connection, self._shared.catalogue, deployment_id, after=after, limit=PAGE
        )

    def _cursor(self, place: _Place) -> str:
        mark = place.mark
        return self._shared.cursors.write(
            self._wish.namespace, mark.position, mark.check, place.actor
        )

    def _is_wanted(self, kind: str, machine: str) -> bool:
        return kind in self._wish.kinds and self._wish.machine in (None, machine)

    async def _write(
        self, behind: _Place, line: bodies.ActorChangeResponse | bodies.DeploymentChangeResponse
    ) -> None:
        await self._stream.add(line.kind, line.cursor, line)
        self._place = behind
        if self._left is not None:
            self._left -= 1


def _changed(change: ActorChanged, cursor: str) -> bodies.ActorChangeResponse:
    return bodies.ActorChangeResponse(
        cursor=cursor,
        kind="spawn" if change.event_type is None else "event",
        actor=change.actor_id,
        seq=change.seq,
        type=UNSET if change.event_type is None else change.event_type,
        **standing(change.configuration),
        fingerprint=change.fingerprint,
        at=utc(change.at),
    )


def _migrated(
    actor_id: ActorId, one: Explained, after: StoredConfiguration, cursor: str
) -> bodies.ActorChangeResponse:
    return bodies.ActorChangeResponse(
        cursor=cursor,
        kind="migration",
        deployment=one.deployment,
        actor=actor_id,
        seq=one.events,
        before=place(one.before),
        **standing(after),
        fingerprint=one.fingerprint,
        at=utc(one.at),
    )


def _deployed(change: VersionDeployed, cursor: str) -> bodies.DeploymentChangeResponse:
    return bodies.DeploymentChangeResponse(
        cursor=cursor,
        kind="deployment",
        deployment=change.number,
        machine=change.machine,
        version=change.version,
        parent_id=change.parent,
        migrated=change.migrated,
        stayed=change.stayed,
        needs_rescue=change.needs_rescue,
        at=utc(change.at),
    )
