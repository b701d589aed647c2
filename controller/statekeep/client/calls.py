"""Every call, as coroutines and asynchronous generators over whichever wire."""

import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from msgspec import UNSET

from statekeep.client.call import Call, key_header, new_key, part, posted, query
from statekeep.client.conversation import Conversation, Server
from statekeep.client.delivery import Outcome, delivered
from statekeep.client.following import Change, Wish, followed, newest
from statekeep.client.patience import Patience
from statekeep.client.token import GivenToken, Token, TokenFile
from statekeep.client.wire import Connections, Wire
from statekeep.controller.api.bodies import (
    ActorResponse,
    ActorsResponse,
    AnswerResponse,
    BatchEvent,
    DecisionResponse,
    DecisionsResponse,
    EventRequest,
    HistoryResponse,
    LoggedResponse,
    SnapshotResponse,
    SpawnRequest,
)
from statekeep.controller.api.version_bodies import (
    PreviewRequest,
    PreviewResponse,
    VersionResponse,
    VersionsResponse,
)

PAGE = 500
"""Items of a page, of lists that are walked to their end."""

ChangeKind = Literal["spawn", "event", "deployment", "migration"]

Page = TypeVar("Page", ActorsResponse, HistoryResponse, DecisionsResponse, VersionsResponse)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where to call, as whom, and how long to try."""

    url: str
    token: str | None
    token_file: str | os.PathLike[str] | None
    namespace: str | None
    patience: Patience
    connections: int
    ssl_context: ssl.SSLContext | None

    def conversation(self, wire: Callable[[Connections], Wire]) -> Conversation:
        """Return what makes the calls.

        Raises:
            ValueError: an option cannot be used, and why.
        """
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"the URL begins with http:// or https://, not {self.url!r}")
        if self.token is not None and self.token_file is not None:
            raise ValueError("give a token or a token file, not both")
        token: Token = GivenToken(self.token)
        if self.token_file is not None:
            token = TokenFile(Path(self.token_file))
        namespace = None if self.namespace is None else part(self.namespace)
        server = Server(self.url.rstrip("/"), namespace)
        connections = Connections(limit=self.connections, ssl_context=self.ssl_context)
        return Conversation(server, token, wire(connections), self.patience)


class Calls:
    """The event API."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    async def spawn(
        self,
        actor: str | None = None,
        *,
        machine: str | None = None,
        version: str | None = None,
        context: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> ActorResponse:
        """Spawn an actor, on a version or on the one of a machine that was applied last.

        Args:
            actor: its id; without one, the key makes one.
            machine: give this or ``version``.
            version: give this or ``machine``.
            context: what it remembers from the first.
            key: the idempotency key; a new one where there is none. The same call with the same key returns the first
                answer, however often and from wherever it is made.

        Raises:
            ActorExists: the id was spawned with another body.
            KeyReused: the key belongs to a spawn with another body.
        """
        key = new_key() if key is None else key
        body = SpawnRequest(
            id=UNSET if actor is None else actor,
            version=UNSET if version is None else version,
            machine=UNSET if machine is None else machine,
            context=UNSET if context is None else context,
        )
        return await self._conversation.answer(
            Call(
                method="POST",
                path="/actors",
                body=posted(body),
                headers=key_header(key),
                key=key,
                answer=ActorResponse,
            )
        )

    async def send(
        self,
        actor: str,
        type: str,  # noqa: A002  (so it is called on the wire)
        *,
        data: Any = UNSET,
        context: dict[str, Any] | None = None,
        key: str | None = None,
        if_seq: int | None = None,
        strict: bool = False,
    ) -> AnswerResponse:
        """Send an actor one event, and return where it then stands: act on ``state_value``.

        Args:
            actor: its id.
            type: of the event.
            data: what came with the event: any JSON value, ``None`` (null) too.
            context: a merge patch (RFC 7396) of the actor's context.
            key: the idempotency key; a new one where there is none. The same call with the same key returns the first
                answer, however often and from wherever it is made.
            if_seq: process it only if the actor has this seq.
            strict: refuse it if no transition takes it; else the answer says ``handled`` false.

        Raises:
            NotFound: there is no such actor.
            SeqDiffers: the actor has moved on.
            Unhandled: under strict handling, no transition takes the event.
            KeyReused: the key belongs to an event with another body.
        """
        key = new_key() if key is None else key
        conditions = {} if if_seq is None else {"If-Match": f'"{if_seq}"'}
        if strict:
            conditions["Prefer"] = "handling=strict"
        body = EventRequest(type=type, data=data, context=UNSET if context is None else context)
        return await self._conversation.answer(
            Call(
                method="POST",
                path=f"/actors/{part(actor)}/events",
                body=posted(body),
                headers={**key_header(key), **conditions},
                key=key,
                answer=AnswerResponse,
            )
        )

    def send_many(
        self, events: Iterable[BatchEvent] | AsyncIterable[BatchEvent]
    ) -> AsyncGenerator[tuple[BatchEvent, Outcome]]:
        """Send any number of events, for many actors, and yield each with what became of it, in their order.

        One that is refused fails no other; what would have been raised by ``send`` is its outcome. An event without
        an ``id`` gets one, which is its idempotency key. Memory holds one batch: up to 500 events, or a megabyte.
        Events are read from the iterable as far as the outcomes are taken, and sent when a batch is full or they end.

        Raises:
            ClientError: the call as a whole was refused or found nobody; ``unanswered`` are the events of which nothing
                is known, with their keys: send them first when you begin again.
        """
        return delivered(self._conversation, events)

    async def actor(self, actor: str) -> ActorResponse:
        """Return an actor as it stands, with its context.

        Raises:
            NotFound: there is none.
        """
        return await self._conversation.answer(
            Call(path=f"/actors/{part(actor)}", answer=ActorResponse)
        )

    async def actors(
        self,
        *,
        version: str | None = None,
        machine: str | None = None,
        state: str | None = None,
        status: Literal["active", "done"] | None = None,
    ) -> AsyncGenerator[ActorResponse]:
        """Yield actors by id, without their contexts, a page at a time; filters that are given must all hold.

        Args:
            version: on this one.
            machine: on any version of this one.
            state: in this state, or in one inside it.
            status: running, or done.
        """
        filters = query(version=version, machine=machine, state=state, status=status)
        async for page in self._pages("/actors", ActorsResponse, **filters):
            for one in page.actors:
                yield one

    async def history(self, actor: str) -> AsyncGenerator[LoggedResponse]:
        """Yield the events that an actor has processed, oldest first, with their payloads.

        Raises:
            NotFound: there is no such actor.
        """
        async for page in self._pages(f"/actors/{part(actor)}/events", HistoryResponse):
            for event in page.events:
                yield event

    async def decisions(self, actor: str) -> AsyncGenerator[DecisionResponse]:
        """Yield what every deployment decided of an actor, oldest first, and why.

        Raises:
            NotFound: there is no such actor.
        """
        async for page in self._pages(f"/actors/{part(actor)}/decisions", DecisionsResponse):
            for decision in page.decisions:
                yield decision

    async def snapshot(self, actor: str) -> SnapshotResponse:
        """Return what ``createActor(machine, {snapshot})`` of XState accepts.

        Raises:
            NotFound: there is no such actor.
        """
        return await self._conversation.answer(
            Call(path=f"/actors/{part(actor)}/snapshot", answer=SnapshotResponse)
        )

    async def version(self, name: str) -> VersionResponse:
        """Return a version with its definition and its actors per state; a proposed one comes with its preview.

        Raises:
            NotFound: there is none.
        """
        return await self._conversation.answer(
            Call(path=f"/versions/{part(name)}", answer=VersionResponse)
        )

    async def versions(self, *, machine: str | None = None) -> AsyncGenerator[VersionResponse]:
        """Yield versions, oldest first, without their definitions."""
        async for page in self._pages("/versions", VersionsResponse, **query(machine=machine)):
            for one in page.versions:
                yield one

    async def preview(
        self,
        version: PreviewRequest,
        *,
        limit: int | None = None,
        migrate_cursor: str | None = None,
        stay_cursor: str | None = None,
    ) -> PreviewResponse:
        """Return what deploying a version would do now; the version need not exist, and nothing changes.

        With a cursor the answer is the next page of that list: ``migration.would_migrate`` or ``migration.would_stay``
        alone, of fewer actors than ``limit`` perhaps, even of none. Go on as long as it has a ``next_cursor``.

        Args:
            version: as in the ``spec`` of a manifest.
            limit: actors on a page of ``migration.would_migrate`` and of ``migration.would_stay``.
            migrate_cursor: the ``next_cursor`` of the former.
            stay_cursor: the ``next_cursor`` of the latter.

        Raises:
            Invalid: ``errors`` lists everything that is wrong with it.
        """
        pages = query(limit=limit, migrateCursor=migrate_cursor, stayCursor=stay_cursor)
        return await self._conversation.answer(
            Call(
                method="POST",
                path="/previews",
                query=pages,
                body=posted(version),
                answer=PreviewResponse,
                takes_long=True,
            )
        )

    def changes(
        self,
        after: str | None = None,
        *,
        machine: str | None = None,
        kinds: Iterable[ChangeKind] | None = None,
        follow: bool = True,
    ) -> AsyncGenerator[Change]:
        """Yield every change, in the order in which they were committed, without a gap or a repetition.

        Once it has begun, a server that goes away is waited for, however long that takes, and a warning logged.
        Keep the ``cursor`` of the last change that you have dealt with, and come back with it.

        Args:
            after: begin behind the change with this cursor; ``None``: with the first one there is.
            machine: those of one machine.
            kinds: only these.
            follow: wait for more; else it ends when what was there has been read.

        Raises:
            CursorGone: the database was put back to a state before the cursor; begin anew.
        """
        wish = Wish(
            after=after,
            machine=machine,
            kinds=None if kinds is None else tuple(kinds),
            follow=follow,
        )
        return followed(self._conversation, wish)

    async def newest(self) -> str:
        """Return the cursor behind the last change there is: where to begin with what is to come."""
        return await newest(self._conversation)

    async def _pages(self, path: str, kind: type[Page], **filters: str) -> AsyncGenerator[Page]:
        parameters = {**filters, "limit": str(PAGE)}
        while True:
            page = await self._conversation.answer(Call(path=path, query=parameters, answer=kind))
            yield page
            if page.next_cursor is UNSET:
                return
            parameters["cursor"] = page.next_cursor
