"""Why a version can go no further: a pure function of the manifest and of what is known."""

from collections.abc import Sequence

from statekeep.controller.frozen import InForce, differences
from statekeep.controller.known import Known
from statekeep.controller.lineage import (
    Parents,
    Relative,
    Roots,
    family_findings,
    machine_of,
)
from statekeep.controller.manifest.manifest import Manifest
from statekeep.controller.standing import (
    Applied,
    AwaitingParent,
    Immutable,
    Invalid,
    Standing,
)
from statekeep.engine.finding import Finding
from statekeep.engine.ids import VersionName
from statekeep.engine.store.versions import StoredVersion


def refusal(
    manifest: Manifest, parents: Parents, roots: Roots, known: Known, errors: Sequence[Finding]
) -> Standing | None:
    """Return why the version can go no further, or ``None``; what is in force comes first."""
    if known.stored is not None and known.stored.is_applied:
        differing = _differences(manifest, known.stored, errors)
        return Immutable(differing) if differing else Applied(known.deployment)
    family = family_findings(
        manifest, parents, _relative(known.parent), root=known.root, rival=_rival(manifest, roots)
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


def _rival(manifest: Manifest, roots: Roots) -> VersionName | None:
    """Return another root that is declared for the manifest's machine."""
    machine = machine_of(manifest, None)
    declared = roots.get(machine, frozenset()) if machine is not None else frozenset()
    return min(declared - {manifest.name}, default=None)
