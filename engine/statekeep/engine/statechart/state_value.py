"""How a state value is called in one line."""

import re

from statekeep.engine.json import JsonValue
from statekeep.engine.statechart.javascript import array_index

_SPECIAL = re.compile(r"[\\.(), ]")


def label(value: JsonValue) -> str:
    r"""Return the one-line name of a state value, for people and for filters.

    Different state values have different names: a backslash goes before a dot, comma, bracket, blank or backslash
    that is part of a key. Regions are sorted, those with numbers for keys first, since JSON keeps no order.

    >>> label({"review": "pending"}), label({"p": {"b": "y", "a": {}}}), label({})
    ('review.pending', 'p.(a, b.y)', '{}')
    >>> label("v1.2")
    'v1\\.2'
    """
    return _label(value) or "{}"


def _label(value: JsonValue) -> str:
    if not isinstance(value, dict):
        return _escaped(str(value))
    parts = [
        ".".join(part for part in (_escaped(key), _label(value[key])) if part)
        for key in sorted(value, key=_order)
    ]
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})" if parts else ""


def _order(key: str) -> tuple[int, str]:
    index = array_index(key)
    return (2**32 if index is None else index, key)


def _escaped(key: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", key) or '""'
