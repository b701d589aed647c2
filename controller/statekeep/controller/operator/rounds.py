"""What happens by the clock: fresh previews, and the search for what no watch told us.

A watch can miss a deletion (its history on the API server ended meanwhile), and an operator that is down sees none.
So now and then everything there is, is compared with everything that is known.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping

from statekeep.controller.kubernetes.errors import ClusterUnavailable
from statekeep.controller.manifest.codes import Code
from statekeep.controller.operator.cluster import Cluster
from statekeep.controller.operator.index import Index
from statekeep.controller.operator.queue import Queue
from statekeep.controller.operator.resource import Key
from statekeep.controller.operator.settings import Settings
from statekeep.controller.operator.watch import Watch
from statekeep.controller.standing import (
    Applied,
    AwaitingApproval,
    AwaitingParent,
    Immutable,
    PreviewChanged,
    Reinterpreted,
)
from statekeep.engine.errors import SchemaOutdated, StoreUnavailable
from statekeep.engine.store import versions
from statekeep.engine.store.database import Database, check

WAITING = frozenset(kind.__name__ for kind in (AwaitingApproval, AwaitingParent, PreviewChanged))
"""Standings that can change without a word from the API server; temporary ones are retried by themselves."""

WAITING_ERRORS = frozenset({Code.SECOND_ROOT})
"""Errors that can go in the same way: the other root may be pruned."""

IN_FORCE = frozenset(kind.__name__ for kind in (Applied, Immutable, Reinterpreted))
"""Standings of what the database has, unless somebody has pruned it or brought an older one back."""

LAG_S = 5.0
"""How late a watch may be. A busy machine delays it by a second or two, and a watch that broke begins anew."""

FIRST_LIST_RETRY_S = 2.0

log = logging.getLogger(__name__)

EMPTY = f"{__name__}.empty"
"""The logger that tells of namespaces without versions; whoever has just made them need not hear it."""


class Rounds:
    """Looks at what waits, and at everything."""

    def __init__(
        self,
        settings: Settings,
        *,
        cluster: Cluster,
        database: Database,
        index: Index,
        queue: Queue[Key],
        watch: Watch,
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._database = database
        self._index = index
        self._queue = queue
        self._watch = watch
        self._late_since: Mapping[tuple[Key, str], float] = {}

    async def begin(self) -> None:
        """Learn of every object before the first turn: a parent that is not known yet looks like none."""
        while True:
            try:
                found = await self._cluster.find_all(self._settings.namespaces)
                break
            except ClusterUnavailable as error:
                log.warning("the MachineVersions cannot be listed yet: %s", error)
                await asyncio.sleep(FIRST_LIST_RETRY_S)
        for resource in found:
            self._index.put(resource)
            self._queue.add(resource.key)
        here = {resource.key.namespace for resource in found}
        if empty := [name for name in self._settings.namespaces if name not in here]:
            # Whether there are such namespaces is more than an operator may ask.
            logging.getLogger(EMPTY).warning(
                "no MachineVersions yet in %s: those that come are looked after; if no namespace has that name, mend "
                "--namespaces",
                ", ".join(empty),
            )

    async def refresh(self) -> None:
        """Give turns to those that wait, for ever."""
        while True:
            await asyncio.sleep(self._settings.refresh_s)
            for key in self._index.waiting(WAITING, WAITING_ERRORS):
                self._queue.add(key)

    async def sweep(self) -> None:
        """Give turns to what was missed, for ever."""
        before: Mapping[Key, str] = {}
        while True:
            try:
                before = await self._swept(before)
            except (ClusterUnavailable, StoreUnavailable, SchemaOutdated) as error:
                log.warning("the sweep is put off: %s", error)
            await asyncio.sleep(self._settings.sweep_s)

    async def _swept(self, before: Mapping[Key, str]) -> Mapping[Key, str]:
        """Compare once; return the revision of each object.

        The versions are read before the objects, so that one that is new in between is in both.
        """
        await check(self._database)
        in_force = set(self._index.waiting(IN_FORCE))
        stored = {
            Key(*name): is_applied
            for name, is_applied in (await self._database.read(versions.names)).items()
        }
        listed = await self._cluster.revisions(self._settings.namespaces)
        known = {key for key, applied in stored.items() if not applied and self._is_ours(key)}
        for key in known.union(self._index.keys()) - listed.keys():
            self._queue.add(key)
        for key in in_force:
            if not stored.get(key):
                log.warning("%s is not in the database any more: it is looked at again", key)
                self._queue.add(key)
        # The watch should have told of a revision that was there a sweep ago.
        late = [key for key, revision in listed.items() if self._is_late(key, revision, before)]
        for key in late:
            self._queue.add(key)
        self._watch.lags = self._note_late({(key, listed[key]) for key in late})
        return listed

    def _note_late(self, late: Collection[tuple[Key, str]]) -> bool:
        """Note what the watch has not told of; return whether it has not for too long."""
        now = asyncio.get_running_loop().time()
        self._late_since = {one: self._late_since.get(one, now) for one in late}
        return any(now - since >= LAG_S for since in self._late_since.values())

    def _is_ours(self, key: Key) -> bool:
        return not self._settings.namespaces or key.namespace in self._settings.namespaces

    def _is_late(self, key: Key, revision: str, before: Mapping[Key, str]) -> bool:
        return before.get(key) == revision and self._watch.seen.get(key) != revision
