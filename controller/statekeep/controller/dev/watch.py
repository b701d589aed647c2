"""Reconciling a folder: the same procedure as on Kubernetes, over files instead of resources.

A round reads the folder, reconciles every manifest (parents first, so that a chain needs one round)
and withdraws proposals whose manifest is gone. It runs when a file changes, and now and then for the
sake of fresh previews.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.controller.lineage import roots_of
from statekeep.controller.manifest.folder import SUFFIXES, Folder, Source, read_folder
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE, Manifest
from statekeep.controller.manifest.problem import Problem
from statekeep.controller.outcome import Outcome
from statekeep.controller.reconcile import reconcile
from statekeep.controller.standing import DatabaseUnavailable
from statekeep.controller.status import status
from statekeep.engine.errors import StoreUnavailable
from statekeep.engine.finding import Severity
from statekeep.engine.ids import Namespace, VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.store import versions
from statekeep.engine.store.database import Database

POLL_S = 0.25
"""How often files are looked at: by their times and sizes, which works on every file system."""

REFRESH_S = 2.0
"""How often previews are computed anew though no file has changed."""

Name = tuple[Namespace, VersionName]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One manifest after a round."""

    source: Source
    outcome: Outcome
    status: JsonObject


@dataclass(frozen=True, slots=True)
class Round:
    """What one round found out and did."""

    versions: tuple[Reconciled, ...]
    problems: tuple[Problem, ...]
    withdrawn: tuple[Name, ...]


async def rounds(folder: Path, database: Database) -> AsyncIterator[Round]:
    """Reconcile the folder again and again; yield each round."""
    previous: Mapping[Name, JsonObject] = {}
    while True:
        seen = await asyncio.to_thread(_signature, folder)
        read = await asyncio.to_thread(read_folder, folder)
        done = await _round(read, database, previous)
        previous = {_name(one.source): one.status for one in done.versions}
        yield done
        waited = 0.0
        while waited < REFRESH_S and await asyncio.to_thread(_signature, folder) == seen:
            await asyncio.sleep(POLL_S)
            waited += POLL_S


async def _round(folder: Folder, database: Database, previous: Mapping[Name, JsonObject]) -> Round:
    declared: dict[Namespace, list[Manifest]] = {}
    for source in folder.sources:
        declared.setdefault(_name(source)[0], []).append(source.manifest)
    parents = {
        namespace: {manifest.name: manifest.parent_id for manifest in manifests}
        for namespace, manifests in declared.items()
    }
    roots = {namespace: roots_of(manifests) for namespace, manifests in declared.items()}
    done = []
    for source in _parents_first(folder.sources):
        name = _name(source)
        outcome = await reconcile(source.manifest, parents[name[0]], database, roots=roots[name[0]])
        shown = status(
            outcome,
            generation=source.manifest.generation,
            previous=previous.get(name),
            now=datetime.now(UTC),
        )
        done.append(Reconciled(source, outcome, shown))
    available = not any(isinstance(one.outcome.standing, DatabaseUnavailable) for one in done)
    withdrawn: Sequence[Name] = ()
    broken = any(problem.severity is Severity.ERROR for problem in folder.problems)
    if available and not broken:
        withdrawn = await _withdraw(database, {_name(source) for source in folder.sources})
    return Round(tuple(done), folder.problems, tuple(withdrawn))


async def _withdraw(database: Database, present: set[Name]) -> Sequence[Name]:
    """Forget proposals without a manifest; a file that cannot be read may hold one, so not then."""
    with suppress(StoreUnavailable):  # the next round tries again
        proposed = await database.read(versions.proposed)
        return [
            name
            for name in proposed
            if name not in present and await database.transact(partial(_forget, name))
        ]
    return []


async def _forget(name: Name, connection: AsyncConnection) -> bool:
    return await versions.withdraw(connection, *name)


def _name(source: Source) -> Name:
    return source.manifest.namespace or DEFAULT_NAMESPACE, source.manifest.name


def _parents_first(sources: Sequence[Source]) -> Iterator[Source]:
    """Yield every source once, none before its parent unless they go in a circle."""
    waiting = {_name(source): source for source in sources}
    while waiting:
        ready = [
            name
            for name, source in waiting.items()
            if (name[0], source.manifest.parent_id) not in waiting
        ] or list(waiting)
        for name in ready:
            yield waiting.pop(name)


def _signature(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Return what changes when a file does; it looks where ``read_folder`` does."""
    found = set()
    for directory, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(directory, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            try:
                stat = path.stat()
            except OSError:
                continue
            found.add((str(path), stat.st_mtime_ns, stat.st_size))
    return frozenset(found)
