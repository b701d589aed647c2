"""Makes the states of a machine out of an outline in which everything has been found to be right."""

from collections.abc import Iterable

from statekeep.engine.statechart.ancestry import domain_of
from statekeep.engine.statechart.javascript import array_index
from statekeep.engine.statechart.outline import Node
from statekeep.engine.statechart.state import NONE, Kind, State, Transition
from statekeep.engine.statechart.targets import Targets
from statekeep.engine.statechart.written import (
    ALWAYS,
    Slot,
    Written,
    invocations,
    table,
    target_list,
)

NO_INDEX = 2**32
"""Sorts after every array index."""


def assemble(nodes: list[Node], slots: list[list[Slot]], targets: Targets) -> tuple[State, ...]:
    """Return the compiled states, in document order; what is wrong is left out."""
    states: list[State] = []
    for node, written in zip(nodes, slots, strict=True):
        above = states[node.parent].nearest_always if states else None
        states.append(_state(nodes, node, targets, table(written), above))
    return tuple(states)


def initial_of(node: Node) -> int:
    """Return the child that ``initial`` names, ``NONE`` if there is none."""
    written = node.config.get("initial")
    if isinstance(written, dict):
        written = written.get("target")
        if isinstance(written, list) and len(written) == 1:
            written = written[0]
    return node.states.get(written, NONE) if isinstance(written, str) else NONE


def defaults_of(nodes: list[Node], node: Node, targets: Targets) -> tuple[int, ...]:
    """Return what a history state enters while it remembers nothing."""
    named = node.config.get("target")
    if named is None or named == "":
        if nodes[node.parent].kind is Kind.PARALLEL:
            return (node.parent,)
        initial = initial_of(nodes[node.parent])
        return () if initial == NONE else (initial,)
    found = (targets.history(node.index, target) for target in target_list(named))
    return tuple(index for index in found if index is not None)


def _state(
    nodes: list[Node],
    node: Node,
    targets: Targets,
    kept: dict[str, tuple[Written, ...]],
    above: Transition | None,
) -> State:
    place = node.pointer if kept else ""
    rows = {
        event: tuple(_transition(nodes, place, node, written, targets) for written in candidates)
        for event, candidates in kept.items()
    }
    taken = {event: _first(candidates) for event, candidates in rows.items()}
    always = taken.pop(ALWAYS, None)
    partial = {e[:-2]: t for e, t in taken.items() if t is not None and _is_partial(e)}
    wildcard = taken.pop("*", None)
    children = [i for i in node.states.values() if nodes[i].kind is not Kind.HISTORY]
    is_history = node.kind is Kind.HISTORY
    index = array_index(node.key)
    return State(
        index=node.index,
        key=node.key,
        id=node.id,
        kind=node.kind,
        parent=node.parent,
        last=node.last,
        children=tuple(children) if node.kind in (Kind.COMPOUND, Kind.PARALLEL) else (),
        histories=tuple(i for i in node.states.values() if nodes[i].kind is Kind.HISTORY),
        initial=initial_of(node) if node.kind is Kind.COMPOUND else NONE,
        deep=node.config.get("history") == "deep",
        defaults=defaults_of(nodes, node, targets) if is_history else (),
        region=NO_INDEX if index is None else index,
        invokes=bool(invocations(node)),
        transitions=tuple(transition for row in rows.values() for transition in row),
        exact={
            event: transition or _fallback(event, partial, wildcard)
            for event, transition in taken.items()
        },
        partial=partial,
        wildcard=wildcard,
        always=always,
        nearest_always=always or above,
    )


def _transition(
    nodes: list[Node], place: str, node: Node, written: Written, targets: Targets
) -> Transition:
    found = (targets.transition(node.index, target) for target in written.targets)
    resolved = tuple(index for index in found if index is not None)
    is_fixed = all(nodes[index].kind is not Kind.HISTORY for index in resolved)
    return Transition(
        source=node.index,
        event=written.event,
        targets=resolved,
        reenter=written.reenter,
        guarded=written.guarded,
        domain=domain_of(nodes, node.index, resolved, reenter=written.reenter)
        if is_fixed
        else None,
        pointer=place + written.pointer,
    )


def _first(candidates: Iterable[Transition]) -> Transition | None:
    return next((transition for transition in candidates if not transition.guarded), None)


def _is_partial(descriptor: str) -> bool:
    """Return whether a descriptor matches by prefix: ``a.b.*`` does, ``a.*.b`` and ``a*`` do not."""
    *prefix, last = descriptor.split(".")
    return bool(prefix) and last == "*" and "*" not in prefix


def _fallback(
    event: str, partial: dict[str, Transition], wildcard: Transition | None
) -> Transition | None:
    """Return what the wildcards of a state select for an event type; the longest prefix wins."""
    tokens = event.split(".")
    for length in range(len(tokens), 0, -1):
        if transition := partial.get(".".join(tokens[:length])):
            return transition
    return wildcard
