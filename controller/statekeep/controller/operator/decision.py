"""What is to be written of an outcome: a pure function, and most often nothing."""

from dataclasses import dataclass
from datetime import datetime

from statekeep.controller.conditions import announcement
from statekeep.controller.operator.resource import Resource, ready_reason
from statekeep.controller.outcome import Outcome
from statekeep.controller.size import cut
from statekeep.controller.standing import (
    Applying,
    DatabaseUnavailable,
    Immutable,
    Invalid,
    PreviewChanged,
    Reinterpreted,
)
from statekeep.controller.status import conditions_of, status
from statekeep.engine.json import JsonObject

MAX_EVENT_MESSAGE_BYTES = 1024
"""The API server refuses more; it counts bytes of UTF-8, whatever its own message says."""

_ALARMING = (Invalid, PreviewChanged, Immutable, Reinterpreted, DatabaseUnavailable)
_TEMPORARY = (Applying, DatabaseUnavailable)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What people who watch Events are told."""

    reason: str
    message: str
    is_warning: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What a turn has to do with the object."""

    status: JsonObject | None
    """``None``: it says what is to be said already."""

    announcement: Announcement | None
    """Only where the reason of ``Ready`` changes."""

    again: bool
    """Whether the standing will change by itself, so that it must be looked at again soon."""


def decide(resource: Resource, outcome: Outcome, now: datetime) -> Decision:
    """Return what to write, given the object as read and where its version stands."""
    before = resource.status
    after = status(
        outcome,
        generation=resource.generation,
        previous=before,
        now=now,
    )
    again = isinstance(outcome.standing, _TEMPORARY)
    if _substance(after) == _substance(before):
        return Decision(None, None, again)
    reason = type(outcome.standing).__name__
    if ready_reason(before) == reason:
        return Decision(after, None, again)
    return Decision(after, _announcement(reason, outcome), again)


def held(resource: Resource) -> JsonObject | None:
    """Return the status of an object that somebody's finalizer holds in its deletion, where there is one to write.

    The deletion is another generation of it. What is in force, and so frozen, stands as it stood; of the rest nothing
    is asked any more, so nothing is said.
    """
    before, generation = resource.status, resource.generation
    conditions = conditions_of(before)
    is_applied = conditions.get("Applied", {}).get("status") == "True"
    if not is_applied or generation == before.get("observedGeneration"):
        return None
    seen: JsonObject = {"observedGeneration": generation}
    return before | seen | {"conditions": [row | seen for row in conditions.values()]}


def _announcement(reason: str, outcome: Outcome) -> Announcement:
    message = cut(announcement(outcome) or reason, MAX_EVENT_MESSAGE_BYTES)
    return Announcement(reason, message, isinstance(outcome.standing, _ALARMING))


def _substance(status: JsonObject) -> JsonObject:
    """Return a status without the time of its preview, which alone is no reason to write it."""
    match status:
        case {"preview": dict() as preview}:
            shown = {name: value for name, value in preview.items() if name != "evaluatedAt"}
            return status | {"preview": shown}
        case _:
            return status
