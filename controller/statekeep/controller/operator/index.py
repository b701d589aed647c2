"""What is known of every object without asking: enough to find circles, children and those that wait."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from statekeep.controller.lineage import Parents
from statekeep.controller.operator.resource import Key, Resource, ready_reason
from statekeep.engine.ids import Namespace, VersionName


@dataclass(frozen=True, slots=True)
class Entry:
    """One object, as last read; a definition may have 1 MB, so it is not kept."""

    parent: VersionName | None
    reason: str | None
    """Of ``Ready``."""

    revision: str


class Index:
    """Every object that is known to exist."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}
        self._settled: dict[Key, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, resource: Resource) -> bool:
        """Note an object; return whether its relatives should look again."""
        before = self._entries.get(resource.key)
        now = Entry(resource.parent, ready_reason(resource.status), resource.revision)
        self._entries[resource.key] = now
        return before is None or replace(before, revision=now.revision) != now

    def remove(self, key: Key) -> bool:
        """Forget an object; return whether it was known."""
        self._settled.pop(key, None)
        return self._entries.pop(key, None) is not None

    def settle(self, resource: Resource) -> None:
        """Note that everything an object asks for at this revision has been done."""
        self._settled[resource.key] = resource.revision

    def is_settled(self, key: Key, revision: str) -> bool:
        """Whether a turn has already ended with this revision of the object."""
        return self._settled.get(key) == revision

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

    def children(self, parent: Key) -> Iterator[Key]:
        """Yield the objects that name another one as their parent."""
        for key, entry in list(self._entries.items()):
            if key.namespace == parent.namespace and entry.parent == parent.name:
                yield key

    def waiting(self, reasons: Collection[str]) -> Iterator[Key]:
        """Yield the objects whose ``Ready`` has one of the reasons."""
        for key, entry in list(self._entries.items()):
            if entry.reason in reasons:
                yield key

    def counts(self) -> dict[str, int]:
        """Return how many objects stand where."""
        counts: dict[str, int] = {}
        for entry in self._entries.values():
            reason = entry.reason or "Unknown"
            counts[reason] = counts.get(reason, 0) + 1
        return counts
