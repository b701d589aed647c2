"""Who is whose ancestor, in states numbered in document order."""

from collections.abc import Sequence
from typing import Protocol

from statekeep.engine.statechart.state import NONE


class Placed(Protocol):
    """A state, written or compiled, as far as its place in the tree goes."""

    @property
    def parent(self) -> int:
        """The number of its parent, ``NONE`` for the root."""

    @property
    def last(self) -> int:
        """The number of its last descendant, its own if it has none."""


def domain_of(
    states: Sequence[Placed], source: int, targets: tuple[int, ...], *, reenter: bool
) -> int:
    """Return the domain of a transition: the state whose descendants it leaves, ``NONE`` if also the root.

    Follows XState 5: a transition to the source itself or to descendants of it stays inside the source, unless it
    re-enters; any other leaves all below the nearest proper ancestor that source and targets share. History states
    among the targets must have been replaced by what they stand for.
    """
    low, high = min((source, *targets)), max((source, *targets))
    if not reenter and low == source and high <= states[source].last:
        return source
    ancestor = nearest_above(states, low, high)
    return ancestor if ancestor != NONE or reenter else 0


def nearest_above(states: Sequence[Placed], low: int, high: int) -> int:
    """Return the innermost state with both as proper descendants, ``NONE`` if there is none."""
    ancestor = states[low].parent
    while ancestor != NONE and states[ancestor].last < high:
        ancestor = states[ancestor].parent
    return ancestor
