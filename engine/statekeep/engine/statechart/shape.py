"""Whether each state has the shape of one: types, allowed words, known members.

The JSON Schema beside this file says what is right. It is applied to one state at a time, without its child states,
so that its depth does not matter; and only to states that a quick look does not already recognise as right.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from statekeep.engine.finding import Finding, escape
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.statechart.codes import Code
from statekeep.engine.statechart.wording import Speller, kind_of, quoted

_NAMES = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}


@functools.cache
def schema() -> JsonObject:
    """Return the JSON Schema of a definition."""
    package = resources.files("statekeep.engine.statechart")
    document: JsonObject = json.loads((package / "definition.schema.json").read_text("utf-8"))
    return document


@functools.cache
def members(kind: str) -> frozenset[str]:
    """Return the members that the schema lists for ``state``, ``transition``, ``invocation`` or ``machine``."""
    document: Any = schema()
    own = document["properties"] if kind == "machine" else document["$defs"][kind]["properties"]
    return frozenset(own) | (members("state") if kind == "machine" else frozenset())


@functools.cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator({**schema(), "allOf": [], "$ref": "#/$defs/state"})


def shape_findings(config: JsonValue, pointer: str, speller: Speller) -> Iterator[Finding]:
    """Yield where a state, its child states apart, does not have the shape that the schema asks for."""
    if not isinstance(config, dict):
        message = f"A state must be an object, not {kind_of(config)}; an empty one is {{}}."
        yield Code.WRONG_TYPE.at(pointer, message)
        return
    if is_plain(config):
        return
    alone = {**config, "states": {}} if isinstance(config.get("states"), dict) else config
    for error in _validator().iter_errors(alone):
        yield _finding(error, pointer, speller)


def is_plain(config: JsonObject) -> bool:
    """Return whether a state is right at a glance; never true for one that the schema refuses."""
    return config.keys() <= _PLAIN.keys() and all(
        _PLAIN[member](value) for member, value in config.items()
    )


def _is_text(value: JsonValue) -> bool:
    return isinstance(value, str)


def _is_anything(_value: JsonValue) -> bool:
    return True


def _is_object(value: JsonValue) -> bool:
    return isinstance(value, dict)


def _is_actions(value: JsonValue) -> bool:
    return isinstance(value, str | dict) or (
        isinstance(value, list) and all(isinstance(item, str | dict) for item in value)
    )


def _is_texts(value: JsonValue) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(item, str) for item in value)
    )


def _is_transition(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return all(
            isinstance(part, str)
            or member in ("meta", "description")
            or (member == "guard" and isinstance(part, dict))
            or (member == "reenter" and isinstance(part, bool))
            or (member == "target" and _is_texts(part))
            or (member == "actions" and _is_actions(part))
            for member, part in value.items()
        ) and not isinstance(value.get("reenter"), str)
    return isinstance(value, str)


def _is_transitions(value: JsonValue) -> bool:
    return all(map(_is_transition, value)) if isinstance(value, list) else _is_transition(value)


def _is_table(value: JsonValue) -> bool:
    return isinstance(value, dict) and all(map(_is_transitions, value.values()))


_PLAIN = {
    "id": _is_text,
    "type": lambda v: v in ("atomic", "compound", "parallel", "final", "history"),
    "initial": _is_text,
    "states": _is_object,
    "on": _is_table,
    "after": _is_table,
    "always": _is_transitions,
    "onDone": _is_transitions,
    "history": lambda v: v in ("shallow", "deep"),
    "target": _is_texts,
    "entry": _is_actions,
    "exit": _is_actions,
    "tags": _is_texts,
    "output": _is_anything,
    "meta": _is_anything,
    "context": _is_anything,
    "description": _is_anything,
    "version": _is_anything,
}


def _finding(error: ValidationError, pointer: str, speller: Speller) -> Finding:
    place = pointer + "".join(f"/{escape(str(token))}" for token in error.absolute_path)
    what = _title(error)
    if error.validator == "enum":
        allowed: Any = error.validator_value
        words = [word for word in allowed if isinstance(word, str) and word]
        hint = speller.hint(error.instance, words) if isinstance(error.instance, str) else ""
        shown = (
            quoted(error.instance) if isinstance(error.instance, str) else kind_of(error.instance)
        )
        message = f"{what} must be one of {', '.join(words)}, not {shown}.{hint}"
        return Code.UNKNOWN_VALUE.at(place, message)
    if error.validator == "type":
        wanted: Any = error.validator_value
        names = [_NAMES[name] for name in ([wanted] if isinstance(wanted, str) else wanted)]
        message = f"{what} must be {_either(names)}, not {kind_of(error.instance)}."
        return Code.WRONG_TYPE.at(place, message)
    return Code.WRONG_TYPE.at(place, f"{what} must name exactly one state.")


def _title(error: ValidationError) -> str:
    schema_part = error.schema
    title = schema_part.get("title", "a value") if isinstance(schema_part, Mapping) else "a value"
    return f"{title[0].upper()}{title[1:]}"


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
