"""The store said a second time, slowly: every actor is a list of events on a version.

No cohorts, no edges, no memo: each question is answered by running the actor's own history. Event types are
single letters, so that a path is a regular expression.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from tests.store.sent import Sent, Wish

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
from statekeep.engine.store.pruning import Need


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
    """The kinds of move of every preview of this content, by its id."""

    earlier: "dict[str, dict[str, frozenset[Move]]]" = field(default_factory=dict)
    """What was shown of each content that it had before it was edited."""

    @property
    def content(self) -> str:
        return f"{self.definition} {self.parent} {self.path} {self.policy}"

    @property
    def machine_name(self) -> str:
        """The letter before its number."""
        return self.name[0]

    @cached_property
    def machine(self) -> Machine:
        return compile_machine(self.definition)


@dataclass(frozen=True)
class First:
    """What was said when an idempotency key was new."""

    body: tuple[str, int]
    place: str
    handled: bool


@dataclass
class ModelActor:
    version: str
    events: list[str] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)
    first: dict[str, First] = field(default_factory=dict)
    payloads: list[int | None] = field(default_factory=list)
    context: dict[str, int] | None = None
    wish: Wish | None = None
    begun: str = ""
    """The place in which it came to be."""


@dataclass(frozen=True)
class Change:
    """What the change feed says of one actor, or of a deployment."""

    name: str
    event: str | None
    place: str


@dataclass
class ModelDeployment:
    version: str
    met: Counter[Reason | None]
    counted: bool = True

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Migrated, stayed, needs a rescue."""
        moved, stuck = self.met[None], self.met[Reason.NEEDS_RESCUE]
        return moved, self.met.total() - moved - stuck, stuck


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


def place(version: str, value: JsonValue, seq: int, chain: str) -> str:
    """Return where somebody stands, in short."""
    return f"{version}:{canonical(value).decode()} seq {seq} {chain[7:15]}"


def answer(where: str, *, handled: bool, strict: bool = False, again: bool = False) -> str:
    """Return what somebody is told, in short."""
    verdict = "" if handled else "refused in " if strict else "ignored in "
    return f"{verdict}{where}{' again' if again else ''}"


@dataclass
class Model:
    versions: dict[str, ModelVersion] = field(default_factory=dict)
    actors: dict[str, ModelActor] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    """Roots at once, the others in the order of their deployments."""

    deployments: dict[str, ModelDeployment] = field(default_factory=dict)
    """By version, in their order."""

    feed: list[Change | ModelDeployment] = field(default_factory=list)
    keys: dict[str, Wish] = field(default_factory=dict)
    """The wishes that idempotency keys have been granted to."""

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

    def place(self, name: str) -> str:
        actor = self.actors[name]
        value, chain = self.where(actor).value, fingerprint(actor.events)
        return place(actor.version, value, len(actor.events), chain)

    def newest(self, machine: str) -> str | None:
        return next(
            (name for name in self.applied[::-1] if self.versions[name].machine_name == machine),
            None,
        )

    def spawn(self, wish: Wish) -> str:
        """Grant a wish, and return what is said."""
        if wish.key is not None and (first := self.keys.get(wish.key)):
            if first.body != wish.body:
                return "key reused"
            return f"again {self.actors[wish.actor].begun}"
        if wish.actor in self.actors:
            is_same = self.actors[wish.actor].wish == replace(wish, key=None)
            return f"{'there' if is_same else 'taken'} {self.place(wish.actor)}"
        version = self.newest(wish.target) if wish.by_machine else wish.target
        if version not in self.applied:
            return "version unknown"
        context = None if wish.context is None else {"n": wish.context}
        actor = ModelActor(version, context=context, wish=replace(wish, key=None))
        self.actors[wish.actor] = actor
        actor.begun = self.place(wish.actor)
        if wish.key is not None:
            self.keys[wish.key] = wish
        self.feed.append(Change(wish.actor, None, actor.begun))
        return f"new {actor.begun}"

    def send(self, sent: Sent) -> str:
        """Process one event, and return what is said."""
        actor = self.actors.get(sent.actor)
        if actor is None:
            return "no such actor"
        if sent.key is not None and (first := actor.first.get(sent.key)):
            if first.body != (sent.type, sent.body):
                return "key reused"
            return answer(first.place, handled=first.handled, strict=sent.strict, again=True)
        if sent.if_seq is not None and sent.if_seq != len(actor.events):
            return f"seq is {len(actor.events)}"
        handled = self._take(actor, sent)
        where = self.place(sent.actor)
        if sent.key is not None:
            actor.first[sent.key] = First((sent.type, sent.body), where, handled)
        if handled:
            self.feed.append(Change(sent.actor, sent.type, where))
        return answer(where, handled=handled, strict=sent.strict)

    def _take(self, actor: ModelActor, sent: Sent) -> bool:
        missed = self.where(actor).skipped[sent.type]
        longer = self.stand(actor.version, [*actor.events, sent.type])
        if longer.skipped[sent.type] > missed:
            return False
        actor.events.append(sent.type)
        actor.payloads.append(sent.body or None)
        if sent.patch is not None:
            name, value = sent.patch
            actor.context = {**(actor.context or {})}
            actor.context.pop(name, None)
            if value is not None:
                actor.context[name] = value
        return True

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

    def apply(
        self, version: str, approved: frozenset[Move], *, counted: bool = True
    ) -> ModelDeployment | frozenset[Move]:
        """Move who moves; where the deployment is held, return the kinds of move that nobody has seen."""
        target = self.versions[version]
        unseen = self.moves(version) - approved
        if unseen and target.policy.unseen_moves is UnseenMoves.HOLD:
            return unseen
        deployment = ModelDeployment(version, Counter(), counted)
        for actor in self.actors.values():
            if actor.version == target.parent:
                deployment.met[self.rule(version, actor, approved)] += 1
        self.applied.append(version)
        self.deployments[version] = deployment
        self.feed.append(deployment)
        return deployment

    def need(self, version: str) -> Need | None:
        """Return what keeps an applied version."""
        if any(other.parent == version for other in self.versions.values()):
            return Need.CHILDREN
        if any(actor.version == version for actor in self.actors.values()):
            return Need.ACTORS
        deployment = self.deployments.get(version)
        if deployment and (not deployment.counted or deployment.met):
            return Need.DECISIONS
        return None

    def forget(self, version: str) -> None:
        """Let a version be gone that nothing needs."""
        del self.versions[version]
        if version in self.applied:
            self.applied.remove(version)
        if deployment := self.deployments.pop(version, None):
            self.feed.remove(deployment)

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
