"""The same key again is the same event: a duplicate would change a fingerprint for ever."""

import asyncio
from dataclasses import replace

from tests.conftest import KEYS
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.engine.store.database import connect
from statekeep.engine.store.events import Answer, KeyReused, SeqDiffers, Unhandled
from statekeep.engine.store.spawning import Spawned, Taken


async def test_the_same_key_twice_is_one_event_and_one_answer(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    first = await world.answered("a", "START", idempotency_key="k")
    await world.send("a", "PAY")
    second = await world.answered("a", "START", idempotency_key="k")
    assert second == replace(first, repeated=True)
    assert [logged.event_type for logged in await world.log("a")] == ["START", "PAY"]


async def test_from_many_connections_at_once_it_is_still_one_event(
    world: World, database_url: str
) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "WAIVE", "UPLOAD")
    others = [World(connect(database_url, KEYS, pool_size=4)) for _ in range(4)]
    sent = [other.answered("a", "BACK", idempotency_key="k") for other in others * 5]
    answers = await asyncio.gather(*sent)
    for other in others:
        await other.database.close()
    assert [answer.repeated for answer in answers].count(False) == 1
    assert {replace(answer, repeated=False) for answer in answers} == {
        replace(answers[0], repeated=False)
    }
    assert (await world.actor("a")).seq == 4


async def test_after_a_migration_the_answer_is_the_first_one(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    first = await world.answered("a", "PAY", idempotency_key="k")
    await world.propose("v2", LOAN_2, parent="v1")
    await world.apply("v2")
    assert await world.place("a") == ("v2", "income")
    second = await world.answered("a", "PAY", idempotency_key="k")
    assert (second.configuration.version, second.configuration.label) == ("v1", "documents")
    assert second == replace(first, repeated=True)


async def test_what_was_not_handled_stays_so_for_its_key(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    first = await world.answered("a", "PAY", idempotency_key="k")
    assert not first.handled
    await world.send("a", "START")
    second = await world.answered("a", "PAY", idempotency_key="k")
    assert second == replace(first, repeated=True)
    assert (await world.answered("a", "PAY", idempotency_key="k2")).handled


async def test_what_was_not_handled_before_a_migration_stays_so_after_it(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    first = await world.answered("a", "VERIFY", idempotency_key="k")
    await world.propose("v2", LOAN_2, parent="v1")
    await world.apply("v2")
    assert await world.answered("a", "VERIFY", idempotency_key="k") == replace(first, repeated=True)
    assert await world.place("a") == ("v2", "income")


async def test_two_events_with_one_key_in_one_batch_are_one(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "WAIVE", "UPLOAD")
    event = world.event("a", "BACK", idempotency_key="k")
    first, second = await world.process(event, event)
    assert isinstance(first, Answer)
    assert second == replace(first, repeated=True)
    assert (await world.actor("a")).seq == 4


async def test_a_key_with_another_body_is_refused_and_changes_nothing(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    await world.answered("a", "START", idempotency_key="handled")
    await world.answered("a", "START", idempotency_key="ignored")
    before = await world.actor("a")
    for key in ("handled", "ignored"):
        assert await world.send("a", "PAY", idempotency_key=key) == KeyReused(key)
    assert await world.actor("a") == before


async def test_two_actors_may_use_one_key(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    await world.spawn("b", "v1")
    outcomes = await world.process(
        *(world.event(actor, "START", idempotency_key="k") for actor in "ab")
    )
    assert [(o.handled, o.repeated) for o in outcomes if isinstance(o, Answer)] == [
        (True, False),
        (True, False),
    ]


async def test_a_retry_is_answered_though_the_actor_has_moved_on_from_its_seq(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    first = await world.answered("a", "START", idempotency_key="k", if_seq=0)
    second = await world.answered("a", "START", idempotency_key="k", if_seq=0)
    assert second == replace(first, repeated=True)


async def test_an_event_that_came_too_early_can_use_its_key_once_it_fits(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    assert await world.send("a", "PAY", idempotency_key="k", if_seq=1) == SeqDiffers(1, 0)
    await world.send("a", "START")
    assert (await world.answered("a", "PAY", idempotency_key="k", if_seq=1)).handled


async def test_an_unhandled_event_stays_refused_after_the_actor_has_moved_on(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    first = await world.send("a", "PAY", idempotency_key="k", strict=True)
    assert isinstance(first, Unhandled)
    await world.send("a", "START")
    again = await world.send("a", "PAY", idempotency_key="k", strict=True)
    assert isinstance(again, Unhandled)
    assert (again.answer.seq, again.answer.repeated) == (0, True)
    assert (await world.actor("a")).seq == 1


async def test_asking_twice_for_an_actor_spawns_it_once(world: World) -> None:
    await world.propose("v1", LOAN_1)
    wish = world.wish("a", "v1", context=b"{}")
    results = await asyncio.gather(*(world.ask(wish) for _ in range(8)))
    assert [r.created for r in results if isinstance(r, Spawned)].count(True) == 1
    assert len({result.actor for result in results if isinstance(result, Spawned)}) == 1
    assert isinstance(await world.ask(world.wish("a", "v1", context=b"[]")), Taken)


async def test_an_actor_that_has_moved_on_is_still_the_one_that_was_asked_for(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1")
    await world.apply("v2")
    again = await world.ask(world.wish("a", "v1"))
    assert isinstance(again, Spawned)
    assert not again.created
    assert again.actor.configuration.label == "income"
