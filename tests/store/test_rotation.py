"""Sealing again under a new key loses nothing, whatever happens meanwhile."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import pytest
from tests.conftest import KEYS
from tests.store.conftest import World
from tests.store.definitions import LOAN_1

from statekeep.engine.errors import SealBroken
from statekeep.engine.store import rotation
from statekeep.engine.store.database import Database, connect
from statekeep.engine.store.events import Answer
from statekeep.engine.store.keyring import KeyRing, context_place, event_place
from statekeep.engine.store.rotation import Broken, Census, Progress, census, rotate

NEW = KeyRing({"new": bytes(range(32, 64))})
BOTH = KeyRing({**NEW.keys, **KEYS.keys})
OLD_FIRST = KeyRing({**KEYS.keys, **NEW.keys})


@pytest.fixture
async def both(database_url: str) -> Any:
    """The database as a process sees it that has the new key first, and the old one still."""
    database = connect(database_url, BOTH)
    yield database
    await database.close()


async def people(world: World, number: int) -> None:
    """Spawn actors with contexts, payloads, and events without payloads."""
    await world.propose("v1", LOAN_1)
    for n in range(number):
        await world.spawn(f"a{n}", "v1", context=json.dumps({"n": n}).encode())
        await world.answered(f"a{n}", "START", data=f'{{"start": {n}}}'.encode())
        await world.answered(f"a{n}", "PAY")
    await world.spawn("bare", "v1", "START")


async def finished(database: Database) -> Progress:
    progress = Progress()
    async for _ in rotate(database, progress):
        pass
    return progress


async def opened(
    world: World, ring: KeyRing
) -> Mapping[str, tuple[bytes | None, Sequence[bytes | None]]]:
    """Return every context and payload, opened with the ring."""
    found = {}
    for (name,) in await world.rows("select id from actor order by id"):
        actor = await world.actor(name)
        context = actor.context and ring.open(actor.context, context_place(actor.key))
        payloads = [
            event.data and ring.open(event.data, event_place(actor.key, event.seq))
            for event in await world.log(name)
        ]
        found[name] = (context, payloads)
    return found


async def everything_else(world: World) -> Sequence[Any]:
    """Return all that a rotation has no business with."""
    actors = await world.rows("select to_jsonb(a) - 'context' from actor a order by key")
    events = await world.rows("select to_jsonb(e) - 'data' from event e order by actor_key, seq")
    return [*actors, *events]


async def counted(database: Database) -> Census:
    counts = [found async for found in census(database)]
    return counts[-1]


async def test_everything_is_under_the_new_key_and_nothing_else_has_changed(
    world: World, both: Database
) -> None:
    await people(world, 7)
    before, rest = await opened(world, KEYS), await everything_else(world)
    progress = await finished(both)
    assert (progress.contexts, progress.payloads, progress.broken, progress.found) == (7, 7, 0, 0)
    assert progress.fraction == 1.0
    assert await opened(world, NEW) == before
    assert await everything_else(world) == rest
    with pytest.raises(SealBroken, match="key new is not in the key ring"):
        await opened(world, KEYS)


async def test_a_second_rotation_finds_nothing_to_do(world: World, both: Database) -> None:
    await people(world, 3)
    await finished(both)
    rows = await world.rows("select actor.xmin, event.xmin from actor, event")
    assert (await finished(both)).resealed == 0
    assert await world.rows("select actor.xmin, event.xmin from actor, event") == rows


@pytest.mark.parametrize("stop_after", [1, 3, 8, 20])
async def test_it_can_be_stopped_anywhere_and_goes_on_where_it_was(
    world: World, both: Database, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    monkeypatch.setattr(rotation, "STEP_ROWS", 1)
    await people(world, 6)
    before = await opened(world, KEYS)
    first = Progress()
    steps = 0
    async for _ in rotate(both, first):
        steps += 1
        if steps == stop_after:
            break
    assert 1 <= first.resealed <= 12
    assert await opened(world, BOTH) == before
    second = await finished(both)
    assert first.resealed + second.resealed == 12
    assert await opened(world, NEW) == before


async def test_a_step_that_is_broken_off_leaves_nothing_behind(
    world: World, both: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people(world, 4)
    before = await opened(world, KEYS)

    class PulledTheplug(Exception):
        pass

    def fail(*_: object) -> Any:
        raise PulledTheplug

    with monkeypatch.context() as patch:
        patch.setattr(rotation._Payloads, "write", fail)
        with pytest.raises(PulledTheplug):
            await finished(both)
    now = await counted(both)
    assert (now.contexts, now.payloads) == ({"new": 4}, {"test": 4})
    assert await opened(world, BOTH) == before
    assert (await finished(both)).payloads == 4


async def test_large_values_are_taken_a_few_at_a_time(
    world: World, both: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "STEP_BYTES", 30_000)
    await world.propose("v1", LOAN_1)
    for n in range(9):
        context = json.dumps("x" * (10_000 if n % 3 else 50_000)).encode()
        await world.spawn(f"a{n}", "v1", context=context)
    before = await opened(world, KEYS)
    progress = Progress()
    most = last = 0
    async for _ in rotate(both, progress):
        most, last = max(most, progress.contexts - last), progress.contexts
    assert most <= 2
    assert progress.contexts == 9
    assert await opened(world, NEW) == before


async def test_only_so_many_are_locked_at_a_time(
    world: World, both: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "STEP_VALUES", 2)
    await people(world, 7)
    before = await opened(world, KEYS)
    progress = Progress()
    most = last = 0
    async for _ in rotate(both, progress):
        most, last = max(most, progress.resealed - last), progress.resealed
    assert (most, progress.resealed) == (2, 14)
    assert await opened(world, NEW) == before


async def test_nothing_is_lost_under_traffic(
    world: World, both: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process has loaded the new ring, one seals under the old key for a while yet."""
    monkeypatch.setattr(rotation, "STEP_ROWS", 20)
    await people(world, 10)
    late = connect(database_url, OLD_FIRST)
    writers = [World(both, world.catalogue), World(late, world.catalogue)]
    sent: dict[str, list[str]] = {f"a{n}": [] for n in range(10)}

    async def write(number: int, writer: World) -> None:
        for turn in range(1, 21):
            if turn == 15:
                writer.database.holder.ring = BOTH
            for name in list(sent)[number::2]:
                value = f"{number}-{turn}"
                answer = await writer.send(
                    name,
                    "UPLOAD" if turn % 2 else "BACK",
                    context={value: turn},
                    data=json.dumps(value).encode(),
                )
                assert isinstance(answer, Answer), answer
                assert answer.handled
                sent[name].append(value)

    async with asyncio.TaskGroup() as group:
        writing = [group.create_task(write(n, writer)) for n, writer in enumerate(writers)]
        rotations = 0
        while not all(task.done() for task in writing):
            await finished(both)
            rotations += 1
    await finished(both)
    assert rotations > 1
    for name, (context, payloads) in (await opened(world, NEW)).items():
        if name in sent:
            assert context is not None
            kept = json.loads(context)
            assert kept.pop("n") == int(name[1:])
            assert list(kept) == sent[name]
            notes = [json.loads(data) for data in payloads if data]
            assert notes[1:] == sent[name]
    await late.close()


