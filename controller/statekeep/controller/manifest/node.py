"""A YAML document as a tree of nodes that know where they stand.

A node holds its JSON value, complete once the node is closed. An aliased value stands in the tree as a node with the
place of the alias; what is below it has the places of the anchor.
"""

from dataclasses import dataclass, field, replace

from statekeep.engine.json import JsonObject, JsonValue

CHARACTERS_PER_VALUE = 64
"""So many characters of a string weigh as much as a value when aliases are expanded."""


@dataclass(slots=True, eq=False)
class Scalar:
    """A single value; ``start`` and ``end`` enclose its quotes, and an anchor or tag in front."""

    start: int
    end: int
    value: JsonValue
    text: str
    plain: bool

    @property
    def weight(self) -> int:
        """Return what one more copy of it costs."""
        return 1 + len(self.text) // CHARACTERS_PER_VALUE

    @property
    def height(self) -> int:
        """Return how many levels of nesting it has."""
        return 0


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    start: int
    end: int
    flow: bool
    value: list[JsonValue] = field(default_factory=list)
    items: list["Node"] = field(default_factory=list)
    weight: int = 1
    height: int = 1

    def append(self, node: "Node") -> None:
        """Add the next item."""
        self.items.append(node)
        self.value.append(node.value)
        self.weight += node.weight
        self.height = max(self.height, node.height + 1)


@dataclass(slots=True, eq=False)
class Entry:
    """A key and its value."""

    key: Scalar
    value: "Node"
    merged: bool = False
    """True if it came by a merge key and is written elsewhere."""


@dataclass(slots=True, eq=False)
class Mapping:
    """An object; ``entries`` are in the order of the text, merged ones last."""

    start: int
    end: int
    flow: bool
    value: JsonObject = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    weight: int = 1
    height: int = 1

    def add(self, name: str, entry: Entry) -> None:
        """Add an entry under a name that is not there yet."""
        self.entries[name] = entry
        self.value[name] = entry.value.value
        self.weight += entry.value.weight + 1 + len(name) // CHARACTERS_PER_VALUE
        self.height = max(self.height, entry.value.height + 1)


Node = Scalar | Sequence | Mapping


def copied(node: Node, start: int, end: int) -> Node:
    """Return a node for another place, whose value shares no list and no dict with the original's."""
    match node:
        case Scalar():
            return replace(node, start=start, end=end)
        case Sequence():
            return replace(node, start=start, end=end, value=[_copied(item) for item in node.value])
        case Mapping():
            value = {key: _copied(item) for key, item in node.value.items()}
            return replace(node, start=start, end=end, value=value)


def _copied(value: JsonValue) -> JsonValue:
    # The depth is bounded, so recursion is safe.
    match value:
        case dict():
            return {key: _copied(child) for key, child in value.items()}
        case list():
            return [_copied(child) for child in value]
        case _:
            return value
