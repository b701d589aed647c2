"""Processing events: a batch at a time, every step of it set-based.

A batch is one transaction: lock the machines (shared), lock the actors, walk each actor along the
edges of its events, append to the log and move the actors. Every event gets an outcome of its own;
one that fails never fails its neighbours. Events for one actor keep their order.

Where this process knows the edges, a batch costs two round trips: the locks, and what is written::

    begin, plan, lock machines, lock actors, find first ─▶ walk ─▶ append, remember, commit
                                                           │ ▲
                                               unknown edges: find or fill in
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import UUID

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import StoreUnavailable
from statekeep.engine.history.fingerprint import show
from statekeep.engine.store import edges, interning, takeover
from statekeep.engine.store.actors import actor_key
from statekeep.engine.store.catalogue import Catalogue, Edge, EdgeKey
from statekeep.engine.store.database import Database
from statekeep.engine.store.edges import Wanted
from statekeep.engine.store.events import (
    ActorMissing,
    Answer,
    Attempt,
    Busy,
    Event,
    Failed,
    Outcome,
    Unstable,
)
from statekeep.engine.store.keyring import KeyRing, context_place
from statekeep.engine.store.locks import MACHINE_SPACE
from statekeep.engine.store.round_trip import COMMIT, Call, exchange
from statekeep.engine.store.sql import prepared_statements
from statekeep.engine.store.walk import First, Walk, Written, advance

_SQL = prepared_statements("events.sql")


async def process(
    database: Database, catalogue: Catalogue, events: Sequence[Event]
) -> list[Outcome]:
    """Process the events and return their outcomes, in the same order; never raises.

    A batch that cannot be stored is halved until the event at fault stands alone. Those of its actor
    behind it fail with it: taken without it, they would be taken out of order.
    """
    return cast("list[Outcome]", await _Processing(database, catalogue, waits=True).run(events))


async def attempt(
    database: Database, catalogue: Catalogue, events: Sequence[Event]
) -> list[Attempt]:
    """Process the events whose machines nobody holds; likewise."""
    return await _Processing(database, catalogue, waits=False).run(events)


@dataclass(frozen=True, slots=True)
class _Processing:
    """Events become transactions here."""

    database: Database
    catalogue: Catalogue
    waits: bool

    async def run(self, events: Sequence[Event]) -> list[Attempt]:
        if not events:
            return []
        try:
            return await self._in_one(events)
        except StoreUnavailable as error:
            # Whether it was committed is unknown: trying again could append events twice.
            return [Failed(error)] * len(events)
        except Exception as error:
            # It was rolled back, so trying again is safe.
            if len(events) == 1:
                return [Failed(error)]
            return await self._halved(events)

    async def _in_one(self, events: Sequence[Event]) -> list[Attempt]:
        """Process the events or raise; edges that turn out to be stale are found anew."""
        batch = self._batch(events)
        try:
            return await self._transacted(batch)
        except _Stale:
            self.catalogue.edges.forget(batch.trusted)
            return await self._transacted(self._batch(events, trusts_known=False))

    async def _transacted(self, batch: "_Batch") -> list[Attempt]:
        try:
            outcomes = await takeover.transact(self.database, self.catalogue, batch.run)
            batch.keep_edges()
            return outcomes
        finally:
            self.catalogue.storing -= batch.again

    def _batch(self, events: Sequence[Event], *, trusts_known: bool = True) -> "_Batch":
        return _Batch(
            self.catalogue,
            self.database.keys,
            events,
            waits=self.waits,
            trusts_known=trusts_known,
        )

    async def _halved(self, events: Sequence[Event]) -> list[Attempt]:
        """Process one half after the other."""
        middle = len(events) // 2
        before = await self.run(events[:middle])
        undone = {
            (event.namespace, event.actor_id): outcome
            for event, outcome in zip(events, before, strict=False)
            if isinstance(outcome, Failed | Busy)
        }
        behind = [undone.get((event.namespace, event.actor_id)) for event in events[middle:]]
        wanted = [e for e, outcome in zip(events[middle:], behind, strict=True) if outcome is None]
        after = iter(await self.run(wanted))
        return before + [outcome or next(after) for outcome in behind]


class _Stale(Exception):
    """An edge that this process knew leads to a cohort that has been retired since, or is gone."""


class _Batch:
    """One transaction over events."""

    def __init__(
        self,
        catalogue: Catalogue,
        keys: KeyRing,
        events: Sequence[Event],
        *,
        waits: bool,
        trusts_known: bool,
    ) -> None:
        self._waits = waits
        self._trusts_known = trusts_known
        self._catalogue = catalogue
        self._keys = keys
        self._events = events
        self._queues: dict[UUID, deque[tuple[int, Event]]] = {}
        for ord_, event in enumerate(events):
            key = actor_key(event.namespace, event.actor_id)
            self._queues.setdefault(key, deque()).append((ord_, event))
        self.trusted: set[EdgeKey] = set()
        """The edges that it went along because this process knew them."""

        self._lasting: dict[EdgeKey, Edge] = {}
        self._passing: dict[EdgeKey, Edge] = {}
        self._storing: dict[Wanted, int | None] = {}
        """Edges that the database does not have yet, with the ids of the cohorts that they lead to."""

        self.again: set[EdgeKey] = set()
        """Those of them that this process knew, claimed by this transaction."""

        self._busy: dict[UUID, Busy] = {}

    async def run(self, connection: AsyncConnection) -> list[Attempt]:
        """Gather under the locks, decide, act."""
        self._lasting.clear()  # a transaction that lost a race is run again
        self._passing.clear()
        self._storing.clear()
        self._busy.clear()
        walks = await self._lock(connection)
        await self._walk(connection, walks)
        await self._write(connection, walks)
        outcomes: dict[int, Attempt] = {}
        for walk in walks:
            outcomes |= walk.outcomes
        for key, busy in self._busy.items():
            outcomes |= {ord_: busy for ord_, _ in self._queues[key]}
        return [
            outcomes[ord_] if ord_ in outcomes else ActorMissing(event.actor_id)
            for ord_, event in enumerate(self._events)
        ]

    def keep_edges(self) -> None:
        """Let later batches use what this one has found, now that it is committed."""
        for key, edge in self._lasting.items():
            self._catalogue.edges.keep(key, edge)
        for key in self.again:
            known = self._catalogue.edges.find(key)
            if known is not None and (key[0], key[2]) in self._storing:
                self._catalogue.edges.keep(key, replace(known, is_stored=True))

    async def _lock(self, connection: AsyncConnection) -> list[Walk]:
        """Lock the machines and then the actors; return those that are there."""
        keys = list(self._queues)
        patched = [
            any(event.context is not None for _, event in queue) for queue in self._queues.values()
        ]
        keyed = [
            (key, event.idempotency_key)
            for key, queue in self._queues.items()
            for _, event in queue
            if event.idempotency_key is not None
        ]
        calls: list[Call] = [
            (_SQL["plan_for_any_size"], {}),
            (
                _SQL["lock_machines"] if self._waits else _SQL["try_machines"],
                {"space": MACHINE_SPACE, "keys": keys},
            ),
            (_SQL["lock_actors"], {"keys": keys, "patched": patched}),
        ]
        if keyed:
            parameters = {
                "keys": [key for key, _ in keyed],
                "idempotency": [idempotency for _, idempotency in keyed],
            }
            calls.append((_SQL["find_first"], parameters))
        _, [(_, held)], found, *first = await exchange(connection, *calls)
        if held:
            [busy] = await exchange(
                connection, (_SQL["machines"], {"keys": keys, "machines": held})
            )
            self._busy = {keys[ord_]: Busy(machine_id) for ord_, machine_id in busy}
        earlier: Mapping[UUID, dict[str, First]] = {}
        if first:
            earlier = await self._first(connection, keyed, first[0])
        return [
            Walk(
                key=(key := keys[ord_]),
                epoch=epoch,
                cohort_id=cohort_id,
                seq=seq,
                context=context,
                ahead=self._queues[key].copy(),
                first=earlier.get(key, {}),
            )
            for ord_, epoch, cohort_id, seq, context in found
        ]

    async def _first(
        self,
        connection: AsyncConnection,
        keyed: Sequence[tuple[UUID, str]],
        rows: Sequence[tuple[Any, ...]],
    ) -> Mapping[UUID, dict[str, First]]:
        """Return what earlier events with the same keys did, by actor and idempotency key."""
        configurations = await self._catalogue.configurations(connection, {row[4] for row in rows})
        found: dict[UUID, dict[str, First]] = {}
        for ord_, seq, handled, body_digest, configuration_id, chain in rows:
            key, idempotency_key = keyed[ord_]
            actor_id = self._queues[key][0][1].actor_id
            answer = Answer(actor_id, configurations[configuration_id], seq, show(chain), handled)
            found.setdefault(key, {})[idempotency_key] = First(body_digest, answer)
        return found

    async def _walk(self, connection: AsyncConnection, walks: Sequence[Walk]) -> None:
        """Walk every actor to its end; find the edges that are not known, for all of them at once."""
        ends: dict[Wanted, Unstable | Failed] = {}
        going = walks
        while going:
            stopped = [
                (walk, wanted)
                for walk in going
                if (wanted := advance(walk, self._keys, self._edge, ends)) is not None
            ]
            if not stopped:
                return
            epochs = {wanted: walk.epoch for walk, wanted in stopped}
            found = await edges.find(
                connection,
                self._catalogue,
                epochs.keys(),
                is_last=all(len(walk.ahead) == 1 for walk, _ in stopped),
            )
            for kept, new in ((self._lasting, found.lasting), (self._passing, found.passing)):
                for wanted, edge in new.items():
                    kept[wanted[0], epochs[wanted], wanted[1]] = edge
            self._storing |= found.new
            ends |= {w: Unstable(at.configuration.label) for w, at in found.unstable.items()}
            ends |= {w: Failed(error) for w, error in found.refused.items()}
            if any(wanted not in found for wanted in epochs):
                raise _Stale
            going = [walk for walk, _ in stopped]

    def _edge(self, cohort_id: int, epoch: int, event_type: str) -> Edge | None:
        key = (cohort_id, epoch, event_type)
        known = self._catalogue.edges.find(key) if self._trusts_known else None
        if known is not None:
            self.trusted.add(key)
            if not known.is_stored and self._claims(key):
                to = known.target
                self._storing[cohort_id, event_type] = None if to is None else to.cohort_id
        return known or self._lasting.get(key) or self._passing.get(key)

    def _claims(self, key: EdgeKey) -> bool:
        """Return whether it is for this transaction to store an edge."""
        if key not in self.again:
            if key in self._catalogue.storing:
                return False
            self.again.add(key)
            self._catalogue.storing.add(key)
        return True

    async def _write(self, connection: AsyncConnection, walks: Sequence[Walk]) -> None:
        """Store new edges, append to the log, move the actors, remember what was ignored; and commit."""
        taken = [(walk, row) for walk in walks for row in walk.taken]
        ignored = [row for walk in walks for row in walk.ignored]
        calls: list[Call] = []
        if self._storing:
            calls.append(interning.edges(self._storing))
        if taken:
            calls.append((_SQL["append"], self._appended(taken)))
        if ignored:
            calls.append((_SQL["remember_ignored"], _remembered(ignored)))
        try:
            await exchange(connection, *calls, COMMIT)
        except (psycopg.errors.NotNullViolation, psycopg.errors.ForeignKeyViolation) as error:
            raise _Stale from error

    def _appended(self, taken: Sequence[tuple[Walk, Written]]) -> Mapping[str, list[Any]]:
        last = [row is walk.taken[-1] for walk, row in taken]
        return {
            "keys": [row.key for _, row in taken],
            "seqs": [row.seq for _, row in taken],
            "cohorts": [row.place.cohort_id for _, row in taken],
            "histories": [row.place.history_id for _, row in taken],
            "configurations": [row.place.configuration.id for _, row in taken],
            "epochs": [row.epoch for _, row in taken],
            "data": [row.data for _, row in taken],
            "idempotency": [row.event.idempotency_key for _, row in taken],
            "digests": [row.event.body_digest for _, row in taken],
            "last": last,
            "contexts": [
                self._keys.seal(walk.patched, context_place(walk.key))
                if is_last and walk.patched is not None
                else None
                for (walk, _), is_last in zip(taken, last, strict=True)
            ],
        }


def _remembered(ignored: Sequence[Written]) -> Mapping[str, list[Any]]:
    return {
        "keys": [row.key for row in ignored],
        "idempotency": [row.event.idempotency_key for row in ignored],
        "digests": [row.event.body_digest for row in ignored],
        "seqs": [row.seq for row in ignored],
        "histories": [row.place.history_id for row in ignored],
        "configurations": [row.place.configuration.id for row in ignored],
    }
