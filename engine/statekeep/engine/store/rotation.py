"""Rotation: sealing again, under the first key of the ring, whatever another key sealed.

It runs beside the traffic, a step at a time, each a transaction of its own::

    find the next rows by their header ─ lock those that need it ─ open, seal ─ write ─ commit

A step that is broken off leaves nothing behind, and a rotation that begins again passes quickly over what
was sealed before: so it can be stopped at any time. A context patch either commits before the lock, and then
it is the patched context that is sealed again; or it waits for the lock, and reads what was written here.

New values may appear behind a step, sealed by a process that has not loaded the new ring yet. So there is
another pass, until one finds nothing to do.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import SealBroken
from statekeep.engine.ids import ActorId, Namespace
from statekeep.engine.store.database import Database
from statekeep.engine.store.keyring import KeyRing, context_place, event_place
from statekeep.engine.store.sql import statements

_SQL = statements("rotation.sql")

STEP_ROWS = 2_000
"""Rows that one step looks at."""

STEP_VALUES = 500
"""Values that one step seals: events of their actors wait meanwhile, some hundredths of a second."""

STEP_BYTES = 4 * 1024 * 1024
"""Sealed bytes that one step opens, unless the first value alone has more."""

PASSES = 5
"""Passes in all; who still seals under another key by then will not stop by itself."""

SHOWN = 20
"""Values named that do not open; the others are counted."""

SLICE_ROWS = 50_000
"""Rows of one query when counting."""

MAX_SLICES = 4_096

_KEYS = 2**128
"""Keys of actors are spread evenly over the UUIDs, so that a key says how far a pass has got."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A value that does not open, and was left as it is."""

    namespace: Namespace
    actor_id: ActorId
    seq: int | None
    """Of the event whose payload it is; ``None``: it is the actor's context."""

    reason: str


@dataclass(slots=True)
class Progress:
    """How far a rotation has got."""

    number: int = 1
    """Of the pass."""

    fraction: float = 0.0
    """Of the pass that is done, from 0 to 1."""

    contexts: int = 0
    """Sealed again, in all passes."""

    payloads: int = 0

    found: int = 0
    """To be sealed again, in this pass; those that do not open are not among them."""

    broken: int = 0
    """That do not open, in this pass."""

    shown: list[Broken] = field(default_factory=list)
    """The first of them."""

    @property
    def resealed(self) -> int:
        """Values sealed again, in all passes."""
        return self.contexts + self.payloads


Position = tuple[UUID, int]
"""A key of an actor and a seq: where a step ends."""

START: Position = (UUID(int=0), 0)


class _Shelf(Protocol):
    """One of the two places where sealed values are."""

    async def next(
        self, connection: AsyncConnection, after: Position, ring: KeyRing
    ) -> Sequence[Any]: ...

    async def lock(self, connection: AsyncConnection, rows: Sequence[Any]) -> Sequence[Any]: ...

    async def write(
        self, connection: AsyncConnection, sealed: Mapping[Position, bytes]
    ) -> None: ...

    def position(self, row: Any) -> Position: ...

    def place(self, row: Any) -> bytes: ...

    def broken(self, row: Any, reason: str) -> Broken: ...

    def count(self, progress: Progress, number: int) -> None: ...


class _Contexts:
    async def next(
        self, connection: AsyncConnection, after: Position, ring: KeyRing
    ) -> Sequence[Any]:
        keys = _wanted(ring) | {"after": after[0]}
        return (await connection.execute(_SQL["next_contexts"], keys)).all()

    async def lock(self, connection: AsyncConnection, rows: Sequence[Any]) -> Sequence[Any]:
        keys = {"keys": [row.key for row in rows]}
        return (await connection.execute(_SQL["lock_contexts"], keys)).all()

    async def write(self, connection: AsyncConnection, sealed: Mapping[Position, bytes]) -> None:
        keys = {"keys": [key for key, _ in sealed], "sealed": list(sealed.values())}
        await connection.execute(_SQL["write_contexts"], keys)

    def position(self, row: Any) -> Position:
        return row.key, 0

    def place(self, row: Any) -> bytes:
        return context_place(row.key)

    def broken(self, row: Any, reason: str) -> Broken:
        return Broken(Namespace(row.namespace), ActorId(row.id), None, reason)

    def count(self, progress: Progress, number: int) -> None:
        progress.contexts += number


class _Payloads:
    async def next(
        self, connection: AsyncConnection, after: Position, ring: KeyRing
    ) -> Sequence[Any]:
        keys = _wanted(ring) | {"after": after[0], "after_seq": after[1]}
        return (await connection.execute(_SQL["next_payloads"], keys)).all()

    async def lock(self, connection: AsyncConnection, rows: Sequence[Any]) -> Sequence[Any]:
        keys = {"keys": [row.key for row in rows], "seqs": [row.seq for row in rows]}
        return (await connection.execute(_SQL["lock_payloads"], keys)).all()

    async def write(self, connection: AsyncConnection, sealed: Mapping[Position, bytes]) -> None:
        await connection.execute(
            _SQL["write_payloads"],
            {
                "keys": [key for key, _ in sealed],
                "seqs": [seq for _, seq in sealed],
                "sealed": list(sealed.values()),
            },
        )

    def position(self, row: Any) -> Position:
        return row.key, row.seq

    def place(self, row: Any) -> bytes:
        return event_place(row.key, row.seq)

    def broken(self, row: Any, reason: str) -> Broken:
        return Broken(Namespace(row.namespace), ActorId(row.id), row.seq, reason)

    def count(self, progress: Progress, number: int) -> None:
        progress.payloads += number


