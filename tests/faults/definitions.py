"""The machines that clients send events to: small, with an end, so that histories part early and lives are short."""

from random import Random
from typing import Any

EVENTS = "AABBCD"
"""What clients draw from."""

MACHINES = ("one", "two")

RING: dict[str, Any] = {
    "initial": "p",
    "states": {
        "p": {"on": {"A": "q", "B": "p"}},
        "q": {"on": {"A": "p", "B": "r"}},
        "r": {"on": {"A": "q", "C": "r", "D": "end"}},
        "end": {"type": "final"},
    },
}
LONGER: dict[str, Any] = {
    "initial": "p",
    "states": {
        "p": {"on": {"A": "q", "B": "s"}},
        "q": {"on": {"A": "s", "B": "r"}},
        "r": {"on": {"A": "q", "D": "end"}},
        "s": {"on": {"A": "p", "B": "p", "C": "q"}},
        "end": {"type": "final"},
    },
}
NESTED: dict[str, Any] = {
    "initial": "p",
    "states": {
        "p": {"on": {"A": "work", "B": "p"}},
        "work": {
            "initial": "q",
            "states": {
                "q": {"on": {"A": "r"}},
                "r": {"on": {"B": "q"}},
                "back": {"type": "history"},
            },
            "on": {"C": "rest", "D": "end"},
        },
        "rest": {"on": {"A": "work.back", "B": "p", "D": "end"}},
        "end": {"type": "final"},
    },
}

PATHS: tuple[list[str], ...] = ([], [], ["A"], ["*"], ["**", "B"], ["*", "**", "A"])


def draw_spec(chance: Random, parent: str) -> dict[str, Any]:
    """Draw what a new version of a machine says."""
    path = chance.choice(PATHS)
    return {
        "parentId": parent,
        **({"historyPath": path} if path else {}),
        "approval": chance.choice(("Manual", "Manual", "Automatic")),
        "migration": {
            "unhandledEvents": chance.choice(("Stay", "Skip")),
            "completedActors": chance.choice(("Stay", "Migrate")),
            "unseenMoves": chance.choice(("Hold", "Stay")),
        },
        "definition": chance.choice((RING, LONGER, NESTED)),
    }
