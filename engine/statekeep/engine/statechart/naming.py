"""Whether every state can be found again by its key and its id."""

from collections.abc import Iterator

from statekeep.engine.finding import Finding
from statekeep.engine.statechart.codes import Code
from statekeep.engine.statechart.limits import Limits
from statekeep.engine.statechart.outline import Node
from statekeep.engine.statechart.state import LEAVES, NONE, Kind
from statekeep.engine.statechart.targets import Targets
from statekeep.engine.statechart.wording import quoted


def naming_findings(nodes: list[Node], targets: Targets, limits: Limits) -> Iterator[Finding]:
    """Yield the keys and ids that are too long, in double use, or that XState cannot look up."""
    first: dict[str, Node] = {}
    for node in nodes:
        if long := _too_long(node, limits):
            yield Code.TOO_LONG.at(nodes[max(node.parent, 0)].pointer, long)
        elif trouble := _unusable(nodes, node, targets):
            message = f"{trouble}; rename the state {quoted(node.key)}."
            yield Code.UNUSABLE_KEY.at(node.pointer, message)
        if (other := first.setdefault(node.id, node)) is not node:
            message = (
                f"The id {quoted(node.id)} is also that of {other.pointer or 'the machine'}; "
                "give one of them another id."
            )
            yield Code.DUPLICATE_ID.at(node.pointer, message)


def _too_long(node: Node, limits: Limits) -> str | None:
    if node.parent != NONE and _bytes(node.key) > limits.key_bytes:
        return f"The key {quoted(node.key)} has more than {limits.key_bytes} bytes; shorten it."
    if max(_bytes(node.id), _bytes(node.path)) > limits.id_bytes:
        return (
            f"The id of {quoted(node.key)}, its key joined to those of its ancestors, has more than "
            f"{limits.id_bytes} bytes; shorten the keys."
        )
    return None


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _unusable(nodes: list[Node], node: Node, targets: Targets) -> str | None:
    """Return why XState cannot work with a key."""
    if node.parent == NONE or node.kind is Kind.HISTORY:
        return None
    if node.key == "__proto__":
        return "JavaScript gives the key __proto__ a meaning of its own"
    if node.key.startswith("#") and targets.by_id(node.key) != node.index:
        return 'XState reads a key that begins with "#" as an id'
    parent = nodes[node.parent]
    if (
        not node.key
        and node.kind in LEAVES
        and parent.kind is Kind.COMPOUND
        and parent.parent != NONE
        and nodes[parent.parent].kind is Kind.PARALLEL
    ):
        return "XState does not hear events in a region whose active state has an empty key"
    return None
