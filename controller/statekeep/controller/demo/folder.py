"""The stage of ``statekeep demo``: a running ``statekeep dev examples/loan``.

Everything goes through the API and the files of the folder, as a user would do it.
"""

from pathlib import Path
from typing import Any

from rich.console import Console

from statekeep.controller.cli.borrowed import Borrowed, text
from statekeep.controller.cli.calls import Caller, CallFailed, Server, calling
from statekeep.controller.cli.tables import preview_tables
from statekeep.controller.conditions import approval_line
from statekeep.controller.demo.approvals import refuse_early
from statekeep.controller.demo.story import PAYING, VERSIONS, WAIVED, Story
from statekeep.controller.dev import workspace
from statekeep.controller.manifest import approval
from statekeep.controller.manifest.folder import read_folder
from statekeep.engine.ids import PreviewId

AFRESH = (
    "To play it afresh: stop the server, rm -r .statekeep, take approvals out of the manifests "
    "(git checkout examples), and start it again"
)


async def play(server: Server, folder: Path, console: Console) -> None:
    """Tell the story; go on with one that was interrupted."""
    borrowed = Borrowed(workspace.DEFAULT)
    if borrowed.is_open:
        console.print("An earlier demonstration was interrupted; this one goes on with it.")
        borrowed.give_back()
    async with calling(server) as caller:
        stage = FolderStage(folder, borrowed, console)
        story = Story(caller, stage, console)
        await stage.check(caller, story)
        borrowed.open()
        try:
            await story.tell()
        finally:
            borrowed.give_back()
        borrowed.close()
    console.print("\nAsk yourself: statekeep actors decisions payer-0042")


class FolderStage:
    """Approves by editing the manifests, which are put back in the end."""

    def __init__(self, folder: Path, borrowed: Borrowed, console: Console) -> None:
        self._borrowed = borrowed
        self._console = console
        sources = read_folder(folder).sources
        self._manifests = {str(source.manifest.name): source.path for source in sources}
        self._sources = sources

    async def check(self, caller: Caller, story: Story) -> None:
        """Refuse to play on a stage that is not set, or where the story has been played."""
        absent = [name for name in VERSIONS if name not in self._manifests]
        if absent:
            raise CallFailed(
                f"the dev server does not watch examples/loan ({', '.join(absent)} not there); "
                "start it on that folder: make run"
            )
        versions = (await caller.get("/v1/versions", machine="loan", limit="1000"))["versions"]
        applied = {v["name"] for v in versions if v["standing"] == "Applied"}
        if "loan-v2" in applied and not self._borrowed.is_open:
            raise CallFailed(
                "the story has been played on this database (loan-v2 is applied), and actors do not "
                f"go back. {AFRESH}"
            )
        refuse_early(self._sources, applied=applied)
        for actor in (PAYING[0], WAIVED[0]):
            try:
                await story.spawn(actor)
            except CallFailed as error:
                raise CallFailed(f"{error}: it is not the story's {actor}. {AFRESH}") from error

    async def preview(self, version: Any) -> Any:
        """Show the moves and the stays; the API has computed them just now."""
        preview = version["preview"]
        self._print(f"Preview {preview['id']}:")
        for table in preview_tables(preview):
            self._console.print(table)
        return preview

    async def approve(self, name: str, preview_id: str) -> None:
        """Write the annotation into the manifest."""
        path, before = self._manifests[name], text(self._manifests[name])
        self._print(f"Approving it in {path.name}: {approval_line(PreviewId(preview_id))}")
        self._borrowed.edit(path, before, approval.approve(before, name, preview_id))

    async def applied(self, name: str) -> None:
        """Show nothing more; the story says what happened."""

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)
