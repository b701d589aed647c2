"""Where an actor stands: active states, what history states remember, and whether it is done."""

from typing import Any, Literal

from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.statechart.legality import shown
from statekeep.engine.statechart.state import LEAVES, Kind, State

History = tuple[tuple[int, tuple[int, ...]], ...]
"""For each history state that remembers something, in document order, the states it remembers."""

Key = tuple[tuple[int, ...], History, bool]
"""What makes two configurations of a machine the same: active states in ``canonical`` order, memory, done or not."""


class Configuration:
    """One configuration of one machine; ask the machine for it, so that equal ones are mostly one object.

    Immutable but for the steps out of it that are known so far.
    """

    __slots__ = ("_hash", "_states", "active", "key", "others", "steps")

    def __init__(self, states: tuple[State, ...], key: Key) -> None:
        self._states = states
        self._hash = hash(key)
        self.key = key
        self.active = tuple(sorted(shown(states, dict.fromkeys(key[0]))))
        """The states that the value shows, in document order: always a legal configuration."""
        # Of steps: the interpreter owns both, and its ``Step`` holds a configuration in turn.
        self.steps: dict[str, Any] = {}
        self.others: dict[str | None, Any] = {}

    @property
    def is_done(self) -> bool:
        """Whether the machine has reached its end: nothing is handled any more."""
        return self.key[2]

    @property
    def status(self) -> Literal["active", "done"]:
        """XState's word for it."""
        return "done" if self.key[2] else "active"

    @property
    def value(self) -> JsonValue:
        """XState's state value, made anew for each caller."""
        states, active = self._states, self.active
        contents: dict[int, dict[str, JsonValue]] = {}
        root: JsonValue = {}
        for position, index in enumerate(active):
            state = states[index]
            content: JsonValue
            # In document order an active compound state is followed by its active child.
            if state.kind is Kind.COMPOUND and states[active[position + 1]].kind in LEAVES:
                content = states[active[position + 1]].key
            else:
                content = contents[index] = {}
            if index == 0:
                root = content
            elif state.parent in contents:
                contents[state.parent][state.key] = content
        return root

    @property
    def history_value(self) -> dict[str, list[str]]:
        """For each history state that remembers something, the ids of the states it remembers, sorted."""
        return {
            self._states[history].id: sorted(self._states[index].id for index in remembered)
            for history, remembered in self.key[1]
        }

    def to_json(self) -> JsonObject:
        """Return the document to store: equal configurations of a machine give equal documents.

        ``historyValue`` is left out when empty. ``active`` lists ids only in the rare case that XState holds more
        or fewer states active than its state value shows.
        """
        document: JsonObject = {"value": self.value, "status": self.status}
        if self.key[1]:
            document["historyValue"] = {
                history: list[JsonValue](ids) for history, ids in self.history_value.items()
            }
        if self.key[0] != self.active:
            document["active"] = [self._states[index].id for index in self.key[0]]
        return document

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Configuration):
            return NotImplemented
        return self is other or (self._states is other._states and self.key == other.key)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Configuration({self.to_json()!r})"
