"""``statekeep versions``: look after the versions that the database holds."""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from statekeep.controller.cli.database import database_url, keyless
from statekeep.controller.kubernetes.session import login
from statekeep.controller.manifest.folder import read_folder
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.controller.operator.cluster import Cluster
from statekeep.engine import finding
from statekeep.engine.errors import StatekeepError
from statekeep.engine.ids import Namespace, VersionName
from statekeep.engine.store import pruning
from statekeep.engine.store.database import check
from statekeep.engine.store.pruning import Candidate

Name = tuple[Namespace, VersionName]


class ManifestsUnreadable(StatekeepError):
    """What is declared cannot be known, so nothing may be removed."""


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
@click.option("--yes", is_flag=True, help="Remove without asking.")
def prune(url: str, namespaces: Sequence[str], manifests: Path | None, *, yes: bool) -> None:
    """Remove applied versions that nothing needs, after showing them.

    A version is needed while it is declared, while actors or other versions are on it or after it, and
    for as long as its deployment decided about anybody: what is on record stays explained.
    """
    asyncio.run(_prune(url, [Namespace(name) for name in namespaces], manifests, yes=yes))


async def _prune(
    url: str, namespaces: Sequence[Namespace], manifests: Path | None, *, yes: bool
) -> None:
    declared = await _declared(namespaces, manifests)
    async with keyless(url) as database:
        await check(database)
        found = await database.read(lambda connection: pruning.candidates(connection, namespaces))
        if not found:
            click.echo("The database holds no applied version there.")
            return
        unneeded = [one for one in found if one.need is None and _name(one) not in declared]
        Console(markup=False, emoji=False, highlight=False).print(_table(found, declared))
        if not unneeded:
            click.echo("Everything is needed; nothing to remove.")
            return
        if not yes:
            question = f"Remove {_count(unneeded)} for good?"
            click.confirm(question, abort=True)
        for one in unneeded:
            gone = await pruning.prune(database, one)
            what = "removed" if gone else "kept: it is needed by now, or being deployed to"
            click.echo(f"{one.namespace}/{one.name}: {what}")


async def _declared(namespaces: Sequence[Namespace], manifests: Path | None) -> Collection[Name]:
    """Return the name of every version that somebody declares."""
    if manifests is None:
        cluster = Cluster(login)
        try:
            return await cluster.revisions(namespaces)
        finally:
            await cluster.close()
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


def _count(versions: Sequence[Candidate]) -> str:
    return f"{len(versions)} version{'s' if len(versions) != 1 else ''}"
