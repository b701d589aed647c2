"""A compiled state and the transitions that leave it.

States are numbered in document order, the root being 0, so that the descendants of a state are exactly those with
a number above its own and up to its ``last``. Nobody (``NONE``) is the root's parent.
"""

from dataclasses import dataclass
from enum import StrEnum

NONE = -1
"""No state: the parent of the root, and the domain of a transition that leaves the root itself."""


class Kind(StrEnum):
    """What a state is to the SCXML algorithm."""

    ATOMIC = "atomic"
    COMPOUND = "compound"
    PARALLEL = "parallel"
    FINAL = "final"
    HISTORY = "history"


LEAVES = frozenset({Kind.ATOMIC, Kind.FINAL})
"""The kinds that have no active child; XState calls both atomic."""


@dataclass(frozen=True, slots=True, eq=False)
class Transition:
    """What one entry of ``on``, ``always``, ``onDone``, ``after`` or ``invoke`` says."""

    source: int

    event: str
    """The descriptor as XState matches it (``PAY``, ``order.*``, ``xstate.done.state.m.p``); empty for ``always``."""

    targets: tuple[int, ...]
    """In the order written; empty if the transition goes nowhere."""

    reenter: bool

    guarded: bool
    """Its guard is false for ever, so it is never taken."""

    domain: int | None
    """The state whose descendants are left; ``None`` where a history target lets it depend on the past."""

    pointer: str
    """Where in the definition it is written (RFC 6901)."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """One state with everything that a step needs to look up."""

    index: int
    key: str
    id: str
    kind: Kind
    parent: int
    last: int

    children: tuple[int, ...]
    """Child states in document order, history states left out."""

    histories: tuple[int, ...]
    """Child history states."""

    initial: int
    """The child (possibly a history state) that a compound state enters by default; else ``NONE``."""

    deep: bool
    """For a history state: whether it remembers leaves rather than children."""

    defaults: tuple[int, ...]
    """For a history state: what is entered while it remembers nothing."""

    region: int
    """Its key as an array index, which sorts regions before all others; a number beyond any for other keys."""

    invokes: bool
    """Whether it invokes actors."""

    transitions: tuple[Transition, ...]
    """All that XState keeps, in document order, guarded ones included, ``always`` last."""

    exact: dict[str, Transition | None]
    """For each descriptor other than ``*``: what is taken on an event of that very type, wildcards included."""

    partial: dict[str, Transition]
    """What ``<prefix>.*`` selects, by prefix."""

    wildcard: Transition | None
    """What ``*`` selects."""

    always: Transition | None
    """The eventless transition of its own that is taken."""

    nearest_always: Transition | None
    """Its own, else that of the nearest ancestor which has one."""

    def selected(self, event: str) -> Transition | None:
        """Return the transition of this very state that an event takes, guards being false."""
        if event in self.exact:
            return self.exact[event]
        if self.partial:
            prefix = event
            while True:
                if prefix in self.partial:
                    return self.partial[prefix]
                dot = prefix.rfind(".")
                if dot < 0:
                    break
                prefix = prefix[:dot]
        return self.wildcard
