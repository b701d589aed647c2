"""Edits that put one key into one mapping of a YAML text and touch no other byte.

There is often more than one way, and no simple rule says which is safe in every layout. So each function yields the
edits worth trying, best first, and the caller keeps the first that, read again, has changed what it should and no more.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from statekeep.controller.manifest.node import Entry, Mapping, Scalar

DEFAULT_INDENT = 2
"""Columns from a key to those below it, where the text does not show its own taste."""

_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*([ \t]+#[^\r\n]*)?(?:\r|\n)")


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``start`` to ``end`` of a text; an insertion where they are equal."""

    start: int
    end: int
    replacement: str

    def applied(self, text: str) -> str:
        """Return the text after the edit."""
        return text[: self.start] + self.replacement + text[self.end :]


def replace_value(text: str, entry: Entry, value: str) -> Iterator[Edit]:
    """Replace a scalar by a string, in double quotes; where nothing is written yet, put it behind the colon."""
    node = entry.value
    quoted = json.dumps(value)
    if not isinstance(node, Scalar):
        return
    if node.start == node.end:
        yield Edit(node.start, node.start, f" {quoted}")
        return
    # A block scalar ends behind its last line break, and may have a comment in its first line.
    written = text[node.start : node.end].rstrip()
    header = _BLOCK_HEADER.match(written)
    comment = header[1] or "" if header else ""
    yield Edit(node.start, node.start + len(written), quoted + comment)


def insert_string(text: str, holder: Entry, item: tuple[str, str], step: int) -> Iterator[Edit]:
    """Put ``key: "value"`` into the mapping that ``holder`` holds, or is about to hold, ``step`` columns below it."""
    key, value = item[0], json.dumps(item[1])
    member = f"{_name(holder, key)}: {value}"
    match holder.value:
        case Mapping(flow=True) as mapping:
            yield from _into_flow(text, mapping, member)
        case Mapping() as mapping if own := _own(mapping):
            first = own[0].key.start
            indent = " " * _column(text, first)
            yield _new_line(text, holder.key.end, f"{indent}{key}: {value}")
            yield Edit(first, first, f"{key}: {value}{_break(text)}{indent}")
        case Scalar(value=None) as blank if blank.start == blank.end:
            indent = " " * (_column(text, holder.key.start) + step)
            yield _new_line(text, blank.start, f"{indent}{key}: {value}")
            yield Edit(blank.start, blank.start, f" {{{member}}}")
        case Scalar(value=None) as null:
            yield Edit(null.start, null.end, f"{{{member}}}")
        case _:
            return


def insert_mapping(
    text: str, holder: Entry, name: str, item: tuple[str, str], after: str
) -> Iterator[Edit]:
    """Put ``name: {key: "value"}`` into the mapping that ``holder`` holds, behind its member ``after``."""
    mapping = holder.value
    key, value = item[0], json.dumps(item[1])
    member = f"{_name(holder, name)}: {{{_name(holder, key)}: {value}}}"
    if not isinstance(mapping, Mapping):
        return
    if mapping.flow:
        yield from _into_flow(text, mapping, member)
        return
    own = _own(mapping)
    if not own:
        return
    first = own[0].key.start
    indent, step = " " * _column(text, first), " " * step_below(text, holder)
    block = f"{indent}{name}:{_break(text)}{indent}{step}{key}: {value}"
    if after in mapping.entries:
        yield _new_line(text, mapping.entries[after].value.end, block)
    yield _new_line(text, holder.key.end, block)
    yield Edit(first, first, f"{member}{_break(text)}{indent}")


def step_below(text: str, holder: Entry) -> int:
    """Return how many columns the text indents what is below a key."""
    match holder.value:
        case Mapping(flow=False) as mapping if own := _own(mapping):
            step = _column(text, own[0].key.start) - _column(text, holder.key.start)
            return step if step > 0 else DEFAULT_INDENT
        case _:
            return DEFAULT_INDENT


def _into_flow(text: str, mapping: Mapping, member: str) -> Iterator[Edit]:
    own = _own(mapping)
    if not own:
        inside = text.index("{", mapping.start) + 1
        yield Edit(inside, inside, member)
        return
    first, last = own[0].key.start, own[-1].value.end
    lead = text[mapping.start : first].rpartition("{")[2]
    if _LINE_BREAK.search(lead) and not lead.strip():
        # Each member has its own line: one more on top leaves the others, and their comments, untouched.
        yield Edit(first, first, f"{member},{lead}")
    yield Edit(last, last, f", {member}")
    yield Edit(first, first, f"{member}, ")


def _name(holder: Entry, key: str) -> str:
    """Return a key for a flow mapping: in quotes where the text, perhaps JSON, has them."""
    return key if holder.key.plain else json.dumps(key)


def _own(mapping: Mapping) -> list[Entry]:
    """Return the entries that are written in the mapping itself."""
    return [entry for entry in mapping.entries.values() if not entry.merged]


def _column(text: str, offset: int) -> int:
    """Return how many characters stand before an offset in its line; a byte order mark is none."""
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    return len(text[start:offset].removeprefix("\ufeff"))


def _new_line(text: str, offset: int, line: str) -> Edit:
    """Put a line, or several, below the one that an offset is in."""
    match = _LINE_BREAK.search(text, offset)
    end = match.start() if match else len(text)
    return Edit(end, end, _break(text) + line)


def _break(text: str) -> str:
    """Return the line break that the text uses."""
    match = _LINE_BREAK.search(text)
    return match[0] if match else "\n"
