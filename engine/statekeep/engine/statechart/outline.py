"""The states of a definition as they are written, numbered in document order.

Reads anything: whatever has the wrong type is taken for absent here, and reported by the shape check.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from statekeep.engine.finding import escape
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.statechart.javascript import is_truthy, ordered_keys
from statekeep.engine.statechart.limits import Limits
from statekeep.engine.statechart.state import NONE, Kind

_KINDS = frozenset(kind.value for kind in Kind)

UNNAMED = "(machine)"
"""The id that XState gives to a machine without one."""


@dataclass(slots=True, eq=False)
class Node:
    """One state as written."""

    index: int
    key: str
    written: JsonValue
    """What stands in the definition."""
    config: JsonObject
    """The same if it is an object, else an empty one."""
    parent: int
    depth: int
    id: str
    path: str
    """The machine's id and all keys down to here: the id of a state that has none of its own."""
    pointer: str
    """Where it is written (RFC 6901)."""
    kind: Kind
    last: int = 0
    states: dict[str, int] = field(default_factory=dict)
    """The children by key, history states included, in JavaScript's order."""


def outline(definition: JsonObject, limits: Limits) -> list[Node]:
    """Return the states in document order, without those that lie beyond the limits."""
    nodes: list[Node] = []
    pending: list[tuple[str, JsonValue, int]] = [("", definition, NONE)]
    while pending and len(nodes) <= limits.states:
        key, written, parent = pending.pop()
        node = _node(len(nodes), key, written, nodes[parent] if parent != NONE else None)
        nodes.append(node)
        if parent != NONE:
            nodes[parent].states[key] = node.index
        if node.depth > limits.depth or len(node.path) > limits.id_bytes:
            continue
        states = states_of(node.config)
        pending += ((name, states[name], node.index) for name in reversed(ordered_keys(states)))
    for node in reversed(nodes):
        node.last = max(node.last, node.index)
        if node.parent != NONE:
            nodes[node.parent].last = max(nodes[node.parent].last, node.last)
    return nodes


def states_of(config: JsonObject) -> dict[str, JsonValue]:
    """Return the child states as written."""
    states = config.get("states")
    return states if isinstance(states, dict) else {}


def ancestors(nodes: list[Node], index: int) -> Iterator[int]:
    """Yield the proper ancestors of a state, innermost first."""
    above = nodes[index].parent
    while above != NONE:
        yield above
        above = nodes[above].parent


def _node(index: int, key: str, written: JsonValue, parent: Node | None) -> Node:
    config = written if isinstance(written, dict) else {}
    own = config.get("id")
    named = own if isinstance(own, str) and own else None
    if parent is None:
        path = named or UNNAMED
        return Node(index, path, written, config, NONE, 0, path, path, "", _kind(config))
    return Node(
        index=index,
        key=key,
        written=written,
        config=config,
        parent=parent.index,
        depth=parent.depth + 1,
        id=named or f"{parent.path}.{key}",
        path=f"{parent.path}.{key}",
        pointer=f"{parent.pointer}/states/{escape(key)}",
        kind=_kind(config),
    )


def _kind(config: JsonObject) -> Kind:
    written = config.get("type")
    if isinstance(written, str) and written in _KINDS:
        return Kind(written)
    if states_of(config):
        return Kind.COMPOUND
    return Kind.HISTORY if is_truthy(config.get("history")) else Kind.ATOMIC
