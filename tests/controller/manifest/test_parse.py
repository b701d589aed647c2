"""What a document must hold to be a ``MachineVersion``."""

import contextlib
import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.errors import ManifestInvalid
from statekeep.controller.manifest.limits import MAX_DEPTH, MAX_FINDINGS
from statekeep.controller.manifest.manifest import Approval, Manifest
from statekeep.controller.manifest.parse import parse
from statekeep.controller.manifest.schema import MAX_PATH, SCHEMA
from statekeep.engine.json import JsonValue
from statekeep.engine.routing.policy import (
    CompletedActors,
    MigrationPolicy,
    UnhandledEvents,
    UnseenMoves,
)

LOAN: dict[str, Any] = {
    "apiVersion": "statekeep.io/v1alpha1",
    "kind": "MachineVersion",
    "metadata": {"name": "loan-v2"},
    "spec": {"definition": {"id": "loan"}},
}


def loan(
    metadata: dict[str, Any] | None = None, spec: dict[str, Any] | None = None
) -> dict[str, Any]:
    value = copy.deepcopy(LOAN)
    value["metadata"].update(metadata or {})
    value["spec"].update(spec or {})
    return value


def findings(value: JsonValue) -> list[tuple[str, str]]:
    with pytest.raises(ManifestInvalid) as refused:
        parse(value)
    return [(finding.code, finding.pointer) for finding in refused.value.findings]


def message(value: JsonValue) -> str:
    with pytest.raises(ManifestInvalid) as refused:
        parse(value)
    (finding,) = refused.value.findings
    return finding.message


def test_the_least_manifest_has_the_documented_defaults() -> None:
    manifest = parse(LOAN)
    assert manifest == Manifest(name=manifest.name, definition={"id": "loan"})
    assert (manifest.name, manifest.namespace, manifest.machine, manifest.parent_id) == (
        "loan-v2",
        None,
        None,
        None,
    )
    assert (manifest.history_path, manifest.approval, manifest.generation) == (
        None,
        Approval.MANUAL,
        None,
    )
    assert manifest.migration == MigrationPolicy()
    assert manifest.approved_preview is None


def test_an_approval_is_what_the_annotation_says_to_the_last_space() -> None:
    metadata = {"annotations": {"statekeep.io/approve": " 7c1f\n"}}
    assert parse(loan(metadata)).approved_preview == " 7c1f\n"
    assert parse(loan({"annotations": {"statekeep.io/approve": ""}})).approved_preview is None


def test_every_field_is_read() -> None:
    value = loan(
        {
            "namespace": "bank",
            "annotations": {"a": "b", "statekeep.io/approve": "7c1f"},
            "generation": 3,
        },
        {
            "machine": "loan",
            "parentId": "loan-v1",
            "historyPath": ["A", "*", "**"],
            "approval": "Automatic",
            "migration": {
                "unhandledEvents": "Skip",
                "completedActors": "Migrate",
                "unseenMoves": "Stay",
            },
        },
    )
    manifest = parse(value)
    assert (manifest.namespace, manifest.machine, manifest.parent_id) == ("bank", "loan", "loan-v1")
    assert (manifest.history_path, manifest.generation) == (("A", "*", "**"), 3)
    assert manifest.annotations["a"] == "b"
    assert manifest.approved_preview == "7c1f"
    assert manifest.approval is Approval.AUTOMATIC
    assert manifest.migration == MigrationPolicy(
        unhandled_events=UnhandledEvents.SKIP,
        completed_actors=CompletedActors.MIGRATE,
        unseen_moves=UnseenMoves.STAY,
    )


def test_what_the_api_server_adds_is_accepted() -> None:
    metadata = {
        "uid": "u",
        "resourceVersion": "1",
        "generation": 2,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"a": "b"},
        "managedFields": [{"manager": "kubectl"}],
        "ownerReferences": [],
        "finalizers": [],
        "aFieldOfALaterRelease": True,
    }
    assert parse({**loan(metadata), "status": {"anything": [1]}}).generation == 2


