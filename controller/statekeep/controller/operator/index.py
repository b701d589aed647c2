"""What is known of every object without asking: enough to find circles, relatives and those that wait."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from statekeep.controller.lineage import Parents, Roots
from statekeep.controller.operator.resource import Key, Resource, error_codes, ready_reason
from statekeep.controller.standing import Applied
from statekeep.engine.ids import MachineName, Namespace, VersionName


@dataclass(frozen=True, slots=True)
class Entry:
    """One object, as last read; a definition may have 1 MB, so it is not kept."""

    parent: VersionName | None
    machine: MachineName | None
    is_root: bool
    """Whether it is declared as one, and goes on being declared."""

    reason: str | None
    """Of ``Ready``."""

    errors: frozenset[str]
    """Codes of what is wrong with it."""

    revision: str


class Index:
    """Every object that is known to exist."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, resource: Resource) -> Collection[Key]:
        """Note an object; return the relatives that should look again."""
        before = self._entries.get(resource.key)
        now = Entry(
            resource.parent,
            resource.machine,
            resource.parent is None and not resource.deleting,
            ready_reason(resource.status),
            error_codes(resource.status),
            resource.revision,
        )
        self._entries[resource.key] = now
        if before is not None and replace(before, revision=now.revision) == now:
            return ()
        return self._relatives(resource.key, before, now)

    def remove(self, key: Key) -> Collection[Key]:
        """Forget an object; return the relatives that should look again."""
        return self._relatives(key, self._entries.pop(key, None))

    def knows(self, key: Key, revision: str) -> bool:
        """Whether a turn has read, or written, this revision of the object: its like is no news, and has its turn."""
        entry = self._entries.get(key)
        return entry is not None and entry.revision == revision

    def keys(self) -> Collection[Key]:
        """Return the name of every object."""
        return list(self._entries)

    def parents(self, namespace: Namespace) -> Parents:
        """Return the parent that each object of a namespace declares."""
        return {
            key.name: entry.parent
            for key, entry in self._entries.items()
            if key.namespace == namespace
        }

    def roots(self, namespace: Namespace) -> Roots:
        """Return the roots that the objects of a namespace declare, by machine.

        One that was in force is the only one, even where the database does not know it any more.
        """
        declared: dict[MachineName, dict[VersionName, bool]] = {}
        for key, entry in self._entries.items():
            if key.namespace == namespace and entry.is_root and entry.machine is not None:
                roots = declared.setdefault(entry.machine, {})
                roots[key.name] = entry.reason == Applied.__name__
        return {
            machine: frozenset(name for name, was_applied in roots.items() if was_applied)
            or frozenset(roots)
            for machine, roots in declared.items()
        }

    def machine(self, key: Key) -> MachineName | None:
        """Return the machine of an object, as far as its ancestors that are there say."""
        seen: set[Key] = set()
        current: Key | None = key
        while current is not None and current not in seen:
            seen.add(current)
            entry = self._entries.get(current)
            if entry is None:
                return None
            if entry.machine is not None:
                return entry.machine
            current = None if entry.parent is None else Key(key.namespace, entry.parent)
        return None

    def waiting(self, reasons: Collection[str], errors: Collection[str] = ()) -> Iterator[Key]:
        """Yield the objects whose ``Ready`` has one of the reasons, or that have one of the errors."""
        for key, entry in list(self._entries.items()):
            if entry.reason in reasons or not entry.errors.isdisjoint(errors):
                yield key

    def counts(self) -> dict[str, int]:
        """Return how many objects stand where."""
        counts: dict[str, int] = {}
        for entry in self._entries.values():
            reason = entry.reason or "Unknown"
            counts[reason] = counts.get(reason, 0) + 1
        return counts

    def _relatives(self, key: Key, *entries: Entry | None) -> Collection[Key]:
        """Return the children of an object that was, or is, as these say, and other roots of its machine."""
        machines = {one.machine for one in entries if one is not None and one.is_root}
        return [
            other
            for other, entry in self._entries.items()
            if other.namespace == key.namespace
            and other != key
            and (entry.parent == key.name or (entry.is_root and entry.machine in machines))
        ]
