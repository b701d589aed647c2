"""Deleting an object: it never hangs, and takes only what was never applied with it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.operator.patience import until
from tests.operator.process import Operator
from tests.operator.story import Story
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.engine.ids import VersionName
from statekeep.engine.store import versions


async def is_stored(story: Story, name: str) -> bool:
    async def find(connection: AsyncConnection) -> bool:
        version = await versions.find(connection, story.world.namespace, VersionName(name))
        return version is not None

    return await story.world.database.read(find)


def stored_names(database_url: str, namespace: str) -> list[str]:
    query = "select name from statekeep.version where namespace = %s order by name"
    with psycopg.connect(database_url) as connection:
        return [name for (name,) in connection.execute(query, [namespace])]


async def test_a_version_that_was_never_applied_is_withdrawn(
    story: Story, operator: Operator
) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    story.becomes("v2", "AwaitingApproval")
    assert await is_stored(story, "v2")
    before = operator.metric("statekeep_operator_withdrawals_total")
    story.delete("v2")
    until(
        lambda: operator.metric("statekeep_operator_withdrawals_total") > before, "the withdrawal"
    )
    assert not await is_stored(story, "v2")


async def test_an_applied_version_goes_on_and_is_adopted_again(story: Story) -> None:
    spec: Any = {"parentId": "v1", "approval": "Automatic", "definition": LOAN_2}
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    await story.world.spawn("a", "v1", "START")
    story.apply("v2", **spec)
    migration = story.becomes("v2", "Applied")["migration"]
    story.delete("v2")
    await story.world.answered("a", "PAY")
    story.apply("v2", **spec)
    assert story.becomes("v2", "Applied")["migration"] == migration
    story.delete("v2")
    other: Any = {"parentId": "v1", "historyPath": ["PAY"], "definition": LOAN_1}
    story.apply("v2", machine="m", **other)
    story.becomes("v2", "Immutable", saying="apply the manifest again as it was applied")
    # Neither what is wrong nor another mistake is frozen; what is right is, once it stands there again.
    story.apply("v2", **other)
    story.apply("v2", **spec)
    assert story.becomes("v2", "Applied")["migration"] == migration


def prune(story: Story, database_url: str, config: Path, *arguments: str) -> str:
    """Run ``statekeep versions prune`` in the namespace of a story; return what it prints."""
    pruned = subprocess.run(
        [
            *(sys.executable, "-m", "statekeep.controller.cli.main", "versions", "prune", "--yes"),
            *("--database-url", database_url, "--namespace", story.namespace, *arguments),
        ],
        env={**os.environ, "KUBECONFIG": str(story.kubernetes.kubeconfig(config))},
        capture_output=True,
        text=True,
        check=True,
    )
    return pruned.stdout


def test_pruning_removes_what_neither_the_cluster_nor_anybody_else_needs(
    story: Story, shared_url: str, tmp_path: Path
) -> None:
    for name in ("here", "gone"):
        story.apply(name, machine=name, definition=LOAN_1)
        story.becomes(name, "Applied")
    story.delete("gone")
    pruned = prune(story, shared_url, tmp_path / "config")
    assert pruned.splitlines()[-1] == f"{story.namespace}/gone: removed"
    assert "here: removed" not in pruned
    story.apply("gone", machine="gone", definition=LOAN_2)
    story.becomes("gone", "Applied")


async def test_what_was_pruned_though_it_is_declared_is_stored_again(
    story: Story, shared_url: str, tmp_path: Path
) -> None:
    story.apply("v1", machine="m", definition=LOAN_1)
    story.becomes("v1", "Applied")
    story.apply("rival", machine="m", definition=LOAN_1)
    story.becomes("rival", "Invalid")
    before = story.get("v1")
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    empty = ("--manifests", str(nothing), "--none-declared")
    assert "v1: removed" in prune(story, shared_url, tmp_path / "config", *empty)
    until(lambda: stored_names(shared_url, story.namespace) == ["v1"], "the version again")
    await story.world.spawn("a", "v1", "START")
    assert story.get("v1") == before


def test_another_root_follows_once_the_one_in_force_is_pruned(
    story: Story, shared_url: str, tmp_path: Path
) -> None:
    story.apply("first", machine="m", definition=LOAN_1)
    story.becomes("first", "Applied")
    story.apply("second", machine="m", definition=LOAN_1)
    story.becomes("second", "Invalid", saying="machine m has the root first already")
    story.delete("first")
    story.apply("kept", definition=LOAN_1)
    story.becomes("kept", "Applied")
    assert "first: removed" in prune(story, shared_url, tmp_path / "config")
    story.becomes("second", "Applied")


def test_children_learn_that_their_parent_went(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    story.apply("v3", parentId="v2", definition=LOAN_2)
    story.becomes("v3", "AwaitingParent", saying="not applied yet")
    story.delete("v2")
    story.becomes("v3", "AwaitingParent", saying="not known")


def test_an_applied_object_that_somebody_holds_in_deletion_is_seen(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    before = story.becomes("v1", "Applied")
    story.kubernetes.mark_deleted((story.namespace, "v1"))
    generation = before["observedGeneration"] + 1
    until(lambda: story.status("v1")["observedGeneration"] == generation, "the deletion seen")
    assert story.ready("v1")[:2] == ("True", "Applied")
    assert {row["observedGeneration"] for row in story.status("v1")["conditions"]} == {generation}


def test_an_object_that_somebody_holds_in_deletion_is_left_alone(
    story: Story, operator: Operator
) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    preview_id = story.becomes("v2", "AwaitingApproval")["preview"]["id"]
    story.kubernetes.mark_deleted((story.namespace, "v2"))
    story.apply("v2", approve=preview_id, parentId="v1", definition=LOAN_2)
    story.passes(operator)
    assert story.ready("v2")[1] == "AwaitingApproval"
