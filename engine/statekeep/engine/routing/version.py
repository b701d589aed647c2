"""A version as routing sees it: what it takes from its parent, and how."""

import json
from dataclasses import dataclass, field

from statekeep.engine.history.path import HistoryPath
from statekeep.engine.ids import VersionName
from statekeep.engine.json import JsonObject, canonical, digest
from statekeep.engine.routing.policy import MigrationPolicy
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.machine import Machine


@dataclass(frozen=True, slots=True)
class Version:
    """One definition with the rule that says who moves to it."""

    name: VersionName
    parent: VersionName | None
    path: HistoryPath
    """The empty path takes every actor."""

    policy: MigrationPolicy
    definition: JsonObject
    machine: Machine = field(repr=False, compare=False)

    @property
    def content_digest(self) -> str:
        """SHA-256 over all that an approval is bound to, except the moves: 64 hex digits."""
        return digest(content(self))


def content(version: Version) -> JsonObject:
    """Return what an approval is bound to, except the moves, as JSON."""
    return {
        "definition": version.definition,
        "historyPath": list(version.path.elements),
        "id": version.name,
        "migration": {
            "completedActors": version.policy.completed_actors.value,
            "unhandledEvents": version.policy.unhandled_events.value,
            "unseenMoves": version.policy.unseen_moves.value,
        },
        "parentId": version.parent,
    }


def read_version(
    name: VersionName,
    *,
    parent: VersionName | None,
    path: tuple[str, ...],
    policy: MigrationPolicy,
    definition: JsonObject,
) -> Version:
    """Compile a definition into a version.

    The definition is brought into canonical key order first: the Kubernetes API server forgets the
    order of keys, and a version must behave alike wherever it was read from.

    Raises:
        DefinitionInvalid: with every error of the definition.
    """
    machine = compile_machine(in_canonical_order(definition))
    return Version(name, parent, HistoryPath(path), policy, machine.definition, machine)


def in_canonical_order(definition: JsonObject) -> JsonObject:
    """Return the definition with its keys in the order of RFC 8785; unchanged where it has no canonical form."""
    try:
        ordered: JsonObject = json.loads(canonical(definition))
    except (ValueError, RecursionError):
        return definition  # validation says what is wrong with it, better than a digest can
    return ordered
