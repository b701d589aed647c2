"""A release that reads definitions in another way notices it on what is stored, and says so before it does harm."""

import asyncio
from typing import NoReturn

import pytest
from click.testing import CliRunner
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2
from tests.store.next_interpreter import (
    hears_strangers,
    is_deaf_to_back,
    pays_for_review,
    release,
)

from statekeep.controller.cli import database as cli_database
from statekeep.controller.cli.main import statekeep
from statekeep.engine.errors import DefinitionInvalid, SemanticsDiffer, SemanticsOutdated
from statekeep.engine.finding import Finding
from statekeep.engine.json import JsonObject
from statekeep.engine.routing.policy import MigrationPolicy, UnhandledEvents
from statekeep.engine.store import takeover, versions
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.deployments import Deployment, NotShown
from statekeep.engine.store.events import Answer, Failed
from statekeep.engine.store.rebuilding import rebuild
from statekeep.engine.store.spawning import Spawned


def newly(world: World) -> World:
    """Return the world as a process sees it that has just started."""
    return World(world.database, Catalogue(), world.namespace)


async def kept_under(world: World) -> dict[str, int]:
    return {
        row.name: row.semantics for row in await world.rows("select name, semantics from version")
    }


async def fill(world: World) -> None:
    """Put actors on two versions, one of them by a deployment that skipped events."""
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY", "UPLOAD", "BACK")
    await world.spawn("b", "v1", "START")
    await world.answered("b", "UPLOAD")  # which is not handled there, and stored as such
    policy = MigrationPolicy(unhandled_events=UnhandledEvents.SKIP)
    await world.propose("v2", LOAN_2, parent="v1", path=["START", "PAY"], policy=policy)
    assert isinstance(await world.apply("v2"), Deployment)
    await world.spawn("c", "v2", "START", "WAIVE")
    await world.answered("a", "VERIFY")
    await world.spawn("e", "v1", "START", "PAY", "UPLOAD", "BACK")


async def test_what_means_the_same_is_taken_over_with_the_first_event(world: World) -> None:
    await fill(world)
    with release(2):
        later = newly(world)
        assert isinstance(await later.send("b", "WAIVE"), Answer)
        assert await kept_under(world) == {"v1": 2, "v2": 1}
        assert isinstance(await later.send("a", "UPLOAD"), Answer)
        assert await kept_under(world) == {"v1": 2, "v2": 2}
        assert await later.place("b") == ("v1", "documents")


async def test_new_actors_take_their_version_over_too(world: World) -> None:
    await fill(world)
    with release(2):
        assert isinstance(await newly(world).ask(world.wish("d", "v2")), Spawned)
    assert (await kept_under(world))["v2"] == 2


async def test_events_of_a_version_that_means_something_else_are_refused(world: World) -> None:
    await fill(world)
    with release(2, pays_for_review):
        later = newly(world)
        await later.propose("w1", LOAN_1, machine="other")
        await later.spawn("w", "w1", "START")
        refused, sibling, other = await later.process(
            later.event("b", "PAY"), later.event("b", "WAIVE"), later.event("w", "PAY")
        )
        for outcome in (refused, sibling):
            assert isinstance(outcome, Failed)
            assert isinstance(outcome.error, SemanticsDiffer)
            assert "version v1 of machine m in namespace default" in str(outcome.error)
            assert "in fee, PAY led to documents and would lead to review" in str(outcome.error)
            assert "move its actors to a new version" in str(outcome.error)
        assert isinstance(other, Answer)
        assert other.configuration.label == "review"
        with pytest.raises(SemanticsDiffer):
            await later.ask(world.wish("d", "v1"))
        assert await later.place("b") == ("v1", "fee")
    assert (await kept_under(world))["v1"] == 1
    assert (await newly(world).answered("b", "PAY")).configuration.label == "documents"


