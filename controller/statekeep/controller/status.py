"""What people and tools are told: the ``status`` of a ``MachineVersion``, a pure function.

Conditions follow kstatus: ``Ready`` sums up, ``Reconciling`` and ``Stalled`` say who moves next,
and every message says what to do, down to the annotation to commit. Lists are bounded: the largest
rows, and how much the rest amounts to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION
from statekeep.controller.reconcile import Outcome
from statekeep.controller.standing import (
    Applied,
    Applying,
    AwaitingApproval,
    AwaitingParent,
    DatabaseUnavailable,
    Immutable,
    Invalid,
    PreviewChanged,
)
from statekeep.engine.finding import Finding
from statekeep.engine.history.fingerprint import show
from statekeep.engine.ids import PreviewId
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.routing.decision import state_label
from statekeep.engine.routing.preview import Preview
from statekeep.engine.store.deployments import Deployment

MAX_ROWS = 50
"""Rows of moves, of stays and of findings that a status holds; the rest is counted."""

MAX_TEXT = 1_000
"""Characters of one detail or message of a finding."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, before it is given its times."""

    type: str
    status: bool | None
    """``None`` is Unknown."""

    reason: str
    message: str


def status(
    outcome: Outcome, *, generation: int | None, previous: JsonObject | None, now: datetime
) -> JsonObject:
    """Return the whole status.

    Args:
        outcome: of the reconciliation.
        generation: of the manifest that was reconciled.
        previous: the status before: a condition that did not change keeps its time.
        now: aware.
    """
    before = _transitions(previous)
    conditions: list[JsonValue] = []
    for condition in _conditions(outcome):
        value = {None: "Unknown", True: "True", False: "False"}[condition.status]
        known, since = before.get(condition.type, (None, None))
        row: JsonObject = {
            "type": condition.type,
            "status": value,
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": since if known == value and since else timestamp(now),
        }
        if generation is not None:
            row["observedGeneration"] = generation
        conditions.append(row)
    document: JsonObject = {"conditions": conditions}
    if generation is not None:
        document["observedGeneration"] = generation
    if outcome.machine is not None:
        document["machine"] = outcome.machine
    if isinstance(outcome.standing, Invalid):
        document["errors"] = _findings(outcome.standing.findings)
    if outcome.warnings:
        document["warnings"] = _findings(outcome.warnings)
    if outcome.preview is not None:
        document["preview"] = preview_document(outcome)
    if isinstance(outcome.standing, Applied) and outcome.standing.deployment is not None:
        document["migration"] = migration_document(outcome.standing.deployment)
    return document


