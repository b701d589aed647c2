"""The one decision procedure: a manifest and the store in, where the version stands out.

It gathers what the store knows of the version, its parent and its machine, decides how far the
version may go, and goes there. Kubernetes and the folder of ``statekeep dev`` are two fronts on it; it knows
neither. Running it again changes nothing that was done before, so it may run at any time.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.controller.frozen import InForce, differences
from statekeep.controller.lineage import (
    Parents,
    Relative,
    Roots,
    family_findings,
    machine_of,
    second_root,
)
from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE, Approval, Manifest
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
from statekeep.engine import finding
from statekeep.engine.errors import SchemaOutdated, SemanticsDiffer, StoreUnavailable
from statekeep.engine.finding import Finding, Severity
from statekeep.engine.ids import MachineName, Namespace, PreviewId, VersionName
from statekeep.engine.json import JsonObject, canonical
from statekeep.engine.routing.decision import Move
from statekeep.engine.routing.policy import MigrationPolicy, UnseenMoves
from statekeep.engine.routing.preview import Preview
from statekeep.engine.routing.version import Version, read_version
from statekeep.engine.statechart import semantics
from statekeep.engine.statechart.comparison import lost_events
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.validation import validate
from statekeep.engine.store import deployments, previews, takeover, versions
from statekeep.engine.store.counting import Uncounted
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reconciliation found out and did."""

    standing: Standing
    machine: MachineName | None
    """``None`` where it cannot be known: the parent is not there."""

    warnings: tuple[Finding, ...] = ()
    preview: Preview | None = None
    """What a deployment would do now, or what was shown before the one that has been."""

    previewed_at: datetime | None = None
    prefix_hash: bytes | None = None

    deployed: bool = False
    """Whether it was applied just now, by us; of several who try at once, one says so."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store knows that matters to one manifest."""

    stored: StoredVersion | None
    deployment: Deployment | None
    parent: StoredVersion | None
    lineage: Mapping[str, Machine]
    """The parent and its ancestors."""

    root: VersionName | None
    """The root of the machine that the manifest would belong to."""

    rival: VersionName | None = None
    """Another manifest that would be that root."""


Tell = Callable[[Outcome], Awaitable[None]]
"""Takes where a version stands while that changes; it raises nothing."""


async def tell_nobody(_: Outcome) -> None:
    """Take it, where nobody is there to be told in between."""


async def reconcile(
    manifest: Manifest,
    parents: Parents,
    database: Database,
    *,
    roots: Roots = MappingProxyType({}),
    tell: Tell = tell_nobody,
) -> Outcome:
    """Bring a version as far as it may go, and say where it stands.

    Args:
        manifest: as its author declares it.
        parents: of every manifest in the namespace, to find a circle before anybody waits in it.
        database: everything else.
        roots: of the same manifests; of two that are not applied yet, neither is, since what is applied stays: their
            author has to choose.
        tell: is told of a deployment that takes its time, while it is under way.
    """
    namespace = manifest.namespace or DEFAULT_NAMESPACE
    findings = await asyncio.to_thread(_examined, manifest.definition)
    findings = tuple(found.under("/spec/definition") for found in findings)
    try:
        known = await _gather(database, namespace, manifest)
        warnings = finding.warnings(findings)
        known = replace(known, rival=_rival(manifest, roots))
        standing = _refusal(manifest, parents, known, finding.errors(findings))
        if standing is not None:
            if isinstance(standing, Applied) and known.stored is not None:
                in_force = known.stored.version
                warnings += _lost(in_force, known) + _too_late(manifest, in_force)
                if known.stored.semantics < semantics.SEMANTICS:
                    await takeover.take_over(database, known.stored.id)
            machine = machine_of(manifest, known.parent.machine if known.parent else None)
            return Outcome(standing, machine, warnings)
        version = _version(manifest)
        if known.parent is None:
            return await _apply_root(database, namespace, manifest, version, warnings)
        warnings += _lost(version, known)
        going = _Going(database, namespace, manifest, version, known.parent)
        return await _go_on(going, warnings, tell)
    except SemanticsDiffer as error:
        return Outcome(
            Reinterpreted(error.differences), manifest.machine, finding.warnings(findings)
        )
    except (StoreUnavailable, SchemaOutdated) as error:
        standing = DatabaseUnavailable.after(error)
        return Outcome(standing, manifest.machine, finding.warnings(findings))


def _examined(definition: JsonObject) -> tuple[Finding, ...]:
    """Return what validation finds; not in the event loop, for a large definition takes a second."""
    try:
        return _validated(canonical(definition))
    except (ValueError, RecursionError):
        return validate(definition)  # it has no canonical form, and this says why


@lru_cache(maxsize=256)
def _validated(definition: bytes) -> tuple[Finding, ...]:
    return validate(json.loads(definition))


async def _gather(database: Database, namespace: Namespace, manifest: Manifest) -> _Known:
    machine = manifest.machine or MachineName(manifest.name)

    async def work(connection: AsyncConnection) -> tuple[_Known, Deployment | Uncounted | None]:
        stored = await versions.find(connection, namespace, manifest.name)
        parent = (
            None
            if manifest.parent_id is None
            else await versions.find(connection, namespace, manifest.parent_id)
        )
        known = _Known(
            stored=stored,
            deployment=None,
            parent=parent,
            lineage=await versions.lineage(connection, parent) if parent else {},
            root=await versions.root_of(connection, namespace, machine),
        )
        return known, await deployments.find(connection, stored.id) if stored else None

    known, deployment = await database.read(work)
    if deployment is None:
        return known
    return replace(known, deployment=await deployments.counted(database, deployment))


