"""Where a version stands: the alternatives that a reconciliation can end in.

The name of each class is the reason of the ``Ready`` condition.
"""

from dataclasses import dataclass
from typing import Self

from statekeep.engine.errors import SchemaOutdated, StoreUnavailable
from statekeep.engine.finding import Finding
from statekeep.engine.ids import PreviewId, VersionName
from statekeep.engine.routing.decision import Move
from statekeep.engine.store.deployments import Deployment


@dataclass(frozen=True, slots=True)
class Invalid:
    """The manifest has errors; only its author can help."""

    findings: tuple[Finding, ...]
    """Every error, none of them a warning."""


@dataclass(frozen=True, slots=True)
class AwaitingParent:
    """The parent is not applied yet."""

    parent: VersionName
    known: bool
    """Whether there is a version of that name at all."""


@dataclass(frozen=True, slots=True)
class AwaitingApproval:
    """Somebody has to approve the preview."""

    given: PreviewId | None
    """What the annotation names, where that is no preview of this version."""


@dataclass(frozen=True, slots=True)
class PreviewChanged:
    """What was approved is not what would happen now."""

    given: PreviewId
    unseen: tuple[Move, ...]
    """Kinds of move that the approved preview did not show; empty where the version was edited."""

    other_semantics: bool = False
    """Whether the preview is of a release that gives definitions another meaning."""


@dataclass(frozen=True, slots=True)
class Applying:
    """What was approved is being applied, or is next."""

    approved: PreviewId

    waits: bool
    """Whether another deployment to the same machine is under way, and this one comes after it."""

    unseen: tuple[Move, ...] = ()
    """Kinds of move that came up after the preview, where nobody has to approve the next one."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The version is in force."""

    deployment: Deployment | None
    """``None`` for a root, which takes nobody over."""


@dataclass(frozen=True, slots=True)
class Immutable:
    """The version is in force, and the manifest wants something else of it."""

    fields: tuple[str, ...]
    """The fields of ``spec`` that differ."""


@dataclass(frozen=True, slots=True)
class Reinterpreted:
    """The version is in force, and means something else to this release than to the one that stored it."""

    differences: tuple[str, ...]
    """One clause each, with the state and the event."""


@dataclass(frozen=True, slots=True)
class DatabaseUnavailable:
    """Postgres does not answer, or refuses us, or has not our tables; nothing is known, nothing was done."""

    problem: str

    @classmethod
    def after(cls, error: StoreUnavailable | SchemaOutdated) -> Self:
        """Return what an error says of the database."""
        return cls(str(error))


Standing = (
    Invalid
    | AwaitingParent
    | AwaitingApproval
    | PreviewChanged
    | Applying
    | Applied
    | Immutable
    | Reinterpreted
    | DatabaseUnavailable
)
"""Exactly one at a time."""
