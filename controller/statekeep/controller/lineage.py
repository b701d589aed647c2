"""The place of a version in its family: its machine, and parents that go in a circle.

Decided from values alone: the reconciler asks it of the store, ``statekeep validate`` of the files it was given.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.manifest import Manifest
from statekeep.engine.finding import Finding
from statekeep.engine.ids import MachineName, VersionName

Parents = Mapping[VersionName, VersionName | None]
"""The parent that each known manifest of a namespace declares."""

Roots = Mapping[MachineName, frozenset[VersionName]]
"""The roots that manifests of a namespace declare, by machine: more than one is a mistake in one of them."""


@dataclass(frozen=True, slots=True)
class Relative:
    """The parent of a version, where it is known."""

    name: VersionName
    machine: MachineName | None
    """``None`` where it cannot be known: an ancestor is not there."""


def machine_of(manifest: Manifest, inherited: MachineName | None) -> MachineName | None:
    """Return the family: the manifest's word, else a root's own name, else the parent's (``inherited``)."""
    if manifest.machine is not None:
        return manifest.machine
    return MachineName(manifest.name) if manifest.parent_id is None else inherited


def family_findings(
    manifest: Manifest,
    parents: Parents,
    parent: Relative | None,
    *,
    root: VersionName | None = None,
    rival: VersionName | None = None,
) -> Iterator[Finding]:
    """Yield what is wrong with the place of a version in its family.

    Args:
        manifest: the version.
        parents: of every known manifest in its namespace.
        parent: of the version, where it is known.
        root: of the machine that the version belongs to, if it is a root itself; ``None`` if none is in force yet.
        rival: another version that is declared as the root of that machine.
    """
    if circle := circle_of(manifest, parents):
        chain = " → ".join(circle)
        message = f"the parents go in a circle ({chain}): give one of them another parentId"
        yield Finding(Code.PARENT_CIRCLE, "/spec/parentId", message)
    if manifest.parent_id is None:
        machine = manifest.machine or MachineName(manifest.name)
        if root is not None and root != manifest.name:
            yield second_root(machine, root)
        elif root is None and rival is not None:
            message = (
                f"{rival} is a root of machine {machine} too, and a machine has one: let one of the two name a "
                "parentId, or another machine"
            )
            yield Finding(Code.SECOND_ROOT, "/spec", message)
    if parent is None or parent.machine is None:
        return
    if manifest.machine not in (None, parent.machine):
        message = (
            f"the parent {parent.name} belongs to machine {parent.machine}, not to "
            f"{manifest.machine}: write machine: {parent.machine}, or leave it out"
        )
        yield Finding(Code.MACHINE_DIFFERS, "/spec/machine", message)


def second_root(machine: MachineName, root: VersionName) -> Finding:
    """Return what is wrong with a root of a machine that has one in force."""
    message = f"machine {machine} has the root {root} already, which is applied: name a parentId, or another machine"
    return Finding(Code.SECOND_ROOT, "/spec", message)


def roots_of(manifests: Iterable[Manifest]) -> Roots:
    """Return the roots that the manifests of one namespace declare."""
    roots: dict[MachineName, frozenset[VersionName]] = {}
    for manifest in manifests:
        machine = machine_of(manifest, None)
        if manifest.parent_id is None and machine is not None:
            roots[machine] = roots.get(machine, frozenset()) | {manifest.name}
    return roots


def circle_of(manifest: Manifest, parents: Parents) -> tuple[VersionName, ...]:
    """Return the names along a circle of parents, first and last the same; empty if there is none."""
    seen = {manifest.name: 0}
    current = manifest.parent_id
    while current is not None and current not in seen:
        seen[current] = len(seen)
        current = parents.get(current)
    if current is None:
        return ()
    return (*list(seen)[seen[current] :], current)
