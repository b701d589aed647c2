"""A compiled machine: the states of one definition, and what has been learnt of the automaton so far."""

from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.configuration import Configuration, Key
from statekeep.engine.statechart.limits import Limits
from statekeep.engine.statechart.state import State


class Machine:
    """One definition, ready to be interpreted; made by ``compile_machine``.

    What it says never changes. The configurations it has met are kept in it, so that a step is computed once.
    """

    __slots__ = (
        "_configurations",
        "_steps",
        "definition",
        "event_types",
        "has_always",
        "has_wildcard",
        "id",
        "ids",
        "limits",
        "mentioned",
        "prefixes",
        "start",
        "states",
    )

    def __init__(self, definition: JsonObject, states: tuple[State, ...], limits: Limits) -> None:
        self.definition = definition
        self.states = states
        """Every state in document order: ids, parents, kinds and transitions, for diagrams and documents."""
        self.limits = limits
        self.id = states[0].id
        self.ids = {state.id: state.index for state in states}
        descriptors = dict.fromkeys(t.event for s in states for t in s.transitions if t.event)
        self.event_types = tuple(descriptors)
        """Every descriptor that the definition mentions, wildcards included, in document order."""
        self.mentioned = frozenset(event for state in states for event in state.exact)
        """The event types that some descriptor mentions literally."""
        self.prefixes = frozenset(prefix for state in states for prefix in state.partial)
        self.has_wildcard = any(state.wildcard for state in states)
        self.has_always = any(state.always for state in states)
        self.start: Configuration | None = None
        self._configurations: dict[Key, Configuration] = {}
        self._steps = 0

    def configuration(self, key: Key) -> Configuration:
        """Return the configuration with this key: the one that exists, if it is still remembered."""
        known = self._configurations.get(key)
        if known is None:
            known = self.remember(Configuration(self.states, key))
        return known

    def remember(self, configuration: Configuration) -> Configuration:
        """Return the configuration by which all equal ones are represented from now on."""
        if len(self._configurations) >= self.limits.configurations:
            self.forget()
        return self._configurations.setdefault(configuration.key, configuration)

    def count_step(self) -> None:
        """Note that one more step is remembered, and forget everything when there are too many."""
        self._steps += 1
        if self._steps > self.limits.steps:
            self.forget()

    def forget(self) -> None:
        """Drop all that was learnt: memory stays bounded however many configurations there are."""
        for configuration in self._configurations.values():
            configuration.steps.clear()
            configuration.others.clear()
        self._configurations.clear()
        self._steps = 0
        self.start = None

    def hears(self, event_type: str) -> bool:
        """Return whether any state could select a transition for an event of this type."""
        return (
            self.has_wildcard or event_type in self.mentioned or self.symbol(event_type) is not None
        )

    def symbol(self, event_type: str) -> str | None:
        """Return the longest prefix that ``<prefix>.*`` is mentioned for and the event type has.

        Types that no descriptor mentions literally and that share it are handled alike in every configuration.
        """
        prefix = event_type
        while self.prefixes:
            if prefix in self.prefixes:
                return prefix
            dot = prefix.rfind(".")
            if dot < 0:
                break
            prefix = prefix[:dot]
        return None

    def __repr__(self) -> str:
        return f"Machine({self.id!r}, {len(self.states)} states)"
