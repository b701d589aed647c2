"""Which states a microstep enters.

Follows SCXML 1.0, ``computeEntrySet``, as XState 5 does it: targets in the order written, regions that nobody
entered filled in from above. History states are never entered themselves.
"""

from collections.abc import Iterator

from statekeep.engine.statechart.ancestry import domain_of
from statekeep.engine.statechart.state import NONE, Kind, State, Transition

Memory = dict[int, tuple[int, ...]]
"""What each history state remembers, while a macrostep runs."""


def effective_targets(
    states: tuple[State, ...], targets: tuple[int, ...], memory: Memory
) -> Iterator[int]:
    """Yield the targets with every history state replaced by what it stands for now."""
    for target in targets:
        if states[target].kind is not Kind.HISTORY:
            yield target
        elif target in memory:
            yield from memory[target]
        else:
            yield from effective_targets(states, states[target].defaults, memory)


def domain(states: tuple[State, ...], transition: Transition, memory: Memory) -> int:
    """Return the state whose descendants a transition leaves, ``NONE`` if it leaves the root itself."""
    if transition.domain is not None:
        return transition.domain
    targets = tuple(effective_targets(states, transition.targets, memory))
    return domain_of(states, transition.source, targets, reenter=transition.reenter)


class Entry:
    """The states to enter, gathered from one transition after the other."""

    __slots__ = ("_above", "_memory", "_states", "entered")

    def __init__(self, states: tuple[State, ...], memory: Memory) -> None:
        self._states = states
        self._memory = memory
        self.entered: set[int] = set()
        # Every state with a descendant in ``entered``: a region in it is not filled in by default.
        self._above: set[int] = set()

    def add(self, transition: Transition, domain: int) -> None:
        """Enter the targets of a transition, what they contain by default, and all between them and the domain."""
        states, source = self._states, transition.source
        for target in transition.targets:
            # A state that targets itself without ``reenter`` stays; only what is in it starts anew.
            if transition.reenter or not target == source == domain:
                self._mark(target)
            self._descend(target)
        for target in effective_targets(states, transition.targets, self._memory):
            self._ascend(target, domain, NONE if source == 0 and transition.reenter else domain)
            if domain != NONE and states[domain].kind is Kind.PARALLEL:
                self._fill(domain)

    def _mark(self, index: int) -> None:
        states = self._states
        if index in self.entered or states[index].kind is Kind.HISTORY:
            return
        self.entered.add(index)
        above = states[index].parent
        while above != NONE and above not in self._above:
            self._above.add(above)
            above = states[above].parent

    def _descend(self, index: int) -> None:
        state = self._states[index]
        if state.kind is Kind.COMPOUND:
            self._mark(state.initial)
            self._descend(state.initial)
        elif state.kind is Kind.PARALLEL:
            self._fill(index)
        elif state.kind is Kind.HISTORY:
            inside = self._memory.get(index, state.defaults)
            for target in inside:
                self._mark(target)
                self._descend(target)
            for target in inside:
                self._ascend(target, state.parent, NONE)

    def _fill(self, parallel: int) -> None:
        for region in self._states[parallel].children:
            if region not in self._above:
                self._mark(region)
                self._descend(region)

    def _ascend(self, index: int, stop: int, within: int) -> None:
        """Enter the ancestors below ``stop``, as far as they are descendants of ``within``."""
        states = self._states
        ancestor = states[index].parent if index != stop else stop
        while ancestor not in (stop, NONE):
            if within == NONE or within < ancestor <= states[within].last:
                self._mark(ancestor)
            if states[ancestor].kind is Kind.PARALLEL:
                self._fill(ancestor)
            ancestor = states[ancestor].parent
