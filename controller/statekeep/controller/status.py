"""What people and tools are told: the ``status`` of a ``MachineVersion``, a pure function.

Lists are bounded: the largest rows, and how much the rest amounts to.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from statekeep.controller.conditions import conditions
from statekeep.controller.outcome import Outcome
from statekeep.controller.size import cut, json_size
from statekeep.controller.standing import (
    Applied,
    Applying,
    DatabaseUnavailable,
    Immutable,
    Invalid,
    Reinterpreted,
    Standing,
)
from statekeep.engine.finding import Finding
from statekeep.engine.history.fingerprint import show
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.routing.decision import Move, state_label
from statekeep.engine.routing.preview import Preview, StayKind
from statekeep.engine.store.deployments import Deployment

MAX_ROWS = 50
"""Rows of moves, of stays and of findings that a status holds; the rest is counted."""

MAX_LIST_BYTES = 12 * 1024
"""Bytes of JSON of one such list, so that the whole stays under 64 KB whatever the names."""

MAX_TEXT = 500
"""Bytes of one detail, or of one finding."""


def status(
    outcome: Outcome,
    *,
    generation: int | None,
    previous: JsonObject | None,
    now: datetime,
) -> JsonObject:
    """Return the whole status.

    Args:
        outcome: of the reconciliation.
        generation: of the manifest that was reconciled.
        previous: the status before: a condition that did not change keeps its time.
        now: aware.
    """
    before = conditions_of(previous or {})
    rows: list[JsonValue] = []
    for condition in conditions(outcome):
        value = {None: "Unknown", True: "True", False: "False"}[condition.status]
        known = before.get(condition.type, {})
        if condition.type == "Applied" and value == "Unknown" and known.get("status") == "True":
            # What was applied stays so, asked or not; and the API server freezes the spec by this.
            rows.append(known)
            continue
        since = known.get("lastTransitionTime") if known.get("status") == value else None
        row: JsonObject = {
            "type": condition.type,
            "status": value,
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": since or timestamp(now),
        }
        if generation is not None:
            row["observedGeneration"] = generation
        rows.append(row)
    document: JsonObject = {"conditions": rows}
    if generation is not None:
        document["observedGeneration"] = generation
    if outcome.machine is not None:
        document["machine"] = outcome.machine
    if isinstance(outcome.standing, Invalid):
        document["errors"] = _bounded(map(_finding, outcome.standing.findings[:MAX_ROWS]))
    if outcome.warnings:
        document["warnings"] = _bounded(map(_finding, outcome.warnings[:MAX_ROWS]))
    if preview := _shown(outcome, previous or {}):
        document["preview"] = preview
    if isinstance(outcome.standing, Applied) and outcome.standing.deployment is not None:
        document["migration"] = migration_document(outcome.standing.deployment)
    document = _kept(outcome.standing, previous or {}, generation) | document
    if summary := _summary(outcome, document):
        document["summary"] = summary
    return document


def timestamp(moment: datetime) -> str:
    """Return an RFC 3339 time in UTC, to the second, as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _kept(standing: Standing, previous: JsonObject, generation: int | None) -> JsonObject:
    """Return what a status goes on to show where the outcome has nothing newer to say of it."""
    names: Sequence[str] = ("machine", "preview", "migration")
    match standing:
        case Applied():
            kept, names = True, ("machine",)
        case Immutable() | Reinterpreted():
            kept = True
        case DatabaseUnavailable():
            kept = previous.get("observedGeneration") == generation
        case _:
            kept = False
    if not kept and "migration" not in previous:
        return {}
    return {name: previous[name] for name in names if name in previous}


def _shown(outcome: Outcome, previous: JsonObject) -> JsonObject:
    """Return ``status.preview``: what would happen, or what was shown of it to whoever approved it.

    The turn that applies evaluates anew and finds other counts; and what was approved need not be the latest preview.
    """
    computed = preview_document(outcome)
    match outcome.standing:
        case Applied(Deployment(preview_id=approved)):
            instead = computed if computed.get("id") == approved else {}
        case Applying(approved):
            instead = computed
        case Applied(None):
            return {}
        case _:
            return computed
    match previous.get("preview"):
        case dict() as preview if preview.get("id") == approved:
            return preview
        case _:
            return instead


