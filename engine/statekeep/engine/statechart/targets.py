"""What a target stands for.

Follows XState 5 to the letter, its oddities included: an empty key ends a path where it stands, a leading dot is
put behind the state's own key unescaped, and a key that begins with ``#`` is read as an id wherever it occurs.
"""

from statekeep.engine.statechart.outline import Node
from statekeep.engine.statechart.path import split
from statekeep.engine.statechart.state import NONE


class Targets:
    """Resolves the targets of one definition."""

    __slots__ = ("_ids", "_keys", "_known", "_nodes")

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._ids = {node.id: node.index for node in nodes}
        self._keys: dict[str, int] | None = None
        # Checked once, compiled once: each target is asked for twice.
        self._known: dict[tuple[int, str], int | None] = {}

    def transition(self, source: int, target: str) -> int | None:
        """Return the state that a transition of ``source`` targets, ``None`` if there is none."""
        asked = (source, target)
        if asked not in self._known:
            self._known[asked] = self._transition(source, target)
        return self._known[asked]

    def _transition(self, source: int, target: str) -> int | None:
        node = self._nodes[source]
        if target.startswith("#"):
            return self.by_id(target)
        is_inner = target.startswith(".")
        if node.parent == NONE:
            return self._by_path(source, target[1:]) if is_inner else None
        return self._by_path(node.parent, node.key + target if is_inner else target)

    def history(self, source: int, target: str) -> int | None:
        """Return the state that a history state names as its default: looked up from its parent."""
        parent = self._nodes[source].parent
        return None if parent == NONE else self._by_path(parent, target)

    def by_id(self, target: str) -> int | None:
        """Return the state that ``#id`` or ``#id.key.key`` names."""
        first, *rest = split(target)
        known = self._ids.get(first.removeprefix("#"))
        return None if known is None else self._follow(known, rest)

    def named(self, name: str) -> int | None:
        """Return the state with this id, else one with this key: what a wrong target may have meant."""
        if self._keys is None:
            self._keys = {node.key: node.index for node in reversed(self._nodes)}
        return self._ids.get(name, self._keys.get(name))

    def _by_path(self, start: int, path: str) -> int | None:
        if path.startswith("#") and (known := self.by_id(path)) is not None:
            return known
        return self._follow(start, split(path))

    def _follow(self, start: int, keys: list[str]) -> int | None:
        current: int | None = start
        for key in keys:
            if not key or current is None:
                break
            current = (
                self.by_id(key) if key.startswith("#") else self._nodes[current].states.get(key)
            )
        return current
