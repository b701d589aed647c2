"""Members that XState does not know, XState v4 syntax, and event names with a meaning of their own."""

from collections.abc import Iterator

from statekeep.engine.finding import Finding, escape
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.statechart.codes import Code
from statekeep.engine.statechart.events import is_reserved
from statekeep.engine.statechart.javascript import delay_name, is_truthy
from statekeep.engine.statechart.limits import Limits
from statekeep.engine.statechart.outline import Node
from statekeep.engine.statechart.shape import members
from statekeep.engine.statechart.state import NONE
from statekeep.engine.statechart.wording import Speller, quoted
from statekeep.engine.statechart.written import invocations, invoked_id

_V4_TRANSITION = {
    "cond": "guard",
    "in": 'guard: {type: "xstate.stateIn", ...}',
    "internal": "reenter (true where internal was false)",
}
"""Members of a v4 transition that change what happens, and what v5 calls them."""

_V4_HINTS = {
    "activities": "XState v5 has invoke instead.",
    "data": "XState v5 calls it output, in an invocation input.",
    "delimiter": "In XState v5 the delimiter is always a dot.",
    "onEntry": "XState v5 calls it entry.",
    "onExit": "XState v5 calls it exit.",
    "parallel": 'XState v5 has type: "parallel".',
    "predictableActionArguments": "XState v5 always behaves like that; remove it.",
    "preserveActionOrder": "XState v5 always behaves like that; remove it.",
    "strict": "XState v5 has nothing like it; remove it.",
}


def vocabulary_findings(
    node: Node, pointers: str, limits: Limits, speller: Speller
) -> Iterator[Finding]:
    """Yield what a state says that XState v5 does not understand, or understands differently."""
    config = node.config
    yield from _unknown(config, "machine" if node.parent == NONE else "state", pointers, speller)
    on = config.get("on")
    if isinstance(on, dict):
        for event, value in on.items():
            if isinstance(event, str):
                place = f"{pointers}/on/{escape(event)}"
                yield from _event(
                    event, place if len(event) <= limits.event_type_bytes else pointers, limits
                )
                yield from _transitions(value, place, speller)
    after = config.get("after")
    if isinstance(after, dict):
        for delay, value in after.items():
            if isinstance(delay, str):
                yield from _delay(node, delay, value, pointers)
                yield from _transitions(value, f"{pointers}/after/{escape(delay)}", speller)
    for member in ("always", "onDone"):
        yield from _transitions(config.get(member), f"{pointers}/{member}", speller)
    for number, actor in invocations(node):
        listed = isinstance(config.get("invoke"), list)
        place = f"{pointers}/invoke/{number}" if listed else f"{pointers}/invoke"
        yield from _invocation(node, actor, number, place, speller)


def _unknown(config: JsonObject, kind: str, place: str, speller: Speller) -> Iterator[Finding]:
    known = members(kind)
    for member in config:
        if not isinstance(member, str) or member in known:
            continue
        if kind == "transition" and member in _V4_TRANSITION:
            message = f"{member} is XState v4 syntax; in v5 it is {_V4_TRANSITION[member]}."
            yield Code.V4_SYNTAX.at(f"{place}/{member}", message)
            continue
        hint = _V4_HINTS.get(member, "")
        hint = f" {hint}" if hint else speller.hint(member, sorted(known))
        message = f"XState does not know {quoted(member)} here and ignores it.{hint}"
        yield Code.UNKNOWN_KEY.at(f"{place}/{escape(member)}", message)


def _transitions(value: JsonValue, place: str, speller: Speller) -> Iterator[Finding]:
    if isinstance(value, dict):
        yield from _unknown(value, "transition", place, speller)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            if isinstance(item, dict):
                yield from _unknown(item, "transition", f"{place}/{number}", speller)


def _event(event: str, place: str, limits: Limits) -> Iterator[Finding]:
    if not event:
        message = "An empty event is XState v4 syntax; in v5 such a transition stands under always."
        yield Code.V4_SYNTAX.at(place, message)
    elif (
        len(event) > limits.event_type_bytes
        or len(event.encode(errors="replace")) > limits.event_type_bytes
    ):
        message = (
            f"The event {quoted(event)} has more than {limits.event_type_bytes} bytes; shorten it."
        )
        yield Code.TOO_LONG.at(place, message)
    elif "*" in event.removesuffix(".*") and event != "*":
        message = (
            f"{quoted(event)} matches only an event of that very name; * and order.* are wildcards."
        )
        yield Code.NARROW_WILDCARD.at(place, message)
    elif (
        is_reserved(event)
        and not event.startswith("xstate.done.state.")
        and not event.endswith(".*")
    ):
        message = f"{quoted(event)} is XState's own and cannot be sent; choose another name."
        yield Code.RESERVED_EVENT.at(place, message)


def _delay(node: Node, delay: str, value: JsonValue, place: str) -> Iterator[Finding]:
    where = f"{place}/after/{escape(delay)}"
    event = quoted(f"xstate.after.{delay_name(delay)}.{node.id}")
    yield Code.DELAY.at(where, f"No clock runs here: it is taken when the event {event} is sent.")
    for number, item in enumerate(value) if isinstance(value, list) else ():
        if isinstance(item, str) and item:
            message = f"In a list under after, XState ignores bare text; write {{target: {quoted(item)}}}."
            yield Code.TARGET_IGNORED.at(f"{where}/{number}", message)


def _invocation(
    node: Node, actor: JsonObject, number: int, place: str, speller: Speller
) -> Iterator[Finding]:
    yield from _unknown(actor, "invocation", place, speller)
    waited = [
        member for member in ("onDone", "onError", "onSnapshot") if is_truthy(actor.get(member))
    ]
    for member in waited:
        yield from _transitions(actor[member], f"{place}/{member}", speller)
    prefixes = {"onDone": "xstate.done.actor.", "onError": "xstate.error.actor."}
    events = [
        quoted(prefixes[m] + invoked_id(node, actor, number)) for m in waited if m in prefixes
    ]
    if events:
        message = f"No actor runs here: send {' or '.join(events)} when the work is done."
        yield Code.NEVER_SETTLES.at(place, message)