def test_empty_annotations_are_no_annotations() -> None:
    assert parse(loan({"annotations": None, "labels": None})).annotations == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [("field-type", "")]),
        ([], [("field-type", "")]),
        ({}, [("field-missing", "")] * 4),
        ({**LOAN, "spec": {}}, [("field-missing", "/spec")]),
        ({**LOAN, "metadata": {}}, [("field-missing", "/metadata")]),
        ({**LOAN, "apiVersion": "statekeep.io/v1"}, [("api-version", "/apiVersion")]),
        ({**LOAN, "kind": "Machine"}, [("api-version", "/kind")]),
        ({**LOAN, "sepc": {}}, [("field-unknown", "/sepc")]),
        (loan({"name": "Loan_2"}), [("name-invalid", "/metadata/name")]),
        (loan({"name": "loan\n"}), [("name-invalid", "/metadata/name")]),
        (loan({"name": "a" * 254}), [("field-length", "/metadata/name")]),
        (loan({"name": 5}), [("field-type", "/metadata/name")]),
        (loan({"namespace": "a.b"}), [("name-invalid", "/metadata/namespace")]),
        (loan({"namespace": "a" * 64}), [("field-length", "/metadata/namespace")]),
        (loan({"annotation": {}}), [("field-unknown", "/metadata/annotation")]),
        (loan({"annotations": {"a/b": 1}}), [("field-type", "/metadata/annotations/a~1b")]),
        (loan(spec={"definition": []}), [("field-type", "/spec/definition")]),
        (loan(spec={"parentID": "x"}), [("field-unknown", "/spec/parentID")]),
        (loan(spec={"parentId": None}), [("field-type", "/spec/parentId")]),
        (loan(spec={"parentId": "loan-v2"}), [("parent-self", "/spec/parentId")]),
        (
            loan(spec={"machine": ""}),
            [("field-length", "/spec/machine"), ("name-invalid", "/spec/machine")],
        ),
        (loan(spec={"approval": "manual"}), [("field-value", "/spec/approval")]),
        (loan(spec={"approval": True}), [("field-value", "/spec/approval")]),
        (
            loan(spec={"migration": {"unseenMoves": "Skip"}}),
            [("field-value", "/spec/migration/unseenMoves")],
        ),
        (
            loan(spec={"migration": {"unseen": "Stay"}}),
            [("field-unknown", "/spec/migration/unseen")],
        ),
        (
            loan(spec={"parentId": "loan-v1", "historyPath": []}),
            [("field-length", "/spec/historyPath")],
        ),
        (
            loan(spec={"parentId": "loan-v1", "historyPath": ["A", "", 3]}),
            [("field-length", "/spec/historyPath/1"), ("field-type", "/spec/historyPath/2")],
        ),
        (
            loan(spec={"parentId": "loan-v1", "historyPath": ["A" * 257]}),
            [("field-length", "/spec/historyPath/0")],
        ),
        (
            loan(spec={"parentId": "loan-v1", "historyPath": ["A"] * (MAX_PATH + 1)}),
            [("field-length", "/spec/historyPath")],
        ),
        (
            loan(spec={"parentId": "loan-v1", "historyPath": "A"}),
            [("field-type", "/spec/historyPath")],
        ),
        (loan(spec={"historyPath": ["A"]}), [("path-without-parent", "/spec/historyPath")]),
        (loan(spec={"definition": {"a": 2**53 + 1}}), [("number-range", "/spec/definition/a")]),
        (
            loan(spec={"definition": {"a": [float("nan")]}}),
            [("number-not-finite", "/spec/definition/a/0")],
        ),
        (loan(spec={"definition": {"a": "\0"}}), [("text-character", "/spec/definition/a")]),
        (loan(spec={"definition": {"\ud800": 1}}), [("text-character", "/spec/definition/?")]),
        (loan(spec={"definition": {"k" * 1025: 1}}), [("yaml-key", "/spec/definition")]),
    ],
)
def test_what_is_wrong_is_found_where_it_is(
    value: JsonValue, expected: list[tuple[str, str]]
) -> None:
    assert findings(value) == expected


