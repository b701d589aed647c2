"""The transitions of a state as they are written, under the descriptors that XState keeps them by."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from statekeep.engine.finding import escape
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.statechart.javascript import delay_name, is_truthy, ordered_keys
from statekeep.engine.statechart.outline import Node

ALWAYS = ""
"""The descriptor of eventless transitions."""


class Written(NamedTuple):
    """One transition as written."""

    event: str
    pointer: str
    """Where, from the state that it is written in."""
    targets: tuple[str, ...]
    reenter: bool
    guarded: bool


class Slot(NamedTuple):
    """The transitions of one state that share a descriptor; the first that is not guarded is taken."""

    event: str
    candidates: tuple[Written, ...]
    adds: bool = False
    """Whether it adds to an earlier slot with the same descriptor, rather than replace it."""


def all_slots(nodes: list[Node]) -> list[list[Slot]]:
    """Return the slots of every state."""
    # Routes replace what the root says of ``xstate.route``; like guards they are never open here.
    has_routes = any(is_truthy(n.config.get("route")) and n.config.get("id") for n in nodes[1:])
    return [list(_slots(node, has_routes=has_routes and node.index == 0)) for node in nodes]


def _slots(node: Node, *, has_routes: bool) -> Iterator[Slot]:
    """Yield the slots of a state in the order in which XState fills its table.

    A later slot for the same descriptor replaces an earlier one (``onDone`` an entry of ``on``, say), except that
    ``after`` adds to it.
    """
    config = node.config
    on = _object(config.get("on"))
    for event in ordered_keys(on):
        yield _slot(event, on[event], f"/on/{escape(event)}")
    yield from _optional(config, "onDone", f"xstate.done.state.{node.id}", "")
    invoke = config.get("invoke")
    for number, actor in enumerate(invoke if isinstance(invoke, list) else [invoke]):
        if isinstance(actor, dict):
            place = f"/invoke/{number}" if isinstance(invoke, list) else "/invoke"
            name = invoked_id(node, actor, number)
            yield from _optional(actor, "onDone", f"xstate.done.actor.{name}", place)
            yield from _optional(actor, "onError", f"xstate.error.actor.{name}", place)
            yield from _optional(actor, "onSnapshot", f"xstate.snapshot.{name}", place)
    after = _object(config.get("after"))
    for delay in ordered_keys(after):
        yield _delayed(node, delay, after[delay])
    if has_routes:
        yield Slot("xstate.route", ())
    yield from _optional(config, "always", ALWAYS, "")


def table(written: Iterable[Slot]) -> dict[str, tuple[Written, ...]]:
    """Return what XState keeps of the slots of a state: the candidates by descriptor."""
    kept: dict[str, tuple[Written, ...]] = {}
    for slot in written:
        earlier = kept.get(slot.event, ()) if slot.adds else ()
        kept[slot.event] = (*earlier, *slot.candidates)
    return kept


def invoked_id(node: Node, actor: JsonObject, number: int) -> str:
    """Return the id of an invoked actor; without one of its own it is the number and the state's id."""
    own = actor.get("id")
    return own if isinstance(own, str) else f"{number}.{node.id}"


def invocations(node: Node) -> list[tuple[int, JsonObject]]:
    """Return the actors that a state invokes, as written, each with its number in the list."""
    invoke = node.config.get("invoke")
    listed = enumerate(invoke if isinstance(invoke, list) else [invoke])
    return [(number, actor) for number, actor in listed if isinstance(actor, dict)]


def target_list(value: JsonValue) -> tuple[str, ...]:
    """Return the targets that a ``target`` names; the empty text is none."""
    if value == "":
        return ()
    listed = value if isinstance(value, list) else [value]
    return tuple(target for target in listed if isinstance(target, str))


def _object(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _optional(config: JsonObject, member: str, event: str, place: str) -> Iterator[Slot]:
    """Yield the slot of a member that counts only if it is truthy."""
    if is_truthy(config.get(member)):
        yield _slot(event, config[member], f"{place}/{member}")


def _slot(event: str, value: JsonValue, pointer: str) -> Slot:
    if not isinstance(value, list):
        return Slot(event, (_written(event, value, pointer),))
    return Slot(
        event, tuple(_written(event, item, f"{pointer}/{i}") for i, item in enumerate(value))
    )


def _delayed(node: Node, delay: str, value: JsonValue) -> Slot:
    """Return the slot of one delay; in a list, XState takes a bare text for a transition without target."""
    event = f"xstate.after.{delay_name(delay)}.{node.id}"
    slot = _slot(event, value, f"/after/{escape(delay)}")
    if not isinstance(value, list):
        return Slot(event, slot.candidates, adds=True)
    bare = tuple(
        Written(event, each.pointer, (), reenter=False, guarded=False)
        if isinstance(item, str)
        else each
        for item, each in zip(value, slot.candidates, strict=True)
    )
    return Slot(event, bare, adds=True)


def _written(event: str, value: JsonValue, pointer: str) -> Written:
    config = _object(value) if not isinstance(value, str) else {"target": value}
    return Written(
        event,
        pointer,
        target_list(config.get("target")),
        reenter=is_truthy(config.get("reenter")),
        guarded=is_truthy(config.get("guard")),
    )
