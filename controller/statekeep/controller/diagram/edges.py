"""The arrows of a diagram, between siblings only.

Mermaid cannot draw an arrow from a state inside one box to a state inside another, nor between a box and what is in
it. So an arrow runs between the two siblings that hold its ends, and its label says what it is about inside them. A
transition of a box to something within it starts at a pseudo-state, "any state"; one that runs between regions of a
parallel state, or from the inside of a box to the box itself, is a loop at that box; regions have no box of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.state import NONE, Kind, Transition

_INNER = (
    ("xstate.done.state.", "done"),
    ("xstate.done.actor.", "done: "),
    ("xstate.error.actor.", "failed: "),
    ("xstate.after.", "after "),
)


@dataclass(frozen=True, slots=True)
class Edge:
    """One arrow."""

    inside: int
    """The state in whose box it is drawn; ``NONE`` for a loop at the outermost one."""

    source: int
    """A state, or ``NONE`` for the pseudo-state "any state" of the box."""

    target: int
    label: str


def edges(machine: Machine) -> Iterator[Edge]:
    """Yield an arrow for each transition that can be taken and leads somewhere, and for each of its targets."""
    for state in machine.states:
        for transition in state.transitions:
            if not transition.guarded:
                for target in transition.targets:
                    yield _edge(machine, transition, target)


def _edge(machine: Machine, transition: Transition, target: int) -> Edge:
    states = machine.states
    source, what = transition.source, _what(machine, transition)
    if target == 0 and states[0].kind is Kind.COMPOUND:
        # The outermost box is not drawn; to enter it is to enter its initial state.
        target = states[0].initial
    common = _common(machine, source, target)
    if common == target or states[common].kind is Kind.PARALLEL:
        while common and states[states[common].parent].kind is Kind.PARALLEL:
            common = states[common].parent
        return Edge(states[common].parent, common, common, _from(machine, source, common) + what)
    end = _below(machine, target, common)
    detail = "" if end == target else f" → {states[target].key}"
    start = NONE if common == source else _below(machine, source, common)
    return Edge(common, start, end, _from(machine, source, start) + what + detail)


def _common(machine: Machine, one: int, other: int) -> int:
    """Return the innermost state that holds both, or is one of them."""
    low, high = min(one, other), max(one, other)
    while machine.states[low].last < high:
        low = machine.states[low].parent
    return low


def _below(machine: Machine, index: int, above: int) -> int:
    """Return the child of ``above`` that holds a state, or is it."""
    while machine.states[index].parent != above:
        index = machine.states[index].parent
    return index


def _from(machine: Machine, source: int, drawn: int) -> str:
    return "" if drawn in (source, NONE) else f"{machine.states[source].key}: "


def _what(machine: Machine, transition: Transition) -> str:
    event = transition.event
    for prefix, word in _INNER:
        if event.startswith(prefix):
            rest = event.removeprefix(prefix)
            if word == "done":
                return word
            return word + rest.removesuffix(f".{machine.states[transition.source].id}")
    return event or "always"