def test_everything_wrong_is_reported_at_once() -> None:
    value = loan({"name": "A"}, {"approval": "x", "definition": 2**60, "more": 1})
    assert findings(value) == [
        ("name-invalid", "/metadata/name"),
        ("field-value", "/spec/approval"),
        ("number-range", "/spec/definition"),
        ("field-type", "/spec/definition"),
        ("field-unknown", "/spec/more"),
    ]


def test_messages_say_how_to_mend_it() -> None:
    assert (
        message(loan(spec={"parentID": "x"}))
        == 'spec has no field "parentID"; did you mean parentId?'
    )
    assert message(loan(spec={"approval": "automatic"})).endswith("did you mean Automatic?")
    assert message(loan({"annotations": {"statekeep.io/approve": 12}})).endswith(
        'put it in quotes, as in "12"'
    )
    assert "every actor" in message(loan(spec={"historyPath": []}))


def test_a_state_node_gets_its_on_back() -> None:
    """What kubectl sends for ``on:`` without quotes."""
    sent: dict[str, Any] = {
        "true": {"A": "s"},
        "states": {
            "s": {"true": {"true": "t"}, "meta": {"true": 1}},
            "true": {"states": {"u": {"true": {}}}},
        },
    }
    assert parse(loan(spec={"definition": sent})).definition == {
        "on": {"A": "s"},
        "states": {
            "s": {"on": {"true": "t"}, "meta": {"true": 1}},
            "true": {"states": {"u": {"on": {}}}},
        },
    }


def test_a_state_node_with_both_keeps_both() -> None:
    both: dict[str, JsonValue] = {"on": {}, "true": {}}
    assert parse(loan(spec={"definition": both})).definition == both


def test_the_value_that_was_given_is_not_changed() -> None:
    value = loan(spec={"definition": {"true": {"A": "b"}}})
    before = copy.deepcopy(value)
    parse(value)
    assert value == before


def nested(levels: int) -> JsonValue:
    value: JsonValue = "leaf"
    for _ in range(levels):
        value = [value]
    return value


def test_depth_is_bounded() -> None:
    parse(loan(spec={"definition": {"a": nested(MAX_DEPTH - 3)}}))
    (found,) = findings(loan(spec={"definition": {"a": nested(MAX_DEPTH - 2)}}))
    assert found[0] == Code.YAML_TOO_DEEP
    for value in (
        nested(100_000),
        loan({"name": nested(100_000)}),
        loan(spec={"machine": nested(100_000)}),
    ):
        ((code, _),) = findings(value)
        assert code == Code.YAML_TOO_DEEP


def test_findings_are_bounded() -> None:
    value = loan(
        {"annotations": {f"a{n}": n for n in range(50_000)}},
        {f"s{n}": 2**60 for n in range(50_000)},
    )
    assert len(findings(value)) == MAX_FINDINGS


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(dict(SCHEMA))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars
    | st.sampled_from(["Manual", "Stay", "loan-v2", "statekeep.io/v1alpha1", "MachineVersion"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "apiVersion",
                    "kind",
                    "metadata",
                    "spec",
                    "name",
                    "annotations",
                    "definition",
                    "historyPath",
                ]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(values)
def test_any_value_is_parsed_or_refused(value: JsonValue) -> None:
    try:
        parse(value)
    except ManifestInvalid as refused:
        json.dumps([(f.pointer, f.message) for f in refused.findings], ensure_ascii=False).encode()


@given(values, values)
def test_any_metadata_and_spec_is_parsed_or_refused(metadata: JsonValue, spec: JsonValue) -> None:
    with contextlib.suppress(ManifestInvalid):
        parse({**LOAN, "metadata": metadata, "spec": spec})
