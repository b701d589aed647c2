"""``statekeep approve``: write the approval of a preview into its manifest."""

import asyncio
from pathlib import Path
from typing import Any

import click

from statekeep.controller.cli.borrowed import replace, text
from statekeep.controller.cli.calls import CallFailed, Server, calling, server_option
from statekeep.controller.dev import workspace
from statekeep.controller.manifest import approval
from statekeep.controller.manifest.folder import read_files, read_folder
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE

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
@click.option("-n", "--namespace", help="Where the version lives, if several have its name.")
@click.option("--preview", "preview_id", help="The preview to approve; default: the current one.")
@server_option
def approve(
    name: str, file: Path | None, namespace: str | None, preview_id: str | None, server: Server
) -> None:
    """Approve the preview of the version NAME: commit the file that this changes."""
    path, where = _find(name, file, namespace)
    version = asyncio.run(_version(server, where, name))
    if version["standing"] == "Applied":
        by = version.get("migration", {}).get("previewId")
        if preview_id is not None and preview_id != by:
            raise CallFailed(f"{name} is applied already, {applied_by(by)}, not by {preview_id}")
        click.echo(f"{name} is applied already; there is nothing to approve.")
        return
    if preview_id is None:
        preview_id = version["preview"]["id"]
        click.echo(f"{name}: {_counts(version['preview']['actors'])}.")
    write_approval(path, name, preview_id, namespace=where)
    click.echo(f"{path}: approved preview {preview_id}.")
    running = workspace.running()
    if running is not None and path.is_relative_to(running.folder):
        asyncio.run(_watch(server, where, name))


def applied_by(preview_id: str | None) -> str:
    """Return how a version came to be applied.

    >>> applied_by(None)
    'as a root without a preview'
    """
    return "as a root without a preview" if preview_id is None else f"by preview {preview_id}"


def _counts(actors: Any) -> str:
    return (
        f"{actors['wouldMigrate']:,} would migrate, {actors['wouldStay']:,} would stay, "
        f"{actors['needsRescue']:,} need a rescue"
    )


async def _watch(server: Server, namespace: str, name: str) -> None:
    """Say what came of the approval; the dev server looks at its files several times a second."""
    async with calling(server) as caller:
        for _ in range(int(PATIENCE_S / POLL_S)):
            version = await caller.get(f"/v1/namespaces/{namespace}/versions/{name}")
            if "migration" in version:
                done = version["migration"]
                click.echo(
                    f"{name}: applied; {done['migrated']:,} migrated, {done['stayed']:,} stayed, "
                    f"{done['needsRescue']:,} need a rescue."
                )
                return
            await asyncio.sleep(POLL_S)
    click.echo(f"{name} is not applied yet; the dev server's view says why.")


async def _version(server: Server, namespace: str, name: str) -> Any:
    async with calling(server) as caller:
        found = await caller.find(f"/v1/namespaces/{namespace}/versions/{name}")
    if found is None:
        raise CallFailed(
            f"the server has no preview of {name} yet: one is made once its manifest is read, has no errors, "
            "and its parent is applied"
        )
    return found


def write_approval(path: Path, name: str, preview_id: str, *, namespace: str | None = None) -> None:
    """Write the annotation into the file, all of it or nothing."""
    replace(path, approval.approve(text(path), name, preview_id, namespace=namespace))


def _find(name: str, file: Path | None, namespace: str | None) -> tuple[Path, str]:
    """Return the file that holds the version's manifest, links followed, and its namespace."""
    if file is None and (running := workspace.running()) is not None:
        place, folder = running.folder, read_folder(running.folder)
    elif file is not None:
        place, folder = file, read_files([file])
    else:
        raise CallFailed("no `statekeep dev` is running here: name the manifest with --file")
    found = {
        (source.path.resolve(), str(source.manifest.namespace or DEFAULT_NAMESPACE))
        for source in folder.sources
        if source.manifest.name == name
        and namespace in (None, source.manifest.namespace or DEFAULT_NAMESPACE)
    }
    if not found:
        raise CallFailed(f"no manifest in {place} is named {name}")
    if len(found) > 1:
        places = ", ".join(sorted(f"{path} ({where})" for path, where in found))
        raise CallFailed(f"several manifests are named {name}: {places}; say which --namespace")
    return found.pop()