_SHELVES: tuple[_Shelf, ...] = (_Contexts(), _Payloads())


def _wanted(ring: KeyRing) -> dict[str, object]:
    return {"header": ring.header, "length": len(ring.header), "rows": STEP_ROWS}


async def rotate(database: Database, progress: Progress) -> AsyncIterator[None]:
    """Seal everything under the first key of the ring, and come back after each step.

    Args:
        database: its ring has the old keys and, as the first, the new one.
        progress: new; says how far it is, and in the end what came of it. If ``found`` is not 0 then, some
            process seals under another key all the time.
    """
    for number in range(1, PASSES + 1):
        progress.number, progress.found, progress.broken = number, 0, 0
        progress.shown.clear()
        for done, shelf in enumerate(_SHELVES):
            after: Position | None = START
            while after is not None:
                after = await _step(database, shelf, after, progress)
                within = 1.0 if after is None else after[0].int / _KEYS
                progress.fraction = (done + within) / len(_SHELVES)
                yield
        if progress.found == 0:
            return


async def _step(
    database: Database, shelf: _Shelf, after: Position, progress: Progress
) -> Position | None:
    """Take one step; return where it ended, ``None`` at the end."""
    ring = database.keys

    async def work(
        connection: AsyncConnection,
    ) -> tuple[Position | None, int, Sequence[Broken]]:
        rows = await shelf.next(connection, after, ring)
        if not rows:
            return None, 0, ()
        every = [row for row in rows if row.stale]
        stale = _lightest(every)
        end = shelf.position(rows[-1] if len(stale) == len(every) else stale[-1])
        if not stale:
            return end, 0, ()
        sealed, broken = _resealed(shelf, ring, await shelf.lock(connection, stale))
        if sealed:
            await shelf.write(connection, sealed)
        return end, len(sealed), broken

    end, number, broken = await database.transact(work)
    shelf.count(progress, number)
    progress.found += number
    progress.broken += len(broken)
    progress.shown += broken[: SHOWN - len(progress.shown)]
    return end


def _lightest(rows: Sequence[Any]) -> Sequence[Any]:
    """Return the first rows whose values together are neither too many nor too large; one at least."""
    total = 0
    for number, row in enumerate(rows):
        total += row.bytes
        if number == STEP_VALUES or (total > STEP_BYTES and number > 0):
            return rows[:number]
    return rows


def _resealed(
    shelf: _Shelf, ring: KeyRing, rows: Iterable[Any]
) -> tuple[dict[Position, bytes], list[Broken]]:
    """Return the new values of locked rows, and those that do not open.

    A row may have been sealed anew between the look at it and the lock.
    """
    sealed: dict[Position, bytes] = {}
    broken: list[Broken] = []
    for row in rows:
        if row.sealed.startswith(ring.header):
            continue
        place = shelf.place(row)
        try:
            sealed[shelf.position(row)] = ring.seal(ring.open(row.sealed, place), place)
        except SealBroken as error:
            broken.append(shelf.broken(row, str(error)))
    return sealed, broken


@dataclass(slots=True)
class Census:
    """How many values are under which key; ``None`` stands for what is not a sealed value at all."""

    fraction: float = 0.0
    contexts: Counter[str | None] = field(default_factory=Counter)
    payloads: Counter[str | None] = field(default_factory=Counter)


async def census(database: Database) -> AsyncIterator[Census]:
    """Count every sealed value by the id of its key; yield the count so far after each query.

    It reads the whole of both tables, in as many queries as there are ``SLICE_ROWS``, so that none of them
    takes long and holds back the cleaning of dead rows.
    """

    async def estimate(connection: AsyncConnection) -> int:
        return int((await connection.execute(_SQL["estimate"])).scalar_one() or 0)

    slices = max(1, min(MAX_SLICES, await database.read(estimate) // SLICE_ROWS))
    counted = Census()
    for number in range(slices):
        keys = {
            "low": UUID(int=_KEYS * number // slices),
            "high": UUID(int=_KEYS * (number + 1) // slices - 1),
        }

        async def work(
            connection: AsyncConnection, keys: Mapping[str, UUID] = keys
        ) -> tuple[Sequence[sa.Row[Any]], Sequence[sa.Row[Any]]]:
            contexts = (await connection.execute(_SQL["count_contexts"], keys)).all()
            return contexts, (await connection.execute(_SQL["count_payloads"], keys)).all()

        contexts, payloads = await database.read(work)
        counted.contexts.update(_by_key(contexts))
        counted.payloads.update(_by_key(payloads))
        counted.fraction = (number + 1) / slices
        yield counted


def _by_key(rows: Sequence[sa.Row[Any]]) -> dict[str | None, int]:
    return {
        None if row.key_id is None else row.key_id.decode(errors="replace"): row.number
        for row in rows
    }
