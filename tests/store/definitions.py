"""Small machines for the stories of these tests."""

from statekeep.engine.json import JsonObject

LOAN_1: JsonObject = {
    "id": "loan",
    "initial": "idle",
    "states": {
        "idle": {"on": {"START": "fee"}},
        "fee": {"on": {"PAY": "documents", "WAIVE": "documents"}},
        "documents": {"on": {"UPLOAD": "review"}},
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
        "documents": {"on": {"UPLOAD": "review"}},
        "review": {"on": {"APPROVE": "approved"}},
        "approved": {"type": "final"},
    },
}
"""Those who pay have to verify their income; nobody goes back from the review."""
