"""``kubectl statekeep approve``: approve the preview of a version, on the cluster or in its file.

The annotation is set on the object as it was read: the patch names its ``resourceVersion``, and whoever writes in
between lets us read and decide again. What is approved is a preview id, so even an approval that comes too late
approves nothing else than what was shown.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import click

from statekeep.controller.cli.approve import applied_by, write_approval
from statekeep.controller.cli.plugin.kubectl import Conflict, Kubectl, KubectlFailed
from statekeep.controller.cli.plugin.live import Live, read_live
from statekeep.controller.cli.plugin.options import kubectl
from statekeep.controller.cli.plugin.status import UNSEEN, show_preview
from statekeep.controller.cli.printable import printable
from statekeep.controller.conditions import approval_line
from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION
from statekeep.engine.ids import Namespace, PreviewId

ATTEMPTS = 5
"""How often the object may change under our hands; its status does whenever counts change."""


@dataclass(frozen=True, slots=True)
class Approvable:
    """There is a preview to approve."""

    preview_id: PreviewId


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """It is done, or being done, already."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """There is nothing that could be approved now, or not what was named."""

    why: str


Answer = Approvable | NothingToDo | Refused


def approvable(live: Live, wanted: str | None) -> Answer:
    """Return whether the preview of a version can be approved.

    Args:
        live: the version.
        wanted: the preview that was reviewed; ``None``: whichever is current.
    """
    if live.reason == "Applied" and live.is_current:
        by = live.migration["previewId"] if live.migration is not None else None
        if wanted is not None and wanted != by:
            return Refused(f"{live.name} is applied already, {applied_by(by)}, not by {wanted}")
        return NothingToDo(f"{live.name} is applied already; there is nothing to approve.")
    if not live.is_current:
        return Refused(f"{UNSEEN} of {live.name}: look at its preview in a moment")
    if live.preview_id is None or live.reason not in ("AwaitingApproval", "PreviewChanged"):
        return Refused(f"{live.name} has nothing to approve, it is {live.reason}: {live.message}")
    if wanted is not None and wanted != live.preview_id:
        return Refused(
            f"preview {wanted} is not the current one of {live.name}, which is {live.preview_id}: "
            f"review that first (kubectl statekeep preview {live.name})"
        )
    return Approvable(live.preview_id)


@click.command()
@click.argument("name")
@click.option(
    "--preview",
    "wanted",
    metavar="ID",
    help="What you have reviewed; refused if it is not current any more.",
)
@click.option(
    "-f",
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write the approval into this manifest, to commit it, and leave the cluster alone.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def approve(
    context: click.Context, name: str, wanted: str | None, file: Path | None, *, yes: bool
) -> None:
    """Approve the current preview of the version NAME, once you have seen it.

    Where versions come from git, the approval belongs there: --file writes it into the manifest.
    """
    client = kubectl(context)
    namespace = client.namespace()
    live = read_live(client.version(namespace, name))
    match approvable(live, wanted):
        case NothingToDo(why):
            click.echo(printable(why))
            return
        case Refused(why):
            raise KubectlFailed(printable(why))
        case Approvable(preview_id):
            pass
        case other:
            assert_never(other)
    if file is None and live.approved == preview_id:
        click.echo(f"{name}: preview {preview_id} is approved already; the operator applies it.")
        return
    _show(live)
    if file is not None:
        write_approval(file, name, preview_id)
        click.echo(f"{file}: approved preview {preview_id}. Commit it.")
        return
    _tell_of_git(live, preview_id)
    if not (yes or wanted):
        click.confirm(f"Approve preview {preview_id} of {name}?", abort=True)
    _approve(client, namespace, name, preview_id)
    click.echo(f"{name}: approved preview {preview_id}.")
    click.echo(
        "The operator looks at the actors as they are now: what was not shown is not done, and the version is "
        f"PreviewChanged then. See how it ends: kubectl statekeep status {name}"
    )
    click.echo(
        f"Or wait for it: kubectl wait --for=condition=Ready mv/{name} --namespace {namespace}"
    )


def _approve(client: Kubectl, namespace: Namespace, name: str, preview_id: PreviewId) -> None:
    """Set the annotation, unless another preview has become current meanwhile."""
    for _ in range(ATTEMPTS):
        live = read_live(client.version(namespace, name))
        answer = approvable(live, preview_id)
        if not isinstance(answer, Approvable):
            raise KubectlFailed(f"{printable(answer.why)}; nothing was approved")
        metadata = {
            "resourceVersion": live.revision,
            "annotations": {APPROVE_ANNOTATION: preview_id},
        }
        with suppress(Conflict):
            client.merge(namespace, name, {"metadata": metadata})
            return
    raise KubectlFailed(f"{name} changes faster than it can be approved; try again")


def _show(live: Live) -> None:
    click.echo(printable(f"{live.name} is {live.reason}: {live.finding}"))
    show_preview(live)


def _tell_of_git(live: Live, preview_id: PreviewId) -> None:
    line = approval_line(preview_id)
    if live.gitops is not None:
        click.echo(
            printable(
                f"{live.name} comes from git ({live.gitops}), and the approval belongs there, where it is reviewed. "
                f"Better commit this line, and let it be applied: {line}"
            )
        )
    else:
        click.echo(f"If its manifest is in git, commit this line too: {line}")
