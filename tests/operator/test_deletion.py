"""Deleting an object: it never hangs, and takes only what was never applied with it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    story.apply("v2", parentId="v1", definition=LOAN_1)
    story.becomes("v2", "Immutable")


def test_pruning_removes_what_neither_the_cluster_nor_anybody_else_needs(
    story: Story, shared_url: str, tmp_path: Path
) -> None:
    for name in ("here", "gone"):
        story.apply(name, machine=name, definition=LOAN_1)
        story.becomes(name, "Applied")
    story.delete("gone")
    pruned = subprocess.run(
        [
            *(sys.executable, "-m", "statekeep.controller.cli.main", "versions", "prune", "--yes"),
            *("--database-url", shared_url, "--namespace", story.namespace),
        ],
        env={**os.environ, "KUBECONFIG": str(story.kubernetes.kubeconfig(tmp_path / "config"))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert pruned.stdout.splitlines()[-1] == f"{story.namespace}/gone: removed"
    assert "here: removed" not in pruned.stdout
    story.apply("gone", machine="gone", definition=LOAN_2)
    story.becomes("gone", "Applied")


def test_children_learn_that_their_parent_went(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    story.apply("v3", parentId="v2", definition=LOAN_2)
    story.becomes("v3", "AwaitingParent", saying="not applied yet")
    story.delete("v2")
    story.becomes("v3", "AwaitingParent", saying="not known")


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
