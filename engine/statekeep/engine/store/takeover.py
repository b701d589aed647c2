"""Taking over what another release has stored: first look whether it means the same to this one.

A version is kept under one meaning of its definition (``semantics``). A release that gives definitions another
meaning asks its own interpreter again, once a version, before it takes a step of it:

* every configuration that is stored can be read, and is written as it stands there;
* every history of a cohort leads where the cohort stands;
* every step that is stored leads where it led, or nowhere where it led nowhere.

If all of that is so, the version is kept under the new meaning from then on. If not, nothing of it is touched: its
states can be read, its actors can be moved to another version, and events for them are refused, since they would
lead elsewhere than those before them. All of it happens while the machine's events wait.

A process of an older release that meets a version kept under a later meaning follows the steps that are stored and
takes none of its own: it cannot know what the later release would say.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import (
    ChartUnstable,
    ConfigurationInvalid,
    SemanticsDiffer,
    SemanticsOutdated,
    StatekeepError,
    VersionUnknown,
)
from statekeep.engine.history.path import HistoryPath
from statekeep.engine.ids import Namespace
from statekeep.engine.json import JsonObject
from statekeep.engine.routing.replay import Landed, Lost
from statekeep.engine.statechart import semantics
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import restore, step
from statekeep.engine.statechart.state_value import label
from statekeep.engine.store import locks, populations, versions
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database
from statekeep.engine.store.sql import statements
from statekeep.engine.store.versions import StoredVersion

_SQL = statements("semantics.sql")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Taken:
    """A version that is kept under this release's meaning, or could be."""

    namespace: Namespace
    version: str
    machine: str
    before: int
    """The meaning under which it was kept."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What is kept under other meanings than this release's."""

    alike: list[Taken] = field(default_factory=list)
    differing: list[SemanticsDiffer] = field(default_factory=list)


class Unchecked(Exception):
    """These versions have to be looked at before anything can be said of them; the transaction must end first."""

    def __init__(self, version_ids: Collection[int]) -> None:
        super().__init__()
        self.version_ids = version_ids


@dataclass(slots=True)
class Reading:
    """Which versions may be asked for steps, in one transaction that holds their machines' locks."""

    catalogue: Catalogue
    unchecked: set[int] = field(default_factory=set)

    def objection(
        self, version_id: int, kept_under: int, *, is_known: bool = False
    ) -> StatekeepError | None:
        """Return why a step cannot be taken; a version that nobody has looked at yet is noted.

        Args:
            version_id: of an applied version.
            kept_under: its ``semantics``, as they are now.
            is_known: whether the step is stored.
        """
        if kept_under == semantics.SEMANTICS:
            return None
        if kept_under > semantics.SEMANTICS:
            return None if is_known else SemanticsOutdated(kept_under, semantics.SEMANTICS)
        if (error := self.catalogue.differing.get(version_id)) is None:
            self.unchecked.add(version_id)
        return error

    def differs(self, stored: StoredVersion) -> bool:
        """Return whether a version means something else to us; one that nobody has looked at yet is noted."""
        if not stored.is_applied or stored.semantics >= semantics.SEMANTICS:
            return False
        if stored.id not in self.catalogue.differing and stored.id not in self.catalogue.alike:
            self.unchecked.add(stored.id)
        return stored.id in self.catalogue.differing

    def end(self) -> None:
        """Raise ``Unchecked`` if there are versions to be looked at."""
        if self.unchecked:
            raise Unchecked(self.unchecked)


async def kept_under(connection: AsyncConnection, version_id: int) -> int:
    """Return the meaning under which a version is kept now.

    Raises:
        VersionUnknown: it was pruned.
    """
    row = await connection.execute(_SQL["kept_under"], {"version_id": version_id})
    found: int | None = row.scalar_one_or_none()
    if found is None:
        raise VersionUnknown("the version has just been pruned")
    return found


async def transact(
    database: Database, catalogue: Catalogue, work: Callable[[AsyncConnection], Awaitable[T]]
) -> T:
    """Run a transaction; where it meets versions that nobody has looked at yet, look, and run it again."""
    while True:
        try:
            return await database.transact(work)
        except Unchecked as error:
            await _settle(database, catalogue, error.version_ids)  # so none of them comes again


async def read(
    database: Database, catalogue: Catalogue, work: Callable[[AsyncConnection], Awaitable[T]]
) -> T:
    """Run what can change nothing; where it meets versions that nobody has looked at, look, and run it again.

    What is alike is not taken over: whoever only reads keeps no older release from going on.
    """
    while True:
        try:
            return await database.read(work)
        except Unchecked as error:
            for version_id in sorted(error.version_ids):
                try:
                    await database.read(partial(_examine, version_id=version_id))
                except SemanticsDiffer as difference:
                    catalogue.differing[version_id] = difference
                else:
                    catalogue.alike.add(version_id)


async def _settle(database: Database, catalogue: Catalogue, version_ids: Collection[int]) -> None:
    """Take the versions over, and remember which of them cannot be."""
    for version_id in sorted(version_ids):
        try:
            await take_over(database, version_id)
        except SemanticsDiffer as error:
            catalogue.differing[version_id] = error


