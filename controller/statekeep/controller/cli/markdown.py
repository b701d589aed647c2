"""Text of others in GitHub's and GitLab's Markdown: it shows as it is, links nowhere and calls nobody."""

import re
from collections.abc import Iterable, Sequence

_WORDS = re.compile(r"(?i)www\.")

# An underscore between letters is no emphasis; names are full of them.
_SAFE = re.compile(r"[^\W_]|(?<=[^\W_])_(?=[^\W_])|[ .,;()/\"'…→-]")

ZERO_WIDTH_SPACE = "&#8203;"

REFERRING = "@#!$%&~"
"""What mentions and references begin with: the first two on GitHub, all of them on GitLab."""


def escaped(text: str, limit: int) -> str:
    """Return a text for the middle of a paragraph or a cell, shortened to ``limit`` characters.

    >>> print(escaped("a|b `c` <d> under_review", 80))
    a&#124;b &#96;c&#96; &#60;d&#62; under_review
    >>> print(escaped("ask @octocat", 80))
    ask &#64;&#8203;octocat
    """
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    parts = [
        shown[i] if _SAFE.match(shown, i) else _entity(character)
        for i, character in enumerate(shown)
    ]
    return _WORDS.sub("www&#46;", "".join(parts)).strip()


def code(text: str, limit: int) -> str:
    """Return a name or a value as code.

    >>> code("a.(b, c)", 80)
    '<code>a.(b, c)</code>'
    """
    return f"<code>{escaped(text, limit)}</code>"


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0, budget: int
) -> tuple[list[str], int]:
    """Return the lines of a table and how many rows were left out for want of space.

    Args:
        header: of each column.
        rows: cells that are Markdown already.
        numbers: how many columns, from the left, are aligned to the right.
        budget: characters that the rows may take.
    """
    rule = ["---:" if column < numbers else "---" for column in range(len(header))]
    lines = [_row(header), _row(rule)]
    left_out = 0
    for row in rows:
        line = _row(row)
        budget -= len(line) + 1
        if budget < 0:
            left_out += 1
        else:
            lines.append(line)
    return lines, left_out


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _entity(character: str) -> str:
    """Return a character so that neither Markdown, nor HTML, nor a forge's mentions and references see it."""
    if not character.isprintable():
        return " "
    after = ZERO_WIDTH_SPACE if character in REFERRING else ""
    return f"&#{ord(character)};{after}"
