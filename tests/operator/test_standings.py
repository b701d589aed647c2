"""Where a version stands, as the operator says in its status: every reason of ``Ready``."""

from tests.operator.conftest import Story
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION

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


async def test_an_approval_of_the_preview_moves_the_actors(story: Story) -> None:
    story.apply("v1", machine="m", definition=LOAN_1)
    story.becomes("v1", "Applied")
    await story.world.spawn("a", "v1", *PATH)
    await story.world.spawn("b", "v1", "START", "WAIVE")
    story.apply("v2", parentId="v1", historyPath=PATH, definition=LOAN_2)
    preview = story.becomes("v2", "AwaitingApproval", saying="1 of 2")["preview"]
    assert preview["actors"] == {
        "evaluated": 2,
        "wouldMigrate": 1,
        "wouldStay": 1,
        "needsRescue": 0,
    }
    assert f'{APPROVE_ANNOTATION}: "{preview["id"]}"' in story.ready("v2")[2]
    story.apply(
        "v2",
        approve=preview["id"],
        manager="argocd-controller",
        parentId="v1",
        historyPath=PATH,
        definition=LOAN_2,
    )
    status = story.becomes("v2", "Applied")
    assert status["migration"]["migrated"] == status["migration"]["stayed"] == 1
    assert status["migration"]["approvedBy"] == "argocd-controller"
    assert status["preview"] == preview
