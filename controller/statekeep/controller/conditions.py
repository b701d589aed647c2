"""The conditions of a ``MachineVersion``: what each standing means to people and to tools.

They follow kstatus: ``Ready`` sums up, ``Reconciling`` and ``Stalled`` say who moves next, and every
message says what to do, down to the annotation to commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from statekeep.controller.manifest.findings import quoted
from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION
from statekeep.controller.outcome import Outcome
from statekeep.controller.size import cut, json_size
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
)
from statekeep.engine.ids import PreviewId
from statekeep.engine.routing.decision import Move
from statekeep.engine.routing.preview import Preview
from statekeep.engine.store.deployments import Deployment

MAX_MESSAGE_BYTES = 4 * 1024
"""UTF-8 bytes of a message."""

MAX_LIST_BYTES = 3 * 1024
"""Of the items that one repeats, so that what is to be done about them is not cut off."""

MAX_ITEM_BYTES = 500


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, before it is given its times."""

    type: str
    status: bool | None
    """``None`` is Unknown."""

    reason: str
    message: str
    """At most so many bytes as a condition may hold, whatever the names in it."""


def conditions(outcome: Outcome) -> list[Condition]:
    """Return every condition, on every path: the first one is the summary."""
    standing = outcome.standing
    reason = type(standing).__name__
    message = cut(_message(outcome, _what_to_commit(outcome)), MAX_MESSAGE_BYTES)
    ready = isinstance(standing, Applied)
    reconciling = isinstance(standing, Applying | DatabaseUnavailable)
    stalled = isinstance(standing, Invalid | Immutable | Reinterpreted)
    valid = None if isinstance(standing, DatabaseUnavailable) else not stalled
    return [
        Condition("Ready", ready, reason, message),
        Condition("Reconciling", reconciling, reason, message if reconciling else ""),
        Condition("Stalled", stalled, reason, message if stalled else ""),
        Condition("Valid", valid, *_valid(outcome, message)),
        Condition("Approved", *_approved(outcome, message)),
        Condition("Applied", *_applied(outcome)),
    ]


def announcement(outcome: Outcome) -> str:
    """Return what an Event says: what ``Ready`` does, but no id to approve, for Events stay when that changes."""
    return _message(outcome, "its status says which preview to approve, and how")


def approval_line(preview_id: PreviewId) -> str:
    """Return the annotation to commit, as it stands in YAML."""
    return f'{APPROVE_ANNOTATION}: "{preview_id}"'


def summary(preview: Preview) -> str:
    """Return the counts in one line.

    >>> summary(Preview(PreviewId("0" * 32), (), ()))
    '0 of 0 actors would migrate, 0 would stay, 0 need a rescue'
    """
    return (
        f"{preview.would_migrate:,} of {actors(preview.evaluated)} would migrate, "
        f"{preview.would_stay:,} would stay, {preview.needs_rescue:,} need a rescue"
    )


def actors(count: int) -> str:
    """Return so many actors.

    >>> actors(1), actors(2000)
    ('1 actor', '2,000 actors')
    """
    return f"{count:,} actor{'' if count == 1 else 's'}"


def _valid(outcome: Outcome, message: str) -> tuple[str, str]:
    match outcome.standing:
        case Invalid():
            return "Invalid", message
        case Immutable():
            return "Immutable", message
        case Reinterpreted():
            return "Reinterpreted", message
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
        case Applying(approved):
            return True, "Applying", f"preview {approved}"
        case Immutable():
            return None, "Immutable", ""
        case Reinterpreted():
            return None, "Reinterpreted", ""
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
            # By this reason the API server knows that the manifest may be edited until it is what was applied.
            return True, "Immutable", "as it was applied, not as the manifest has it now"
        case Reinterpreted():
            return True, "Applied", "under the release before"
        case DatabaseUnavailable():
            return None, "DatabaseUnavailable", ""
        case _:
            return False, type(outcome.standing).__name__, ""


