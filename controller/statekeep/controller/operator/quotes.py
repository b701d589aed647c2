"""What kubectl makes of words without quotes: ``off`` has become ``false`` before the API server sees it.

A file says where that happened (``yaml-ambiguous``); an object does not, so its booleans are pointed at where words
belong: among the names of states and events, the keys of the context, and wherever an error is about one.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice

from statekeep.controller.manifest.codes import Code
from statekeep.controller.outcome import Outcome
from statekeep.controller.standing import Invalid
from statekeep.engine.finding import Finding, Severity, escape, tokens
from statekeep.engine.json import JsonObject, JsonValue

MAX_PLACES = 10
"""Places that are pointed at; who sees these knows where else to look."""

_WORDS = {"true": "on, yes and y", "false": "off, no and n"}


def with_lost_quotes(outcome: Outcome, document: JsonObject) -> Outcome:
    """Return an outcome that also says where words may have been lost for want of quotes.

    Args:
        outcome: of the reconciliation.
        document: the object, as the API server has it.
    """
    match document:
        case {"spec": {"definition": dict() as definition}}:
            place = "/spec/definition"
            named = chain(_names(place, definition), _keys(f"{place}/context", definition))
            names = list(islice(named, MAX_PLACES))
        case _:
            names = []
    match outcome.standing:
        case Invalid(findings):
            values = (_value(finding.pointer, document) for finding in findings)
            found = [*names, *islice((one for one in values if one is not None), MAX_PLACES)]
            # First, since they are the cause of the others.
            return replace(outcome, standing=Invalid((*dict.fromkeys(found), *findings)))
        case _:
            warnings = (replace(one, severity=Severity.WARNING) for one in names)
            return replace(outcome, warnings=(*outcome.warnings, *warnings))


def _names(pointer: str, definition: JsonObject) -> Iterator[Finding]:
    """Yield the states and events with the name of a boolean."""
    pending = [(pointer, definition)]
    while pending:
        pointer, node = pending.pop()
        for field in ("on", "true"):  # the key of a state's events may be lost itself
            events = node.get(field)
            if isinstance(events, dict):
                yield from (
                    _name(f"{pointer}/on/{n}", "an event", n) for n in _WORDS if n in events
                )
                break
        states = node.get("states")
        if isinstance(states, dict):
            yield from (_name(f"{pointer}/states/{n}", "a state", n) for n in _WORDS if n in states)
            pending.extend(
                (f"{pointer}/states/{escape(name)}", state)
                for name, state in states.items()
                if isinstance(state, dict)
            )


def _keys(pointer: str, definition: JsonObject) -> Iterator[Finding]:
    """Yield the keys of the context, at any depth, with the name of a boolean."""
    pending = [(pointer, definition.get("context"))]
    while pending:
        pointer, value = pending.pop()
        match value:
            case dict():
                yield from (_name(f"{pointer}/{n}", "a key", n) for n in _WORDS if n in value)
                pending.extend((f"{pointer}/{escape(key)}", one) for key, one in value.items())
            case list():
                pending.extend((f"{pointer}/{number}", one) for number, one in enumerate(value))
            case _:
                pass


def _name(pointer: str, what: str, name: str) -> Finding:
    return _finding(pointer, f"{what} is named {name}", name)


def _value(pointer: str, document: JsonObject) -> Finding | None:
    """Return what to say of the place of an error, if there is a boolean."""
    value: JsonValue = document
    for name in tokens(pointer):
        match value:
            case dict():
                value = value.get(name, value.get("true") if name == "on" else None)
            case list() if name.isdecimal() and int(name) < len(value):
                value = value[int(name)]
            case _:
                return None
    if not isinstance(value, bool):
        return None
    text = "true" if value else "false"
    return _finding(pointer, f"the value is {text}", text)


def _finding(pointer: str, what: str, text: str) -> Finding:
    words = _WORDS[text]
    example = words.partition(",")[0]
    message = (
        f"{what}, as kubectl reads {words} without quotes: if one of them is meant, put it in quotes, "
        f'such as "{example}"'
    )
    return Finding(Code.YAML_AMBIGUOUS, pointer, message)
