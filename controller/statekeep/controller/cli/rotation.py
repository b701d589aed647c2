"""``statekeep keys generate``, ``status`` and ``rotate``: the keys that data is encrypted with."""

import asyncio
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from statekeep.controller import key_files
from statekeep.controller.cli.database import database_url, keys_file
from statekeep.controller.cli.printable import counted, printable
from statekeep.controller.cli.tables import console
from statekeep.engine.store import rotation
from statekeep.engine.store.database import check, connect
from statekeep.engine.store.keyring import KeyRing, new_key_ring_text
from statekeep.engine.store.rotation import Census, Progress

STOPPED = 130
"""Exit status after Ctrl-C, as shells have it."""


@click.command()
def generate() -> None:
    """Print a new key of the encryption, as a line of a key ring."""
    click.echo(new_key_ring_text(), nl=False)


@click.command()
@keys_file
@database_url
def status(keys_file: Path, url: str) -> None:
    """Count what is sealed under which key; exit status 1 if something is under none of the ring.

    Reads all of the actors and the events, so it takes its time on a large database.
    """
    ring = key_files.read(keys_file)
    counted = asyncio.run(_count(url, ring))
    found = counted.contexts.keys() | counted.payloads.keys()
    unknown = sorted(found - ring.keys.keys(), key=str)
    table = Table(box=None, pad_edge=False)
    for column in ("KEY", "CONTEXTS", "PAYLOADS", ""):
        table.add_column(column, justify="right" if column.endswith("S") else "left")
    for key_id in [*ring.keys, *unknown]:
        use = "seals" if key_id == ring.sealing else "opens"
        table.add_row(
            "(not a sealed value)" if key_id is None else printable(key_id),
            f"{counted.contexts[key_id]:,}",
            f"{counted.payloads[key_id]:,}",
            use if key_id in ring.keys else "is not in the key ring",
        )
    console().print(table)
    if unknown:
        sys.exit(1)


async def _count(url: str, ring: KeyRing) -> Census:
    counted = Census()
    database = connect(url, ring, pool_size=1)
    try:
        await check(database)
        with _bar() as bar:
            task = bar.add_task("Counting", total=1.0)
            async for counted in rotation.census(database):
                bar.update(task, completed=counted.fraction)
    finally:
        await database.close()
    return counted


@click.command()
@keys_file
@database_url
def rotate(keys_file: Path, url: str) -> None:
    """Seal everything again under the first key of the ring, beside the traffic.

    Load the ring in every API before: an API that does not know the new key yet cannot open what is sealed
    under it. Ctrl-C stops the rotation; the same command goes on with it.
    """
    ring = key_files.read(keys_file)
    progress = Progress()
    try:
        asyncio.run(_rotate(url, ring, progress))
    except KeyboardInterrupt:
        click.echo(
            f"Stopped after {_sealed(progress)}. Nothing is half done; the same command goes on."
        )
        sys.exit(STOPPED)
    click.echo(f"{_sealed(progress)} sealed again under {ring.sealing}.")
    sys.exit(0 if _explain(ring, progress) else 1)


async def _rotate(url: str, ring: KeyRing, progress: Progress) -> None:
    database = connect(url, ring, pool_size=1)
    try:
        await check(database)
        with _bar() as bar:
            task = bar.add_task("Sealing", total=1.0)
            async for _ in rotation.rotate(database, progress):
                what = "Sealing" if progress.number == 1 else "Looking again"
                bar.update(
                    task,
                    description=f"{what}: {progress.resealed:,} values",
                    completed=progress.fraction,
                )
    finally:
        await database.close()


def _explain(ring: KeyRing, progress: Progress) -> bool:
    """Say what is left to do; return whether everything is under the sealing key."""
    for one in progress.shown:
        what = "context" if one.seq is None else f"payload of event {one.seq}"
        click.echo(f"  {one.namespace}/{one.actor_id}, {what}: {printable(one.reason)}")
    if progress.broken > len(progress.shown):
        click.echo(f"  … and {progress.broken - len(progress.shown):,} more")
    if progress.broken:
        click.echo(
            f"{counted(progress.broken, 'value')} cannot be opened and stayed as they were. Where a key is "
            "missing, add it to the ring and run this again."
        )
    if progress.found:
        click.echo(
            "Values under another key keep coming: some API still seals with an older ring. Load this one "
            "everywhere, then run this again."
        )
    others = ", ".join(key_id for key_id in ring.keys if key_id != ring.sealing)
    if progress.broken or progress.found:
        return False
    if others:
        click.echo(
            f"Nothing is under another key. Once every API has loaded this ring, {others} may be removed; "
            "`statekeep keys status` counts again."
        )
    return True


def _sealed(progress: Progress) -> str:
    return f"{counted(progress.contexts, 'context')} and {counted(progress.payloads, 'payload')}"


def _bar() -> Bar:
    terminal = Console(stderr=True)
    return Bar(console=terminal, transient=True, disable=not terminal.is_terminal)
