"""The loan story on a cluster, told with ``kubectl statekeep`` beside a running operator."""

from pathlib import Path

from tests.operator.conftest import Story
from tests.operator.kubernetes import PERSON
from tests.plugin.run import Plugin
from tests.store.definitions import LOAN_1, LOAN_2

PATH = ["START", "PAY"]


async def test_an_approval_by_kubectl_parts_alice_and_bob(story: Story, tmp_path: Path) -> None:
    config = story.kubernetes.kubeconfig(
        tmp_path / "config", token=PERSON, namespace=story.namespace
    )
    plugin = Plugin(tmp_path, config)
    story.apply("loan-1", machine="loan", definition=LOAN_1)
    story.becomes("loan-1", "Applied")
    await story.world.spawn("alice", "loan-1", *PATH)
    await story.world.spawn("bob", "loan-1", "START", "WAIVE")
    story.apply("loan-2", parentId="loan-1", historyPath=PATH, definition=LOAN_2)
    preview = story.becomes("loan-2", "AwaitingApproval", saying="1 of 2")["preview"]["id"]
    table = [line.split() for line in plugin("status").lines]
    assert table[2][:7] == ["loan-2", "loan", "loan-1", "AwaitingApproval", "1", "1", "0"]

    done = plugin("approve", "loan-2", "--preview", preview)
    assert done.status == 0, done.err
    migration = story.becomes("loan-2", "Applied")["migration"]
    assert migration["approvedBy"] == "kubectl-statekeep"
    assert (migration["previewId"], migration["migrated"], migration["stayed"]) == (preview, 1, 1)
    assert await story.world.place("alice") == ("loan-2", "income")
    assert await story.world.place("bob") == ("loan-1", "documents")

    assert "(approved by kubectl-statekeep)" in plugin("status", "loan-2").out
    assert (
        plugin("preview", "loan-2")
        .lines[0]
        .startswith("This was shown before it was applied: 1 of 2")
    )
    assert "applied already" in plugin("approve", "loan-2").out
