"""An event for an actor, and everything that can become of it."""

from dataclasses import dataclass

from statekeep.engine.ids import ActorId, EventType, Fingerprint, Namespace
from statekeep.engine.json import JsonObject
from statekeep.engine.store.catalogue import StoredConfiguration


@dataclass(frozen=True, slots=True)
class Event:
    """One event for one actor."""

    namespace: Namespace
    actor_id: ActorId
    type: EventType
    data: bytes | None = None
    """JSON, as it came; stored sealed."""

    context: JsonObject | None = None
    """A merge patch (RFC 7396) of the actor's context."""

    idempotency_key: str | None = None
    body_digest: bytes | None = None
    """SHA-256 over the body; given exactly when there is a key."""

    if_seq: int | None = None
    """The seq that the actor must have, or the event is refused."""

    strict: bool = False
    """Whether an event that no transition takes is refused."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the actor stood when the event had been processed; a retry gets the same."""

    actor_id: ActorId
    configuration: StoredConfiguration
    seq: int
    fingerprint: Fingerprint
    handled: bool
    """Whether a transition took the event; if not, nothing changed."""

    repeated: bool = False
    """Whether this is the answer to an earlier event with the same idempotency key."""


@dataclass(frozen=True, slots=True)
class ActorMissing:
    """There is no such actor."""

    actor_id: ActorId


@dataclass(frozen=True, slots=True)
class SeqDiffers:
    """The actor has moved on since the caller read it."""

    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class Unhandled:
    """No transition takes the event, and the caller asked for that to be refused."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The idempotency key belongs to an event, or to a spawn, with another body."""

    key: str


@dataclass(frozen=True, slots=True)
class Unstable:
    """The event would never come to rest in the actor's state."""

    label: str


@dataclass(frozen=True, slots=True)
class ContextRefused:
    """The context cannot be patched; the reason says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing happened, or nobody knows: a retry with the same idempotency key finds out."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Busy:
    """Nothing was done yet: somebody holds the machine, a deployment most likely."""

    machine_id: int


Outcome = (
    Answer | ActorMissing | SeqDiffers | Unhandled | KeyReused | Unstable | ContextRefused | Failed
)
"""What became of one event."""

Attempt = Outcome | Busy
"""What became of one event that does not wait for its machine."""
