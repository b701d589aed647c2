"""The CustomResourceDefinition reads well: what ``kubectl explain`` shows, and what whoever breaks a rule is told."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.operator.objects import CRD

[VERSION] = yaml.safe_load(CRD.read_text())["spec"]["versions"]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def fields(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
        yield from fields(field.get("items", {}), f"{path}.{name}[]")


FIELDS = dict(fields(SCHEMA))


@pytest.mark.parametrize("path", sorted(set(FIELDS) - {".metadata"}))
def test_every_field_is_described(path: str) -> None:
    assert FIELDS[path].get("description")


@pytest.mark.parametrize("path", [p for p in FIELDS if re.fullmatch(r"\.spec\.(\w+\.)?\w+", p)])
def test_every_field_of_spec_has_its_default_and_an_example(path: str) -> None:
    description = FIELDS[path]["description"]
    assert re.search("[Dd]efault", description)
    assert "Example: " in description
    default = FIELDS[path].get("default")
    if isinstance(default, str):
        assert f"Default: {default}." in description


def test_every_rule_says_what_to_do_and_what_it_reads_is_bounded() -> None:
    rules = (
        SCHEMA["x-kubernetes-validations"]
        + SCHEMA["properties"]["spec"]["x-kubernetes-validations"]
    )
    assert {rule["fieldPath"].rpartition(".")[2] for rule in rules} == {
        "machine",
        "parentId",
        "historyPath",
        "definition",
    }
    for rule in rules:
        assert len(rule["message"]) > 40
        assert rule["rule"].count("(") == rule["rule"].count(")")
    for path in (".spec.machine", ".spec.parentId"):
        assert FIELDS[path]["maxLength"] <= 253
    for path in (".spec.historyPath", ".status.conditions"):
        assert FIELDS[path]["maxItems"] <= 256


def test_at_most_eight_fields_are_selectable() -> None:
    assert len(VERSION["selectableFields"]) <= 8
