"""Transitions and states that are legal and do nothing."""

from collections.abc import Iterable, Iterator

from statekeep.engine.finding import Finding
from statekeep.engine.statechart.codes import Code
from statekeep.engine.statechart.events import is_reserved
from statekeep.engine.statechart.outline import Node
from statekeep.engine.statechart.state import LEAVES, NONE, Kind, State, Transition

_DONE = "xstate.done.state."


def surprise_findings(nodes: list[Node], states: tuple[State, ...]) -> Iterator[Finding]:
    """Yield what will never happen."""
    reached = _reached(states)
    for node, state in zip(nodes, states, strict=True):
        place = node.pointer
        is_leaf = state.kind in LEAVES or state.kind is Kind.HISTORY
        if is_leaf and node.states:
            message = f"Its child states are never entered, since its type is {state.kind}; remove the type."
            yield Code.STATES_IGNORED.at(f"{place}/states", message)
        yield from _transitions(state)
        if any(t.event == _DONE + state.id for t in state.transitions) and not _can_be_done(
            states, state
        ):
            message = "It is never done, so onDone is never taken; give it a child state with type: final."
            yield Code.NEVER_DONE.at(place, message)
        if state.kind is not Kind.HISTORY and state.index not in reached:
            if state.parent in reached or state.parent == NONE:
                message = (
                    "No event leads here; add a transition without a guard, or remove the state."
                )
                yield Code.UNREACHABLE.at(place, message)
        elif _is_dead_end(states, state):
            message = "Nothing leads out of here; add a transition, or set type: final."
            yield Code.DEAD_END.at(place, message)


def _transitions(state: State) -> Iterator[Finding]:
    open_events: set[str] = set()
    for transition in state.transitions:
        if transition.guarded:
            message = "It is never taken, since guards are false here; let the backend decide and send another event."
            yield Code.GUARDED.at(transition.pointer, message)
        elif transition.event in open_events:
            message = "It is never taken, since one before it in the list has no guard."
            yield Code.SHADOWED.at(transition.pointer, message)
        else:
            open_events.add(transition.event)


def _can_be_done(states: tuple[State, ...], state: State) -> bool:
    if state.parent == NONE:
        return False
    if state.kind is Kind.COMPOUND:
        return any(states[child].kind is Kind.FINAL for child in state.children)
    return state.kind is Kind.PARALLEL


def _taken(states: tuple[State, ...], state: State) -> Iterator[Transition]:
    """Yield the transitions of a state that some event can take."""
    first: dict[str, Transition] = {}
    for transition in state.transitions:
        if not transition.guarded:
            first.setdefault(transition.event, transition)
    for event, transition in first.items():
        if event.startswith(_DONE) or event.endswith("*") or not is_reserved(event):
            yield transition


def _reached(states: tuple[State, ...]) -> set[int]:
    """Return every state that may become active; rather one too many than one too few."""
    reached: set[int] = set()
    pending = [0]
    while pending:
        index = pending.pop()
        if index in reached or index == NONE:
            continue
        reached.add(index)
        state = states[index]
        pending += _led_to(states, state)
    return reached


def _led_to(states: tuple[State, ...], state: State) -> Iterable[int]:
    yield state.parent
    if state.kind is Kind.COMPOUND:
        yield state.initial
    elif state.kind is Kind.PARALLEL:
        yield from state.children
    elif state.kind is Kind.HISTORY:
        yield from state.defaults
    for transition in _taken(states, state):
        yield from transition.targets


def _is_dead_end(states: tuple[State, ...], state: State) -> bool:
    if state.kind is not Kind.ATOMIC or state.parent == NONE:
        return False
    current = state
    while True:
        if any(transition.targets for transition in _taken(states, current)):
            return False
        if current.parent == NONE:
            return True
        current = states[current.parent]
        # Another region may lead out of the parallel state, and with it out of here.
        if current.kind is Kind.PARALLEL:
            return False