async def take_over(
    database: Database, version_id: int, *, also_later: bool = False
) -> Taken | None:
    """Look at a version and keep it under our meaning; return ``None`` where it is already.

    Args:
        database: where it is.
        version_id: of an applied version.
        also_later: whether to take back one that a later release has taken over; somebody has to ask for that.

    Raises:
        SemanticsDiffer: it means something else to us.
    """
    ours = semantics.SEMANTICS

    async def work(connection: AsyncConnection) -> Taken | None:
        machine_id = await versions.machine_of(connection, version_id)
        await locks.keep_collectors_out(connection, machine_id)
        await locks.stop_machine(connection, machine_id)
        stored = await versions.by_id(connection, version_id)
        if stored.semantics == ours or (stored.semantics > ours and not also_later):
            return None
        await compare(connection, stored)
        keys = {"version_id": version_id, "semantics": ours}
        await connection.execute(_SQL["keep_under"], keys)
        return _taken(stored)

    return await database.transact(work)


async def survey(database: Database) -> Survey:
    """Look at all versions that are kept under another meaning than ours; nothing changes."""
    return await _surveyed(
        database, lambda version_id: database.read(partial(_examine, version_id=version_id))
    )


async def _examine(connection: AsyncConnection, version_id: int) -> Taken:
    stored = await versions.by_id(connection, version_id)
    await compare(connection, stored)
    return _taken(stored)


async def take_over_all(database: Database) -> Survey:
    """Take over all that can be, what a later release has taken over included."""
    return await _surveyed(database, partial(take_over, database, also_later=True))


async def _surveyed(database: Database, look: Callable[[int], Awaitable[Taken | None]]) -> Survey:
    found = Survey()
    for version_id in await database.read(_others):
        try:
            taken = await look(version_id)
        except SemanticsDiffer as error:
            found.differing.append(error)
        else:
            if taken is not None:
                found.alike.append(taken)
    return found


async def insist(database: Database) -> None:
    """Return once every version is kept under our meaning.

    Raises:
        SemanticsDiffer: one means something else to us.
        SemanticsOutdated: a later release has taken one over.
    """
    for version_id in await database.read(_others):
        await take_over(database, version_id)
        now = await database.read(partial(kept_under, version_id=version_id))
        if now != semantics.SEMANTICS:
            raise SemanticsOutdated(now, semantics.SEMANTICS)


async def _others(connection: AsyncConnection) -> Sequence[int]:
    keys = {"semantics": semantics.SEMANTICS}
    return [row.id for row in await connection.execute(_SQL["other_versions"], keys)]


def _taken(stored: StoredVersion) -> Taken:
    return Taken(stored.namespace, stored.version.name, stored.machine, stored.semantics)


async def compare(connection: AsyncConnection, stored: StoredVersion) -> None:
    """Return if everything that is stored of a version means to us what it meant when it was stored.

    Raises:
        SemanticsDiffer: with every difference.
    """
    keys = {"version_id": stored.id}
    documents = {
        row.id: (row.document, row.label)
        for row in await connection.execute(_SQL["documents"], keys)
    }
    steps = (await connection.execute(_SQL["steps"], keys)).all()
    differences = [*_unreadable(stored, documents)]
    if not differences:
        differences = [*_misled(stored, documents, steps)]
        differences += await _misplaced(connection, stored, documents)
    if differences:
        raise SemanticsDiffer(
            f"version {stored.version.name} of machine {stored.machine} in namespace {stored.namespace}",
            differences,
        )


_Documents = Mapping[int, tuple[JsonObject, str]]
"""Stored configurations with their labels, by id."""


def _unreadable(stored: StoredVersion, documents: _Documents) -> Iterator[str]:
    for document, name in documents.values():
        try:
            ours = restore(stored.version.machine, document).to_json()
        except ConfigurationInvalid as error:
            yield f"state {name} cannot be read: {error}"
        else:
            if ours != document:
                yield f"state {name} would be written as another one"


def _misled(stored: StoredVersion, documents: _Documents, steps: Sequence[Any]) -> Iterator[str]:
    machine = stored.version.machine
    for row in steps:
        document, name = documents[row.configuration_id]
        target = row.to_configuration_id
        led = "was not handled" if target is None else f"led to {documents[target][1]}"
        try:
            taken = step(machine, restore(machine, document), row.event_type)
        except ChartUnstable:
            yield f"in {name}, {row.event_type} {led} and would never come to rest"
            continue
        if not taken.handled:
            if target is not None:
                yield f"in {name}, {row.event_type} {led} and would not be handled"
        elif target is None or taken.configuration.to_json() != documents[target][0]:
            yield f"in {name}, {row.event_type} {led} and would lead to {_shown(taken.configuration)}"


async def _misplaced(
    connection: AsyncConnection, stored: StoredVersion, documents: _Documents
) -> list[str]:
    """Return, of every state, one history that would lead elsewhere."""
    # Whoever is there has come there, by whatever path.
    version = replace(stored.version, path=HistoryPath(()))
    try:
        walk = await populations.histories(connection, version, stored)
    except ChartUnstable:
        return ["the start would never come to rest"]
    found: dict[tuple[str, str], None] = {}
    for cohort in await populations.cohorts(connection, stored):
        document, name = documents[cohort.configuration_id]
        match walk.standing(cohort.history_id).replayed:
            case Landed(configuration=configuration):
                if configuration.to_json() != document:
                    found[name, f"would lead to {_shown(configuration)}"] = None
            case Lost() as lost:
                found[name, f"could not be replayed: {lost.sentence}"] = None
    return [f"a history that led to {name} {what}" for name, what in found]


def _shown(configuration: Configuration) -> str:
    return label(configuration.value)
