"""Who moves, who stays, and that preview and deployment agree."""

import asyncio

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.engine.routing.policy import (
    CompletedActors,
    MigrationPolicy,
    UnhandledEvents,
    UnseenMoves,
)
from statekeep.engine.routing.reason import Reason
from statekeep.engine.store import locks
from statekeep.engine.store.deployments import AppliedBefore, Deployment, Held, NotShown
from statekeep.engine.store.events import Answer
from statekeep.engine.store.spawning import Spawned


async def test_two_actors_in_one_state_part_by_their_history(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("alice", "v1", "START", "PAY")
    await world.spawn("bob", "v1", "START", "WAIVE")
    assert await world.place("alice") == await world.place("bob") == ("v1", "documents")

    await world.propose("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    preview = await world.preview("v2")
    assert (preview.would_migrate, preview.would_stay, preview.needs_rescue) == (1, 1, 0)
    deployment = await world.apply("v2", preview.id)

    assert isinstance(deployment, Deployment)
    assert (deployment.migrated, deployment.stayed, deployment.needs_rescue) == (1, 1, 0)
    assert await world.place("alice") == ("v2", "income")
    assert await world.place("bob") == ("v1", "documents")


async def test_events_go_on_in_the_version_that_an_actor_is_on(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("alice", "v1", "START", "PAY")
    await world.spawn("bob", "v1", "START", "WAIVE")
    await world.spawn("carol", "v1", "START")
    await world.propose("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    await world.apply("v2")

    for actor, event, place in [
        ("alice", "VERIFY", ("v2", "documents")),
        ("alice", "UPLOAD", ("v2", "review")),
        ("bob", "UPLOAD", ("v1", "review")),
        ("carol", "PAY", ("v1", "documents")),
    ]:
        answer = await world.send(actor, event)
        assert isinstance(answer, Answer)
        assert answer.handled
        assert await world.place(actor) == place
    refused = await world.send("alice", "BACK")
    assert isinstance(refused, Answer)
    assert not refused.handled


async def test_a_history_that_the_new_version_cannot_live_through_needs_a_rescue(
    world: World,
) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "WAIVE", "UPLOAD", "BACK")
    await world.propose("v2", LOAN_2, parent="v1")
    preview = await world.preview("v2")
    assert preview.needs_rescue == 1

    await world.apply("v2", preview.id)
    [decision] = await world.decisions("a")
    assert decision.reason == Reason.NEEDS_RESCUE
    assert decision.detail == "event 4, BACK, is not handled in review"
    assert await world.place("a") == ("v1", "documents")


async def test_under_skip_the_event_is_skipped_counted_and_shown(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "WAIVE", "UPLOAD", "BACK", "UPLOAD", "BACK")
    policy = MigrationPolicy(unhandled_events=UnhandledEvents.SKIP)
    await world.propose("v2", LOAN_2, parent="v1", policy=policy)
    await world.apply("v2")
    [decision] = await world.decisions("a")
    assert decision.skipped == {"BACK": 2, "UPLOAD": 1}
    assert await world.place("a") == ("v2", "review")


async def test_a_completed_actor_stays_unless_the_policy_says_otherwise(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "WAIVE", "UPLOAD", "APPROVE")
    await world.propose("v2", LOAN_2, parent="v1")
    await world.apply("v2")
    [decision] = await world.decisions("a")
    assert decision.reason == Reason.COMPLETED

    policy = MigrationPolicy(completed_actors=CompletedActors.MIGRATE)
    await world.propose("v3", LOAN_2, parent="v1", policy=policy)
    await world.apply("v3")
    assert await world.place("a") == ("v3", "approved")


async def test_a_kind_of_move_that_nobody_has_seen_holds_everything(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    await world.propose("v2", LOAN_2, parent="v1")
    approved = (await world.preview("v2")).id
    await world.spawn("b", "v1", "START", "PAY")

    held = await world.apply("v2", approved)
    assert isinstance(held, Held)
    assert [str(move) for move in held.unseen] == ["documents → income"]
    assert await world.place("a") == ("v1", "fee")
    assert await world.decisions("a") == []

    assert isinstance(await world.apply("v2"), Deployment)
    assert await world.place("b") == ("v2", "income")


async def test_under_unseen_moves_stay_the_approved_kinds_are_applied(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    policy = MigrationPolicy(unseen_moves=UnseenMoves.STAY)
    await world.propose("v2", LOAN_2, parent="v1", policy=policy)
    approved = (await world.preview("v2")).id
    await world.spawn("b", "v1", "START", "PAY")
    await world.apply("v2", approved)
    assert await world.place("a") == ("v2", "fee")
    assert await world.place("b") == ("v1", "documents")
    [decision] = await world.decisions("b")
    assert decision.reason == Reason.NOT_IN_PREVIEW


async def test_fewer_kinds_of_move_than_approved_are_applied(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    await world.spawn("b", "v1")
    await world.propose("v2", LOAN_2, parent="v1")
    approved = (await world.preview("v2")).id
    await world.send("b", "START")
    assert isinstance(await world.apply("v2", approved), Deployment)


async def test_applying_again_reports_the_first_result(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    await world.propose("v2", LOAN_2, parent="v1")
    approved = (await world.preview("v2")).id
    first = await world.apply("v2", approved)
    await world.spawn("late", "v1", "START")
    assert isinstance(first, Deployment)
    assert await world.apply("v2", approved) == AppliedBefore(first)
    assert await world.place("late") == ("v1", "fee")


async def test_a_preview_that_was_never_shown_applies_nothing(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.propose("v2", LOAN_2, parent="v1")
    assert isinstance(await world.apply("v2", "0" * 32), NotShown)  # type: ignore[arg-type]


async def test_an_approval_does_not_outlive_an_edit(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    await world.propose("v2", LOAN_2, parent="v1")
    approved = (await world.preview("v2")).id
    await world.propose("v2", LOAN_2, parent="v1", path=["START"])
    assert isinstance(await world.apply("v2", approved), NotShown)


async def test_a_chain_of_deployments_is_explained_from_the_log(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.spawn("native", "v1")
    await world.propose("v2", LOAN_2, parent="v1")
    await world.apply("v2")
    await world.spawn("young", "v2", "START", "PAY")
    await world.send("a", "VERIFY")
    await world.propose("v3", LOAN_2, parent="v2", path=["START", "PAY", "VERIFY"])
    await world.apply("v3")
    await world.propose("v1b", LOAN_1, parent="v1")
    await world.apply("v1b")

    assert [(d.version, d.after and d.after.label) for d in await world.decisions("a")] == [
        ("v2", "income"),
        ("v3", "documents"),
    ]
    [young] = await world.decisions("young")
    assert (young.version, young.detail) == ("v3", "2 of 3 events so far, VERIFY is yet to come")
    assert await world.place("a") == ("v3", "documents")


async def test_of_many_who_apply_a_version_at_once_one_does(world: World) -> None:
    await world.propose("v1", LOAN_1)
    for number in range(20):
        await world.spawn(f"a{number}", "v1", "START")
    await world.propose("v2", LOAN_2, parent="v1")
    approved = (await world.preview("v2")).id
    results = await asyncio.gather(*(world.apply("v2", approved) for _ in range(8)))
    [first] = [result for result in results if isinstance(result, Deployment)]
    results.remove(first)
    assert results == [AppliedBefore(first)] * 7
    assert await world.place("a7") == ("v2", "fee")


async def test_what_is_applied_is_said_to_be_while_its_machine_is_still_held(world: World) -> None:
    await world.propose("v1", LOAN_1)
    version = await world.propose("v2", LOAN_2, parent="v1")
    approved = (await world.preview("v2")).id
    first = await world.apply("v2", approved)
    assert isinstance(first, Deployment)

    async def meanwhile(connection: AsyncConnection) -> object:
        assert await locks.begin_deployment(connection, version.machine_id)
        return await world.apply("v2", approved)

    assert await world.database.transact(meanwhile) == AppliedBefore(first)


async def test_new_actors_begin_on_the_last_deployment_though_the_clock_was_set_back(
    world: World, database_url: str
) -> None:
    await world.propose("v1", LOAN_1)
    for name, parent in (("v2", "v1"), ("v3", "v2")):
        await world.propose(name, LOAN_2, parent=parent)
        assert isinstance(await world.apply(name), Deployment)
    with psycopg.connect(database_url) as connection:
        connection.execute("set session_replication_role = replica")  # applied_at is frozen
        connection.execute(
            "update statekeep.version set applied_at = applied_at - interval '1 day' where name = 'v3'"
        )
    assert isinstance(await world.ask(world.wish("a", "m", by_machine=True)), Spawned)
    assert (await world.place("a"))[0] == "v3"


async def test_arrivals_after_a_move_join_what_is_there(world: World) -> None:
    """Merging: an actor of the new version reaches a history that others brought along."""
    await world.propose("v1", LOAN_1)
    await world.spawn("old", "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1")
    await world.apply("v2")
    await world.spawn("new", "v2", "START", "PAY")
    assert await world.place("new") == await world.place("old") == ("v2", "income")
    old, new = await world.actor("old"), await world.actor("new")
    assert old.fingerprint == new.fingerprint
    await world.send("old", "VERIFY")
    assert await world.place("new") == ("v2", "income")
