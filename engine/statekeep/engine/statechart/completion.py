"""Whether a state has come to its end."""

from collections.abc import Iterable

from statekeep.engine.statechart.state import Kind, State


class Completion:
    """Follows which states are finished while more and more become active.

    A compound state is finished while a final child of its own is active, a parallel one when all its regions are.
    """

    __slots__ = ("_finished", "_regions", "_states")

    def __init__(self, states: tuple[State, ...], active: Iterable[int]) -> None:
        self._states = states
        self._finished: set[int] = set()
        # How many regions of a parallel state are known to be finished: as states are only added, this only grows.
        self._regions: dict[int, int] = {}
        for index in active:
            self.enter(index)

    def enter(self, index: int) -> None:
        """Note that one more state is active."""
        if self._states[index].kind is Kind.FINAL:
            self._finished.add(self._states[index].parent)

    def is_finished(self, index: int) -> bool:
        """Return whether a state is finished by what is active now."""
        state = self._states[index]
        if state.kind is not Kind.PARALLEL:
            return state.kind is Kind.FINAL or (
                state.kind is Kind.COMPOUND and index in self._finished
            )
        finished = self._regions.get(index, 0)
        while finished < len(state.children) and self.is_finished(state.children[finished]):
            finished += 1
        self._regions[index] = finished
        return finished == len(state.children)