async def test_a_patch_that_came_before_is_what_is_sealed_again(
    world: World, both: Database, database_url: str
) -> None:
    """The row is locked by a patch while the rotation looks at it: it waits, and reads the patched one."""
    await people(world, 1)
    actor = await world.actor("a0")
    place = context_place(actor.key)
    with psycopg.connect(database_url) as patch:
        patch.execute("select from statekeep.actor where key = %s for no key update", [actor.key])
        rotating = asyncio.create_task(finished(both))
        async with asyncio.timeout(30):
            while await _waiters(world) == 0:  # noqa: ASYNC110  (Postgres sets no asyncio.Event)
                await asyncio.sleep(0.01)
        patched = KEYS.seal(b'{"n": "patched"}', place)
        patch.execute(
            "update statekeep.actor set context = %s where key = %s", [patched, actor.key]
        )
    assert (await rotating).contexts == 1
    assert (await opened(world, NEW))["a0"][0] == b'{"n": "patched"}'


async def _waiters(world: World) -> int:
    [(number,)] = await world.rows(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    )
    return int(number)


async def test_what_does_not_open_is_named_and_left_as_it_is(
    world: World, both: Database, database_url: str
) -> None:
    await people(world, 4)
    lost = World(connect(database_url, KeyRing({"lost": bytes(32)})), world.catalogue)
    await lost.spawn("lost", "v1", context=b"{}")
    await lost.answered("lost", "START", data=b"{}")
    await lost.database.close()
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "update statekeep.actor set context = (select context from statekeep.actor where id = 'a1')"
            " where id = 'a0'"
        )
    rows = await world.rows("select context from actor where id in ('a0', 'lost') order by id")
    progress = await finished(both)
    assert (progress.contexts, progress.payloads, progress.broken) == (3, 4, 3)
    assert progress.found == 0
    reasons = {(b.actor_id, b.seq): b.reason for b in progress.shown}
    assert reasons == {
        ("a0", None): "the value was changed or belongs to another row",
        ("lost", None): "key lost is not in the key ring",
        ("lost", 1): "key lost is not in the key ring",
    }
    assert all(isinstance(b, Broken) and b.namespace == "default" for b in progress.shown)
    assert (
        await world.rows("select context from actor where id in ('a0', 'lost') order by id") == rows
    )