def _lost(version: Version, known: _Known) -> tuple[Finding, ...]:
    """Return a warning for each event that an ancestor handles and this version never does."""
    lost = lost_events(version.machine, known.lineage, skips=version.policy.skips)
    return tuple(found.under("/spec/definition") for found in lost)


def _too_late(manifest: Manifest, in_force: Version) -> tuple[Finding, ...]:
    """Return a warning if the manifest asks for another policy than the one that the migration followed."""
    if in_force.parent is None or manifest.migration == in_force.policy:
        return ()
    message = (
        "the migration is over, so an edit of its policy has no effect; it followed "
        f"{in_force.policy}: restore that, and give the new policy to the next version"
    )
    return (Finding(Code.POLICY_TOO_LATE, "/spec/migration", message, Severity.WARNING),)


def _rival(manifest: Manifest, roots: Roots) -> VersionName | None:
    """Return another root that is declared for the manifest's machine."""
    machine = machine_of(manifest, None)
    declared = roots.get(machine, frozenset()) if machine is not None else frozenset()
    return min(declared - {manifest.name}, default=None)


def _refusal(
    manifest: Manifest, parents: Parents, known: _Known, errors: Sequence[Finding]
) -> Standing | None:
    """Return why the version can go no further, or ``None``; what is in force comes first."""
    if known.stored is not None and known.stored.is_applied:
        differing = _differences(manifest, known.stored, errors)
        return Immutable(differing) if differing else Applied(known.deployment)
    family = family_findings(
        manifest, parents, _relative(known.parent), root=known.root, rival=known.rival
    )
    errors = [*errors, *family]
    if errors:
        return Invalid(tuple(errors))
    if manifest.parent_id is not None and (known.parent is None or not known.parent.is_applied):
        return AwaitingParent(
            manifest.parent_id, known.parent is not None or manifest.parent_id in parents
        )
    return None


def _differences(
    manifest: Manifest, stored: StoredVersion, errors: Sequence[Finding]
) -> tuple[str, ...]:
    """Return the frozen fields in which a manifest differs from what is in force."""
    version = stored.version
    in_force = InForce(stored.machine, version.parent, version.path.elements, version.definition)
    return differences(manifest, in_force, is_sound=not errors)


def _relative(parent: StoredVersion | None) -> Relative | None:
    return None if parent is None else Relative(parent.version.name, parent.machine)


def _version(manifest: Manifest) -> Version:
    return read_version(
        manifest.name,
        parent=manifest.parent_id,
        path=manifest.history_path or (),
        policy=manifest.migration,
        definition=manifest.definition,
    )


async def _apply_root(
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
class _Going:
    """A version that nothing is in the way of but, perhaps, an approval."""

    database: Database
    namespace: Namespace
    manifest: Manifest
    version: Version
    parent: StoredVersion


async def _go_on(going: _Going, warnings: tuple[Finding, ...], tell: Tell) -> Outcome:
    """Show what would happen and, where that is approved, let it happen."""
    database, manifest = going.database, going.manifest
    version, parent = going.version, going.parent

    is_automatic = manifest.approval is Approval.AUTOMATIC
    given = None if is_automatic else manifest.approved_preview

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
    if given is None and not is_automatic:
        return outcome
    approved = given or preview.id
    applying = deployments.apply(
        database,
        going.namespace,
        version.name,
        approved,
        ApprovedBy.AUTOMATIC if is_automatic else ApprovedBy.MANUAL,
        approver=None if is_automatic else manifest.approver,
    )
    if _is_covered(preview, approved_moves, version.policy):
        under_way = replace(outcome, standing=Applying(approved, waits=False))
        result = await _told(applying, lambda: tell(under_way))
    else:
        result = await applying
    if is_automatic and isinstance(result, Held):
        standing: Standing = Applying(approved, waits=False, unseen=tuple(sorted(result.unseen)))
    else:
        standing = await _after(database, going.namespace, version, approved, result)
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
    database: Database,
    namespace: Namespace,
    version: Version,
    approved: PreviewId,
    result: Deployment | AppliedBefore | Held | NotShown | Busy,
) -> Standing:
    """Return where the version stands after an attempt to apply it."""
    match result:
        case (Deployment() as deployment) | AppliedBefore(deployment):
            return Applied(deployment)
        case Held(unseen):
            return PreviewChanged(approved, tuple(sorted(unseen)))
        case Busy():
            return Applying(approved, waits=True)
        case NotShown():

            async def shown_under(connection: AsyncConnection) -> int | None:
                stored = await versions.find(connection, namespace, version.name)
                if stored is None:
                    return None
                return await previews.shown_under(connection, stored, approved)

            shown = await database.read(shown_under)
            if shown is None:
                return AwaitingApproval(approved)
            return PreviewChanged(approved, (), other_semantics=shown != semantics.SEMANTICS)
