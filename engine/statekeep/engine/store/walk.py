"""The way of one actor through a batch: which of its events are taken, and what is written of them.

An actor is walked under its row's lock, event by event, along edges that are known; where one is
not, the walk stops, and goes on when somebody has found it. Nothing here reads or writes.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from statekeep.engine.errors import SealBroken
from statekeep.engine.json import JsonValue
from statekeep.engine.store.catalogue import Edge, Place
from statekeep.engine.store.edges import Wanted
from statekeep.engine.store.events import (
    Answer,
    ContextRefused,
    Event,
    Failed,
    KeyReused,
    Outcome,
    SeqDiffers,
    Unhandled,
    Unstable,
)
from statekeep.engine.store.keyring import KeyRing, context_place, event_place
from statekeep.engine.store.merge_patch import merge

MAX_CONTEXT_BYTES = 1024 * 1024
"""A context after its patch; every event that patches it reads and writes all of it."""


@dataclass(frozen=True, slots=True)
class First:
    """What an earlier event with the same idempotency key did."""

    body_digest: bytes
    answer: Answer


@dataclass(frozen=True, slots=True)
class Written:
    """A row for the log, or for the events that no transition took: where the actor stands after it."""

    key: UUID
    seq: int
    epoch: int
    place: Place
    event: Event
    data: bytes | None


@dataclass(slots=True)
class Walk:
    """An actor under its lock, and how far its events have taken it."""

    key: UUID
    epoch: int
    cohort_id: int
    seq: int
    context: bytes | None
    """Sealed, as it is stored; read only if an event patches it."""

    ahead: deque[tuple[int, Event]]
    """What is still to be decided, with its position in the batch."""

    first: dict[str, First]
    """By idempotency key; those of this batch are added."""

    taken: list[Written] = field(default_factory=list)
    ignored: list[Written] = field(default_factory=list)
    """Those to be remembered because they have a key."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)

    patched: bytes | None = None
    """The context in plain, once an event has patched it."""


EdgeOf = Callable[[int, int, str], Edge | None]
"""Returns what is known of (cohort id, epoch, event type)."""


def advance(
    walk: Walk, keys: KeyRing, edge_of: EdgeOf, ends: Mapping[Wanted, Unstable | Failed]
) -> Wanted | None:
    """Decide as many of an actor's events as the known edges allow.

    Args:
        walk: the actor.
        keys: for what is to be stored.
        edge_of: the known edges.
        ends: what is said where there is no edge to be found. Behind an event that fails the actor's others
            fail too: taken without it, they would be taken out of order.

    Returns:
        The edge that the next event needs; ``None`` where all are decided.
    """
    while walk.ahead:
        ord_, event = walk.ahead[0]
        outcome = _refused(walk, event)
        if outcome is None:
            edge = edge_of(walk.cohort_id, walk.epoch, event.type)
            if edge is None:
                wanted = (walk.cohort_id, event.type)
                if wanted not in ends:
                    return wanted
                outcome = ends[wanted]
            elif edge.target is None:
                outcome = _ignore(walk, event, edge.source)
            else:
                outcome = _take(walk, event, edge.target, keys)
        if isinstance(outcome, Failed):
            walk.outcomes |= {behind: outcome for behind, _ in walk.ahead}
            walk.ahead.clear()
            return None
        walk.outcomes[ord_] = outcome
        walk.ahead.popleft()
    return None


def _refused(walk: Walk, event: Event) -> Outcome | None:
    """Return what is said without asking where the event leads; ``None`` where that matters."""
    if event.idempotency_key is not None:
        first = walk.first.get(event.idempotency_key)
        if first is not None:
            if first.body_digest != event.body_digest:
                return KeyReused(event.idempotency_key)
            return _as_asked(event, replace(first.answer, repeated=True))
    if event.if_seq is not None and event.if_seq != walk.seq:
        return SeqDiffers(event.if_seq, walk.seq)
    return None


def _ignore(walk: Walk, event: Event, place: Place) -> Outcome:
    """Say that nothing happened; have that remembered if the event may be asked about again."""
    answer = Answer(event.actor_id, place.configuration, walk.seq, place.fingerprint, handled=False)
    if event.idempotency_key is not None:
        walk.ignored.append(Written(walk.key, walk.seq, walk.epoch, place, event, None))
    _remember(walk, event, answer)
    return _as_asked(event, answer)


def _take(walk: Walk, event: Event, place: Place, keys: KeyRing) -> Outcome:
    """Move the actor, unless its context cannot be patched."""
    seq = walk.seq + 1
    if event.context is not None:
        try:
            walk.patched = _patched(walk, event.context, keys)
        except SealBroken as error:
            return ContextRefused(f"the stored context does not decrypt: {error}")
        except OverflowError as error:
            return ContextRefused(str(error))
    data = event.data and keys.seal(event.data, event_place(walk.key, seq))
    walk.taken.append(Written(walk.key, seq, walk.epoch, place, event, data))
    walk.seq, walk.cohort_id = seq, place.cohort_id
    answer = Answer(event.actor_id, place.configuration, seq, place.fingerprint, handled=True)
    _remember(walk, event, answer)
    return answer


def _patched(walk: Walk, patch: JsonValue, keys: KeyRing) -> bytes:
    """Return the actor's context with the patch merged into it."""
    before: JsonValue = {}
    if walk.patched is not None:
        before = json.loads(walk.patched)
    elif walk.context is not None:
        before = json.loads(keys.open(walk.context, context_place(walk.key)))
    after = json.dumps(merge(before, patch), ensure_ascii=False).encode()
    if len(after) > MAX_CONTEXT_BYTES:
        raise OverflowError(
            f"the patched context has {len(after)} bytes, the limit is {MAX_CONTEXT_BYTES}"
        )
    return after


def _remember(walk: Walk, event: Event, answer: Answer) -> None:
    if event.idempotency_key is not None:
        assert event.body_digest is not None
        walk.first[event.idempotency_key] = First(event.body_digest, answer)


def _as_asked(event: Event, answer: Answer) -> Outcome:
    return Unhandled(answer) if event.strict and not answer.handled else answer
