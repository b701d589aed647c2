"""What an event does to an actor, and what it must leave alone."""

import asyncio
import json
import random

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.engine.history.fingerprint import fingerprint, show
from statekeep.engine.ids import ActorId, Namespace
from statekeep.engine.json import JsonObject
from statekeep.engine.store import database
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import lost_race
from statekeep.engine.store.events import (
    ActorMissing,
    Answer,
    Busy,
    ContextRefused,
    Failed,
    SeqDiffers,
    Unhandled,
    Unstable,
)
from statekeep.engine.store.keyring import context_place
from statekeep.engine.store.locks import MACHINE_SPACE
from statekeep.engine.store.processing import attempt
from statekeep.engine.store.versions import StoredVersion

RESTLESS: JsonObject = {
    "initial": "calm",
    "states": {
        "calm": {"on": {"GO": "a", "STEP": "next"}},
        "next": {},
        "a": {"always": "b"},
        "b": {"always": "a"},
    },
}
"""``GO`` never comes to rest."""


async def context_of(world: World, actor_id: str) -> object:
    actor = await world.actor(actor_id)
    if actor.context is None:
        return None
    return json.loads(world.database.keys.open(actor.context, context_place(actor.key)))


async def test_an_answer_says_where_the_actor_is_now(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    answer = await world.answered("a", "PAY")
    assert (answer.actor_id, answer.configuration.label, answer.seq) == ("a", "documents", 2)
    assert answer.fingerprint == show(fingerprint(["START", "PAY"]))
    assert (answer.handled, answer.repeated) == (True, False)


async def test_an_event_that_no_transition_takes_changes_nothing(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    before = await world.actor("a")
    for event_type in ("APPROVE", "UNHEARD_OF"):
        answer = await world.answered("a", event_type, data=b"{}", context={"x": 1})
        assert (answer.handled, answer.seq) == (False, 1)
        assert answer.fingerprint == before.fingerprint
    assert await world.actor("a") == before
    assert len(await world.log("a")) == 1


async def test_in_strict_handling_it_is_refused(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    refused = await world.send("a", "APPROVE", strict=True)
    assert isinstance(refused, Unhandled)
    assert refused.answer.configuration.label == "fee"
    assert (await world.answered("a", "PAY", strict=True)).handled


async def test_an_event_for_another_seq_is_refused(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    assert await world.send("a", "PAY", if_seq=0) == SeqDiffers(0, 1)
    assert await world.place("a") == ("v1", "fee")
    assert (await world.answered("a", "PAY", if_seq=1)).seq == 2


async def test_an_actor_that_does_not_exist_is_named(world: World) -> None:
    await world.propose("v1", LOAN_1)
    assert await world.send("nobody", "START") == ActorMissing(ActorId("nobody"))


async def test_actors_of_another_namespace_do_not_exist(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    stranger = World(world.database, namespace=Namespace("other"))
    assert isinstance(await stranger.send("a", "START"), ActorMissing)


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        (b'{"a": 1, "b": 2}', {"b": None, "c": 3}, {"a": 1, "c": 3}),
        (b'{"a": {"b": 1, "c": 2}}', {"a": {"b": None}}, {"a": {"c": 2}}),
        (b'{"a": {"b": 1}}', {"a": [1, None]}, {"a": [1, None]}),
        (b'{"a": [1]}', {"a": {"b": None}}, {"a": {}}),
        (None, {"a": {"b": None, "c": "é"}}, {"a": {"c": "é"}}),
        (b'{"a": 1}', {}, {"a": 1}),
    ],
    ids=[
        "null removes",
        "objects are merged inside each other",
        "an array replaces, nulls and all",
        "an object replaces an array",
        "without a context it starts from an empty one",
        "the empty patch",
    ],
)
async def test_a_context_is_patched_as_rfc_7396_says(
    world: World, before: bytes | None, patch: JsonObject, after: JsonObject
) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", context=before)
    await world.answered("a", "START", context=patch)
    assert await context_of(world, "a") == after


async def test_patches_in_one_batch_are_applied_in_order(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "WAIVE", "UPLOAD", context=b"{}")
    kinds = ["BACK", "UPLOAD"] * 5
    events = [world.event("a", kind, context={str(n): n}) for n, kind in enumerate(kinds)]
    await world.process(*events, world.event("a", "BACK", context={"3": None}))
    assert await context_of(world, "a") == {str(n): n for n in range(10) if n != 3}


async def test_an_event_without_a_patch_leaves_the_context_as_it_was(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", context=b'{"a": 1}')
    await world.answered("a", "START")
    assert await context_of(world, "a") == {"a": 1}


async def test_a_context_that_grows_too_large_is_refused_with_its_event(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", context=b'{"a": 1}')
    refused = await world.send("a", "START", context={"b": "x" * 1024 * 1024})
    assert isinstance(refused, ContextRefused)
    assert "the limit is 1048576" in refused.reason
    assert await world.place("a") == ("v1", "idle")
    assert await context_of(world, "a") == {"a": 1}


async def test_many_events_for_one_actor_in_one_batch_keep_their_order(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    await world.spawn("b", "v1")
    kinds = ["START", "PAY", "PAY", "UPLOAD", "BACK", "UPLOAD", "APPROVE", "BACK"]
    outcomes = await world.process(*(world.event(actor, kind) for kind in kinds for actor in "ab"))
    handled = [outcome.handled for outcome in outcomes if isinstance(outcome, Answer)]
    assert handled[::2] == handled[1::2] == [True, True, False, True, True, True, True, False]
    assert [logged.event_type for logged in await world.log("a")] == [
        kind for kind, taken in zip(kinds, handled[::2], strict=True) if taken
    ]


async def test_an_event_that_never_comes_to_rest_changes_nothing(world: World) -> None:
    await world.propose("v1", RESTLESS)
    await world.spawn("a", "v1")
    await world.spawn("b", "v1")
    before = await world.actor("a")
    stuck, moved = await world.process(
        world.event("a", "GO", idempotency_key="k"), world.event("b", "STEP")
    )
    assert stuck == Unstable("calm")
    assert isinstance(moved, Answer)
    assert moved.configuration.label == "next"
    assert await world.actor("a") == before
    assert await world.send("a", "GO", idempotency_key="k") == Unstable("calm")


async def test_one_event_that_cannot_be_stored_does_not_fail_its_neighbours(world: World) -> None:
    await world.propose("v1", LOAN_1)
    for actor in "abc":
        await world.spawn(actor, "v1")
    outcomes = await world.process(
        world.event("a", "START"),
        world.event("b", "START", idempotency_key="not\0text"),
        world.event("c", "START"),
    )
    assert [type(outcome) for outcome in outcomes] == [Answer, Failed, Answer]
    assert [(await world.actor(actor)).seq for actor in "abc"] == [1, 0, 1]


async def test_events_behind_one_that_failed_are_not_taken_out_of_order(world: World) -> None:
    await world.propose("v1", LOAN_1)
    for actor in "ab":
        await world.spawn(actor, "v1", "START")
    outcomes = await world.process(
        world.event("a", "PAY", idempotency_key="not\0text"),
        world.event("b", "PAY"),
        world.event("a", "WAIVE"),
        world.event("b", "UPLOAD"),
    )
    assert [type(outcome) for outcome in outcomes] == [Failed, Answer, Failed, Answer]
    assert [(await world.actor(actor)).seq for actor in "ab"] == [1, 3]


async def test_one_at_fault_among_many_is_found_and_the_others_keep_their_order(
    world: World,
) -> None:
    await world.propose("v1", LOAN_1)
    names = [f"a{number}" for number in range(9)]
    for name in names:
        await world.spawn(name, "v1")
    sent = [world.event(name, kind) for kind in ("START", "PAY") for name in names]
    sent[5] = world.event("a5", "START", idempotency_key="not\0text")
    outcomes = await world.process(*sent)
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Failed)] == [5, 14]
    for name in names:
        taken = [] if name == "a5" else ["START", "PAY"]
        assert [logged.event_type for logged in await world.log(name)] == taken


async def test_ways_that_were_rolled_back_are_not_remembered(world: World) -> None:
    """The cohort that they led to has never been."""
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    await world.spawn("b", "v1")
    failed, moved = await world.process(
        world.event("a", "START", idempotency_key="k", body_digest=None),
        world.event("b", "START"),
    )
    assert (type(failed), type(moved)) == (Failed, Answer)
    assert (await world.answered("a", "START")).seq == 1
    dangling = await world.rows(
        "select a.id from actor a left join cohort c on c.id = a.cohort_id where c.id is null"
    )
    assert not dangling


async def test_a_chain_of_events_that_nobody_has_sent_before_is_one_batch(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", context=b"{}")
    kinds = ["START", "PAY", "UPLOAD", "BACK", "UPLOAD", "APPROVE"]
    outcomes = await world.process(
        *(world.event("a", kind, data=b"1", context={kind: n}) for n, kind in enumerate(kinds))
    )
    assert [o.seq for o in outcomes if isinstance(o, Answer)] == [1, 2, 3, 4, 5, 6]
    assert (await world.actor("a")).fingerprint == show(fingerprint(kinds))
    assert len(await world.rows("select distinct xmin from event")) == 1
    assert await context_of(world, "a") == {
        "START": 0, "PAY": 1, "BACK": 3, "UPLOAD": 4, "APPROVE": 5,
    }  # fmt: skip


async def test_what_a_process_remembers_of_an_edge_ends_with_the_next_deployment(
    world: World,
) -> None:
    await world.propose("v1", LOAN_1)
    for actor in "ab":
        await world.spawn(actor, "v1", "START")
    assert (await world.answered("a", "PAY")).configuration.label == "documents"
    await world.propose("v2", LOAN_2, parent="v1")
    other = World(world.database)
    await other.apply("v2")
    answer = await world.answered("b", "PAY")
    assert (answer.configuration.version, answer.configuration.label) == ("v2", "income")


async def test_made_up_event_types_do_not_fill_the_table_of_edges(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    before = [await world.count(table) for table in ("edge", "cohort", "history", "event")]
    for number in range(20):
        assert not (await world.answered("a", f"MADE_UP_{number}")).handled
    after = [await world.count(table) for table in ("edge", "cohort", "history", "event")]
    assert after == before


class Watched(Catalogue):
    """A catalogue that counts how often somebody needs a machine."""

    asked = 0

    async def version(self, connection: AsyncConnection, version_id: int) -> StoredVersion:
        self.asked += 1
        return await super().version(connection, version_id)


async def test_an_edge_that_is_taken_again_is_stored_and_then_needs_no_interpreter(
    world: World,
) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("first", "v1", "START", "PAY")
    assert await world.count("edge") == 0
    assert not (await world.answered("first", "START")).handled
    assert await world.count("edge") == 1
    await World(world.database, Catalogue()).spawn("second", "v1", "START", "PAY")
    filled = await world.count("edge")
    assert filled == 3
    await world.spawn("third", "v1")

    watched = Watched()
    later = World(world.database, watched)
    for event_type, handled in [("START", True), ("PAY", True), ("START", False)]:
        assert (await later.answered("third", event_type)).handled is handled
    assert watched.asked == 0
    assert await world.count("edge") == filled
    await later.answered("third", "UPLOAD")
    assert watched.asked == 1


async def test_the_log_is_kept_apart_from_what_the_actor_becomes(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    logged = await world.log("a")
    assert [(one.seq, one.event_type, one.configuration.label) for one in logged] == [
        (1, "START", "fee"),
        (2, "PAY", "documents"),
    ]
    assert [one.fingerprint for one in logged] == [
        show(fingerprint(["START"])),
        show(fingerprint(["START", "PAY"])),
    ]
    assert logged[0].at <= logged[1].at


async def test_events_that_do_not_wait_pass_by_a_machine_that_is_held(
    world: World, database_url: str
) -> None:
    for machine in ("held", "free"):
        await world.propose(machine, LOAN_1, machine=machine)
        await world.spawn(f"{machine}-1", machine)
    sent = [world.event(name, "START") for name in ("held-1", "free-1", "nobody", "held-1")]
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        lock = "select pg_advisory_xact_lock(%s, id) from statekeep.machine where name = 'held'"
        await holder.execute(lock, (MACHINE_SPACE,))
        async with asyncio.timeout(20):
            first, moved, absent, second = await attempt(world.database, world.catalogue, sent)
    assert isinstance(first, Busy)
    assert first == second
    assert isinstance(moved, Answer)
    assert isinstance(absent, ActorMissing)
    first, ignored, absent, second = await attempt(world.database, world.catalogue, sent)
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert (first.seq, first.handled, second.handled) == (1, True, False)
    assert isinstance(ignored, Answer)
    assert not ignored.handled
    assert isinstance(absent, ActorMissing)


async def test_an_edge_that_a_process_remembers_is_stored_when_it_goes_there_again(
    world: World,
) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("first", "v1", "START", "PAY")
    assert await world.count("edge") == 0
    await world.spawn("second", "v1", "START")
    assert await world.count("edge") == 1
    await world.spawn("third", "v1", "START", "PAY")
    assert await world.count("edge") == 2
    watched = Watched()
    assert (await World(world.database, watched).answered("second", "PAY")).handled
    assert watched.asked == 0


DEEP: JsonObject = {
    "initial": "s",
    "states": {"s": {"on": dict.fromkeys(("A", "B", *(f"I{n}" for n in range(10))), "s")}},
}


async def test_batches_of_several_steps_never_wait_for_each_other_in_a_circle(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their actors stand at different depths of one new part of the tree of histories."""
    lost: list[BaseException] = []

    def seen(error: BaseException) -> bool:
        lost.append(error)
        return lost_race(error)

    monkeypatch.setattr(database, "lost_race", seen)
    await world.propose("v", DEEP)
    for number in range(4):
        chance = random.Random(number)
        writers = [World(world.database, Catalogue()) for _ in range(4)]
        batches = []
        for writer in range(len(writers)):
            names = [f"{number}-{writer}-{n}" for n in range(12)]
            for name in names:
                await world.spawn(name, "v")
                depth = chance.randrange(4)
                way = [f"I{number}", *(chance.choice("AB") for _ in range(depth))]
                await world.process(*(world.event(name, event) for event in way))
            after = [
                world.event(name, chance.choice("AB"))
                for name in names
                for _ in range(chance.randrange(1, 8))
            ]
            chance.shuffle(after)
            batches.append(after)
        await asyncio.gather(
            *(writer.process(*batch) for writer, batch in zip(writers, batches, strict=True))
        )
    assert lost == []
