"""Bringing a version that nothing is in the way of as far as its approval lets it go."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.controller.lineage import second_root
from statekeep.controller.manifest.manifest import Approval, Manifest
from statekeep.controller.outcome import Outcome, Tell
from statekeep.controller.standing import (
    Applied,
    Applying,
    AwaitingApproval,
    Invalid,
    PreviewChanged,
    Standing,
)
from statekeep.engine.finding import Finding
from statekeep.engine.ids import MachineName, Namespace, PreviewId, VersionName
from statekeep.engine.routing.decision import Move
from statekeep.engine.routing.policy import MigrationPolicy, UnseenMoves
from statekeep.engine.routing.preview import Preview
from statekeep.engine.routing.version import Version
from statekeep.engine.statechart import semantics
from statekeep.engine.store import deployments, previews, versions
from statekeep.engine.store.database import Database
from statekeep.engine.store.deployments import (
    AppliedBefore,
    ApprovedBy,
    Busy,
    Deployment,
    Held,
    NotShown,
)
from statekeep.engine.store.versions import StoredVersion

MOMENT_S = 1.0
"""Most deployments are over sooner; those that are not, for many cohorts or for a lock, are told of."""

T = TypeVar("T")


async def apply_root(
    database: Database,
    namespace: Namespace,
    manifest: Manifest,
    version: Version,
    warnings: tuple[Finding, ...],
) -> Outcome:
    """Put a root in force: there is nobody to move, so there is nothing to approve."""
    machine = manifest.machine or MachineName(manifest.name)

    async def work(connection: AsyncConnection) -> VersionName:
        root = await versions.claim_root(connection, namespace, machine, version.name)
        if root == version.name:
            stored = await versions.propose(connection, namespace, machine, version, None)
            await versions.mark_applied(connection, stored.id)
        return root

    root = await database.transact(work)
    if root != version.name:  # it came while we looked
        return Outcome(Invalid((second_root(machine, root),)), machine, warnings)
    return Outcome(Applied(None), machine, warnings)


@dataclass(frozen=True, slots=True)
class Going:
    """A version that nothing is in the way of but, perhaps, an approval."""

    database: Database
    namespace: Namespace
    manifest: Manifest
    version: Version
    parent: StoredVersion

    @property
    def is_automatic(self) -> bool:
        """Whether its author has approved whatever its first preview shows."""
        return self.manifest.approval is Approval.AUTOMATIC


async def advance(going: Going, warnings: tuple[Finding, ...], tell: Tell) -> Outcome:
    """Show what would happen and, where that is approved, let it happen."""
    database, manifest = going.database, going.manifest
    version, parent = going.version, going.parent
    given = None if going.is_automatic else manifest.approved_preview

    async def show(connection: AsyncConnection) -> tuple[Preview, datetime, frozenset[Move] | None]:
        stored = await versions.propose(
            connection, going.namespace, parent.machine, version, parent
        )
        preview = await previews.compute(connection, version, parent)
        shown_at = await previews.keep(connection, stored, preview)
        moves = await previews.moves_shown(connection, stored, given or preview.id)
        return preview, shown_at, moves

    preview, previewed_at, approved_moves = await database.transact(show)
    outcome = Outcome(
        AwaitingApproval(None),
        parent.machine,
        warnings,
        preview,
        previewed_at,
        version.path.prefix_hash,
    )
    if given is None and not going.is_automatic:
        return outcome
    approved = given or preview.id
    applying = deployments.apply(
        database,
        going.namespace,
        version.name,
        approved,
        ApprovedBy.AUTOMATIC if going.is_automatic else ApprovedBy.MANUAL,
        approver=None if going.is_automatic else manifest.approver,
    )
    if _is_covered(preview, approved_moves, version.policy):
        under_way = replace(outcome, standing=Applying(approved, waits=False))
        result = await _told(applying, lambda: tell(under_way))
    else:
        result = await applying
    standing = await _after(going, approved, result)
    return replace(outcome, standing=standing, deployed=isinstance(result, Deployment))


def _is_covered(
    preview: Preview, approved: frozenset[Move] | None, policy: MigrationPolicy
) -> bool:
    """Return whether an approval of these kinds of move lets a deployment go ahead, as far as can be seen before it."""
    if approved is None:
        return False
    shown = {move for move, _ in preview.moves}
    return policy.unseen_moves is UnseenMoves.STAY or shown <= approved


async def _told(work: Awaitable[T], tell: Callable[[], Awaitable[None]]) -> T:
    """Return what the work comes to; tell of it if it is not over in a moment."""
    over = asyncio.Event()

    async def notice() -> None:
        try:
            await asyncio.wait_for(over.wait(), MOMENT_S)
        except TimeoutError:
            await tell()

    noticing = asyncio.create_task(notice())
    try:
        return await work
    finally:
        # What has begun is ended properly: a status that may or may not have been written helps nobody.
        over.set()
        await noticing


async def _after(
    going: Going,
    approved: PreviewId,
    result: Deployment | AppliedBefore | Held | NotShown | Busy,
) -> Standing:
    """Return where the version stands after an attempt to apply it."""
    match result:
        case (Deployment() as deployment) | AppliedBefore(deployment):
            return Applied(deployment)
        case Held(unseen) if going.is_automatic:
            return Applying(approved, waits=False, unseen=tuple(sorted(unseen)))
        case Held(unseen):
            return PreviewChanged(approved, tuple(sorted(unseen)))
        case Busy():
            return Applying(approved, waits=True)
        case NotShown():

            async def shown_under(connection: AsyncConnection) -> int | None:
                stored = await versions.find(connection, going.namespace, going.version.name)
                if stored is None:
                    return None
                return await previews.shown_under(connection, stored, approved)

            shown = await going.database.read(shown_under)
            if shown is None:
                return AwaitingApproval(approved)
            return PreviewChanged(approved, (), other_semantics=shown != semantics.SEMANTICS)