async def test_only_the_first_of_many_that_do_not_open_are_named(
    world: World, both: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "SHOWN", 3)
    await people(world, 5)
    both.holder.ring = NEW
    progress = await finished(both)
    assert (len(progress.shown), progress.broken, progress.resealed) == (3, 10, 0)


async def test_who_goes_on_sealing_under_another_key_is_noticed(
    world: World, both: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "PASSES", 3)
    await people(world, 1)
    progress, turn = Progress(), 0
    async for _ in rotate(both, progress):
        turn += 1
        await world.spawn(f"late-{turn}", "v1", context=b"{}")
    assert progress.number == 3
    assert progress.found > 0


@pytest.mark.parametrize("rows", [1, 2, 5_000])
async def test_an_empty_database_is_done_at_once(
    world: World, both: Database, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(rotation, "STEP_ROWS", rows)
    progress = await finished(both)
    assert (progress.resealed, progress.number, progress.fraction) == (0, 1, 1.0)


@pytest.mark.parametrize(
    "statement",
    [
        "update statekeep.event set data = null where data is not null",
        "update statekeep.event set data = 'x' where data is null",
        "update statekeep.event set data = 'x', at = now() where data is not null",
        "update statekeep.event set data = 'x', epoch = epoch + 1 where data is not null",
        "delete from statekeep.event",
    ],
)
async def test_the_guard_of_the_log_lets_a_new_seal_through_and_nothing_else(
    world: World, database_url: str, statement: str
) -> None:
    await people(world, 2)
    with psycopg.connect(database_url) as connection:
        connection.execute("update statekeep.event set data = 'x' where data is not null")
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(statement)


@pytest.mark.parametrize("slice_rows", [1, 7, 50_000])
async def test_a_census_counts_every_value_once(
    world: World,
    both: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    slice_rows: int,
) -> None:
    monkeypatch.setattr(rotation, "SLICE_ROWS", slice_rows)
    await people(world, 20)
    progress, steps = Progress(), 0
    monkeypatch.setattr(rotation, "STEP_ROWS", 5)
    async for _ in rotate(both, progress):
        steps += 1
        if steps == 2:
            break
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("analyze statekeep.actor, statekeep.event")
        connection.execute(
            "update statekeep.event set data = 'x' where actor_key ="
            " (select key from statekeep.actor where id = 'a3') and seq = 1"
        )
    now = await counted(both)
    assert now.contexts["new"] == progress.contexts > 0
    assert now.contexts["new"] + now.contexts["test"] == 20
    assert now.payloads == {"test": 19, None: 1}
    assert now.fraction == 1.0
