"""Objects as the API server holds them, one or more for each standing, their status made by the operator's own code."""

from datetime import UTC, datetime
from typing import Any

from statekeep.controller.outcome import Outcome
from statekeep.controller.standing import (
    Applied,
    Applying,
    AwaitingApproval,
    AwaitingParent,
    DatabaseUnavailable,
    Immutable,
    Invalid,
    PreviewChanged,
    Reinterpreted,
    Standing,
)
from statekeep.controller.status import status
from statekeep.engine.finding import Finding
from statekeep.engine.ids import MachineName, PreviewId, VersionName
from statekeep.engine.json import canonical
from statekeep.engine.routing.decision import Move
from statekeep.engine.routing.preview import Preview, StayKind
from statekeep.engine.routing.reason import Reason
from statekeep.engine.store.deployments import ApprovedBy, Deployment

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GENERATION = 3
PREVIEW_ID = PreviewId("ab" * 16)
OLD = PreviewId("0" * 32)


def _state(name: str) -> str:
    return canonical(name).decode()


MOVE = Move(_state("documents"), _state("income"), ())
STAY = StayKind(
    _state("documents"), Reason.PATH_NOT_IN_HISTORY, "event 2 is WAIVE, the path has PAY"
)
PREVIEW = Preview(PREVIEW_ID, ((MOVE, 2),), ((STAY, 1),))
DEPLOYMENT = Deployment(
    7, 7, 1, 1, PREVIEW_ID, ApprovedBy.MANUAL, None, 2, 1, 0, started_at=NOW, at=NOW
)

STANDINGS: dict[str, Standing] = {
    "invalid": Invalid((Finding("field-value", "/spec/approval", "use Manual or Automatic"),)),
    "waiting for a parent that is there": AwaitingParent(VersionName("loan-1"), known=True),
    "waiting for a parent that is not": AwaitingParent(VersionName("loan-1"), known=False),
    "waiting for approval": AwaitingApproval(None),
    "approved by an id that never was": AwaitingApproval(OLD),
    "approved, then moves came up": PreviewChanged(OLD, (MOVE,)),
    "approved, then edited": PreviewChanged(OLD, ()),
    "waiting for another deployment": Applying(PREVIEW_ID, waits=True),
    "being applied": Applying(PREVIEW_ID, waits=False),
    "approved beforehand, then moves came up": Applying(PREVIEW_ID, waits=False, unseen=(MOVE,)),
    "a root": Applied(None),
    "a deployment": Applied(DEPLOYMENT),
    "edited once applied": Immutable(("definition",)),
    "approved under another release": PreviewChanged(OLD, (), other_semantics=True),
    "read by another release": Reinterpreted(("in fee, PAY led to review and would lead to fee",)),
    "without a database": DatabaseUnavailable("Postgres did not answer"),
}

_PREVIEWED = (AwaitingApproval, PreviewChanged, Applying)


def version(standing: Standing, **metadata: Any) -> Any:
    """Return the object, its status as the operator writes it for the standing."""
    previewed = isinstance(standing, _PREVIEWED) or standing == Applied(DEPLOYMENT)
    outcome = Outcome(
        standing,
        MachineName("loan"),
        preview=PREVIEW if previewed else None,
        previewed_at=NOW if previewed else None,
    )
    return {
        "apiVersion": "statekeep.io/v1alpha1",
        "kind": "MachineVersion",
        "metadata": {
            "name": "loan-2",
            "namespace": "loans",
            "generation": GENERATION,
            "resourceVersion": "41",
            **metadata,
        },
        "spec": {"parentId": "loan-1", "definition": {}},
        "status": status(outcome, generation=GENERATION, previous=None, now=NOW),
    }


def fresh(**metadata: Any) -> Any:
    """Return the object as it is right after it was applied: its status is the schema's default."""
    return version(DatabaseUnavailable("Postgres did not answer"), **metadata) | {
        "status": {"observedGeneration": -1}
    }


def edited(standing: Standing) -> Any:
    """Return the object after an edit that the operator has not looked at yet."""
    return version(standing, generation=GENERATION + 1)
