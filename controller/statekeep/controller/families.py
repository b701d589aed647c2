"""What can be said of versions from the files of their families: roots, parents, and what got lost on the way.

A parent that is not among the files may live in a cluster; so nothing is said of it, nor of what lies behind it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from statekeep.controller.inspection import DEFINITION, Inspected
from statekeep.controller.lineage import Relative, family_findings, machine_of
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE, Manifest
from statekeep.controller.manifest.problem import Problem
from statekeep.engine.ids import MachineName, Namespace, VersionName
from statekeep.engine.statechart.comparison import lost_events
from statekeep.engine.statechart.machine import Machine

MAX_ANCESTORS = 100
"""Ancestors that a version is compared with, the nearest ones: a family of n versions takes n times as many looks."""

Family = Mapping[VersionName, tuple[Manifest, Inspected]]
"""The manifests of one namespace."""


def family_problems(inspected: Iterable[Inspected]) -> Iterator[Problem]:
    """Yield what is wrong between manifests, and the events that a version lost."""
    namespaces: defaultdict[Namespace, dict[VersionName, tuple[Manifest, Inspected]]]
    namespaces = defaultdict(dict)
    for one in inspected:
        if (manifest := one.kin) is not None:
            namespace = manifest.namespace or DEFAULT_NAMESPACE
            namespaces[namespace].setdefault(manifest.name, (manifest, one))
    for family in namespaces.values():
        yield from _problems(family)


def _problems(family: Family) -> Iterator[Problem]:
    parents = {name: manifest.parent_id for name, (manifest, _) in family.items()}
    roots: defaultdict[MachineName, list[VersionName]] = defaultdict(list)
    for name, (manifest, _) in family.items():
        if manifest.parent_id is None:
            roots[manifest.machine or MachineName(name)].append(name)
    machines = _machines(family)
    for name, (manifest, one) in family.items():
        rivals = roots[manifest.machine or MachineName(name)]
        rival = next((other for other in rivals if other != name), None)
        above = manifest.parent_id
        parent = Relative(above, machines[above]) if above in machines and above else None
        findings = family_findings(manifest, parents, parent, rival=rival)
        yield from map(one.document.problem, findings)
        if one.machine is not None:
            for finding in lost_events(
                one.machine, _ancestors(manifest, family), skips=manifest.migration.skips
            ):
                yield one.document.problem(finding.under(DEFINITION))


def _machines(family: Family) -> dict[VersionName, MachineName | None]:
    """Return the machine of each version, as far as the files say."""
    machines: dict[VersionName, MachineName | None] = {}
    for name in family:
        pending: dict[VersionName, Manifest] = {}
        current: VersionName | None = name
        while current is not None and current not in machines and current not in pending:
            if current not in family:
                break
            pending[current] = family[current][0]
            current = pending[current].parent_id
        for waiting, manifest in reversed(pending.items()):
            inherited = machines.get(manifest.parent_id) if manifest.parent_id else None
            machines[waiting] = machine_of(manifest, inherited)
    return machines


def _ancestors(manifest: Manifest, family: Family) -> dict[str, Machine]:
    """Return the machines of the ancestors among the files, the nearest first."""
    found: dict[str, Machine] = {}
    seen = {manifest.name}
    current = manifest.parent_id
    while (
        current is not None
        and current in family
        and current not in seen
        and len(seen) <= MAX_ANCESTORS
    ):
        seen.add(current)
        above, one = family[current]
        if one.machine is not None:
            found[current] = one.machine
        current = above.parent_id
    return found
