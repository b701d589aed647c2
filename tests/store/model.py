"""The store said a second time, slowly: every actor is a list of events on a version.

No cohorts, no edges, no memo: each question is answered by running the actor's own history. Event types are
single letters, so that a path is a regular expression.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from statekeep.engine.json import JsonObject, JsonValue, canonical
from statekeep.engine.routing.decision import Move
from statekeep.engine.routing.policy import (
    CompletedActors,
    MigrationPolicy,
    UnhandledEvents,
    UnseenMoves,
)
from statekeep.engine.routing.reason import Reason
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.interpreter import initial, step
from statekeep.engine.statechart.machine import Machine


@dataclass(frozen=True)
class Ruling:
    """What one deployment said of one actor."""

    version: str
    fingerprint: str
    events: int
    before: JsonValue
    after: JsonValue
    reason: Reason | None
    skipped: dict[str, int]


@dataclass
class ModelVersion:
    name: str
    definition: JsonObject
    parent: str | None
    path: tuple[str, ...] = ()
    policy: MigrationPolicy = field(default_factory=MigrationPolicy)
    shown: dict[str, frozenset[Move]] = field(default_factory=dict)
    """The kinds of move of every preview, by its id."""

    @cached_property
    def machine(self) -> Machine:
        return compile_machine(self.definition)


@dataclass
class ModelActor:
    version: str
    events: list[str] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)
    keys: dict[str, tuple[JsonValue, int, bool]] = field(default_factory=dict)
    """What was answered to each idempotency key: (value, seq, handled)."""


@dataclass(frozen=True)
class Stand:
    """Where a version leads a history."""

    value: JsonValue
    done: bool
    skipped: Counter[str]
    lost: bool
    """Whether there was an event that the version does not handle."""


@dataclass(frozen=True)
class Kind:
    """What would become of an actor: a move, or a reason to stay where it is."""

    move: Move | None
    reason: Reason | None
    skipped: Counter[str] = field(default_factory=Counter, compare=False, hash=False)


def fingerprint(events: Iterable[str]) -> str:
    chain = hashlib.sha256(b"statekeep/history/v1").digest()
    for event in events:
        chain = hashlib.sha256(chain + event.encode()).digest()
    return f"sha256:{chain.hex()}"


def contains(path: Sequence[str], events: Sequence[str]) -> bool:
    pattern = "".join({"*": ".", "**": ".*"}.get(element, element) for element in path)
    return re.match(pattern, "".join(events)) is not None


@dataclass
class Model:
    versions: dict[str, ModelVersion] = field(default_factory=dict)
    actors: dict[str, ModelActor] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    """Roots at once, the others in the order of their deployments."""

    def stand(self, version: str, events: Sequence[str]) -> Stand:
        machine = self.versions[version].machine
        configuration, skipped = initial(machine), Counter[str]()
        for event in events:
            taken = step(machine, configuration, event)
            configuration = taken.configuration
            if not taken.handled:
                skipped[event] += 1
        return Stand(configuration.value, configuration.is_done, skipped, bool(skipped))

    def where(self, actor: ModelActor) -> Stand:
        return self.stand(actor.version, actor.events)

    def send(
        self, actor_id: str, event: str, key: str | None = None
    ) -> tuple[JsonValue, int, bool]:
        """Return (value, seq, handled), as the first time for a key that was used before."""
        actor = self.actors[actor_id]
        if key is not None and key in actor.keys:
            return actor.keys[key]
        missed = self.where(actor).skipped[event]
        longer = self.stand(actor.version, [*actor.events, event])
        handled = longer.skipped[event] == missed
        if handled:
            actor.events.append(event)
        answer = (self.where(actor).value, len(actor.events), handled)
        if key is not None:
            actor.keys[key] = answer
        return answer

    def kind(self, version: str, actor: ModelActor) -> Kind:
        target, now = self.versions[version], self.where(actor)
        if now.done and target.policy.completed_actors is CompletedActors.STAY:
            return Kind(None, Reason.COMPLETED)
        if not contains(target.path, actor.events):
            return Kind(None, Reason.PATH_NOT_IN_HISTORY)
        landing = self.stand(version, actor.events)
        if landing.lost and target.policy.unhandled_events is UnhandledEvents.STAY:
            return Kind(None, Reason.NEEDS_RESCUE)
        source, end = (canonical(value).decode() for value in (now.value, landing.value))
        return Kind(Move(source, end, tuple(sorted(landing.skipped))), None, landing.skipped)

    def kinds(self, version: str) -> Counter[Kind]:
        """Return how many actors of the parent would meet which fate."""
        parent = self.versions[version].parent
        return Counter(self.kind(version, a) for a in self.actors.values() if a.version == parent)

    def moves(self, version: str) -> frozenset[Move]:
        return frozenset(kind.move for kind in self.kinds(version) if kind.move)

    def apply(self, version: str, approved: frozenset[Move]) -> Counter[Reason | None] | None:
        """Move who moves and return how many met what; ``None`` where the deployment is held."""
        target = self.versions[version]
        if self.moves(version) - approved and target.policy.unseen_moves is UnseenMoves.HOLD:
            return None
        met: Counter[Reason | None] = Counter()
        for actor in self.actors.values():
            if actor.version == target.parent:
                met[self.rule(version, actor, approved)] += 1
        self.applied.append(version)
        return met

    def rule(
        self, version: str, actor: ModelActor, approved: frozenset[Move] | None
    ) -> Reason | None:
        """Decide on one actor and write it down; ``None`` where it moves."""
        before, kind = self.where(actor), self.kind(version, actor)
        reason = kind.reason
        if kind.move and approved is not None and kind.move not in approved:
            reason = Reason.NOT_IN_PREVIEW
        after = None if reason else self.stand(version, actor.events).value
        skipped = {} if reason else dict(kind.skipped)
        chain, length = fingerprint(actor.events), len(actor.events)
        actor.rulings.append(Ruling(version, chain, length, before.value, after, reason, skipped))
        if reason is None:
            actor.version = version
        return reason
