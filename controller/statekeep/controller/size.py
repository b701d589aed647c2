"""How much room a value takes in an object, and as much of a text as fits."""

import json
import re
from itertools import accumulate

from statekeep.engine.json import JsonValue

_ESCAPED = re.compile("[<>&\u2028\u2029]")


def cut(text: str, most: int) -> str:
    """Return a text, or as much of it as fits into so many bytes of JSON.

    >>> cut("häßlich", 8)
    'häß…'
    """
    begin = text[: most + 1]  # more characters never fit
    if json_size(begin) <= most:
        return text
    room = most - len("…".encode())
    end = next(n for n, so_far in enumerate(accumulate(map(json_size, begin))) if so_far > room)
    return text[:end] + "…"


def json_size(value: JsonValue) -> int:
    """Return the bytes of a value as the API server keeps it, a text without its quotes: it escapes more than it must.

    >>> json_size("a<b"), json_size(["ä"])
    (8, 6)
    """
    written = json.dumps(value, ensure_ascii=False)
    escaped = sum(len("\\u003c") - len(char.encode()) for char in _ESCAPED.findall(written))
    quotes = 2 if isinstance(value, str) else 0
    return len(written.encode()) + escaped - quotes
