"""How findings speak of what a user wrote."""

import difflib
from collections.abc import Iterable

MOST_SHOWN = 80
"""Characters shown of a text that may be a megabyte."""

_LONGEST_COMPARED = 100
_MOST_COMPARED = 20_000

_KINDS = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def quoted(text: str) -> str:
    """Return a text in quotes, shortened, with everything that does not print escaped.

    >>> print(quoted("pay"), quoted("a" * 99)[-5:])
    "pay" aaa…"
    """
    shown = text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"
    characters = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return '"' + "".join(characters) + '"'


def kind_of(value: object) -> str:
    """Return what JSON calls a value, or Python where JSON has no name for it.

    >>> kind_of(None), kind_of([])
    ('null', 'a list')
    """
    return _KINDS.get(type(value), f"Python {type(value).__name__}")


class Speller:
    """Guesses what a misspelt name was meant to be, as long as that is cheap."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _MOST_COMPARED

    def hint(self, name: str, known: Iterable[str]) -> str:
        """Return " Did you mean …?" with the known name that is most like this one, or nothing."""
        candidates = [k for k in known if len(k) <= _LONGEST_COMPARED] if self._left > 0 else []
        self._left -= len(candidates)
        if self._left < 0 or len(name) > _LONGEST_COMPARED:
            return ""
        close = difflib.get_close_matches(name, candidates, n=1)
        return f" Did you mean {quoted(close[0])}?" if close else ""
