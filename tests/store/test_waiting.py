"""Whoever had to wait for a lock acts on what is true afterwards, not on what was true before."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.engine.history.path import HistoryPath
from statekeep.engine.ids import MachineName, VersionName
from statekeep.engine.routing.policy import MigrationPolicy
from statekeep.engine.routing.version import Version, read_version
from statekeep.engine.store import locks, versions
from statekeep.engine.store.events import Answer
from statekeep.engine.store.spawning import Spawned
from statekeep.engine.store.versions import StoredVersion

T = TypeVar("T")


WAITING = (
    "select count(*) from pg_locks join pg_stat_activity using (pid)"
    " where not granted and datname = current_database()"
)


async def nobody_writes(*_: object) -> None:
    """Stand in for ``locks.await_events``: nobody has the machine yet when the count begins."""


async def behind(
    world: World,
    first: Callable[[AsyncConnection], Awaitable[object]],
    second: Awaitable[T],
    *,
    waiters: int = 1,
) -> T:
    """Do ``first`` and commit it only when ``second``, which it blocks, is waiting; return what that returns."""

    async def work(connection: AsyncConnection) -> asyncio.Future[T]:
        await first(connection)
        blocked = asyncio.ensure_future(second)
        while (await world.rows(WAITING))[0][0] < waiters:
            assert not blocked.done(), "nothing blocked it"
        return blocked

    return await (await world.database.transact(work))


def loan(name: str, parent: str | None = "v1", path: tuple[str, ...] = ()) -> Version:
    return read_version(
        VersionName(name),
        parent=None if parent is None else VersionName(parent),
        path=path,
        policy=MigrationPolicy(),
        definition=LOAN_2,
    )


async def stored(world: World, connection: AsyncConnection, name: str) -> StoredVersion:
    found = await versions.find(connection, world.namespace, VersionName(name))
    assert found is not None
    return found


async def test_an_actor_asked_for_by_machine_waits_for_the_deployment_and_starts_on_its_version(
    world: World,
) -> None:
    await world.propose("v1", LOAN_1)
    await world.propose("v2", LOAN_2, parent="v1")

    async def deploy(connection: AsyncConnection) -> None:
        version = await stored(world, connection, "v2")
        await locks.stop_machine(connection, version.machine_id)
        await versions.mark_applied(connection, version.id)

    spawned = await behind(world, deploy, world.ask(world.wish("a", "m", by_machine=True)))
    assert isinstance(spawned, Spawned)
    assert spawned.actor.configuration.version == "v2"


async def test_the_second_of_two_first_proposals_is_an_edit_of_the_first(world: World) -> None:
    """Else a preview of one content would be kept beside the other, and approve it."""
    await world.propose("v1", LOAN_1)

    async def propose(connection: AsyncConnection) -> None:
        parent = await stored(world, connection, "v1")
        machine = MachineName("m")
        await versions.propose(connection, world.namespace, machine, loan("v2"), parent)

    second = await behind(
        world, propose, world.propose("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    )
    assert second.version.path == HistoryPath(("START", "PAY"))
    assert second.content_digest.hex() == second.version.content_digest


async def test_a_version_that_was_edited_meanwhile_is_read_whole(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.propose("v1b", LOAN_1, parent="v1")
    await world.apply("v1b")
    await world.propose("v2", LOAN_2, parent="v1")

    async def edit(connection: AsyncConnection) -> None:
        parent = await stored(world, connection, "v1b")
        machine = MachineName("m")
        await versions.propose(
            connection, world.namespace, machine, loan("v2", parent="v1b"), parent
        )

    async def locked(connection: AsyncConnection) -> StoredVersion | None:
        return await versions.find(connection, world.namespace, VersionName("v2"), for_update=True)

    found = await behind(world, edit, world.database.transact(locked))
    assert found is not None
    assert found.version.parent == "v1b"
    assert found.content_digest.hex() == found.version.content_digest


async def test_an_event_that_waited_for_a_deployment_is_taken_by_the_new_version(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot older than the lock would still see the edges that the deployment dropped."""
    await world.propose("v1", LOAN_1)
    await world.spawn("pilot", "v1", "START", "PAY")
    await world.spawn("a", "v1", "START")
    await world.spawn("idle", "v1")  # or a cohort without actors would be retired first
    await world.propose("v2", LOAN_2, parent="v1")
    shown = (await world.preview("v2")).id

    monkeypatch.setattr(locks, "await_events", nobody_writes)

    async def hold(connection: AsyncConnection) -> None:
        version = await stored(world, connection, "v1")
        await locks.share_machine(connection, version.machine_id)

    async def deploy_then_send() -> tuple[object, object]:
        return await asyncio.gather(world.apply("v2", shown), sent())

    async def sent() -> object:
        while not (await world.rows(WAITING))[0][0]:
            pass  # the deployment is first in the queue
        return await world.send("a", "PAY")

    _, answer = await behind(world, hold, deploy_then_send(), waiters=2)
    assert isinstance(answer, Answer)
    assert (answer.configuration.version, answer.configuration.label) == ("v2", "income")
