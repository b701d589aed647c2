"""A text and its places: the parser's offsets, the file's offsets, lines and columns."""

import json
import re
from bisect import bisect_left, bisect_right

from statekeep.controller.manifest.problem import Position

BOM = "\ufeff"

_BREAK = re.compile(r"\r\n|\n|\r")

# One escape sequence at a time, so that the "\\" in front of "\\ud83d" is not taken for the start of it.
_ESCAPE = re.compile(
    r"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89abAB]")
_PAIR_LENGTH = len(r"\ud83d\ude00")
_LONG_LENGTH = len(r"\U0001F600")


class Text:
    r"""A text as the author wrote it, and ``scanned``, the same text as the YAML parser can take it.

    Two things differ: a byte order mark is dropped, and in JSON the escaped surrogate pairs, which YAML does not have,
    are spelled as YAML's ``\U``. Offsets into ``scanned`` become offsets into ``text`` by ``offset``.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        body = text.removeprefix(BOM)
        self._dropped = len(text) - len(body)
        self._pairs: list[int] = []
        self.scanned = (
            self._respelled(body) if _SURROGATE_ESCAPE.search(body) and _is_json(body) else body
        )
        self._lines = [0, *(match.end() for match in _BREAK.finditer(text))]

    def offset(self, scanned: int) -> int:
        """Return the place in ``text`` of a place in ``scanned``."""
        pairs = bisect_left(self._pairs, scanned)
        return scanned + self._dropped + pairs * (_PAIR_LENGTH - _LONG_LENGTH)

    def position(self, offset: int) -> Position:
        """Return line and column of an offset into ``text``; a byte order mark takes no column."""
        line = bisect_right(self._lines, offset)
        column = offset - self._lines[line - 1] + 1
        return Position(line, max(column - self._dropped, 1) if line == 1 else column)

    def _respelled(self, body: str) -> str:
        """Spell surrogate pairs as YAML does, and remember where."""

        def respell(match: re.Match[str]) -> str:
            if not match[1]:
                return match[0]
            self._pairs.append(match.start() - len(self._pairs) * (_PAIR_LENGTH - _LONG_LENGTH))
            character: str = json.loads(f'"{match[0]}"')
            return f"\\U{ord(character):08X}"

        return _ESCAPE.sub(respell, body)


def _is_json(body: str) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