def _summary(outcome: Outcome, document: JsonObject) -> JsonObject:
    """Return what fits a row of a table: what the migration did, once there is one, else what the preview shows."""
    done, shown = document.get("migration"), document.get("preview")
    is_ahead = outcome.preview is not None and not isinstance(outcome.standing, Applied)
    if isinstance(done, dict) and not is_ahead:
        return {
            "preview": done["previewId"],
            "migrate": done["migrated"],
            "stay": done["stayed"],
            "rescue": done["needsRescue"],
        }
    match shown:
        case {"id": preview_id, "actors": dict() as actors}:
            return {
                "preview": preview_id,
                "migrate": actors["wouldMigrate"],
                "stay": actors["wouldStay"],
                "rescue": actors["needsRescue"],
            }
        case _:
            return {}


def conditions_of(status: JsonObject) -> dict[str, JsonObject]:
    """Return the conditions that a status has, by type."""
    rows = status.get("conditions")
    if not isinstance(rows, list):
        return {}
    return {str(row["type"]): row for row in rows if isinstance(row, dict) and "type" in row}


def _finding(finding: Finding) -> JsonObject:
    pointer, message = cut(finding.pointer, MAX_TEXT), cut(finding.message, MAX_TEXT)
    return {"code": finding.code, "pointer": pointer, "message": message}


def _bounded(rows: Iterable[JsonObject]) -> list[JsonValue]:
    """Return as many of the first rows as a status may hold."""
    kept: list[JsonValue] = []
    room = MAX_LIST_BYTES
    for row in rows:
        room -= json_size(row)
        if room < 0:
            break
        kept.append(row)
    return kept


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


def preview_counts(preview: Preview, most: int = MAX_ROWS) -> JsonObject:
    """Return the counts, the largest kinds of move and of stay, and what the rest amounts to."""
    moves = _bounded(_move(move, actors) for move, actors in preview.moves[:most])
    stays = _bounded(_stay(kind, actors) for kind, actors in preview.stays[:most])
    document: JsonObject = {
        "actors": {
            "evaluated": preview.evaluated,
            "wouldMigrate": preview.would_migrate,
            "wouldStay": preview.would_stay,
            "needsRescue": preview.needs_rescue,
        },
        "moves": moves,
        "stays": stays,
    }
    if len(preview.moves) > len(moves):
        document["moreMoves"] = _rest([actors for _, actors in preview.moves[len(moves) :]])
    if len(preview.stays) > len(stays):
        document["moreStays"] = _rest([actors for _, actors in preview.stays[len(stays) :]])
    return document


def _move(move: Move, actors: int) -> JsonObject:
    row: JsonObject = {
        "from": state_label(move.source),
        "to": state_label(move.target),
        "actors": actors,
    }
    if move.skipped:
        row["skipped"] = list(move.skipped)
    return row


def _stay(kind: StayKind, actors: int) -> JsonObject:
    return {
        "state": state_label(kind.source),
        "reason": kind.reason.value,
        "detail": cut(kind.detail, MAX_TEXT),
        "actors": actors,
    }


def _rest(actors: Sequence[int]) -> JsonObject:
    return {"kinds": len(actors), "actors": sum(actors)}


def migration_document(deployment: Deployment) -> JsonObject:
    """Return ``status.migration``."""
    document: JsonObject = {
        "deployment": deployment.number,
        "previewId": deployment.preview_id,
        "approval": deployment.approval.value,
        "migrated": deployment.migrated,
        "stayed": deployment.stayed,
        "needsRescue": deployment.needs_rescue,
        "startedAt": timestamp(deployment.started_at),
        "completedAt": timestamp(deployment.at),
    }
    if deployment.approved_by is not None:
        document["approvedBy"] = deployment.approved_by
    return document
