"""Where a version stands, as the operator says in its status: every reason of ``Ready``."""

from typing import Any

from tests.operator.process import Operator
from tests.operator.story import Story, emulated
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION
from statekeep.engine.ids import MachineName
from statekeep.engine.store import locks, versions

PATH = ["START", "PAY"]


def test_a_root_is_applied_straight_away(story: Story) -> None:
    story.apply("v1", machine="m", definition=LOAN_1)
    status = story.becomes("v1", "Applied")
    assert status["machine"] == "m"
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Ready": "True",
        "Reconciling": "False",
        "Stalled": "False",
        "Valid": "True",
        "Approved": "True",
        "Applied": "True",
    }


async def test_an_approval_of_the_preview_moves_the_actors(
    story: Story, operator: Operator
) -> None:
    story.apply("v1", machine="m", definition=LOAN_1)
    story.becomes("v1", "Applied")
    await story.world.spawn("a", "v1", *PATH)
    await story.world.spawn("b", "v1", "START", "WAIVE")
    spec: Any = {"parentId": "v1", "historyPath": PATH, "definition": LOAN_2}
    story.apply("v2", **spec)
    preview = story.becomes("v2", "AwaitingApproval", saying="1 of 2")["preview"]
    counts = {"evaluated": 2, "wouldMigrate": 1, "wouldStay": 1, "needsRescue": 0}
    assert preview["actors"] == counts
    assert f'{APPROVE_ANNOTATION}: "{preview["id"]}"' in story.ready("v2")[2]
    story.apply("v2", approve=preview["id"], manager="argocd-controller", **spec)
    status = story.becomes("v2", "Applied")
    assert status["migration"]["migrated"] == status["migration"]["stayed"] == 1
    assert status["migration"]["approvedBy"] == "argocd-controller"
    assert status["preview"] == preview
    summary = {"preview": preview["id"], "migrate": 1, "stay": 1, "rescue": 0}
    # Whoever owns the annotation later has not approved anything.
    story.apply("v2", manager="kubectl", **spec)
    story.apply("v2", approve=preview["id"], manager="kubectl", **spec)
    story.passes(operator)
    assert story.status("v2") == status
    # An object that is made anew knows it from the database.
    story.delete("v2")
    story.apply("v2", manager="kubectl", **spec)
    anew = story.becomes("v2", "Applied")
    assert anew["migration"] == status["migration"]
    assert anew["summary"] == status["summary"] == summary


def test_every_error_of_a_definition_is_listed(story: Story) -> None:
    story.apply("v1", definition={"initial": "nowhere", "states": {"a": {"on": {"E": "missing"}}}})
    status = story.becomes("v1", "Invalid", saying="2 errors")
    assert {error["pointer"] for error in status["errors"]} == {
        "/spec/definition/initial",
        "/spec/definition/states/a/on/E",
    }
    story.apply("v1", definition=LOAN_1)
    assert "errors" not in story.becomes("v1", "Applied")


@emulated
def test_an_object_that_is_no_manifest_is_invalid_in_the_same_way(story: Story) -> None:
    story.apply("v1", historyPath=["START"], definition=LOAN_1)
    [error] = story.becomes("v1", "Invalid")["errors"]
    assert error["pointer"] == "/spec/historyPath"


def test_a_version_waits_for_its_parent(story: Story) -> None:
    story.apply("v2", parentId="v1", definition=LOAN_2)
    story.becomes("v2", "AwaitingParent", saying="not known")
    story.apply("v1", machine="m", definition=LOAN_1)
    story.becomes("v2", "AwaitingApproval")


def test_a_chain_of_versions_follows_its_root(story: Story) -> None:
    for number in (4, 3, 2):
        story.apply(
            f"v{number}", parentId=f"v{number - 1}", approval="Automatic", definition=LOAN_1
        )
    story.becomes("v4", "AwaitingParent")
    story.apply("v1", definition=LOAN_1)
    story.becomes("v4", "Applied")


