"""Processing events: a batch at a time, every step of it set-based.

A batch is one transaction: lock the machines (shared), lock the actors, look up where each event
leads, append to the log and move the actors. Every event gets an outcome of its own; one that fails
never fails its neighbours. Events for one actor keep their order: the second goes into the next
transaction.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import SealBroken, StoreUnavailable
from statekeep.engine.history.fingerprint import show
from statekeep.engine.json import JsonValue
from statekeep.engine.store import edges
from statekeep.engine.store.actors import actor_key
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database
from statekeep.engine.store.events import (
    ActorMissing,
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
from statekeep.engine.store.locks import MACHINE_SPACE
from statekeep.engine.store.merge_patch import merge
from statekeep.engine.store.sql import statements

_SQL = statements("events.sql")

MAX_CONTEXT_BYTES = 1024 * 1024
"""A context after its patch; every event that patches it reads and writes all of it."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """An actor under its lock, an event for it, and where that leads."""

    event: Event
    key: UUID
    actor: Any
    found: Any


@dataclass(frozen=True, slots=True)
class _Taken:
    """One row of the log, and the actor's move."""

    standing: _Standing
    data: bytes | None
    context: bytes | None

    @property
    def seq(self) -> int:
        return int(self.standing.actor.seq) + 1


async def process(
    database: Database, catalogue: Catalogue, events: Sequence[Event]
) -> list[Outcome]:
    """Process the events and return their outcomes, in the same order; never raises.

    Where one event of an actor fails, those behind it do too: taken without it, they would be
    taken out of order.
    """
    outcomes: dict[int, Outcome] = {}
    failed: dict[tuple[str, str], Failed] = {}
    for batch in rounds(events):
        wanted: dict[int, Event] = {}
        for ord_ in batch:
            event = events[ord_]
            before = failed.get((event.namespace, event.actor_id))
            if before is None:
                wanted[ord_] = event
            else:
                outcomes[ord_] = before
        for ord_, outcome in (await _isolated(database, catalogue, wanted)).items():
            outcomes[ord_] = outcome
            if isinstance(outcome, Failed):
                failed[events[ord_].namespace, events[ord_].actor_id] = outcome
    return [outcomes[ord_] for ord_ in range(len(events))]


async def _isolated(
    database: Database, catalogue: Catalogue, events: Mapping[int, Event]
) -> dict[int, Outcome]:
    """Process events of distinct actors; only the one at fault fails."""
    try:
        return await database.transact(
            lambda connection: _Batch(connection, catalogue, database.keys).run(events)
        )
    except StoreUnavailable as error:
        # Whether it was committed is unknown: trying again could append events twice.
        return dict.fromkeys(events, Failed(error))
    except Exception as error:
        # It was rolled back, so trying again is safe.
        if len(events) == 1:
            return dict.fromkeys(events, Failed(error))
        outcomes: dict[int, Outcome] = {}
        for ord_, event in events.items():
            outcomes |= await _isolated(database, catalogue, {ord_: event})
        return outcomes


def rounds(events: Sequence[Event]) -> list[list[int]]:
    """Split a sequence into batches of positions: an actor at most once in each, in its order."""
    batches: list[list[int]] = []
    seen: dict[tuple[str, str], int] = {}
    for ord_, event in enumerate(events):
        actor = (event.namespace, event.actor_id)
        number = seen.get(actor, 0)
        seen[actor] = number + 1
        if number == len(batches):
            batches.append([])
        batches[number].append(ord_)
    return batches


