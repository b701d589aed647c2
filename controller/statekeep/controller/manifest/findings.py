"""What a JSON Schema error means to the author of a manifest."""

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema
from jsonschema.exceptions import ValidationError

from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.schema import LABEL, SCHEMA
from statekeep.engine.finding import Finding, escape
from statekeep.engine.json import JsonValue

_VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

MAX_QUOTED = 60
"""Characters of a user's value that a message repeats."""

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "null": "empty",
}


def schema_findings(value: JsonValue) -> Iterator[Finding]:
    """Yield each thing that the schema has against ``value`` once; lazily, since there may be very many."""
    seen: set[Finding] = set()
    for error in _VALIDATOR.iter_errors(value):
        for finding in _findings(error):
            if finding not in seen:
                seen.add(finding)
                yield finding


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return ``; did you mean …?`` for a word that is nearly a known one, else the empty string.

    >>> suggestion("parentID", ["machine", "parentId"])
    '; did you mean parentId?'
    """
    folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word[:MAX_QUOTED].lower(), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[near[0]]}?" if near else ""


def quoted(value: object) -> str:
    """Return a value as JSON, shortened to what a message can carry."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"


def _findings(error: ValidationError) -> Iterator[Finding]:
    pointer = "".join(f"/{escape(str(token))}" for token in error.absolute_path)
    field = str(error.absolute_path[-1]) if error.absolute_path else "the document"
    instance: Any = error.instance
    wanted: Any = error.validator_value
    match error.validator:
        case "required":
            for name in wanted:
                if name not in instance:
                    yield Finding(
                        Code.FIELD_MISSING, pointer, f"{name} is missing: add it to {field}"
                    )
        case "additionalProperties":
            yield from _unknown(pointer, field, instance, error.schema)
        case "type":
            yield Finding(Code.FIELD_TYPE, pointer, _type_message(field, instance, wanted))
        case "const":
            yield Finding(
                Code.API_VERSION, pointer, f"{field} is {quoted(instance)}: write {wanted}"
            )
        case "enum":
            near = suggestion(instance, wanted) if isinstance(instance, str) else ""
            choices = " or ".join(wanted)
            yield Finding(
                Code.FIELD_VALUE, pointer, f"{field} is {quoted(instance)}: write {choices}{near}"
            )
        case "pattern":
            yield Finding(Code.NAME_INVALID, pointer, _name_message(field, instance, wanted))
        case keyword:
            yield Finding(
                Code.FIELD_LENGTH, pointer, _length_message(str(keyword), field, instance, wanted)
            )


def _unknown(pointer: str, field: str, instance: dict[str, Any], schema: Any) -> Iterator[Finding]:
    known = list(schema["properties"])
    for name in instance:
        if name not in known:
            near = suggestion(name, known)
            yield Finding(
                Code.FIELD_UNKNOWN,
                f"{pointer}/{escape(name)}",
                f"{field} has no field {quoted(name)}{near or ': remove it'}",
            )


def _type_message(field: str, instance: object, wanted: str | list[str]) -> str:
    types = [wanted] if isinstance(wanted, str) else [name for name in wanted if name != "null"]
    should = " or ".join(_TYPES[name] for name in types)
    if types != ["string"]:
        return f"{field} must be {should}, not {_kind(instance)}"
    if isinstance(instance, bool | int | float):
        spelled = json.dumps(json.dumps(instance))
        return f"{field} must be a string, not {_kind(instance)}: put it in quotes, as in {spelled}"
    return f"{field} must be a string, not {_kind(instance)}: write one, or leave the field out"


def _kind(instance: object) -> str:
    match instance:
        case None:
            return "empty"
        case bool():
            return f"the boolean {json.dumps(instance)}"
        case int() | float():
            return f"the number {quoted(instance)}"
        case str():
            return f"the string {quoted(instance)}"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _name_message(field: str, instance: str, pattern: str) -> str:
    dots = "" if pattern == LABEL else ", '.'"
    return (
        f"{field} {quoted(instance)} is not a name that Kubernetes accepts: use lowercase letters, digits, '-'{dots}, "
        "and begin and end with a letter or digit"
    )


def _length_message(keyword: str, field: str, instance: str | list[Any], wanted: int) -> str:
    match keyword:
        case "minItems":
            return f"{field} is empty: leave the field out to consider every actor of the parent"
        case "maxItems":
            return f'{field} has {len(instance)} items, at most {wanted} are allowed: use "**" for a stretch of events'
        case "minLength":
            return f"{_item(field)} is an empty string: write at least one character"
        case _:
            return f"{_item(field)} has {len(instance)} characters, at most {wanted} are allowed: shorten it"


def _item(field: str) -> str:
    return f"item {int(field) + 1}" if field.isdecimal() else field
