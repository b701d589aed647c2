"""What the operator writes: the status, when it says something new, and an Event when the reason changes."""

import json

import pytest
from tests.operator.kubernetes import Kubernetes
from tests.operator.patience import until
from tests.operator.process import Operator
from tests.operator.story import Story, emulated
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION
from statekeep.engine.json import JsonObject


def big(size: int) -> JsonObject:
    """A definition of so many bytes of JSON."""
    states: JsonObject = {"end": {"type": "final"}}
    length = 0
    while length < size:
        name = f"s{len(states)}"
        states[name] = {"description": "x" * 900, "on": {f"E{len(states)}": "end"}}
        length += 960
    states["first"] = {"on": {f"GO{i}": name for i, name in enumerate(states)}}
    return {"initial": "first", "states": states}


def test_nothing_but_the_status_is_touched(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    before = story.get("v2")["metadata"]
    story.becomes("v2", "AwaitingApproval")
    after = story.get("v2")["metadata"]
    assert "finalizers" not in after
    assert after.get("annotations", {}) == {}
    assert after["generation"] == 1
    theirs = {"resourceVersion": "", "managedFields": []}  # which an API server keeps of all writes
    assert {**after, **theirs} == {**before, **theirs}


def test_a_definition_of_one_megabyte_works(story: Story) -> None:
    definition = big(1_000_000)
    assert len(json.dumps(definition)) > 1_000_000
    story.apply("v1", definition=definition)
    story.becomes("v1", "Applied")
    story.apply("v2", parentId="v1", approval="Automatic", definition=definition)
    story.becomes("v2", "Applied")
    assert story.get("v2")["metadata"].get("annotations", {}) == {}
    assert len(json.dumps(story.status("v2"))) < 64 * 1024


def test_a_status_that_says_the_same_is_not_written_again(story: Story, operator: Operator) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    story.becomes("v2", "AwaitingApproval")
    revision = story.get("v2")["metadata"]["resourceVersion"]
    story.passes(operator)
    assert story.get("v2")["metadata"]["resourceVersion"] == revision


async def test_a_refresh_shows_the_traffic_without_an_event(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    story.becomes("v2", "AwaitingApproval", saying="0 of 0")
    until(lambda: "AwaitingApproval" in story.announced("v2"), "the Event of the standing")
    announced = story.announced("v2")
    await story.world.spawn("a", "v1", "START")
    story.becomes("v2", "AwaitingApproval", saying="1 of 1")
    assert story.announced("v2") == announced


def test_each_change_of_the_reason_is_announced_once(story: Story) -> None:
    story.apply("v2", parentId="v1", definition=LOAN_2)
    story.becomes("v2", "AwaitingParent")
    story.apply("v1", definition=LOAN_1)
    preview = story.becomes("v2", "AwaitingApproval")["preview"]
    story.apply("v2", approve=preview["id"], parentId="v1", definition=LOAN_1)
    preview = story.becomes("v2", "PreviewChanged")["preview"]
    story.apply("v2", approve=preview["id"], parentId="v1", definition=LOAN_1)
    story.becomes("v2", "Applied")
    until(lambda: "Applied" in story.announced("v2"), "the last Event")
    events = story.kubernetes.events((story.namespace, "v2"))
    assert [(event["type"], event["reason"]) for event in events] == [
        ("Normal", "AwaitingParent"),
        ("Normal", "AwaitingApproval"),
        ("Warning", "PreviewChanged"),
        ("Normal", "Applied"),
    ]
    for event in events:
        assert len(event["message"].encode()) <= 1024
        assert event["reportingComponent"] == "statekeep.io/operator"
        assert event["reportingInstance"]
        assert event["involvedObject"]["uid"] == story.get("v2")["metadata"]["uid"]


def test_an_event_names_no_preview_to_approve_for_it_may_be_another_one_soon(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    story.apply("v2", parentId="v1", definition=LOAN_2)
    first = story.becomes("v2", "AwaitingApproval")["preview"]["id"]
    story.apply("v2", approve="0" * 32, parentId="v1", definition=LOAN_1)
    story.becomes("v2", "AwaitingApproval", saying="0" * 32)
    story.apply("v2", approve=first, parentId="v1", definition=LOAN_1)
    second = story.becomes("v2", "PreviewChanged")["preview"]["id"]
    until(lambda: "PreviewChanged" in story.announced("v2"), "the Event of the change")
    for event in story.kubernetes.events((story.namespace, "v2")):
        assert "its status says which preview to approve" in event["message"]
        assert APPROVE_ANNOTATION not in event["message"]
        assert second not in event["message"]


def test_a_long_message_is_cut_for_its_event(story: Story) -> None:
    states: JsonObject = {f"größer-{n}": {"on": {"E": f"missing{n}"}} for n in range(60)}
    story.apply("v1", definition={"initial": "größer-0", "states": states})
    story.becomes("v1", "Invalid")
    [event] = until(
        lambda: story.kubernetes.events((story.namespace, "v1")), "the Event of the errors"
    )
    assert 900 <= len(event["message"].encode()) <= 1024
    assert event["message"].endswith("…")


@emulated
def test_an_edit_that_comes_between_reading_and_writing_is_not_lost(
    story: Story, kubernetes: Kubernetes
) -> None:
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    edit = story.manifest("v2", parentId="v1", historyPath=["START"], definition=LOAN_2)
    kubernetes.apply_before_the_next_write(edit)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    status = story.becomes("v2", "AwaitingApproval")
    assert status["observedGeneration"] == 2
    assert "prefixHash" in status["preview"]


@pytest.mark.parametrize("status", [{}, {"machine": "somebody else's"}])
def test_a_status_that_somebody_overwrote_is_restored(story: Story, status: JsonObject) -> None:
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    story.kubernetes.write_status((story.namespace, "v1"), status)
    assert story.becomes("v1", "Applied")["machine"] == "v1"
