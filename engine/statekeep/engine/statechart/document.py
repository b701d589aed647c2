"""Whether a definition is a JSON document of a size that the rest of the package may look at.

Everything after this walk may recurse and multiply; so this one does neither, and stops where a limit is reached.
"""

import math
import re
from collections.abc import Iterable, Iterator

from statekeep.engine.finding import Finding, escape
from statekeep.engine.statechart.codes import Code
from statekeep.engine.statechart.limits import Limits
from statekeep.engine.statechart.wording import kind_of, quoted

SAFE_INTEGER = 2**53
"""The largest magnitude up to which every JSON library keeps integers apart."""

FATAL = frozenset({Code.NOT_JSON.code, Code.TOO_LARGE.code, Code.TOO_DEEP.code})
"""Findings after which nothing else is looked at."""

_SURROGATE = re.compile("[\ud800-\udfff]")

Place = tuple["Place", object] | None
"""A place in the document, innermost token last; only findings pay for a pointer."""


def document_findings(definition: object, limits: Limits) -> Iterator[Finding]:
    """Yield what keeps a definition from being a JSON document of reasonable size."""
    pending: list[tuple[object, Place, int]] = [([definition], None, 0)]
    size = 0
    while pending:
        container, place, depth = pending.pop()
        if depth > limits.json_depth:
            message = f"Values lie more than {limits.json_depth} levels deep here; flatten them."
            yield Code.TOO_DEEP.at(_pointer(place), message)
            return
        inside: Iterable[tuple[object, object]] = (
            container.items() if isinstance(container, dict) else enumerate(_items(container))
        )
        for token, value in inside:
            size += 4
            if type(token) is str:
                size += len(token)
            if type(value) is str:
                size += len(value)
            if size > limits.definition_bytes:
                message = (
                    f"The definition has more than {limits.definition_bytes} bytes; shorten it."
                )
                yield Code.TOO_LARGE.at("", message)
                return
            here = (place, token) if depth else None
            if type(token) is not str and isinstance(container, dict):
                yield _wrong_key(token, place)
                continue
            if type(token) is str and not _is_storable(token):
                message = f"The key {quoted(token)} contains {_trouble(token)}; remove it."
                yield Code.UNSTORABLE_TEXT.at(_pointer(place), message)
            if isinstance(value, dict | list):
                pending.append((value, here, depth + 1))
            elif type(value) is not str or not _is_storable(value):
                yield from _scalar_findings(value, here)


def _items(container: object) -> list[object]:
    return container if isinstance(container, list) else []


def _is_storable(text: str) -> bool:
    return (text.isascii() and "\0" not in text) or not _trouble(text)


def _wrong_key(key: object, place: Place) -> Finding:
    # Shown only if surely short: turning a number of a million digits into text raises.
    is_short = type(key) is bool or (type(key) is int and abs(key) <= SAFE_INTEGER)
    shown = f" ({key})" if is_short else ""
    message = f"A key is {kind_of(key)}{shown}, not text; put it in quotes."
    return Code.NOT_JSON.at(_pointer(place), message)


def _scalar_findings(value: object, place: Place) -> Iterator[Finding]:
    if value is None or type(value) is bool:
        return
    if type(value) is str:
        message = f"The text {quoted(value)} contains {_trouble(value)}; remove it."
        yield Code.UNSTORABLE_TEXT.at(_pointer(place), message)
    elif type(value) is float and not math.isfinite(value):
        yield Code.NOT_JSON.at(_pointer(place), f"JSON has no number {value}; write it as text.")
    elif type(value) is int or type(value) is float:
        if abs(value) > SAFE_INTEGER and value == int(value):
            message = "Programs round integers beyond 2^53 differently; write it as text."
            yield Code.UNSAFE_NUMBER.at(_pointer(place), message)
    else:
        yield Code.NOT_JSON.at(_pointer(place), f"JSON has no {kind_of(value)}; write it as text.")


def _trouble(text: str) -> str | None:
    """Return what a text contains that cannot be stored."""
    if "\0" in text:
        return "a NUL character"
    if not text.isascii() and _SURROGATE.search(text):
        return "half of a surrogate pair"
    return None


def _pointer(place: Place) -> str:
    tokens: list[str] = []
    while place is not None:
        place, token = place
        tokens.append(escape(str(token)))
    return "".join(f"/{token}" for token in reversed(tokens))
