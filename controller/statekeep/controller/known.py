"""What the store knows that matters to one manifest: gathered once, before anything is decided."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.controller.manifest.manifest import Manifest
from statekeep.engine.ids import MachineName, Namespace, VersionName
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.store import deployments, versions
from statekeep.engine.store.counting import Uncounted
from statekeep.engine.store.database import Database
from statekeep.engine.store.deployments import Deployment
from statekeep.engine.store.versions import StoredVersion


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows that matters to one manifest."""

    stored: StoredVersion | None
    deployment: Deployment | None
    parent: StoredVersion | None
    lineage: Mapping[str, Machine]
    """The parent and its ancestors."""

    root: VersionName | None
    """The root of the machine that the manifest would belong to."""


async def gather(database: Database, namespace: Namespace, manifest: Manifest) -> Known:
    """Return what is known on one snapshot; a count that was broken off is made up for."""
    machine = manifest.machine or MachineName(manifest.name)

    async def work(connection: AsyncConnection) -> tuple[Known, Deployment | Uncounted | None]:
        stored = await versions.find(connection, namespace, manifest.name)
        parent = (
            None
            if manifest.parent_id is None
            else await versions.find(connection, namespace, manifest.parent_id)
        )
        known = Known(
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
