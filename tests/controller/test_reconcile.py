"""Where a version stands: every reason of ``Ready``, reached over a real store."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.conftest import KEYS
from tests.store.conftest import NAMESPACE, World
from tests.store.definitions import LOAN_1, LOAN_2
from tests.store.next_interpreter import is_deaf_to_back, release

from statekeep.controller.lineage import roots_of
from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION
from statekeep.controller.manifest.parse import parse
from statekeep.controller.outcome import Outcome, Tell, tell_nobody
from statekeep.controller.reconcile import reconcile
from statekeep.controller.standing import (
    Applied,
    Applying,
    AwaitingApproval,
    AwaitingParent,
    DatabaseUnavailable,
    Immutable,
    Invalid,
    PreviewChanged,
    Reinterpreted,
)
from statekeep.controller.status import status
from statekeep.engine.ids import VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.store import locks, versions
from statekeep.engine.store.database import Database, connect

Reconcile = Callable[..., Coroutine[Any, Any, Outcome]]


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def submit(database: Database) -> Reconcile:
    """Reconcile a manifest made of the fields of its spec."""

    async def submit(
        name: str,
        *,
        approve: str | None = None,
        parents: Mapping[VersionName, VersionName | None] | None = None,
        tell: Tell = tell_nobody,
        **spec: Any,
    ) -> Outcome:
        annotations: JsonObject = {} if approve is None else {APPROVE_ANNOTATION: approve}
        manifest = parse(
            {
                "apiVersion": "statekeep.io/v1alpha1",
                "kind": "MachineVersion",
                "metadata": {"name": name, "annotations": annotations},
                "spec": spec,
            }
        )
        return await reconcile(manifest, parents or {}, database, tell=tell)

    return submit


def ready(outcome: Outcome) -> tuple[str, str, str]:
    """Return (status, reason, message) of the summary."""
    conditions = status(outcome, generation=7, previous=None, now=datetime(2026, 1, 2, tzinfo=UTC))[
        "conditions"
    ]
    assert isinstance(conditions, list)
    row = conditions[0]
    assert isinstance(row, dict)
    assert row["observedGeneration"] == 7
    return str(row["status"]), str(row["reason"]), str(row["message"])


async def machine_id(connection: AsyncConnection) -> int:
    """Return the id of the machine that v1 belongs to."""
    root = await versions.find(connection, NAMESPACE, VersionName("v1"))
    assert root is not None
    return root.machine_id


async def test_a_root_is_applied_straight_away(submit: Reconcile) -> None:
    outcome = await submit("v1", machine="m", definition=LOAN_1)
    assert outcome.standing == Applied(None)
    assert ready(outcome)[:2] == ("True", "Applied")


async def test_every_error_of_a_definition_is_reported_at_once(submit: Reconcile) -> None:
    broken = {"id": "m", "initial": "nowhere", "states": {"a": {"on": {"E": "missing"}}}}
    outcome = await submit("v1", definition=broken)
    assert isinstance(outcome.standing, Invalid)
    assert {f.pointer for f in outcome.standing.findings} == {
        "/spec/definition/initial",
        "/spec/definition/states/a/on/E",
    }
    assert "2 errors" in ready(outcome)[2]


async def test_a_version_waits_for_its_parent(submit: Reconcile) -> None:
    outcome = await submit("v2", parentId="v1", definition=LOAN_2)
    assert outcome.standing == AwaitingParent(VersionName("v1"), known=False)
    assert "not known" in ready(outcome)[2]
    await submit("v1", machine="m", definition=LOAN_1)
    await submit("v2", parentId="v1", definition=LOAN_2)
    outcome = await submit("v3", parentId="v2", definition=LOAN_2)
    assert outcome.standing == AwaitingParent(VersionName("v2"), known=True)


async def test_a_preview_waits_for_its_approval_and_says_which_line_to_commit(
    submit: Reconcile, world: World
) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    outcome = await submit("v2", parentId="v1", historyPath=["START", "PAY"], definition=LOAN_2)
    assert outcome.standing == AwaitingApproval(None)
    assert outcome.preview is not None
    assert f'{APPROVE_ANNOTATION}: "{outcome.preview.id}"' in ready(outcome)[2]
    assert await world.place("a") == ("v1", "documents")


async def test_an_approval_of_the_preview_applies_it_once(submit: Reconcile, world: World) -> None:
    spec = {"parentId": "v1", "historyPath": ["START", "PAY"], "definition": LOAN_2}
    await submit("v1", machine="m", definition=LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    preview = (await submit("v2", **spec)).preview
    assert preview is not None
    first = await submit("v2", approve=preview.id, **spec)
    assert isinstance(first.standing, Applied)
    assert first.standing.deployment is not None
    assert first.standing.deployment.migrated == 1
    again = await submit("v2", approve=preview.id, **spec)
    without = await submit("v2", **spec)
    assert again.standing == without.standing == first.standing


async def test_of_several_who_apply_a_version_at_once_one_says_that_it_did(
    submit: Reconcile, world: World
) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    await world.spawn("a", "v1", "START")
    spec = {"parentId": "v1", "definition": LOAN_2}
    preview = (await submit("v2", **spec)).preview
    assert preview is not None
    outcomes = await asyncio.gather(*(submit("v2", approve=preview.id, **spec) for _ in range(4)))
    assert [outcome.deployed for outcome in outcomes].count(True) == 1
    assert {outcome.standing for outcome in outcomes} == {outcomes[0].standing}


async def test_an_approval_that_comes_with_the_version_is_honoured(
    submit: Reconcile, world: World
) -> None:
    spec = {"parentId": "v1", "definition": LOAN_2}
    await submit("v1", machine="m", definition=LOAN_1)
    await world.spawn("a", "v1", "START")
    preview = (await submit("v2", **spec)).preview
    assert preview is not None

    async def withdraw(connection: Any) -> bool:
        return await versions.withdraw(connection, NAMESPACE, VersionName("v2"))

    assert await world.database.transact(withdraw)
    outcome = await submit("v2", approve=preview.id, **spec)
    assert isinstance(outcome.standing, Applied)


async def test_automatic_approval_applies_the_first_preview(
    submit: Reconcile, world: World
) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    await world.spawn("a", "v1", "START")
    outcome = await submit("v2", parentId="v1", approval="Automatic", definition=LOAN_2)
    assert isinstance(outcome.standing, Applied)
    assert await world.place("a") == ("v2", "fee")


async def test_an_id_that_was_never_shown_approves_nothing(submit: Reconcile, world: World) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    await world.spawn("a", "v1", "START")
    wrong = "0" * 32
    outcome = await submit("v2", approve=wrong, parentId="v1", definition=LOAN_2)
    assert outcome.standing == AwaitingApproval(wrong)  # type: ignore[arg-type]
    assert f"{wrong} is no preview of this version" in ready(outcome)[2]


async def test_the_beginning_of_an_id_approves_nothing(submit: Reconcile) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    preview = (await submit("v2", parentId="v1", definition=LOAN_2)).preview
    assert preview is not None
    outcome = await submit("v2", approve=preview.id[:12], parentId="v1", definition=LOAN_2)
    assert isinstance(outcome.standing, AwaitingApproval)


@pytest.mark.parametrize("around", [" {}", "{} ", "\n{}\n", "\t{}"], ids=repr)
async def test_an_id_with_spaces_around_it_approves_nothing(submit: Reconcile, around: str) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    preview = (await submit("v2", parentId="v1", definition=LOAN_2)).preview
    assert preview is not None
    given = around.format(preview.id)
    outcome = await submit("v2", approve=given, parentId="v1", definition=LOAN_2)
    assert isinstance(outcome.standing, AwaitingApproval)
    message = ready(outcome)[2]
    assert message.startswith(f"{json.dumps(given)} has spaces around it")
    assert message.endswith(f'{APPROVE_ANNOTATION}: "{preview.id}"')


async def test_an_unseen_kind_of_move_changes_the_preview_and_nothing_else(
    submit: Reconcile, world: World
) -> None:
    spec = {"parentId": "v1", "definition": LOAN_2}
    await submit("v1", machine="m", definition=LOAN_1)
    await world.spawn("a", "v1", "START")
    approved = (await submit("v2", **spec)).preview
    assert approved is not None
    await world.spawn("b", "v1", "START", "PAY")
    outcome = await submit("v2", approve=approved.id, **spec)
    assert isinstance(outcome.standing, PreviewChanged)
    message = ready(outcome)[2]
    assert "documents → income" in message
    assert outcome.preview is not None
    assert outcome.preview.id in message
    assert await world.place("a") == ("v1", "fee")

    applied = await submit("v2", approve=outcome.preview.id, **spec)
    assert isinstance(applied.standing, Applied)


async def test_an_edit_after_the_approval_changes_the_preview(submit: Reconcile) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    approved = (await submit("v2", parentId="v1", definition=LOAN_2)).preview
    assert approved is not None
    outcome = await submit(
        "v2", approve=approved.id, parentId="v1", historyPath=["START"], definition=LOAN_2
    )
    assert outcome.standing == PreviewChanged(approved.id, ())
    assert "was edited after" in ready(outcome)[2]


@pytest.mark.parametrize(
    ("field", "edit"),
    [
        ("definition", {"definition": LOAN_1}),
        ("definition", {"definition": {"id": "m", "initial": "nowhere", "states": {"a": {}}}}),
        ("historyPath", {"historyPath": ["START", "WAIVE"]}),
        ("machine", {"machine": "other"}),
        ("parentId", {"parentId": "v0"}),
    ],
    ids=["definition", "an invalid definition", "path", "machine", "parent"],
)
async def test_what_is_applied_is_immutable(
    submit: Reconcile, world: World, field: str, edit: dict[str, Any]
) -> None:
    spec = {
        "parentId": "v1",
        "historyPath": ["START"],
        "definition": LOAN_2,
        "approval": "Automatic",
    }
    await submit("v1", machine="m", definition=LOAN_1)
    await world.spawn("a", "v1", "START")
    before = await submit("v2", **spec)
    outcome = await submit("v2", **(spec | edit))
    assert outcome.standing == Immutable((field,))
    assert ready(outcome)[:2] == ("False", "Immutable")
    assert (await submit("v2", **spec)).standing == before.standing


async def test_key_order_and_number_spelling_are_no_edit(submit: Reconcile) -> None:
    await submit("v1", machine="m", definition={**LOAN_1, "meta": {"weight": 1.0}})
    reordered = dict(reversed(list({**LOAN_1, "meta": {"weight": 1}}.items())))
    assert (await submit("v1", machine="m", definition=reordered)).standing == Applied(None)


async def test_a_second_root_of_a_machine_is_refused(submit: Reconcile) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    outcome = await submit("other", machine="m", definition=LOAN_1)
    assert isinstance(outcome.standing, Invalid)
    assert "has the root v1 already" in ready(outcome)[2]


async def test_a_machine_that_is_not_the_parents_is_refused(submit: Reconcile) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    outcome = await submit("v2", machine="n", parentId="v1", definition=LOAN_2)
    assert isinstance(outcome.standing, Invalid)
    assert "belongs to machine m, not to n" in ready(outcome)[2]


async def test_a_circle_of_parents_is_named(submit: Reconcile) -> None:
    a, b = VersionName("a"), VersionName("b")
    outcome = await submit("a", parents={a: b, b: a}, parentId="b", definition=LOAN_1)
    assert isinstance(outcome.standing, Invalid)
    assert "a → b → a" in ready(outcome)[2]


async def test_another_deployment_under_way_is_waited_for(submit: Reconcile, world: World) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    spec = {"parentId": "v1", "definition": LOAN_2, "approval": "Automatic"}

    async def meanwhile(connection: Any) -> Outcome:
        assert await locks.begin_deployment(connection, await machine_id(connection))
        return await submit("v2", **spec)

    outcome = await world.database.transact(meanwhile)
    assert outcome.preview is not None
    assert outcome.standing == Applying(outcome.preview.id, waits=True)
    assert isinstance((await submit("v2", **spec)).standing, Applied)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"database": "nothing"},
            'refused (database nothing at {}): database "nothing" does not exist',
        ),
        (
            {"username": "nobody", "password": "secret"},
            'refused (database {1} at {0}): role "nobody" does not exist',
        ),
        (
            {"host": "127.0.0.1", "port": 1, "query": {}},
            "did not answer (database {1} at 127.0.0.1:1): ",
        ),
    ],
    ids=["no such database", "no such user", "nobody listens"],
)
async def test_what_postgres_says_of_us_is_repeated_without_the_password(
    database_url: str, change: Any, why: str
) -> None:
    there = make_url(database_url)
    url = there.set(**change).render_as_string(hide_password=False)
    database = connect(url, KEYS)
    manifest = parse(
        {
            "apiVersion": "statekeep.io/v1alpha1",
            "kind": "MachineVersion",
            "metadata": {"name": "v1"},
            "spec": {"definition": LOAN_1},
        }
    )
    outcome = await reconcile(manifest, {}, database)
    await database.close()
    assert isinstance(outcome.standing, DatabaseUnavailable)
    assert (
        f"Postgres {why.format(there.query.get('host'), there.database)}"
        in outcome.standing.problem
    )
    assert "secret" not in outcome.standing.problem


async def test_warnings_say_which_events_of_an_ancestor_are_lost(submit: Reconcile) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    outcome = await submit("v2", parentId="v1", definition=LOAN_2)
    assert [w.code for w in outcome.warnings] == ["lost-event"]
    assert "BACK" in outcome.warnings[0].message
    skip = {"unhandledEvents": "Skip"}
    outcome = await submit("v2", parentId="v1", definition=LOAN_2, migration=skip)
    assert "it is skipped on replay" in outcome.warnings[0].message


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    outcome = Outcome(DatabaseUnavailable("Postgres did not answer"), None)
    first = status(outcome, generation=1, previous=None, now=datetime(2026, 1, 1, tzinfo=UTC))
    second = status(outcome, generation=1, previous=first, now=datetime(2026, 1, 2, tzinfo=UTC))
    assert first == second
    applied = status(
        Outcome(Applied(None), None),
        generation=1,
        previous=second,
        now=datetime(2026, 1, 3, tzinfo=UTC),
    )
    conditions = applied["conditions"]
    assert isinstance(conditions, list)
    times = {row["type"]: row["lastTransitionTime"] for row in conditions if isinstance(row, dict)}
    assert times["Ready"] == "2026-01-03T00:00:00Z"
    assert times["Stalled"] == "2026-01-01T00:00:00Z"


async def test_a_deployment_that_waits_for_a_lock_is_told_of_while_it_does(
    submit: Reconcile, world: World
) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    told: asyncio.Queue[Outcome] = asyncio.Queue()

    async def meanwhile(connection: Any) -> asyncio.Task[Outcome]:
        await locks.share_machine(connection, await machine_id(connection))
        spec = {"parentId": "v1", "definition": LOAN_2, "approval": "Automatic"}
        going = asyncio.create_task(submit("v2", tell=told.put, **spec))
        outcome = await asyncio.wait_for(told.get(), 30)
        assert outcome.preview is not None
        assert outcome.standing == Applying(outcome.preview.id, waits=False)
        assert ready(outcome)[:2] == ("False", "Applying")
        return going

    going = await world.database.transact(meanwhile)
    assert isinstance((await going).standing, Applied)
    assert told.empty()


async def test_under_automatic_approval_an_unseen_kind_of_move_asks_nobody(
    submit: Reconcile, world: World
) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    await world.spawn("a", "v1", "START")
    spec = {"parentId": "v1", "definition": LOAN_2, "approval": "Automatic"}
    told: asyncio.Queue[Outcome] = asyncio.Queue()

    async def meanwhile(connection: Any) -> asyncio.Task[Outcome]:
        await locks.keep_collectors_out(connection, await machine_id(connection))
        going = asyncio.create_task(submit("v2", tell=told.put, **spec))
        await asyncio.wait_for(told.get(), 30)
        await world.spawn("b", "v1", "START", "PAY")
        return going

    outcome = await (await world.database.transact(meanwhile))
    assert outcome.preview is not None
    assert isinstance(outcome.standing, Applying)
    assert [str(move) for move in outcome.standing.unseen] == ["documents → income"]
    assert ready(outcome) == (
        "False",
        "Applying",
        f"preview {outcome.preview.id} did not show 1 kind of move: documents → income; nothing was applied; "
        "the next preview is tried by itself",
    )
    assert await world.place("a") == ("v1", "fee")
    assert isinstance((await submit("v2", **spec)).standing, Applied)


async def test_of_two_roots_that_are_declared_together_neither_is_applied(
    database: Database,
) -> None:
    manifests = [
        parse(
            {
                "apiVersion": "statekeep.io/v1alpha1",
                "kind": "MachineVersion",
                "metadata": {"name": name},
                "spec": {"machine": "m", "definition": LOAN_1},
            }
        )
        for name in ("one", "two")
    ]
    for manifest in manifests:
        outcome = await reconcile(manifest, {}, database, roots=roots_of(manifests))
        assert isinstance(outcome.standing, Invalid)
        assert [found.code for found in outcome.standing.findings] == ["second-root"]


async def test_of_two_roots_at_one_moment_one_is_applied(submit: Reconcile) -> None:
    names = [f"v{number}" for number in range(5)]
    outcomes = await asyncio.gather(*(submit(n, machine="m", definition=LOAN_1) for n in names))
    [winner] = [
        name
        for name, outcome in zip(names, outcomes, strict=True)
        if isinstance(outcome.standing, Applied)
    ]
    for outcome in outcomes:
        if isinstance(outcome.standing, Invalid):
            assert f"has the root {winner} already" in ready(outcome)[2]
    assert sum(isinstance(outcome.standing, Invalid) for outcome in outcomes) == 4


async def test_a_policy_that_is_edited_after_the_migration_is_said_to_have_no_effect(
    submit: Reconcile,
) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    spec: Any = {"parentId": "v1", "approval": "Automatic", "definition": LOAN_2}
    assert (await submit("v2", **spec)).warnings == (await submit("v2", **spec)).warnings
    late = await submit("v2", migration={"unhandledEvents": "Skip"}, **spec)
    assert isinstance(late.standing, Applied)
    [warning] = [one for one in late.warnings if one.code == Code.POLICY_TOO_LATE]
    assert "{unhandledEvents: Stay, completedActors: Stay, unseenMoves: Hold}" in warning.message


async def test_a_version_that_means_something_else_to_this_release_says_where(
    world: World, submit: Reconcile
) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    await world.spawn("a", "v1", "START", "PAY", "UPLOAD", "BACK")
    with release(2):
        assert (await submit("v1", machine="m", definition=LOAN_1)).standing == Applied(None)
    assert [row.semantics for row in await world.rows("select semantics from version")] == [2]
    with release(3, is_deaf_to_back):
        outcome = await submit("v1", machine="m", definition=LOAN_1)
        assert isinstance(outcome.standing, Reinterpreted)
        summary = ready(outcome)
    assert summary[:2] == ("False", "Reinterpreted")
    assert "event 4, BACK, is not handled in review" in summary[2]
    assert "go back to the release before, or move the actors" in summary[2]


async def test_an_approval_under_another_release_does_not_count(
    world: World, submit: Reconcile
) -> None:
    await submit("v1", machine="m", definition=LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    spec: Any = {"parentId": "v1", "historyPath": ["START", "PAY"], "definition": LOAN_2}
    shown = (await submit("v2", **spec)).preview
    assert shown is not None
    with release(2):
        outcome = await submit("v2", approve=shown.id, **spec)
        assert outcome.standing == PreviewChanged(shown.id, (), other_semantics=True)
        summary = ready(outcome)
        assert "its approval does not count" in summary[2]
        assert outcome.preview is not None
        assert outcome.preview.id in summary[2]
        assert await world.place("a") == ("v1", "documents")
        again = await submit("v2", approve=outcome.preview.id, **spec)
        assert isinstance(again.standing, Applied)
