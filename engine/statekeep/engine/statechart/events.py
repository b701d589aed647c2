"""Which event types may come from outside."""

from functools import lru_cache

from statekeep.engine.statechart.limits import DEFAULT_LIMITS, Limits

_PREFIX = "xstate."
_SENDABLE = ("xstate.done.actor.", "xstate.error.actor.", "xstate.after.")


def is_reserved(event_type: str) -> bool:
    """Return whether an event type is XState's own and not for callers.

    What stands for a settled actor or an elapsed delay is for callers: nobody else could send it.

    >>> is_reserved("xstate.done.state.m.p"), is_reserved("xstate.after.1000.m.a")
    (True, False)
    """
    if event_type == "xstate":
        return False
    return event_type.startswith(_PREFIX) and not event_type.startswith(_SENDABLE)


@lru_cache(4096)  # a caller sends the same few types over and over
def refusal(event_type: str, limits: Limits = DEFAULT_LIMITS) -> str | None:
    """Return why an event of this type is not accepted, as a sentence; ``None`` if it is.

    >>> refusal("PAY") is None
    True
    """
    if not isinstance(event_type, str) or not event_type:
        return "An event needs a type: a text that is not empty."
    if event_type in ("*", "**"):
        return f'The event type "{event_type}" is a wildcard; no event can have it.'
    if "\0" in event_type:
        return "The event type contains a NUL character, which cannot be stored."
    try:
        size = len(event_type.encode())
    except UnicodeEncodeError:
        return "The event type contains half of a surrogate pair, which cannot be stored."
    if size > limits.event_type_bytes:
        return f"The event type has {size} bytes; the limit is {limits.event_type_bytes}."
    if is_reserved(event_type):
        return (
            f'Event types that begin with "xstate." are raised by the machine itself: "{event_type}" cannot be sent. '
            "Allowed are xstate.done.actor.<id>, xstate.error.actor.<id> and xstate.after.<delay>.<id>."
        )
    return None
