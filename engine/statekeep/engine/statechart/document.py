"""Whether a definition is a JSON document of a size that the rest of the package may look at.

Everything after this walk may recurse and multiply; so this one does neither, and stops where a limit is reached.
"""

import math
from collections.abc import Iterator

from statekeep.engine.finding import Finding, escape
from statekeep.engine.statechart.codes import Code
from statekeep.engine.statechart.limits import Limits
from statekeep.engine.statechart.wording import kind_of, quoted

SAFE_INTEGER = 2**53
"""The largest magnitude up to which every JSON library keeps integers apart."""

FATAL = frozenset({Code.NOT_JSON.code, Code.TOO_LARGE.code, Code.TOO_DEEP.code})
"""Findings after which nothing else is looked at."""

Place = tuple["Place", str] | None
"""A place in the document, innermost token last; only findings pay for a pointer."""


def document_findings(definition: object, limits: Limits) -> Iterator[Finding]:
    """Yield what keeps a definition from being a JSON document of reasonable size."""
    pending: list[tuple[object, Place, int]] = [(definition, None, 0)]
    size = 0
    while pending:
        value, place, depth = pending.pop()
        size += _bytes(value)
        if size > limits.definition_bytes:
            limit = limits.definition_bytes
            yield Code.TOO_LARGE.at("", f"The definition has more than {limit} bytes; shorten it.")
            return
        if depth > limits.json_depth:
            message = f"Values lie more than {limits.json_depth} levels deep here; flatten them."
            yield Code.TOO_DEEP.at(_pointer(place), message)
            return
        if isinstance(value, dict):
            for key in value:
                yield from _key_findings(key, place)
            pending.extend(
                (value[key], (place, key), depth + 1) for key in reversed(value) if type(key) is str
            )
        elif isinstance(value, list):
            pending.extend(
                (value[i], (place, str(i)), depth + 1) for i in range(len(value) - 1, -1, -1)
            )
        else:
            yield from _scalar_findings(value, place)


def _bytes(value: object) -> int:
    """Return how many bytes a value takes in compact JSON, within a factor, without what is inside it."""
    if isinstance(value, str):
        return len(value) + 3
    if isinstance(value, dict):
        return 3 + sum(len(key) + 3 if isinstance(key, str) else 3 for key in value)
    return 3 if isinstance(value, list) else 4


def _key_findings(key: object, place: Place) -> Iterator[Finding]:
    if type(key) is not str:
        message = f"The key {quoted(str(key))} is {kind_of(key)}, not text; put it in quotes."
        yield Code.NOT_JSON.at(_pointer(place), message)
    elif trouble := _trouble(key):
        yield Code.UNSTORABLE_TEXT.at(_pointer(place), f"The key {quoted(key)} contains {trouble}.")


def _scalar_findings(value: object, place: Place) -> Iterator[Finding]:
    if type(value) is str:
        if trouble := _trouble(value):
            message = f"The text {quoted(value)} contains {trouble}; remove it."
            yield Code.UNSTORABLE_TEXT.at(_pointer(place), message)
    elif type(value) is int:
        if abs(value) > SAFE_INTEGER:
            message = "Integers beyond 2^53 are rounded differently by different programs; write it as text."
            yield Code.UNSAFE_NUMBER.at(_pointer(place), message)
    elif type(value) is float:
        if not math.isfinite(value):
            yield Code.NOT_JSON.at(
                _pointer(place), f"JSON has no number {value}; write it as text."
            )
        elif value.is_integer() and abs(value) > SAFE_INTEGER:
            message = "Integers beyond 2^53 are rounded differently by different programs; write it as text."
            yield Code.UNSAFE_NUMBER.at(_pointer(place), message)
    elif value is not None and type(value) is not bool:
        message = f"JSON has no {kind_of(value)}; write it as text."
        yield Code.NOT_JSON.at(_pointer(place), message)


def _trouble(text: str) -> str | None:
    """Return what a text contains that cannot be stored."""
    if "\0" in text:
        return "a NUL character"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "half of a surrogate pair"
    return None


def _pointer(place: Place) -> str:
    tokens: list[str] = []
    while place is not None:
        place, token = place
        tokens.append(escape(token))
    return "".join(f"/{token}" for token in reversed(tokens))
