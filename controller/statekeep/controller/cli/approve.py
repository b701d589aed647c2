"""``statekeep approve``: write the approval of a preview into its manifest."""

import asyncio
from pathlib import Path
from typing import Any

import click

from statekeep.controller.cli.borrowed import replace, text
from statekeep.controller.cli.calls import CallFailed, calling, server_option
from statekeep.controller.dev import workspace
from statekeep.controller.manifest import approval
from statekeep.controller.manifest.folder import read_folder

PATIENCE_S = 5.0
"""How long to wait for the dev server to apply what was approved."""

POLL_S = 0.1


@click.command()
@click.argument("name")
@click.option(
    "-f",
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The manifest; default: found in the folder of the running `statekeep dev`.",
)
@click.option("--preview", "preview_id", help="The preview to approve; default: the current one.")
@server_option
def approve(name: str, file: Path | None, preview_id: str | None, server: str) -> None:
    """Approve the preview of the version NAME: commit the file that this changes."""
    path = file or _find(name)
    if preview_id is None:
        version = asyncio.run(_version(server, name))
        if version["standing"] == "Applied":
            click.echo(f"{name} is applied already; there is nothing to approve.")
            return
        preview_id = version["preview"]["id"]
        click.echo(f"{name}: {_counts(version['preview']['actors'])}.")
    write_approval(path, name, preview_id)
    click.echo(f"{path}: approved preview {preview_id}.")
    running = workspace.running()
    if running is not None and path.resolve().is_relative_to(running.folder):
        asyncio.run(_watch(server, name))


def _counts(actors: Any) -> str:
    return (
        f"{actors['wouldMigrate']:,} would migrate, {actors['wouldStay']:,} would stay, "
        f"{actors['needsRescue']:,} need a rescue"
    )


async def _watch(server: str, name: str) -> None:
    """Say what came of the approval; the dev server looks at its files several times a second."""
    async with calling(server) as caller:
        for _ in range(int(PATIENCE_S / POLL_S)):
            version = await caller.get(f"/v1/versions/{name}")
            if "migration" in version:
                done = version["migration"]
                click.echo(
                    f"{name}: applied; {done['migrated']:,} migrated, {done['stayed']:,} stayed, "
                    f"{done['needsRescue']:,} need a rescue."
                )
                return
            await asyncio.sleep(POLL_S)
    click.echo(f"{name} is not applied yet; the dev server's view says why.")


async def _version(server: str, name: str) -> Any:
    async with calling(server) as caller:
        return await caller.get(f"/v1/versions/{name}")


def write_approval(path: Path, name: str, preview_id: str) -> None:
    """Write the annotation into the file, all of it or nothing."""
    replace(path, approval.approve(text(path), name, preview_id))


def _find(name: str) -> Path:
    """Return the file that holds the version's manifest."""
    running = workspace.running()
    if running is None:
        raise CallFailed("no `statekeep dev` is running here: name the manifest with --file")
    for source in read_folder(running.folder).sources:
        if source.manifest.name == name:
            return source.path
    raise CallFailed(f"no manifest in {running.folder} is named {name}")