def _message(outcome: Outcome, approving: str) -> str:
    """Return what is, and what to do next; where that is to approve, in the given words."""
    match outcome.standing:
        case Invalid(findings):
            return _listed([f"{f.pointer or '/'}: {f.message}" for f in findings], "error")
        case AwaitingParent(parent, known):
            state = (
                "is not applied yet" if known else "is not known: apply it first, or mend parentId"
            )
            return f"the parent {parent} {state}"
        case AwaitingApproval(given):
            return _ask(outcome, "" if given is None else f"{refused(given)}; ", approving)
        case PreviewChanged(given, (), other_semantics=True):
            why = "is of a release that gives definitions another meaning, so its approval does not count"
            return _ask(outcome, f"preview {given} {why}; ", approving)
        case PreviewChanged(given, ()):
            edited = f"the version was edited after preview {given} was approved; "
            return _ask(outcome, edited, approving)
        case PreviewChanged(given, unseen):
            armed = (
                "its approval counts again once this no longer happens: remove it to prevent that"
            )
            return _ask(outcome, f"{_held(given, unseen)}; {armed}; ", approving)
        case Applying(waits=True):
            return "another deployment to the same machine is under way; this one follows"
        case Applying(approved, unseen=()):
            return f"preview {approved} is approved and being applied"
        case Applying(given, unseen=unseen):
            return f"{_held(given, unseen)}; the next preview is tried by itself"
        case Applied(deployment):
            return _deployed(deployment)
        case Immutable(fields):
            return (
                f"the version is applied and its {', '.join(fields)} cannot change; nothing was "
                "changed: apply the manifest again as it was applied, and put the change into a new version with "
                "this one as its parent"
            )
        case Reinterpreted(differences):
            return (
                f"{_listed(list(differences), 'difference')}: this release gives the definition another meaning "
                "than the one that it was applied under, so events for its actors are refused; nothing was changed: "
                "go back to the release before, or move the actors to a new version with this one as its parent"
            )
        case DatabaseUnavailable(problem):
            return f"{problem}; nothing is lost, and this is tried again by itself"
        case other:
            assert_never(other)


def _held(given: PreviewId, unseen: Sequence[Move]) -> str:
    kinds = _listed([str(move) for move in unseen], "kind of move", "kinds of move")
    return f"preview {given} did not show {kinds}; nothing was applied"


def refused(given: str) -> str:
    """Return why what an annotation says approves nothing, where that is no preview of the version.

    >>> refused(" 3d1c ")
    '" 3d1c " has spaces around it, and an approval has to be the id exactly'
    """
    if given != given.strip():
        return f"{quoted(given)} has spaces around it, and an approval has to be the id exactly"
    return f"{cut(given, MAX_ITEM_BYTES)} is no preview of this version"


def _what_to_commit(outcome: Outcome) -> str:
    preview = outcome.preview
    return (
        "" if preview is None else f"to approve, commit the annotation {approval_line(preview.id)}"
    )


def _ask(outcome: Outcome, why: str, approving: str) -> str:
    preview = outcome.preview
    return why if preview is None else f"{why}{summary(preview)}; {approving}"


def _deployed(deployment: Deployment | None) -> str:
    if deployment is None:
        return "new actors can be spawned on it"
    return (
        f"{actors(deployment.migrated)} migrated, {deployment.stayed:,} stayed, "
        f"{deployment.needs_rescue:,} need a rescue"
    )


def _listed(items: Sequence[str], one: str, many: str | None = None) -> str:
    """Return a count and as many of the items as a message can carry.

    >>> _listed(["a", "b"], "error")
    '2 errors: a; b'
    """
    noun = one if len(items) == 1 else many or one + "s"
    shown: list[str] = []
    room = MAX_LIST_BYTES
    for item in items:
        text = cut(item, MAX_ITEM_BYTES)
        room -= json_size(text) + len("; ")
        if room < 0:
            break
        shown.append(text)
    rest = [f"and {len(items) - len(shown)} more"] if len(shown) < len(items) else []
    return f"{len(items)} {noun}: {'; '.join([*shown, *rest])}"