def timestamp(moment: datetime) -> str:
    """Return an RFC 3339 time in UTC, to the second, as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def approval_line(preview_id: PreviewId) -> str:
    """Return the annotation to commit, as it stands in YAML."""
    return f'{APPROVE_ANNOTATION}: "{preview_id}"'


def summary(preview: Preview) -> str:
    """Return the counts in one line.

    >>> summary(Preview(PreviewId("0" * 32), (), ()))
    '0 of 0 actors would migrate, 0 would stay, 0 need a rescue'
    """
    return (
        f"{preview.would_migrate:,} of {preview.evaluated:,} actors would migrate, "
        f"{preview.would_stay:,} would stay, {preview.needs_rescue:,} need a rescue"
    )


def _transitions(previous: JsonObject | None) -> dict[str, tuple[str, str]]:
    """Return (status, lastTransitionTime) of each condition that a status has, by type."""
    conditions = (previous or {}).get("conditions")
    if not isinstance(conditions, list):
        return {}
    return {
        str(row["type"]): (str(row.get("status")), str(row.get("lastTransitionTime") or ""))
        for row in conditions
        if isinstance(row, dict) and "type" in row
    }


def _conditions(outcome: Outcome) -> list[Condition]:
    """Return every condition, on every path: the first one is the summary."""
    standing = outcome.standing
    reason = type(standing).__name__
    message = _message(outcome)
    ready = isinstance(standing, Applied)
    reconciling = isinstance(standing, Applying | DatabaseUnavailable)
    stalled = isinstance(standing, Invalid | Immutable)
    valid = None if isinstance(standing, DatabaseUnavailable) else not stalled
    return [
        Condition("Ready", ready, reason, message),
        Condition("Reconciling", reconciling, reason, message if reconciling else ""),
        Condition("Stalled", stalled, reason, message if stalled else ""),
        Condition("Valid", valid, *_valid(outcome, message)),
        Condition("Approved", *_approved(outcome, message)),
        Condition("Applied", *_applied(outcome)),
    ]


def _valid(outcome: Outcome, message: str) -> tuple[str, str]:
    match outcome.standing:
        case Invalid():
            return "Invalid", message
        case Immutable():
            return "Immutable", message
        case DatabaseUnavailable():
            return "DatabaseUnavailable", ""
        case _:
            count = len(outcome.warnings)
            return "Valid", f"{count} warning{'s' if count != 1 else ''}" if count else ""


def _approved(outcome: Outcome, message: str) -> tuple[bool | None, str, str]:
    match outcome.standing:
        case Applied(deployment):
            if deployment is None:
                return True, "Root", "a root moves nobody, so it needs no approval"
            return True, deployment.approval.value, f"preview {deployment.preview_id}"
        case AwaitingApproval(None):
            return False, "AwaitingApproval", message
        case AwaitingApproval():
            return False, "UnknownPreview", message
        case PreviewChanged():
            return False, "PreviewChanged", message
        case Applying():
            return True, "Applying", ""
        case Immutable():
            return None, "Immutable", ""
        case DatabaseUnavailable():
            return None, "DatabaseUnavailable", ""
        case Invalid() | AwaitingParent():
            return False, "NoPreview", "there is no preview to approve yet"
        case other:
            assert_never(other)


def _applied(outcome: Outcome) -> tuple[bool | None, str, str]:
    match outcome.standing:
        case Applied(deployment):
            return True, "Applied", _deployed(deployment)
        case Immutable():
            return True, "Applied", "as it was before the edit"
        case DatabaseUnavailable():
            return None, "DatabaseUnavailable", ""
        case _:
            return False, type(outcome.standing).__name__, ""


def _message(outcome: Outcome) -> str:
    """Return what the ``Ready`` condition says: what is, and what to do next."""
    match outcome.standing:
        case Invalid(findings):
            return _listed([f"{f.pointer or '/'}: {f.message}" for f in findings], "error")
        case AwaitingParent(parent, known):
            state = (
                "is not applied yet" if known else "is not known: apply it first, or mend parentId"
            )
            return f"the parent {parent} {state}"
        case AwaitingApproval(given):
            return _ask(
                outcome, "" if given is None else f"{given} is no preview of this version; "
            )
        case PreviewChanged(given, ()):
            return _ask(outcome, f"the version was edited after preview {given} was approved; ")
        case PreviewChanged(given, unseen):
            kinds = _listed([str(move) for move in unseen], "kind of move", "kinds of move")
            return _ask(outcome, f"preview {given} did not show {kinds}; nothing was applied; ")
        case Applying():
            return "another deployment to the same machine is under way; this one follows"
        case Applied(deployment):
            return _deployed(deployment)
        case Immutable(fields):
            return (
                f"the version is applied and its {', '.join(fields)} cannot change; nothing was "
                "changed: restore the manifest, and make a new version with this one as its parent"
            )
        case DatabaseUnavailable():
            return "Postgres does not answer; nothing is lost, and this is tried again by itself"
        case other:
            assert_never(other)


def _ask(outcome: Outcome, why: str) -> str:
    preview = outcome.preview
    if preview is None:
        return why
    return f"{why}{summary(preview)}; to approve, commit the annotation {approval_line(preview.id)}"


def _deployed(deployment: Deployment | None) -> str:
    if deployment is None:
        return "new actors can be spawned on it"
    return (
        f"{deployment.migrated:,} actors migrated, {deployment.stayed:,} stayed, "
        f"{deployment.needs_rescue:,} need a rescue"
    )


def _listed(items: Sequence[str], one: str, many: str | None = None) -> str:
    """Return a count and as many of the items as a message can carry.

    >>> _listed(["a", "b"], "error")
    '2 errors: a; b'
    """
    noun = one if len(items) == 1 else many or one + "s"
    shown = "; ".join(item[:MAX_TEXT] for item in items[:MAX_ROWS])
    rest = f"; and {len(items) - MAX_ROWS} more" if len(items) > MAX_ROWS else ""
    return f"{len(items)} {noun}: {shown}{rest}"


def _findings(findings: Sequence[Finding]) -> list[JsonValue]:
    return [
        {"code": f.code, "pointer": f.pointer, "message": f.message[:MAX_TEXT]}
        for f in findings[:MAX_ROWS]
    ]


def preview_document(outcome: Outcome) -> JsonObject:
    """Return ``status.preview``."""
    preview = outcome.preview
    if preview is None:
        return {}
    document: JsonObject = {"id": preview.id}
    if outcome.previewed_at is not None:
        document["evaluatedAt"] = timestamp(outcome.previewed_at)
    if outcome.prefix_hash is not None:
        document["prefixHash"] = show(outcome.prefix_hash)
    return document | preview_counts(preview)


def preview_counts(preview: Preview, rows: int = MAX_ROWS) -> JsonObject:
    """Return the counts, the largest kinds of move and of stay, and what the rest amounts to."""
    moves, stays = preview.moves, preview.stays
    document: JsonObject = {
        "actors": {
            "evaluated": preview.evaluated,
            "wouldMigrate": preview.would_migrate,
            "wouldStay": preview.would_stay,
            "needsRescue": preview.needs_rescue,
        },
        "moves": [
            {
                "from": state_label(move.source),
                "to": state_label(move.target),
                "actors": actors,
                **({"skipped": list(move.skipped)} if move.skipped else {}),
            }
            for move, actors in moves[:rows]
        ],
        "stays": [
            {
                "state": state_label(kind.source),
                "reason": kind.reason.value,
                "detail": kind.detail[:MAX_TEXT],
                "actors": actors,
            }
            for kind, actors in stays[:rows]
        ],
    }
    if len(moves) > rows:
        document["moreMoves"] = _rest([actors for _, actors in moves[rows:]])
    if len(stays) > rows:
        document["moreStays"] = _rest([actors for _, actors in stays[rows:]])
    return document


def _rest(actors: Sequence[int]) -> JsonObject:
    return {"kinds": len(actors), "actors": sum(actors)}


def migration_document(deployment: Deployment) -> JsonObject:
    """Return ``status.migration``."""
    return {
        "deployment": deployment.id,
        "previewId": deployment.preview_id,
        "approval": deployment.approval.value,
        "migrated": deployment.migrated,
        "stayed": deployment.stayed,
        "needsRescue": deployment.needs_rescue,
        "startedAt": timestamp(deployment.started_at),
        "completedAt": timestamp(deployment.at),
    }