def test_a_circle_of_parents_is_invalid_until_it_is_cut(story: Story) -> None:
    names = {"a": "c", "b": "a", "c": "b"}
    for name, parent in names.items():
        story.apply(name, parentId=parent, definition=LOAN_1)
    for name in names:
        story.becomes(name, "Invalid", saying="circle")
    story.apply("a", definition=LOAN_1)
    story.becomes("a", "Applied")
    story.becomes("b", "AwaitingApproval")
    story.becomes("c", "AwaitingParent")


def test_an_approval_that_comes_with_the_version_is_honoured(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    preview_id = story.becomes("v2", "AwaitingApproval")["preview"]["id"]
    story.delete("v2")
    story.apply("v2", approve=preview_id, parentId="v1", definition=LOAN_2)
    assert story.becomes("v2", "Applied")["migration"]["previewId"] == preview_id


def test_an_approval_of_something_else_is_refused(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", approve="0" * 32, parentId="v1", definition=LOAN_2)
    status = story.becomes("v2", "AwaitingApproval", saying="0" * 32)
    preview_id = status["preview"]["id"]
    assert preview_id in story.ready("v2")[2]
    story.apply("v2", approve=f" {preview_id}", parentId="v1", definition=LOAN_2)
    story.becomes("v2", "AwaitingApproval", saying=f'" {preview_id}" has spaces around it')
    story.apply("v2", approve=preview_id, parentId="v1", definition=LOAN_2)
    story.becomes("v2", "Applied")


async def test_a_stale_approval_applies_nothing_and_lists_what_is_new(story: Story) -> None:
    spec: Any = {"parentId": "v1", "definition": LOAN_2}
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    await story.world.spawn("a", "v1", "START")
    story.apply("v2", **spec)
    old = story.becomes("v2", "AwaitingApproval", saying="1 of 1")["preview"]["id"]
    await story.world.spawn("b", "v1", "START", "PAY")
    story.apply("v2", approve=old, **spec)
    status = story.becomes("v2", "PreviewChanged", saying="income")
    new = status["preview"]["id"]
    assert new != old
    assert new in story.ready("v2")[2]
    assert {move["to"] for move in status["preview"]["moves"]} == {"fee", "income"}
    story.apply("v2", approve=new, **spec)
    assert story.becomes("v2", "Applied")["migration"]["migrated"] == 2


def test_an_approval_is_void_once_the_version_is_edited(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    old = story.becomes("v2", "AwaitingApproval")["preview"]["id"]
    story.apply("v2", approve=old, parentId="v1", historyPath=PATH, definition=LOAN_2)
    story.becomes("v2", "PreviewChanged", saying="edited")


async def test_an_automatic_version_needs_nobody(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    await story.world.spawn("a", "v1", "START")
    story.apply("v2", parentId="v1", approval="Automatic", definition=LOAN_2)
    migration = story.becomes("v2", "Applied")["migration"]
    assert (migration["approval"], migration["migrated"]) == ("Automatic", 1)
    assert "approvedBy" not in migration


async def test_a_deployment_waits_for_another_one_to_the_same_machine(story: Story) -> None:
    story.apply("v1", machine="m", definition=LOAN_1)
    story.becomes("v1", "Applied")
    async with story.world.database.engine.begin() as other:
        machine = await versions.machine_id(other, story.world.namespace, MachineName("m"))
        assert machine is not None
        assert await locks.begin_deployment(other, machine)
        story.apply("v2", parentId="v1", approval="Automatic", definition=LOAN_2)
        story.becomes("v2", "Applying")
    story.becomes("v2", "Applied")


@emulated
def test_an_applied_version_cannot_be_edited(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", approval="Automatic", definition=LOAN_2)
    before = story.becomes("v2", "Applied")
    story.apply("v2", parentId="v1", historyPath=PATH, definition=LOAN_1)
    status = story.becomes("v2", "Immutable", saying="historyPath, definition")
    assert status["migration"] == before["migration"]
    story.apply("v2", parentId="v1", definition=LOAN_2)
    story.becomes("v2", "Applied")
