"""A ``MachineVersion`` as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from statekeep.engine.ids import MachineName, Namespace, PreviewId, VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.routing.policy import MigrationPolicy

APPROVE_ANNOTATION = "statekeep.io/approve"
"""The annotation whose value is the id of the preview that its author approves."""

DEFAULT_NAMESPACE = Namespace("default")
"""Where a manifest without a namespace lives, as with ``kubectl``."""


class Approval(StrEnum):
    """Who lets a migration begin."""

    MANUAL = "Manual"
    """A person, by the annotation ``statekeep.io/approve``."""

    AUTOMATIC = "Automatic"
    """Nobody: the first preview is applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the author of a version declares; the definition is an object, not yet a valid statechart."""

    name: VersionName
    definition: JsonObject

    namespace: Namespace | None = None
    """None: whatever the reader of the manifest takes as the default."""

    annotations: Mapping[str, str] = field(default_factory=dict)

    machine: MachineName | None = None
    """None: the parent's, or the name of a root."""

    parent_id: VersionName | None = None
    """None: a root."""

    history_path: tuple[str, ...] | None = None
    """Never empty; None: no path, so every actor of the parent is eligible."""

    approval: Approval = Approval.MANUAL
    migration: MigrationPolicy = field(default_factory=MigrationPolicy)

    generation: int | None = None
    """The API server's count of edits to the spec; None in a file."""

    approver: str | None = None
    """Who set the approval annotation; None where nobody keeps track of that."""

    @property
    def approved_preview(self) -> PreviewId | None:
        """Return what the approval annotation says, exactly as it says it; None if it is empty."""
        approved = self.annotations.get(APPROVE_ANNOTATION)
        return PreviewId(approved) if approved else None
