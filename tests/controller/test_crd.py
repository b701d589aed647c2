"""The CustomResourceDefinition and the code speak of the same fields."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from statekeep.controller.manifest.manifest import Approval
from statekeep.controller.manifest.schema import SCHEMA
from statekeep.controller.outcome import Outcome
from statekeep.controller.standing import Applied, AwaitingApproval, Invalid, PreviewChanged
from statekeep.controller.status import MAX_ROWS, MAX_TEXT, status
from statekeep.engine.finding import Finding, Severity
from statekeep.engine.ids import MachineName, PreviewId
from statekeep.engine.json import canonical
from statekeep.engine.routing.decision import Move
from statekeep.engine.routing.policy import CompletedActors, UnhandledEvents, UnseenMoves
from statekeep.engine.routing.preview import Preview, StayKind
from statekeep.engine.routing.reason import Reason
from statekeep.engine.store.deployments import ApprovedBy, Deployment

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def schema() -> Any:
    """The schema of the served version, closed: a field that it does not name is an error."""
    crd = yaml.safe_load((ROOT / "crds" / "machineversions.yaml").read_text())
    [version] = crd["spec"]["versions"]
    return closed(copy.deepcopy(version["schema"]["openAPIV3Schema"]))


def closed(node: Any) -> Any:
    """Return the schema as the API server's strict validation reads it."""
    if isinstance(node, dict):
        if "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
            node["additionalProperties"] = False
        for value in node.values():
            closed(value)
    elif isinstance(node, list):
        for value in node:
            closed(value)
    return node


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda p: p.stem)
def test_the_examples_are_valid_resources(schema: Any, path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        if document.get("kind") == "MachineVersion":
            document["metadata"] = {}
            jsonschema.validate(document, schema)


def test_the_fields_and_choices_of_spec_are_those_of_the_manifest(schema: Any) -> None:
    spec, ours = schema["properties"]["spec"]["properties"], SCHEMA["properties"]["spec"]
    assert set(spec) == set(ours["properties"])
    migration = spec["migration"]["properties"]
    for choices, kind in [
        (spec["approval"], Approval),
        (migration["unhandledEvents"], UnhandledEvents),
        (migration["completedActors"], CompletedActors),
        (migration["unseenMoves"], UnseenMoves),
    ]:
        assert set(choices["enum"]) == {member.value for member in kind}


def many(count: int, character: str = "x") -> Preview:
    """A preview of ever so many kinds, each with a long name."""
    name = canonical(character * 200).decode()
    moves = [(Move(name, name, tuple(f"E{n}" for n in range(20))), n) for n in range(count)]
    stays = [(StayKind(name, Reason.NEEDS_RESCUE, character * 5_000), n) for n in range(count)]
    return Preview(PreviewId("0" * 32), tuple(moves), tuple(stays))


DEPLOYMENT = Deployment(
    1, 1, 1, 1, PreviewId("0" * 32), ApprovedBy.MANUAL, "kubectl", 1, 2, 3, started_at=NOW, at=NOW
)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(Applied(None), MachineName("m")),
        Outcome(Applied(DEPLOYMENT), MachineName("m"), preview=many(3), previewed_at=NOW),
        Outcome(AwaitingApproval(None), MachineName("m"), (), many(1_000), NOW, bytes(32)),
        Outcome(
            PreviewChanged(PreviewId("0" * 32), tuple(move for move, _ in many(10_000).moves)),
            MachineName("m"),
            (),
            many(100_000),
            NOW,
            bytes(32),
        ),
        Outcome(
            Invalid(tuple(Finding("code", "/spec", "z" * 5_000) for _ in range(1_000))),
            None,
            (Finding("code", "", "surprising", Severity.WARNING),) * 1_000,
        ),
    ],
    ids=[
        "a root",
        "a deployment",
        "a preview of a thousand kinds",
        "ten thousand unseen moves",
        "a thousand errors",
    ],
)
def test_every_status_fits_the_schema_and_stays_small(schema: Any, outcome: Outcome) -> None:
    document = status(outcome, generation=1, previous=None, now=NOW)
    jsonschema.validate({"spec": {"definition": {}}, "status": document}, schema)
    assert len(canonical(document)) < 64 * 1024


@pytest.mark.parametrize("character", ["\x01", "<", "&", '"', "\\", "\u2028", "é", "😀"])
def test_a_status_stays_small_however_its_text_is_escaped(character: str) -> None:
    preview = many(10_000, character)
    unseen = PreviewChanged(PreviewId("0" * 32), tuple(move for move, _ in preview.moves))
    finding = Finding("code", "/" + character * 5_000, character * 5_000)
    for standing in (unseen, Invalid((finding,) * 1_000)):
        outcome = Outcome(standing, MachineName("m"), (finding,) * 1_000, preview, NOW, bytes(32))
        document = status(outcome, generation=1, previous=None, now=NOW)
        # As the API server writes it, in Go: it escapes what could end a script in a page.
        written = json.dumps(document, ensure_ascii=False)
        for escaped in "<>&\u2028\u2029":
            written = written.replace(escaped, f"\\u{ord(escaped):04x}")
        assert len(written.encode()) < 64 * 1024


def test_what_is_left_out_of_a_status_is_counted() -> None:
    outcome = Outcome(AwaitingApproval(None), MachineName("m"), preview=many(MAX_ROWS + 2))
    preview: Any = status(outcome, generation=None, previous=None, now=NOW)["preview"]
    kept = len(preview["moves"])
    assert 10 < kept <= MAX_ROWS
    rest = range(kept, MAX_ROWS + 2)
    assert preview["moreMoves"] == {"kinds": len(rest), "actors": sum(rest)}


def test_a_detail_is_cut() -> None:
    outcome = Outcome(AwaitingApproval(None), MachineName("m"), preview=many(1))
    preview = status(outcome, generation=None, previous=None, now=NOW)["preview"]
    stays: Any = preview["stays"] if isinstance(preview, dict) else []
    assert len(stays[0]["detail"].encode()) == MAX_TEXT
