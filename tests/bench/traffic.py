"""What the actors of the benchmark go through: which event comes next for which actor.

Traffic is made of *steps*: in one step every actor gets its next event, in an order that has nothing to do with
where its row lies. Whoever sends for an actor sends all of a step's events for it, so their order is kept.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from statekeep.engine.json import JsonObject

DATA = '{"by":"clerk-17","note":"as agreed on the phone","amount":1250}'
"""The payload of every event; stored sealed."""

SHARED: JsonObject = {
    "id": "desk",
    "initial": "new",
    "states": {
        "new": {"on": {"OPEN": "triage"}},
        "triage": {"on": {"ASSIGN": "work", "ESCALATE": "work"}},
        "work": {"on": {"SUBMIT": "review"}},
        "review": {"on": {"APPROVE": "closed", "REJECT": "closed"}},
        "closed": {"on": {"REOPEN": "new"}},
    },
}
CYCLE = (("OPEN",), ("ASSIGN", "ESCALATE"), ("SUBMIT",), ("APPROVE", "REJECT"), ("REOPEN",))

UNIQUE: JsonObject = {
    "id": "own",
    "initial": "even",
    "states": {"even": {"on": {"E.*": "odd"}}, "odd": {"on": {"E.*": "even"}}},
}
WAYS = 256
"""Event types of the unique shape: from the second step on no two of up to 65,536 actors share a history."""


class Shape(StrEnum):
    """How much the actors have in common."""

    SHARED = "shared"
    """A life cycle with a few ways through it, as a business has: many actors share a history."""

    UNIQUE = "unique"
    """The worst case: every actor has a history of its own, so each event is one nobody has taken before."""


@dataclass(frozen=True)
class Traffic:
    """Which event an actor gets in which step."""

    shape: Shape
    actors: int

    @property
    def definition(self) -> JsonObject:
        return SHARED if self.shape is Shape.SHARED else UNIQUE

    def event_type(self, actor: int, step: int) -> str:
        match self.shape:
            case Shape.SHARED:
                ways = CYCLE[step % len(CYCLE)]
                return ways[(actor * 31 + step * 17) // 7 % len(ways)]
            case Shape.UNIQUE:
                return f"E.{(actor // WAYS if step == 0 else actor + step) % WAYS}"

    def share(self, number: int, of: int) -> Sequence[int]:
        """Return the actors that one of so many senders sends for, in a random order."""
        own = list(range(number, self.actors, of))
        random.Random(number).shuffle(own)
        return own
