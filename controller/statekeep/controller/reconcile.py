"""The one decision procedure: a manifest and the store in, where the version stands out.

::

    manifest ─ validate ─ gather (known) ─ decide (refusal) ─ act (advance) ─ outcome

It gathers what the store knows of the version, its parent and its machine, decides how far the
version may go, and goes there. Kubernetes and the folder of ``statekeep dev`` are two fronts on it; it knows
neither. Running it again changes nothing that was done before, so it may run at any time.
"""

import asyncio
import json
from functools import lru_cache
from types import MappingProxyType

from statekeep.controller.advance import Going, advance, apply_root
from statekeep.controller.known import Known, gather
from statekeep.controller.lineage import (
    Parents,
    Roots,
    machine_of,
)
from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE, Manifest
from statekeep.controller.outcome import Outcome, Tell, tell_nobody
from statekeep.controller.refusal import refusal
from statekeep.controller.standing import (
    Applied,
    DatabaseUnavailable,
    Reinterpreted,
)
from statekeep.engine import finding
from statekeep.engine.errors import SchemaOutdated, SemanticsDiffer, StoreUnavailable
from statekeep.engine.finding import Finding, Severity
from statekeep.engine.json import JsonObject, canonical
from statekeep.engine.routing.version import Version, read_version
from statekeep.engine.statechart import semantics
from statekeep.engine.statechart.comparison import lost_events
from statekeep.engine.statechart.validation import validate
from statekeep.engine.store import takeover
from statekeep.engine.store.database import Database


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
        known = await gather(database, namespace, manifest)
        warnings = finding.warnings(findings)
        standing = refusal(manifest, parents, roots, known, finding.errors(findings))
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
            return await apply_root(database, namespace, manifest, version, warnings)
        warnings += _lost(version, known)
        going = Going(database, namespace, manifest, version, known.parent)
        return await advance(going, warnings, tell)
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


def _lost(version: Version, known: Known) -> tuple[Finding, ...]:
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


def _version(manifest: Manifest) -> Version:
    return read_version(
        manifest.name,
        parent=manifest.parent_id,
        path=manifest.history_path or (),
        policy=manifest.migration,
        definition=manifest.definition,
    )