class _Batch:
    """One transaction over events for distinct actors."""

    def __init__(self, connection: AsyncConnection, catalogue: Catalogue, keys: KeyRing) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._keys = keys

    async def run(self, events: Mapping[int, Event]) -> dict[int, Outcome]:
        """Gather under the locks, decide, act."""
        standings, outcomes = await self._gather(events)
        taken: dict[int, _Taken] = {}
        ignored: dict[int, _Standing] = {}
        for ord_, standing in standings.items():
            match self._decide(standing):
                case _Taken() as row:
                    taken[ord_] = row
                case None:
                    ignored[ord_] = standing
                case refused:
                    outcomes[ord_] = refused
        await self._append(taken.values())
        await self._remember(ignored.values())
        return outcomes | await self._answers(standings, taken, ignored, outcomes)

    async def _gather(
        self, events: Mapping[int, Event]
    ) -> tuple[dict[int, _Standing], dict[int, Outcome]]:
        """Lock, look up, and fill in the edges that nobody has taken before."""
        keys = {ord_: actor_key(event.namespace, event.actor_id) for ord_, event in events.items()}
        every = list(keys.values())
        locked = await self._connection.execute(
            _SQL["lock_machines"], {"space": MACHINE_SPACE, "keys": every}
        )
        machines = [row.machine_id for row in locked]
        patched = [keys[ord_] for ord_, event in events.items() if event.context is not None]
        rows = await self._connection.execute(
            _SQL["lock_actors"], {"keys": every, "machines": machines, "patched": patched}
        )
        actors = {row.key: row for row in rows}
        outcomes: dict[int, Outcome] = {
            ord_: ActorMissing(event.actor_id)
            for ord_, event in events.items()
            if keys[ord_] not in actors
        }
        found = {ord_: (events[ord_], keys[ord_]) for ord_ in events if ord_ not in outcomes}
        standings = await self._look_up(found, actors)
        missing = {
            ord_: (s.actor.cohort_id, s.event.type)
            for ord_, s in standings.items()
            if not s.found.known and s.found.first_seq is None
        }
        if missing:
            filled = await edges.fill(self._connection, self._catalogue, set(missing.values()))
            again = {ord_: found[ord_] for ord_, edge in missing.items()}
            standings |= await self._look_up(again, actors)
            configurations = await self._catalogue.configurations(
                self._connection, {s.found.configuration_id for s in standings.values()}
            )
            for ord_ in [o for o, edge in missing.items() if edge in filled.unstable]:
                stuck = standings.pop(ord_)
                outcomes[ord_] = Unstable(configurations[stuck.found.configuration_id].label)
        return standings, outcomes

    async def _look_up(
        self, events: Mapping[int, tuple[Event, UUID]], actors: Mapping[UUID, Any]
    ) -> dict[int, _Standing]:
        if not events:
            return {}
        rows = await self._connection.execute(
            _SQL["look_up"],
            {
                "ords": list(events),
                "keys": [key for _, key in events.values()],
                "machines": [actors[key].machine_id for _, key in events.values()],
                "cohorts": [actors[key].cohort_id for _, key in events.values()],
                "types": [event.type for event, _ in events.values()],
                "idempotency": [event.idempotency_key for event, _ in events.values()],
            },
        )
        return {
            row.ord: _Standing(*events[row.ord], actors[events[row.ord][1]], row) for row in rows
        }

    def _decide(self, standing: _Standing) -> _Taken | Outcome | None:
        """Return the row to append, a refusal, or ``None`` where no transition takes the event."""
        event, found = standing.event, standing.found
        if found.first_seq is not None:
            if found.first_digest != event.body_digest:
                return KeyReused(event.idempotency_key or "")
            return None
        if event.if_seq is not None and event.if_seq != standing.actor.seq:
            return SeqDiffers(event.if_seq, standing.actor.seq)
        if found.target_id is None:
            return None
        seq = standing.actor.seq + 1
        data = event.data and self._keys.seal(event.data, event_place(standing.key, seq))
        try:
            return _Taken(standing, data, self._patched(standing))
        except SealBroken as error:
            return ContextRefused(f"the stored context does not decrypt: {error}")
        except OverflowError as error:
            return ContextRefused(str(error))

    def _patched(self, standing: _Standing) -> bytes | None:
        """Return the actor's patched context, sealed; ``None`` where the event has no patch."""
        patch = standing.event.context
        if patch is None:
            return None
        place = context_place(standing.key)
        sealed = standing.actor.context
        before: JsonValue = {} if sealed is None else json.loads(self._keys.open(sealed, place))
        after = json.dumps(merge(before, patch), ensure_ascii=False).encode()
        if len(after) > MAX_CONTEXT_BYTES:
            raise OverflowError(
                f"the patched context has {len(after)} bytes, the limit is {MAX_CONTEXT_BYTES}"
            )
        return self._keys.seal(after, place)

    async def _append(self, taken: Iterable[_Taken]) -> None:
        rows = list(taken)
        if not rows:
            return
        found = [row.standing.found for row in rows]
        events = [row.standing.event for row in rows]
        await self._connection.execute(
            _SQL["append"],
            {
                "keys": [row.standing.key for row in rows],
                "seqs": [row.seq for row in rows],
                "cohorts": [f.target_id for f in found],
                "histories": [f.to_history_id for f in found],
                "configurations": [f.to_configuration_id for f in found],
                "epochs": [f.epoch for f in found],
                "data": [row.data for row in rows],
                "idempotency": [event.idempotency_key for event in events],
                "digests": [event.body_digest for event in events],
                "contexts": [row.context for row in rows],
            },
        )

    async def _remember(self, ignored: Iterable[_Standing]) -> None:
        """Store that nothing happened, for events that may be asked about again."""
        rows = [
            s for s in ignored if s.event.idempotency_key is not None and s.found.first_seq is None
        ]
        if not rows:
            return
        await self._connection.execute(
            _SQL["remember_ignored"],
            {
                "keys": [s.key for s in rows],
                "idempotency": [s.event.idempotency_key for s in rows],
                "digests": [s.event.body_digest for s in rows],
                "seqs": [s.actor.seq for s in rows],
                "histories": [s.found.history_id for s in rows],
                "configurations": [s.found.configuration_id for s in rows],
            },
        )

    async def _answers(
        self,
        standings: Mapping[int, _Standing],
        taken: Mapping[int, _Taken],
        ignored: Mapping[int, _Standing],
        refused: Mapping[int, Outcome],
    ) -> dict[int, Outcome]:
        """Return what the callers of the events that were not refused are told."""
        outlines: dict[int, tuple[int, int, bytes, bool, bool]] = {}
        for ord_, row in taken.items():
            f = row.standing.found
            outlines[ord_] = (f.to_configuration_id, row.seq, f.to_fingerprint, True, False)
        for ord_, s in ignored.items():
            f = s.found
            if f.first_seq is not None:
                first = (f.first_configuration_id, f.first_seq, f.first_fingerprint)
                outlines[ord_] = (*first, f.first_handled, True)
            else:
                outlines[ord_] = (f.configuration_id, s.actor.seq, f.fingerprint, False, False)
        configurations = await self._catalogue.configurations(
            self._connection, {outline[0] for outline in outlines.values()}
        )
        answers: dict[int, Outcome] = {}
        for ord_, (configuration_id, seq, chain, handled, repeated) in outlines.items():
            event = standings[ord_].event
            answer = Answer(
                event.actor_id,
                configurations[configuration_id],
                seq,
                show(chain),
                handled,
                repeated,
            )
            answers[ord_] = Unhandled(answer) if event.strict and not handled else answer
        return answers
