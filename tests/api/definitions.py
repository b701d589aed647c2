"""Small machines for the stories of these tests."""

from statekeep.engine.json import JsonObject

LOAN_1: JsonObject = {
    "id": "loan",
    "initial": "idle",
    "states": {
        "idle": {"on": {"START": "fee"}},
        "fee": {"on": {"PAY": "documents", "WAIVE": "documents"}},
        "documents": {"on": {"UPLOAD": "review", "NOTE": {}}},
        "review": {"on": {"APPROVE": "approved", "BACK": "documents"}},
        "approved": {"type": "final"},
    },
}

LOAN_2: JsonObject = {
    "id": "loan",
    "initial": "idle",
    "states": {
        "idle": {"on": {"START": "fee"}},
        "fee": {"on": {"PAY": "income", "WAIVE": "documents"}},
        "income": {"on": {"VERIFY": "documents"}},
        "documents": {"on": {"UPLOAD": "review", "NOTE": {}}},
        "review": {"on": {"APPROVE": "approved"}},
        "approved": {"type": "final"},
    },
}
"""Those who pay have to verify their income; nobody goes back from the review."""

COUNTER: JsonObject = {
    "id": "counter",
    "initial": "on",
    "states": {
        "on": {"on": {"TICK": {"target": "on", "reenter": True}, "A": {}, "B": {}, "C": {}}}
    },
}
"""Takes every TICK, A, B and C for ever: its actors differ in nothing but their history."""

PLAYER: JsonObject = {
    "id": "player",
    "type": "parallel",
    "states": {
        "power": {
            "initial": "off",
            "states": {
                "off": {"on": {"POWER": "on.back"}},
                "on": {
                    "initial": "radio",
                    "on": {"POWER": "off"},
                    "states": {
                        "radio": {"on": {"SOURCE": "disc"}},
                        "disc": {"on": {"SOURCE": "radio"}},
                        "back": {"type": "history"},
                    },
                },
            },
        },
        "volume": {
            "initial": "normal",
            "states": {"normal": {"on": {"MUTE": "muted"}}, "muted": {"on": {"MUTE": "normal"}}},
        },
    },
}
"""Parallel, nested, with a memory."""
