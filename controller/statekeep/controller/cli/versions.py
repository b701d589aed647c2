"""``statekeep versions``: look after the versions that the database holds."""

import asyncio
from collections.abc import Collection, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path

import click
from rich.table import Table

from statekeep.controller.cli.database import database_url, keyless
from statekeep.controller.cli.printable import counted
from statekeep.controller.cli.tables import console
from statekeep.controller.kubernetes.session import login, place
from statekeep.controller.manifest.folder import read_folder
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.controller.operator.cluster import Cluster
from statekeep.engine import finding
from statekeep.engine.errors import StatekeepError
from statekeep.engine.ids import Namespace, VersionName
from statekeep.engine.store import pruning
from statekeep.engine.store.database import Database, check
from statekeep.engine.store.pruning import Candidate

Name = tuple[Namespace, VersionName]


class ManifestsUnreadable(StatekeepError):
    """What is declared cannot be known, so nothing may be removed."""


class NothingDeclared(StatekeepError):
    """None of what is stored is declared there, which is more often the wrong place than meant."""


@dataclass(frozen=True, slots=True)
class Declarations:
    """Where versions are declared: a folder, or a cluster."""

    namespaces: Sequence[Namespace]
    """None named: all."""

    manifests: Path | None
    """``None``: the cluster that ``login`` leads to."""

    def place(self) -> str:
        """Return the place as people call it."""
        if self.manifests is not None:
            return f"the folder {self.manifests}"
        return place()

    async def names(self) -> Collection[Name]:
        """Return the name of every version that somebody declares at this moment."""
        if self.manifests is not None:
            return _in_folder(self.manifests)
        cluster = Cluster(login)
        try:
            return {*await cluster.revisions(self.namespaces)}
        finally:
            await cluster.close()


@click.group()
def versions() -> None:
    """Look after the versions that the database holds."""


@versions.command()
@database_url
@click.option("-n", "--namespace", "namespaces", multiple=True, help="Only there.  [default: all]")
@click.option(
    "--manifests",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder that holds every manifest.  [default: the cluster of KUBECONFIG]",
)
@click.option(
    "--none-declared",
    is_flag=True,
    help="Go on although no version of the database is declared there.",
)
@click.option("--yes", is_flag=True, help="Remove without asking.")
def prune(
    url: str,
    namespaces: Sequence[str],
    manifests: Path | None,
    *,
    none_declared: bool,
    yes: bool,
) -> None:
    """Remove applied versions that nothing needs, after showing them.

    A version is needed while it is declared, while actors or other versions are on it or after it, and
    for as long as its deployment decided about anybody: what is on record stays explained. What is declared is
    looked at before the question and once more after it.
    """
    declarations = Declarations([Namespace(name) for name in namespaces], manifests)
    asyncio.run(_prune(url, declarations, none_declared=none_declared, yes=yes))


async def _prune(url: str, declarations: Declarations, *, none_declared: bool, yes: bool) -> None:
    declared = await declarations.names()
    where = declarations.place()
    async with keyless(url) as database:
        await check(database)
        found = await database.read(
            lambda connection: pruning.candidates(connection, declarations.namespaces)
        )
        if not found:
            click.echo("The database holds no applied version there.")
            return
        if not none_declared and not any(_name(one) in declared for one in found):
            raise NothingDeclared(
                f"{where} declares {_count(declared)}, none of the {_count(found)} that the database has applied: name "
                "the right place (--manifests, or KUBECONFIG), or say --none-declared if this is it"
            )
        unneeded = [one for one in found if one.need is None and _name(one) not in declared]
        console().print(_table(found, declared))
        if not unneeded:
            click.echo("Everything is needed; nothing to remove.")
            return
        if not yes:
            question = f"Remove {_count(unneeded)} for good? {where} declares {_count(declared)}"
            click.confirm(question, abort=True)
        by_now = await declarations.names()
        for one in unneeded:
            click.echo(f"{one.namespace}/{one.name}: {await _removed(database, one, by_now)}")


async def _removed(database: Database, one: Candidate, declared: Collection[Name]) -> str:
    """Remove a version unless it is needed by now; return what became of it."""
    if _name(one) in declared:
        return "kept: its manifest is there by now"
    if await pruning.prune(database, one):
        return "removed"
    return "kept: it is needed by now, or being deployed to"


def _in_folder(manifests: Path) -> Collection[Name]:
    folder = read_folder(manifests)
    broken = [one for one in folder.problems if one.severity is finding.Severity.ERROR]
    if broken:
        raise ManifestsUnreadable(f"a broken file may declare anything: mend {broken[0]}")
    return {
        (source.manifest.namespace or DEFAULT_NAMESPACE, source.manifest.name)
        for source in folder.sources
    }


def _table(found: Sequence[Candidate], declared: Collection[Name]) -> Table:
    table = Table("NAMESPACE", "VERSION", "MACHINE", "NEEDED BECAUSE", box=None, pad_edge=False)
    for one in found:
        why = (
            "its manifest is there" if _name(one) in declared else one.need or "– nothing needs it"
        )
        table.add_row(one.namespace, one.name, one.machine, why)
    return table


def _name(one: Candidate) -> Name:
    return one.namespace, one.name


def _count(versions: Sized) -> str:
    return counted(len(versions), "version")
