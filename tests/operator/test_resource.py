"""Reading objects: whatever an API server may send."""

from typing import Any

import pytest

from statekeep.controller.operator.resource import read_resource, ready_reason

APPROVE: Any = {"f:metadata": {"f:annotations": {"f:statekeep.io/approve": {}}}}


def resource(metadata: Any = None, **fields: Any) -> Any:
    return read_resource(
        {"metadata": {"namespace": "n", "name": "v", **(metadata or {})}, **fields}
    )


def entry(manager: str, time: str, fields: Any) -> Any:
    return {"manager": manager, "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields}


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], None),
        ([entry("kubectl", "2026-01-01T00:00:00Z", {"f:spec": {}})], None),
        ([entry("kubectl", "2026-01-01T00:00:00Z", APPROVE)], "kubectl"),
        (
            [
                entry("argocd", "2026-01-02T00:00:00Z", APPROVE),
                entry("kubectl", "2026-01-01T00:00:00Z", APPROVE),
            ],
            "argocd",
        ),
        (
            [
                entry("kubectl", "2026-01-01T00:00:00Z", APPROVE),
                entry("argocd", "2026-01-01T00:00:00Z", APPROVE),
                entry("helm", "2025-12-31T00:00:00Z", APPROVE),
            ],
            "argocd, kubectl",
        ),
        (["nonsense", {"fieldsV1": {"f:metadata": []}}], None),
    ],
    ids=[
        "nobody",
        "another field",
        "one",
        "two: the later one",
        "two in one second: both",
        "nonsense",
    ],
)
def test_the_approver_is_whoever_set_the_annotation_last(
    entries: Any, expected: str | None
) -> None:
    assert resource({"managedFields": entries}).approver == expected


def test_what_the_api_server_adds_is_no_part_of_the_document() -> None:
    metadata = {"uid": "u", "resourceVersion": "7", "managedFields": [], "generation": 3}
    read = resource(metadata, spec={"parentId": "p"}, status={"machine": "m"}, kind="K")
    assert read.document == {
        "kind": "K",
        "metadata": {"namespace": "n", "name": "v", "uid": "u", "generation": 3},
        "spec": {"parentId": "p"},
    }
    assert (read.revision, read.parent, read.generation) == ("7", "p", 3)


@pytest.mark.parametrize("status", [{}, {"conditions": None}, {"conditions": [None, {}]}])
def test_a_status_without_conditions_has_no_reason(status: Any) -> None:
    assert ready_reason(status) is None
