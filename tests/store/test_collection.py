"""Cohorts that nobody is in go, with their edges; what the log says stays."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2
from tests.store.test_waiting import WAITING, behind, nobody_writes, stored

from statekeep.engine.ids import PreviewId
from statekeep.engine.store import collection, deployments, locks
from statekeep.engine.store.deployments import Deployment, Held
from statekeep.engine.store.rebuilding import rebuild

LOG = ("history", "configuration", "event", "deployment", "decision", "tally")

COHORTS = (
    "select v.name, h.fingerprint, k.value, count(a.key) from cohort c join version v on v.id = c.version_id"
    " join history h on h.id = c.history_id join configuration k on k.id = c.configuration_id"
    " left join actor a on a.cohort_id = c.id group by 1, 2, 3 order by 1, 2, 3"
)
EDGES = (
    "select v.name, h.fingerprint, e.event_type, t.fingerprint from edge e join cohort c on c.id = e.cohort_id"
    " join version v on v.id = c.version_id join history h on h.id = c.history_id"
    " join cohort d on d.id = e.target_id join history t on t.id = d.history_id order by 1, 2, 3"
)


async def test_a_cohort_that_nobody_is_in_goes_and_the_log_stays(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY", "UPLOAD")
    before = [await world.count(table) for table in LOG]
    assert await world.count("cohort") == 4
    assert (await collection.collect(world.database)).cohorts == 3
    assert [await world.count(table) for table in LOG] == before
    assert await world.count("cohort") == 1
    assert await world.count("edge") == 0
    assert (await collection.collect(world.database)).cohorts == 0


async def test_life_goes_on_where_cohorts_were_collected(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await collection.collect(world.database)
    await world.spawn("b", "v1", "START", "PAY")
    assert (await world.actor("a")).fingerprint == (await world.actor("b")).fingerprint
    for actor in ("a", "b"):
        assert (await world.answered(actor, "UPLOAD")).configuration.label == "review"
    await world.propose("v2", LOAN_2, parent="v1")
    deployment = await world.apply("v2")
    assert isinstance(deployment, Deployment)
    assert deployment.needs_rescue == 2


async def test_who_arrives_in_a_retired_cohort_too_late_founds_another(world: World) -> None:
    """And who is in a retired one keeps it until he leaves."""
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    [actor] = await world.rows("select machine_id, cohort_id from actor")
    await collection.retire(world.database, actor.machine_id, [actor.cohort_id], patient=True)
    await world.spawn("b", "v1", "START", "PAY")
    cohorts = await world.rows("select distinct cohort_id from actor")
    assert len(cohorts) == 2
    await collection.collect(world.database)
    await world.propose("v2", LOAN_2, parent="v1")
    preview = await world.preview("v2")
    assert preview.would_migrate == 2
    assert isinstance(await world.apply("v2", preview.id), Deployment)
    for name in ("a", "b"):
        assert await world.place(name) == ("v2", "income")
        [decision] = await world.decisions(name)
        assert decision.after is not None
    assert [row.actors for row in await world.rows("select actors from tally")] == [2]
    await world.send("a", "VERIFY")
    await world.send("b", "VERIFY")
    await collection.collect(world.database)
    assert await world.count("cohort") == 1


async def test_a_process_forgets_edges_that_lead_to_what_was_collected(world: World) -> None:
    """Whether it learns so when it writes, or when it asks where to go on from there."""
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    for name in ("b", "c", "d"):
        await world.spawn(name, "v1")
    assert (
        await collection.collect(world.database)
    ).cohorts == 1  # START still leads there, as far as we know
    unknown = (world.event("b", "START"), world.event("b", "WAIVE"))
    known = (world.event("c", "START"), world.event("c", "PAY"))
    for outcome in await world.process(*unknown, *known, world.event("d", "START")):
        assert outcome.handled  # type: ignore[union-attr]
    assert [await world.place(name) for name in "bcd"] == [
        ("v1", "documents"),
        ("v1", "documents"),
        ("v1", "fee"),
    ]
    assert (await rebuild(world.database)).misplaced == 0


async def test_a_stale_edge_costs_a_process_no_other_edge_that_it_knows(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.propose("w1", LOAN_1, machine="other")
    await world.spawn("a", "v1", "START", "PAY")
    await world.spawn("b", "v1")
    await world.spawn("w", "w1", "START")
    [at] = await world.rows(
        "select c.id, m.epoch from cohort c join history h on h.id = c.history_id"
        " join version v on v.id = c.version_id join machine m on m.id = v.machine_id"
        " where v.name = 'w1' and h.parent_id is null"
    )
    known = (at.id, at.epoch, "START")
    assert world.catalogue.edges.find(known) is not None
    await collection.collect(world.database)
    assert (await world.answered("b", "START")).configuration.label == "fee"
    assert world.catalogue.edges.find(known) is not None


async def test_a_collector_gives_way_to_a_deployment(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")

    async def deploy(connection: AsyncConnection) -> int:
        version = await stored(world, connection, "v1")
        await locks.keep_collectors_out(connection, version.machine_id)
        return (await collection.collect(world.database)).cohorts

    assert await world.database.transact(deploy) == 0
    assert (await collection.collect(world.database)).cohorts == 1


async def test_several_collectors_among_events_lose_nobody(world: World) -> None:
    await world.propose("v1", LOAN_1)
    names = [f"a{number}" for number in range(20)]
    for name in names:
        await world.spawn(name, "v1", "START", "PAY", "UPLOAD")

    async def live() -> None:
        for event in ("BACK", "UPLOAD") * 5:
            outcomes = await world.process(*(world.event(name, event) for name in names))
            assert all(outcome.handled for outcome in outcomes)  # type: ignore[union-attr]

    async def collect() -> None:
        for _ in range(10):
            await collection.collect(world.database)

    await asyncio.gather(live(), collect(), collect())
    await collection.collect(world.database)
    assert [await world.place(name) for name in names] == [("v1", "review")] * 20
    assert len(await world.log("a7")) == 13
    assert await world.count("cohort") == 1


async def test_whoever_takes_a_known_way_to_a_cohort_that_is_being_deleted_waits_for_nobody(
    world: World,
) -> None:
    machine_id = (await world.propose("v1", LOAN_1)).machine_id
    await world.spawn("ann", "v1", "START", "PAY")  # this process knows the way now
    await world.spawn("bob", "v1")
    [(deserted,)] = await world.rows(
        "select c.id from cohort c join history h on h.id = c.history_id where h.event_type = 'START'"
    )
    assert await collection.retire(world.database, machine_id, [deserted], patient=False)

    async def delete(connection: AsyncConnection) -> None:
        assert await locks.begin_collection(connection, machine_id)
        await collection.remove(connection, [deserted])
        await asyncio.wait_for(world.answered("bob", "START"), 30)

    await world.database.transact(delete)
    assert await world.place("bob") == ("v1", "fee")
    assert await world.rows("select from edge where target_id = :id", {"id": deserted}) == []


async def test_a_deserted_cohort_of_an_unseen_kind_does_not_hold_a_deployment(world: World) -> None:
    """``fee → fee`` was never shown; somebody only passed there."""
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1")
    approved = (await world.preview("v2")).id
    await world.spawn("b", "v1", "START", "PAY")
    deployment = await world.apply("v2", approved)
    assert isinstance(deployment, Deployment)
    assert deployment.migrated == 2
    await world.spawn("c", "v1", "START")
    assert await world.place("c") == ("v1", "fee")
    assert await world.decisions("c") == []


async def passed(world: World) -> PreviewId:
    """Let a pass where nobody is now, and b come there next; return a preview that shows no move of who is there."""
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.spawn("b", "v1")
    await world.propose("v2", LOAN_2, parent="v1")
    return (await world.preview("v2")).id


async def test_who_arrives_where_an_unseen_kind_of_move_was_deserted_holds_the_deployment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    approved = await passed(world)

    monkeypatch.setattr(locks, "await_events", nobody_writes)

    async def hold(connection: AsyncConnection) -> None:
        version = await stored(world, connection, "v1")
        await locks.share_machine(connection, version.machine_id)

    async def arrive() -> None:
        while not (await world.rows(WAITING))[0][0]:
            pass  # the cohort of those who passed is about to be retired
        await world.send("b", "START")

    async def deploy_and_arrive() -> tuple[object, None]:
        return await asyncio.gather(world.apply("v2", approved), arrive())

    held, _ = await behind(world, hold, deploy_and_arrive(), waiters=2)
    assert isinstance(held, Held)
    assert [str(move) for move in held.unseen] == ["fee → fee"]
    assert await world.place("a") == ("v1", "documents")


async def test_so_does_who_arrives_there_when_nobody_looks_a_second_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    approved = await passed(world)
    stop_machine = locks.stop_machine

    async def late(connection: AsyncConnection, machine_id: int) -> None:
        await world.answered("b", "START")
        await stop_machine(connection, machine_id)

    monkeypatch.setattr(deployments, "ROUNDS", 1)
    monkeypatch.setattr(locks, "stop_machine", late)
    held = await world.apply("v2", approved)
    assert isinstance(held, Held)
    assert [str(move) for move in held.unseen] == ["fee → fee"]
    assert await world.place("b") == ("v1", "fee")


async def test_an_index_made_anew_from_the_log_is_the_one_that_was(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.spawn("b", "v1", "START", "WAIVE", "UPLOAD")
    await world.spawn("c", "v1", "START", "PAY", "UPLOAD", "BACK")
    await world.spawn("idle", "v1")
    await world.propose("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    await world.apply("v2")
    await world.spawn("young", "v2", "START", "PAY", "VERIFY")
    await world.send("a", "VERIFY")
    await world.spawn("d", "v2", "START", "PAY")
    await world.propose("v3", LOAN_2, parent="v2")
    await world.apply("v3")
    for name in ("d", "young"):
        await world.send(name, "VERIFY" if name == "d" else "UPLOAD")
    await collection.collect(world.database)
    cohorts, edges = await world.rows(COHORTS), await world.rows(EDGES)
    places = {name: await world.place(name) for name in ("a", "b", "c", "d", "idle", "young")}

    done = await rebuild(world.database)

    assert (done.machines, done.cohorts, done.misplaced) == (1, len(cohorts), 0)
    assert await world.rows(COHORTS) == cohorts
    made = await world.rows(EDGES)
    assert set(edges) <= set(made)
    assert len(made) == done.edges
    assert {name: await world.place(name) for name in places} == places
    assert (await world.answered("d", "UPLOAD")).configuration.label == "review"
    assert not (await world.answered("b", "VERIFY")).handled


async def test_a_wrong_index_is_put_right_from_the_log(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.spawn("b", "v1", "START")

    async def spoil(connection: AsyncConnection) -> None:
        await connection.exec_driver_sql(
            "update statekeep.actor set cohort_id = (select cohort_id from statekeep.actor where id = 'a')"
        )

    await world.database.transact(spoil)
    assert (await rebuild(world.database)).misplaced == 1
    assert await world.place("b") == ("v1", "fee")
    assert await world.place("a") == ("v1", "documents")
