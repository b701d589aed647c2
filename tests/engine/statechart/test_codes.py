"""The list of codes is complete, and the document written from it is current."""

import re
from pathlib import Path

from hypothesis import given, settings
from tests.engine.statechart.strategies import json_values

from statekeep.engine.json import JsonValue
from statekeep.engine.statechart import shape
from statekeep.engine.statechart.codes import Code, markdown

ROOT = Path(__file__).parents[3]


def test_the_document_agrees_with_the_code() -> None:
    assert (ROOT / "docs" / "codes.md").read_text("utf-8") == markdown()


def test_codes_are_kebab_case_and_unique() -> None:
    codes = [code.code for code in Code]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) for code in codes)


def test_every_code_is_used() -> None:
    package = ROOT / "engine" / "statekeep" / "engine" / "statechart"
    sources = "".join(
        path.read_text("utf-8") for path in package.glob("*.py") if path.name != "codes.py"
    )
    assert [code.name for code in Code if f"Code.{code.name}" not in sources] == []


def test_the_schema_is_a_schema() -> None:
    shape._validator().check_schema(shape.schema())


@settings(max_examples=300)
@given(json_values)
def test_the_quick_look_passes_nothing_that_the_schema_refuses(value: JsonValue) -> None:
    for member in shape._PLAIN:
        state = {member: value}
        if shape.is_plain(state) and member != "states":
            assert shape._validator().is_valid(state)
