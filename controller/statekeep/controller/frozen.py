"""What of a version cannot change once it is in force."""

from dataclasses import dataclass

from statekeep.controller.manifest.manifest import Manifest
from statekeep.engine.ids import MachineName, VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.routing.version import in_canonical_order


@dataclass(frozen=True, slots=True)
class InForce:
    """The frozen part of an applied version."""

    machine: MachineName
    parent: VersionName | None
    history_path: tuple[str, ...]
    """Empty: every actor of the parent was eligible."""

    definition: JsonObject
    """In canonical order."""


def differences(manifest: Manifest, in_force: InForce, *, is_sound: bool = True) -> tuple[str, ...]:
    """Return the fields of ``spec`` in which a manifest differs from what is in force.

    Args:
        manifest: of the same name.
        in_force: what was applied.
        is_sound: whether the manifest's definition has no errors; one with errors differs, whatever it says.
    """
    machine = manifest.machine or (in_force.machine if manifest.parent_id else manifest.name)
    differing = {
        "machine": machine != in_force.machine,
        "parentId": manifest.parent_id != in_force.parent,
        "historyPath": (manifest.history_path or ()) != in_force.history_path,
        "definition": not is_sound
        or in_canonical_order(manifest.definition) != in_force.definition,
    }
    return tuple(name for name, differs in differing.items() if differs)
