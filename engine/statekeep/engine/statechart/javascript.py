"""What JavaScript does with keys, numbers and truth, where XState's behaviour depends on it."""

import math
import re
from collections.abc import Iterable

import rfc8785

from statekeep.engine.json import JsonValue

_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_LAST_ARRAY_INDEX = 2**32 - 2
_WHITESPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)
_WHITESPACE += "\u2028\u2029\u202f\u205f\u3000\ufeff"
_DECIMAL = re.compile(r"[+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_RADIX = re.compile(r"0(?:[xX](?P<x>[0-9a-fA-F]+)|[oO](?P<o>[0-7]+)|[bB](?P<b>[01]+))")


def array_index(key: str) -> int | None:
    """Return the number of a key that JavaScript sorts as an array index, else ``None``.

    >>> array_index("10"), array_index("007"), array_index("4294967295")
    (10, None, None)
    """
    if not _ARRAY_INDEX.fullmatch(key):
        return None
    index = int(key)
    return index if index <= _LAST_ARRAY_INDEX else None


def ordered_keys(keys: Iterable[object]) -> list[str]:
    """Return the string keys in the order of ``Object.keys``: array indices ascending, then as written.

    >>> ordered_keys(["b", "10", "2", "a"])
    ['2', '10', 'b', 'a']
    """
    names = [key for key in keys if isinstance(key, str)]
    if not any(key[:1].isdecimal() for key in names):
        return names
    indices = sorted((i, key) for key in names if (i := array_index(key)) is not None)
    return [key for _, key in indices] + [key for key in names if array_index(key) is None]


def is_truthy(value: JsonValue) -> bool:
    """Return whether JavaScript's ``if`` takes the value for true: ``[]`` and ``{}`` are.

    >>> is_truthy([]), is_truthy(""), is_truthy(0), is_truthy(None)
    (True, False, False, False)
    """
    return isinstance(value, list | dict) or (bool(value) and value == value)


def delay_name(key: str) -> str:
    """Return how a key of ``after`` appears in the event type: numbers in JavaScript's spelling.

    >>> delay_name("1e3"), delay_name("0x10"), delay_name(""), delay_name("LONG")
    ('1000', '16', '0', 'LONG')
    """
    text = key.strip(_WHITESPACE)
    if not text:
        return "0"
    if radix := _RADIX.fullmatch(text):
        return _spelt(_whole(radix))
    if not _DECIMAL.fullmatch(text):
        return key
    return _spelt(float(text))


def _whole(radix: re.Match[str]) -> float:
    digits, base = next(
        (found, base) for name, base in (("x", 16), ("o", 8), ("b", 2)) if (found := radix[name])
    )
    # 2^1024 overflows; the digits are bounded so that converting them costs nothing.
    return math.inf if len(digits.lstrip("0")) > 1024 else _float(int(digits, base))


def _float(whole: int) -> float:
    try:
        return float(whole)
    except OverflowError:
        return math.inf


def _spelt(number: float) -> str:
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return rfc8785.dumps(number).decode() if number else "0"
