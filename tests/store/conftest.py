"""A store with the means to tell short stories about it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from statekeep.engine.ids import ActorId, EventType, MachineName, Namespace, PreviewId, VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.routing.policy import MigrationPolicy
from statekeep.engine.routing.preview import Preview
from statekeep.engine.routing.version import read_version
from statekeep.engine.store import actors, audit, deployments, previews, versions
from statekeep.engine.store.actors import Actor, Spawn, Spawned, actor_key
from statekeep.engine.store.audit import Explained
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database
from statekeep.engine.store.deployments import ApprovedBy, Busy, Deployment, Held, NotShown
from statekeep.engine.store.events import Answer, Event, Outcome, process

NAMESPACE = Namespace("default")


@dataclass
class World:
    """One database and the shortest way to do things to it."""

    database: Database
    catalogue: Catalogue = field(default_factory=Catalogue)

    async def propose(
        self,
        name: str,
        definition: JsonObject,
        *,
        machine: str = "m",
        parent: str | None = None,
        path: Sequence[str] = (),
        policy: MigrationPolicy | None = None,
    ) -> None:
        """Store a version; a root is applied at once."""
        version = read_version(
            VersionName(name),
            parent=None if parent is None else VersionName(parent),
            path=tuple(path),
            policy=policy or MigrationPolicy(),
            definition=definition,
        )

        async def work(connection: object) -> None:
            above = parent and await versions.find(connection, NAMESPACE, VersionName(parent))  # type: ignore[arg-type]
            stored = await versions.propose(
                connection,  # type: ignore[arg-type]
                NAMESPACE,
                MachineName(machine),
                version,
                above or None,
            )
            if parent is None:
                await versions.mark_applied(connection, stored.id)  # type: ignore[arg-type]

        await self.database.transact(work)

    async def preview(self, name: str) -> Preview:
        """Show what a proposed version would do now, and remember that it was shown."""

        async def work(connection: object) -> Preview:
            stored = await versions.find(connection, NAMESPACE, VersionName(name))  # type: ignore[arg-type]
            assert stored is not None
            assert stored.parent_id is not None
            parent = await versions.by_id(connection, stored.parent_id)  # type: ignore[arg-type]
            preview = await previews.compute(connection, stored.version, parent)  # type: ignore[arg-type]
            await previews.keep(connection, stored, preview)  # type: ignore[arg-type]
            return preview

        return await self.database.transact(work)

    async def apply(
        self, name: str, preview_id: PreviewId | None = None
    ) -> Deployment | Held | NotShown | Busy:
        """Apply a version as its preview of this moment shows it, or as an earlier one did."""
        approved = preview_id or (await self.preview(name)).id
        return await deployments.apply(
            self.database, NAMESPACE, VersionName(name), approved, ApprovedBy.MANUAL
        )

    async def spawn(self, actor_id: str, version: str, *events: str) -> None:
        """Spawn an actor and send it events, all of which must be handled."""
        wish = Spawn(
            NAMESPACE,
            ActorId(actor_id),
            VersionName(version),
            by_machine=False,
            context=None,
            digest=hashlib.sha256(version.encode()).digest(),
        )
        assert isinstance(await actors.spawn(self.database, self.catalogue, wish), Spawned)
        for event_type in events:
            outcome = await self.send(actor_id, event_type)
            assert isinstance(outcome, Answer), outcome
            assert outcome.handled, (actor_id, event_type)

    async def send(self, actor_id: str, event_type: str, **options: object) -> Outcome:
        """Send one event."""
        event = Event(NAMESPACE, ActorId(actor_id), EventType(event_type), **options)  # type: ignore[arg-type]
        [outcome] = await process(self.database, self.catalogue, [event])
        return outcome

    async def actor(self, actor_id: str) -> Actor:
        """Return an actor that is known to exist."""
        found = await self.database.read(
            lambda connection: actors.find(connection, self.catalogue, NAMESPACE, ActorId(actor_id))
        )
        assert found is not None
        return found

    async def place(self, actor_id: str) -> tuple[str, str]:
        """Return (version, state) of an actor."""
        actor = await self.actor(actor_id)
        return actor.configuration.version, actor.configuration.label

    async def decisions(self, actor_id: str) -> Sequence[Explained]:
        """Return the decisions that concerned an actor."""
        key = actor_key(NAMESPACE, ActorId(actor_id))
        return await self.database.read(
            lambda connection: audit.decisions(connection, self.catalogue, key)
        )


@pytest.fixture
def world(database: Database) -> World:
    """A fresh world."""
    return World(database)
