"""Random families, random lives: the store and a slow model of it never disagree.

Each example has a namespace of its own on one database. Every answer is compared when it is given, and every
actor, decision and count after each deployment and at the end.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.conftest import World
from tests.store.model import Kind, Model, ModelActor, ModelVersion, Ruling, fingerprint

from statekeep.engine.ids import Namespace, PreviewId
from statekeep.engine.json import JsonObject
from statekeep.engine.routing.policy import (
    CompletedActors,
    MigrationPolicy,
    UnhandledEvents,
    UnseenMoves,
)
from statekeep.engine.routing.reason import Reason
from statekeep.engine.store import takeover, versions
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database
from statekeep.engine.store.deployments import Deployment, Held
from statekeep.engine.store.events import Answer, Event
from statekeep.engine.store.spawning import Spawned

EVENTS = "ABCD"
BATCH = 16
"""Events of one batch at most."""

_examples = itertools.count(1)

POLICIES = st.builds(
    MigrationPolicy,
    unhandled_events=st.sampled_from(UnhandledEvents),
    completed_actors=st.sampled_from(CompletedActors),
    unseen_moves=st.sampled_from(UnseenMoves),
)
PATHS = st.one_of(
    st.sampled_from([[], ["A"], ["*"], ["*", "*"], ["**", "B"]]),
    st.lists(st.sampled_from(["A", "B", "*", "**"]), min_size=1, max_size=3),
)


STATES = "pqrs"
TRANSITIONS = st.dictionaries(st.sampled_from(EVENTS), st.sampled_from(STATES), min_size=2)


@st.composite
def definitions(draw: st.DrawFn) -> JsonObject:
    """Draw a small machine; its last state may be final."""
    drawn: JsonObject = {state: {"on": dict(draw(TRANSITIONS))} for state in STATES}
    if draw(st.booleans()):
        drawn["s"] = {"type": "final"}
    return {"initial": "p", "states": drawn}


@st.composite
def children(draw: st.DrawFn, parent: JsonObject) -> JsonObject:
    """Draw a machine that differs from its parent in one state, so that many histories live on."""
    states = parent["states"]
    assert isinstance(states, dict)
    changed: JsonObject = {"on": dict(draw(TRANSITIONS))}
    return {"initial": "p", "states": {**states, draw(st.sampled_from(STATES)): changed}}


@dataclass
class Play:
    """One example: what was drawn is done to the store and to the model."""

    world: World
    data: st.DataObject
    model: Model = field(default_factory=Model)
    keys: "itertools.count[int]" = field(default_factory=itertools.count)
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    """Every event with a key: (actor, type, key)."""

    async def root(self) -> None:
        version = ModelVersion("v0", self.data.draw(definitions()), None)
        self.model.versions["v0"] = version
        self.model.applied.append("v0")
        await self.world.propose("v0", version.definition)

    async def spawn(self) -> str:
        newest = self.data.draw(st.booleans())
        target = "m" if newest else self.data.draw(st.sampled_from(self.model.applied))
        name = f"a{len(self.model.actors)}"
        spawned = await self.world.ask(self.world.wish(name, target, by_machine=newest))
        assert isinstance(spawned, Spawned)
        version = self.model.applied[-1] if newest else target
        self.model.actors[name] = ModelActor(version)
        assert spawned.actor.configuration.version == version
        assert spawned.actor.configuration.value == self.model.stand(version, ()).value
        return name

    async def events(self) -> None:
        """Send a batch, some of it with keys."""
        one = st.tuples(
            st.sampled_from(sorted(self.model.actors)), st.sampled_from(EVENTS), st.booleans()
        )
        batch: list[tuple[Event, str | None]] = []
        for actor, kind, keyed in self.data.draw(st.lists(one, min_size=6, max_size=BATCH)):
            key = f"k{next(self.keys)}" if keyed else None
            if key:
                self.sent.append((actor, kind, key))
            batch.append((self.event(actor, kind, key), key))
        await self.compare(batch)

    async def footsteps(self) -> None:
        """Let a newcomer on any version live through what somebody has lived through before."""
        ahead = self.data.draw(st.sampled_from(sorted(self.model.actors)))
        name = await self.spawn()
        kinds = [*self.model.actors[ahead].events, self.data.draw(st.sampled_from(EVENTS))]
        await self.compare([(self.event(name, kind, None), None) for kind in kinds])

    async def duplicates(self) -> None:
        """Send again what had a key, whatever has happened to the actor since."""
        if not self.sent:
            return
        again = self.data.draw(st.lists(st.sampled_from(self.sent), min_size=1, max_size=BATCH))
        await self.compare([(self.event(*one), one[2]) for one in again])

    def event(self, actor: str, kind: str, key: str | None) -> Event:
        return self.world.event(actor, kind, **({"idempotency_key": key} if key else {}))

    async def compare(self, batch: list[tuple[Event, str | None]]) -> None:
        outcomes = await self.world.process(*(event for event, _ in batch))
        for (event, key), outcome in zip(batch, outcomes, strict=True):
            assert isinstance(outcome, Answer), outcome
            answered = (outcome.configuration.value, outcome.seq, outcome.handled)
            assert answered == self.model.send(event.actor_id, event.type, key)

    async def propose(self) -> None:
        """Propose a new version, or edit one that is not applied."""
        waiting = sorted(self.model.versions.keys() - set(self.model.applied))
        name = self.data.draw(st.sampled_from([f"v{len(self.model.versions)}", *waiting]))
        parent = self.data.draw(st.sampled_from(self.model.applied[::-1]))
        self.model.versions[name] = ModelVersion(
            name,
            self.data.draw(children(self.model.versions[parent].definition)),
            parent,
            tuple(self.data.draw(PATHS)),
            self.data.draw(POLICIES),
        )
        version = self.model.versions[name]
        await self.world.propose(
            name,
            version.definition,
            parent=version.parent,
            path=version.path,
            policy=version.policy,
        )

    async def preview(self, name: str | None = None) -> PreviewId | None:
        """Show what would happen now; it is what the model says."""
        name = name or self.waiting()
        if name is None:
            return None
        shown, expected = await self.world.preview(name), self.model.kinds(name)
        rows: Counter[Kind] = Counter({Kind(move, None): count for move, count in shown.moves})
        for stay, count in shown.stays:
            rows[Kind(None, stay.reason)] += count
        assert rows == expected
        assert shown.evaluated == expected.total()
        self.model.versions[name].shown[shown.id] = self.model.moves(name)
        return shown.id

    def waiting(self) -> str | None:
        names = sorted(self.model.versions.keys() - set(self.model.applied))
        return self.data.draw(st.sampled_from(names)) if names else None

    async def apply(self) -> None:
        """Apply a version as it is shown now, or as any earlier preview of it showed it."""
        name = self.waiting()
        if name is None:
            return
        version = self.model.versions[name]
        if not version.shown or self.data.draw(st.booleans()):
            await self.preview(name)
        shown = self.data.draw(st.sampled_from(sorted(version.shown)))
        approved = version.shown[shown]
        unseen = self.model.moves(name) - approved
        result = await self.world.apply(name, PreviewId(shown))
        met = self.model.apply(name, approved)
        if met is None:
            assert result == Held(unseen)
            return
        assert isinstance(result, Deployment)
        assert result.migrated == met[None]
        assert result.needs_rescue == met[Reason.NEEDS_RESCUE]
        assert result.migrated + result.stayed + result.needs_rescue == met.total()
        assert await self.world.apply(name, PreviewId(shown)) == result
        await self.check()

    async def chain(self) -> None:
        """Deploy the child of a child at once, without anything in between."""
        for _ in range(2):
            await self.propose()
            await self.apply()

    async def check(self) -> None:
        """Compare every actor: place, history, seq, fingerprint, log and decisions."""
        for name, expected in self.model.actors.items():
            actor, stand = await self.world.actor(name), self.model.where(expected)
            configuration = actor.configuration
            assert (configuration.version, configuration.value, configuration.done) == (
                expected.version,
                stand.value,
                stand.done,
            )
            assert actor.seq == len(expected.events)
            assert actor.fingerprint == fingerprint(expected.events)
            log = await self.world.log(name)
            assert [one.event_type for one in log] == expected.events
            assert [one.seq for one in log] == list(range(1, actor.seq + 1))
            assert await self.rulings(name) == expected.rulings

    async def rulings(self, name: str) -> list[Ruling]:
        return [
            Ruling(
                one.version,
                one.fingerprint,
                one.events,
                one.before.value,
                one.after.value if one.after else None,
                Reason(one.reason) if one.reason else None,
                dict(one.skipped),
            )
            for one in await self.world.decisions(name)
        ]

    async def ask_again(self, connection: AsyncConnection) -> None:
        """Ask the interpreter again for all that is stored, as a release with another meaning would."""
        for stored in await versions.find_all(connection, self.world.namespace):
            if stored.is_applied:
                await takeover.compare(connection, stored)


STEPS: dict[str, Callable[[Play], Coroutine[Any, Any, object]]] = {
    "spawn": Play.spawn,
    "events": Play.events,
    "footsteps": Play.footsteps,
    "duplicates": Play.duplicates,
    "propose": Play.propose,
    "preview": Play.preview,
    "apply": Play.apply,
    "chain": Play.chain,
}
LIVES = st.lists(st.sampled_from(["events", "events", *STEPS]), min_size=2, max_size=10)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(LIVES, st.data())
async def test_the_store_and_the_model_never_disagree(
    database: Database, life: list[str], data: st.DataObject
) -> None:
    namespace = Namespace(f"example-{next(_examples)}")
    play = Play(World(database, Catalogue(), namespace), data)
    await play.root()
    for name in [
        "spawn",
        "spawn",
        "spawn",
        "spawn",
        "events",
        *life,
        "chain",
        "footsteps",
        "footsteps",
    ]:
        await STEPS[name](play)
    await play.check()
    await database.read(play.ask_again)