async def test_a_step_that_was_not_handled_and_would_be_is_a_difference(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    await world.answered("a", "PAY")
    with release(2, hears_strangers):
        outcome = await newly(world).send("a", "START")
    assert isinstance(outcome, Failed)
    assert "in idle, PAY was not handled and would lead to idle" in str(outcome.error)


async def test_a_history_is_compared_where_its_steps_are_not_stored_any_more(
    world: World,
) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY", "UPLOAD", "BACK")
    await rebuild(world.database)
    assert await world.count("edge") == 0
    with release(2, is_deaf_to_back):
        outcome = await newly(world).send("a", "UPLOAD")
    assert isinstance(outcome, Failed)
    assert "event 4, BACK, is not handled in review" in str(outcome.error)


async def test_a_step_that_only_its_edge_tells_of_is_compared_however_seldom_it_was_taken(
    world: World,
) -> None:
    """It leads back to where it began, and a replay skips it where it is not handled."""
    chart: JsonObject = {"initial": "s", "states": {"s": {"on": {"BACK": "s"}}}}
    skipping = MigrationPolicy(unhandled_events=UnhandledEvents.SKIP)
    await world.propose("v1", chart, policy=skipping)
    await world.spawn("a", "v1", "BACK", "BACK")
    await world.spawn("b", "v1")
    with release(2, is_deaf_to_back):
        outcome = await newly(world).send("b", "BACK")
    assert isinstance(outcome, Failed)
    assert "in s, BACK led to s and would not be handled" in str(outcome.error)


async def test_actors_of_a_version_that_means_something_else_can_be_moved_on(world: World) -> None:
    await fill(world)
    with release(2, pays_for_review):
        later = newly(world)
        await later.propose("v3", LOAN_1, parent="v1")
        assert isinstance(await later.apply("v3"), Deployment)
        assert (await later.answered("b", "PAY")).configuration.label == "review"


async def test_the_index_is_not_rebuilt_by_another_meaning(world: World) -> None:
    await fill(world)
    edges = await world.count("edge")
    with release(2, pays_for_review), pytest.raises(SemanticsDiffer):
        await rebuild(world.database)
    assert await world.count("edge") == edges


async def test_a_preview_of_another_meaning_approves_nothing(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    shown = (await world.preview("v2")).id
    with release(2):
        later = newly(world)
        assert isinstance(await later.apply("v2", shown), NotShown)
        again = (await later.preview("v2")).id
        assert again != shown
        assert isinstance(await later.apply("v2", shown), NotShown)
        assert isinstance(await later.apply("v2", again), Deployment)
        assert await later.place("a") == ("v2", "income")
    assert (await kept_under(world))["v2"] == 2


async def test_a_process_of_before_follows_what_is_stored_and_takes_no_step_of_its_own(
    world: World,
) -> None:
    await fill(world)
    with release(2):
        await newly(world).answered("b", "WAIVE")
    earlier = newly(world)
    await earlier.spawn("d", "v1", "START", "WAIVE")
    unknown, behind = await earlier.process(
        earlier.event("d", "NOTE"), earlier.event("d", "UPLOAD")
    )
    for outcome in (unknown, behind):
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, SemanticsOutdated)
    await earlier.propose("v3", LOAN_2, parent="v1")
    with pytest.raises(SemanticsOutdated):
        await earlier.apply("v3")
    with pytest.raises(SemanticsOutdated):
        await rebuild(world.database)
    assert {one.version for one in (await takeover.take_over_all(world.database)).alike} == {"v1"}
    assert isinstance(await newly(world).send("d", "NOTE"), Answer)


async def test_a_definition_that_is_refused_now_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")

    def refuse(*_: object) -> NoReturn:
        raise DefinitionInvalid([Finding("too-many", "/states", "too many states")])

    with release(2), monkeypatch.context() as patch:
        patch.setattr(versions, "_compiled", refuse)
        outcome = await newly(world).send("a", "START")
    assert isinstance(outcome, Failed)
    assert "its definition would be refused: /states: too many" in str(outcome.error)


async def test_versions_that_mean_something_else_are_listed_before_an_upgrade(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(world)

    async def command(*options: str) -> tuple[int, str]:
        arguments = ["db", "check", "--database-url", database_url, *options]
        done = await asyncio.to_thread(CliRunner().invoke, statekeep, arguments)
        return done.exit_code, done.output

    assert await command() == (0, "Every version is kept under semantics 1, this release's.\n")
    with release(2, is_deaf_to_back):
        status, output = await command()
        assert status == 1
        assert "default/v2 of machine m means the same under semantics 2 (before: 1)" in output
        assert "version v1 of machine m in namespace default means something else" in output
        assert "\n  in review, BACK led to documents and would not be handled\n" in output
        assert await kept_under(world) == {"v1": 1, "v2": 1}
        every = output.count("\n  ")
        monkeypatch.setattr(cli_database, "SHOWN", 0)
        assert (
            f"in namespace default means something else to this release:\n  and {every} more\n"
            in (await command())[1]
        )
        status, output = await command("--take-over")
        assert status == 1
        assert await kept_under(world) == {"v1": 1, "v2": 2}
    assert (await command("--take-over"))[0] == 0
    assert await kept_under(world) == {"v1": 1, "v2": 1}
