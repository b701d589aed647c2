"""What the API server refuses by itself: rules of the schema, and rules in CEL, each with its message."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.cluster.api_server import ApiServer
from tests.operator.objects import Object, Refused
from tests.operator.test_writes import big
from tests.store.definitions import LOAN_1, LOAN_2

pytestmark = pytest.mark.cluster

_numbers = itertools.count(1)

WITHOUT: Any = object()
"""The value of a field that an edit takes away."""

CHILD: Object = {
    "machine": "m",
    "parentId": "v1",
    "historyPath": ["START"],
    "definition": LOAN_1,
}


@dataclass
class Desk:
    """Where one object is made and edited, as people do."""

    api_server: ApiServer
    namespace: str
    name: str = field(default_factory=lambda: f"v{next(_numbers)}-refused")

    def apply(self, **spec: Any) -> Object:
        return self.api_server.apply(self.manifest(**spec))

    def manifest(self, **spec: Any) -> Object:
        kept = {name: value for name, value in spec.items() if value is not WITHOUT}
        return {
            "apiVersion": "statekeep.io/v1alpha1",
            "kind": "MachineVersion",
            "metadata": {"namespace": self.namespace, "name": self.name},
            "spec": kept,
        }

    def stand(self, applied: str, ready: str = "Applied") -> None:
        """Write a status as the operator does, as far as the rules read it."""
        conditions = [
            {
                "type": kind,
                "status": applied,
                "reason": reason,
                "message": "",
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            }
            for kind, reason in (
                ("Ready", ready),
                ("Applied", "Immutable" if ready == "Immutable" else "Applied"),
            )
        ]
        self.api_server.write_status((self.namespace, self.name), {"conditions": conditions})


@pytest.fixture
def desk(api_server: ApiServer, untended: str) -> Desk:
    return Desk(api_server, untended)


@pytest.mark.parametrize(
    ("spec", "where", "why"),
    [
        ({}, "spec.definition", "Required value"),
        ({"definition": "a text"}, "spec.definition", "expected map"),
        ({"definition": LOAN_1, "machine": ""}, "spec.machine", "should be at least 1 chars long"),
        ({"definition": LOAN_1, "machine": "m" * 254}, "spec.machine", "more than 253"),
        ({"definition": LOAN_1, "approval": "Sometimes"}, "spec.approval", "supported values"),
        (
            {"definition": LOAN_1, "migration": {"unhandledEvents": "Drop"}},
            "spec.migration.unhandledEvents",
            "supported values",
        ),
        ({**CHILD, "historyPath": []}, "spec.historyPath", "at least 1 items"),
        ({**CHILD, "historyPath": ["E"] * 257}, "spec.historyPath", "at most 256 items"),
        ({**CHILD, "historyPath": ["E" * 257]}, "spec.historyPath[0]", "more than 256"),
        ({**CHILD, "historyPath": ["E", 1]}, "spec.historyPath[1]", "expected string"),
        (
            {"definition": LOAN_1, "historyPath": ["START"]},
            "spec.historyPath",
            "a history path says who comes over from a parent; name the parentId too",
        ),
        ({"definition": LOAN_1, "parent": "v1"}, ".spec.parent", "field not declared in schema"),
    ],
    ids=[
        "no definition",
        "a definition that is no object",
        "an empty machine",
        "a long machine",
        "an approval that there is not",
        "a policy that there is not",
        "an empty path",
        "a path of too many events",
        "a path with a long event",
        "a path with a number",
        "a path without a parent",
        "a misspelt field",
    ],
)
def test_what_is_wrong_is_refused_with_its_place(
    desk: Desk, spec: Any, where: str, why: str
) -> None:
    with pytest.raises(Refused) as refusal:
        desk.apply(**spec)
    assert where in str(refusal.value)
    assert why in str(refusal.value)


def test_a_version_cannot_be_its_own_parent(desk: Desk) -> None:
    with pytest.raises(
        Refused, match="a version cannot be its own parent; name the version before it"
    ):
        desk.apply(parentId=desk.name, definition=LOAN_1)


EDITS: dict[str, tuple[Object, str]] = {
    "another definition": ({"definition": LOAN_2}, "definition"),
    "a detail deep in the definition": (
        {"definition": {**LOAN_1, "states": {**LOAN_1["states"], "idle": {}}}},  # type: ignore[dict-item]
        "definition",
    ),
    "another machine": ({"machine": "other"}, "machine"),
    "no machine": ({"machine": WITHOUT}, "machine"),
    "another parent": ({"parentId": "v0"}, "parentId"),
    "a root": ({"parentId": WITHOUT, "historyPath": WITHOUT}, "parentId"),
    "another path": ({"historyPath": ["START", "PAY"]}, "historyPath"),
    "no path": ({"historyPath": WITHOUT}, "historyPath"),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("standing", [None, "False", "Unknown"])
def test_what_is_not_applied_may_be_edited(desk: Desk, edit: str, standing: str | None) -> None:
    desk.apply(**CHILD)
    if standing is not None:
        desk.stand(standing)
    assert desk.apply(**CHILD | EDITS[edit][0])["metadata"]["generation"] == 2


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_applied_is_frozen(desk: Desk, edit: str) -> None:
    desk.apply(**CHILD)
    desk.stand("True")
    fields, frozen = EDITS[edit]
    message = (
        f"spec.{frozen}: Invalid value: .*the version is applied and its {frozen} cannot change; "
        "make a new version with this one as its parent"
    )
    with pytest.raises(Refused, match=message):
        desk.apply(**CHILD | fields)


def test_an_outage_of_the_database_does_not_lift_it(desk: Desk) -> None:
    desk.apply(**CHILD)
    desk.stand("True", ready="DatabaseUnavailable")
    with pytest.raises(Refused, match="its definition cannot change"):
        desk.apply(**CHILD | {"definition": LOAN_2})


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_not_what_was_applied_may_be_mended(desk: Desk, edit: str) -> None:
    desk.apply(**CHILD | EDITS[edit][0])
    desk.stand("True", ready="Immutable")
    assert desk.apply(**CHILD)["metadata"]["generation"] == 2
    desk.stand("True")
    with pytest.raises(Refused, match="cannot change"):
        desk.apply(**CHILD | EDITS[edit][0])


@pytest.mark.parametrize("field", ["machine", "parentId", "historyPath"])
def test_what_was_absent_when_it_was_applied_stays_absent(desk: Desk, field: str) -> None:
    first = CHILD | {field: WITHOUT, "historyPath": WITHOUT}
    desk.apply(**first)
    desk.stand("True")
    with pytest.raises(Refused, match=f"its {field} cannot change"):
        desk.apply(**{**first, field: CHILD[field]})


def test_what_does_not_decide_may_be_edited_at_any_time(desk: Desk) -> None:
    desk.apply(**CHILD)
    desk.stand("True")
    again = {**LOAN_1, "states": dict(reversed(LOAN_1["states"].items()))}  # type: ignore[union-attr]
    desk.apply(**CHILD | {"definition": again})
    applied = desk.apply(**CHILD, approval="Automatic", migration={"unseenMoves": "Stay"})
    assert applied["spec"]["approval"] == "Automatic"


def test_one_edit_is_told_of_everything_that_it_must_not_touch(desk: Desk) -> None:
    desk.apply(**CHILD)
    desk.stand("True")
    with pytest.raises(Refused) as refusal:
        desk.apply(machine="other", parentId="v0", definition=LOAN_2)
    for frozen in ("machine", "parentId", "historyPath", "definition"):
        assert f"its {frozen} cannot change" in str(refusal.value)


def test_the_rules_can_afford_a_definition_of_one_megabyte(desk: Desk) -> None:
    spec = CHILD | {"definition": big(1_000_000), "historyPath": ["E" * 256] * 256}
    desk.apply(**spec)
    desk.stand("True")
    desk.apply(**spec, approval="Automatic")
    with pytest.raises(Refused, match="its definition cannot change"):
        desk.apply(**spec | {"definition": big(1_001_000)})


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"conditions": [{"type": "Ready"}]}, "Required value"),
        ({"preview": {"id": "short"}}, "should match"),
        ({"observedGeneration": "1"}, "must be of type integer"),
    ],
)
def test_a_status_that_is_none_is_refused(desk: Desk, status: Any, why: str) -> None:
    desk.apply(**CHILD)
    with pytest.raises(Refused, match=why):
        desk.api_server.write_status((desk.namespace, desk.name), status)


def test_defaults_are_filled_in_and_a_new_version_is_not_ready(desk: Desk) -> None:
    made = desk.apply(definition=LOAN_1)
    assert made["spec"] == {
        "approval": "Manual",
        "migration": {
            "unhandledEvents": "Stay",
            "completedActors": "Stay",
            "unseenMoves": "Hold",
        },
        "definition": LOAN_1,
    }
    assert made["status"] == {"observedGeneration": -1}


def test_a_status_is_not_written_with_the_rest(desk: Desk) -> None:
    desk.api_server.apply(desk.manifest(**CHILD) | {"status": {"machine": "forged"}})
    one = desk.api_server.get((desk.namespace, desk.name))
    assert one["status"] == {"observedGeneration": -1}


def test_numbers_are_kept_as_far_as_json_goes(desk: Desk) -> None:
    meta = {"whole": 1.0, "large": 2**53 - 1, "small": 0.1, "deep": [[{"null": None}]]}
    made = desk.apply(definition={"id": "m", "meta": meta})
    assert made["spec"]["definition"]["meta"] == meta
