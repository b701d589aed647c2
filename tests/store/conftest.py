"""A store with the means to tell short stories about it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.ids import ActorId, EventType, MachineName, Namespace, PreviewId, VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.routing.policy import MigrationPolicy
from statekeep.engine.routing.preview import Preview
from statekeep.engine.routing.version import read_version
from statekeep.engine.store import actors, audit, deployments, previews, spawning, versions
from statekeep.engine.store.actors import Actor, Logged, actor_key
from statekeep.engine.store.audit import Explained
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database
from statekeep.engine.store.deployments import (
    AppliedBefore,
    ApprovedBy,
    Busy,
    Deployment,
    Held,
    NotShown,
)
from statekeep.engine.store.events import Answer, Event, KeyReused, Outcome
from statekeep.engine.store.processing import process
from statekeep.engine.store.spawning import Spawn, Spawned, Taken
from statekeep.engine.store.versions import StoredVersion

NAMESPACE = Namespace("default")


@dataclass
class World:
    """One namespace of a database."""

    database: Database
    catalogue: Catalogue = field(default_factory=Catalogue)
    namespace: Namespace = NAMESPACE

    async def propose(
        self,
        name: str,
        definition: JsonObject,
        *,
        machine: str = "m",
        parent: str | None = None,
        path: Sequence[str] = (),
        policy: MigrationPolicy | None = None,
    ) -> StoredVersion:
        """Store a version; a root is applied at once."""
        version = read_version(
            VersionName(name),
            parent=None if parent is None else VersionName(parent),
            path=tuple(path),
            policy=policy or MigrationPolicy(),
            definition=definition,
        )

        async def work(connection: AsyncConnection) -> StoredVersion:
            above = (
                None
                if parent is None
                else await versions.find(connection, self.namespace, VersionName(parent))
            )
            stored = await versions.propose(
                connection, self.namespace, MachineName(machine), version, above
            )
            if parent is None:
                await versions.mark_applied(connection, stored.id)
            return stored

        return await self.database.transact(work)

    async def preview(self, name: str) -> Preview:
        """Show what a proposed version would do now, and remember that it was shown."""

        async def work(connection: AsyncConnection) -> Preview:
            stored = await versions.find(connection, self.namespace, VersionName(name))
            assert stored is not None
            assert stored.parent_id is not None
            parent = await versions.by_id(connection, stored.parent_id)
            preview = await previews.compute(connection, stored.version, parent)
            await previews.keep(connection, stored, preview)
            return preview

        return await self.database.transact(work)

    async def apply(
        self, name: str, preview_id: PreviewId | None = None
    ) -> Deployment | AppliedBefore | Held | NotShown | Busy:
        """Apply a version as its preview of this moment shows it, or as an earlier one did."""
        approved = preview_id or (await self.preview(name)).id
        return await deployments.apply(
            self.database, self.namespace, VersionName(name), approved, ApprovedBy.MANUAL
        )

    def wish(
        self, actor_id: str, target: str, *, by_machine: bool = False, context: bytes | None = None
    ) -> Spawn:
        """Return the wish for an actor."""
        return Spawn(
            self.namespace,
            ActorId(actor_id),
            MachineName(target) if by_machine else VersionName(target),
            by_machine=by_machine,
            context=context,
            digest=hashlib.sha256(target.encode() + (context or b"")).digest(),
        )

    async def ask(self, wish: Spawn) -> Spawned | Taken | KeyReused:
        """Ask for an actor."""
        return await spawning.spawn(self.database, self.catalogue, wish)

    async def spawn(
        self, actor_id: str, version: str, *events: str, context: bytes | None = None
    ) -> None:
        """Spawn an actor and send it events, all of which must be handled."""
        assert isinstance(await self.ask(self.wish(actor_id, version, context=context)), Spawned)
        for event_type in events:
            outcome = await self.send(actor_id, event_type)
            assert isinstance(outcome, Answer), outcome
            assert outcome.handled, (actor_id, event_type)

    def event(self, actor_id: str, event_type: str, **options: Any) -> Event:
        """Return one event; a key comes with a digest of its own unless one is given."""
        if "idempotency_key" in options:
            options.setdefault("body_digest", hashlib.sha256(event_type.encode()).digest())
        return Event(self.namespace, ActorId(actor_id), EventType(event_type), **options)

    async def process(self, *events: Event) -> list[Outcome]:
        """Process events in one batch."""
        return await process(self.database, self.catalogue, events)

    async def send(self, actor_id: str, event_type: str, **options: Any) -> Outcome:
        """Send one event."""
        [outcome] = await self.process(self.event(actor_id, event_type, **options))
        return outcome

    async def answered(self, actor_id: str, event_type: str, **options: Any) -> Answer:
        """Send one event that is not refused."""
        outcome = await self.send(actor_id, event_type, **options)
        assert isinstance(outcome, Answer), outcome
        return outcome

    async def actor(self, actor_id: str) -> Actor:
        """Return an actor that is known to exist."""
        found = await self.database.read(
            lambda connection: actors.find(
                connection, self.catalogue, self.namespace, ActorId(actor_id)
            )
        )
        assert found is not None
        return found

    async def place(self, actor_id: str) -> tuple[str, str]:
        """Return (version, state) of an actor."""
        actor = await self.actor(actor_id)
        return actor.configuration.version, actor.configuration.label

    async def log(self, actor_id: str) -> Sequence[Logged]:
        """Return all that an actor has processed."""
        key = actor_key(self.namespace, ActorId(actor_id))
        everything = {"after": 0, "limit": 10**6, "most_bytes": 10**9}
        page = await self.database.read(
            lambda connection: actors.log(connection, self.catalogue, key, **everything)
        )
        return page.events

    async def decisions(self, actor_id: str) -> Sequence[Explained]:
        """Return the decisions that concerned an actor."""
        key = actor_key(self.namespace, ActorId(actor_id))
        return await self.database.read(
            lambda connection: audit.decisions(connection, self.catalogue, key)
        )

    async def rows(
        self, query: str, parameters: Mapping[str, object] | None = None
    ) -> Sequence[sa.Row[Any]]:
        """Run a query on the tables themselves."""

        async def work(connection: AsyncConnection) -> Sequence[sa.Row[Any]]:
            await connection.execute(sa.text("set local search_path to statekeep"))
            return (await connection.execute(sa.text(query), parameters or {})).all()

        return await self.database.read(work)

    async def analyze(self) -> None:
        """Let Postgres know how large the tables are, as it would by itself after a while."""
        engine = self.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.exec_driver_sql("analyze")

    async def count(self, table: str) -> int:
        """Return how many rows a table has."""
        [(number,)] = await self.rows(f"select count(*) from {table}")
        return int(number)


@pytest.fixture
def world(database: Database) -> World:
    """A fresh world."""
    return World(database)
