"""Reads a stored configuration back, and trusts nothing in it."""

from statekeep.engine.errors import ConfigurationInvalid
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.statechart.completion import Completion
from statekeep.engine.statechart.configuration import History, Key
from statekeep.engine.statechart.legality import canonical, shown
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.state import LEAVES, Kind, State

_MEMBERS = {"value", "status", "historyValue", "active"}


def key_of(machine: Machine, document: JsonObject) -> Key:
    """Return what ``Configuration.to_json`` wrote.

    Raises:
        ConfigurationInvalid: it is not a configuration of this machine, or not written as ours are.
    """
    if not isinstance(document, dict) or not document.keys() <= _MEMBERS or "value" not in document:
        raise ConfigurationInvalid("a configuration has value, status and perhaps historyValue")
    nodes = active = _active(machine, document["value"])
    if "active" in document:
        nodes = _nodes(machine, document["active"], active)
    status = document.get("status")
    if status not in ("active", "done"):
        raise ConfigurationInvalid(f"the status is {status!r:.40}, neither active nor done")
    done = status == "done"
    if done and not Completion(machine.states, nodes).is_finished(0):
        raise ConfigurationInvalid("the status is done, but the state value is not final")
    return nodes, _history(machine, document.get("historyValue", {})), done


def _active(machine: Machine, value: JsonValue) -> tuple[int, ...]:
    states = machine.states
    active: list[int] = []
    pending: list[tuple[State, JsonValue]] = [(states[0], value)]
    while pending:
        state, content = pending.pop()
        active.append(state.index)
        if isinstance(content, str):
            content = {content: {}}
            is_bare = True
        else:
            is_bare = False
        if not isinstance(content, dict):
            raise ConfigurationInvalid(f"the value of state {state.id} is neither text nor object")
        children = {states[index].key: states[index] for index in state.children}
        expected = (
            1
            if state.kind is Kind.COMPOUND
            else len(children)
            if state.kind is Kind.PARALLEL
            else 0
        )
        if len(content) != expected or not content.keys() <= children.keys():
            raise ConfigurationInvalid(f"the value of state {state.id} does not name its children")
        for key, part in content.items():
            child = children[key]
            if is_bare != (state.kind is Kind.COMPOUND and child.kind in LEAVES):
                raise ConfigurationInvalid(f"the value of state {child.id} has the wrong form")
            pending.append((child, part))
    return tuple(sorted(active))


def _nodes(machine: Machine, ids: JsonValue, active: tuple[int, ...]) -> tuple[int, ...]:
    """Return the active states where the state value does not show exactly them."""
    names = ids if isinstance(ids, list) else []
    known = [machine.ids.get(name) if isinstance(name, str) else None for name in names]
    nodes = dict.fromkeys(index for index in known if index is not None)
    if len(nodes) != len(known) or tuple(sorted(shown(machine.states, nodes))) != active:
        raise ConfigurationInvalid("the active states are not those that the state value shows")
    return canonical(machine.states, nodes)


def _history(machine: Machine, written: JsonValue) -> History:
    if not isinstance(written, dict):
        raise ConfigurationInvalid("historyValue is not an object")
    return tuple(sorted(_remembered(machine, history, ids) for history, ids in written.items()))


def _remembered(machine: Machine, history: str, ids: JsonValue) -> tuple[int, tuple[int, ...]]:
    states = machine.states
    known = machine.ids.get(history)
    if known is None or states[known].kind is not Kind.HISTORY or not isinstance(ids, list):
        raise ConfigurationInvalid(f"{history!r:.80} is not a history state with a list of states")
    parent = states[states[known].parent]
    remembered = {machine.ids.get(name) if isinstance(name, str) else None for name in ids}
    inside = tuple(sorted(index for index in remembered if index is not None))
    if len(inside) != len(ids) or not _fits(states, parent, inside, deep=states[known].deep):
        raise ConfigurationInvalid(f"history state {history!r:.80} cannot remember these states")
    return known, inside


def _fits(states: tuple[State, ...], parent: State, inside: tuple[int, ...], *, deep: bool) -> bool:
    """Return whether a history state of ``parent`` can have recorded these states.

    Not whether they can be active together: XState records what it has, legal or not.
    """
    if deep:
        return all(states[i].kind in LEAVES and parent.index < i <= parent.last for i in inside)
    return all(index in parent.children for index in inside)
