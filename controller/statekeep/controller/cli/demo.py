"""``statekeep demo``: the loan story against a running ``statekeep dev examples/loan``.

Everything goes through the API and the files of the folder, as a user would do it. Ids and
idempotency keys are fixed, so a story that was interrupted goes on where it stopped: it is told again
from the beginning, and what has happened does not happen twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from statekeep.controller.cli.borrowed import Borrowed, text
from statekeep.controller.cli.calls import Caller, CallFailed, calling, server_option
from statekeep.controller.cli.tables import decisions_table, preview_tables
from statekeep.controller.dev import workspace
from statekeep.controller.manifest import approval
from statekeep.controller.manifest.folder import read_folder

PAYING = ["alice", *(f"payer-{number:04}" for number in range(1, 1203))]
WAIVED = ["bob", *(f"waived-{number:04}" for number in range(1, 847))]
UNLUCKY = ["alice", *(f"payer-{number:04}" for number in range(1, 17))]
"""Those whose automatic check times out."""

LUCKY = [f"payer-{number:04}" for number in range(101, 131)]

AT_ONCE = 32
"""Spawns in flight."""

AFRESH = (
    "To play it afresh: stop the server, rm -r .statekeep, take approvals out of the manifests "
    "(git checkout examples), and start it again"
)

PATIENCE_S = 60.0
POLL_S = 0.2


@click.command()
@server_option
def demo(server: str) -> None:
    """Play the loan story: 2,050 actors, a fee, a bug, a rescue.

    Needs a running `statekeep dev examples/loan` (that is `make run`).
    """
    running = workspace.running()
    if running is None:
        raise CallFailed(
            "no `statekeep dev` is running here; start one: statekeep dev examples/loan, or make run"
        )
    asyncio.run(_play(server, running.folder, Console(highlight=False)))


async def _play(server: str, folder: Path, console: Console) -> None:
    borrowed = Borrowed(workspace.DEFAULT)
    if borrowed.is_open:
        console.print("An earlier demonstration was interrupted; this one goes on with it.")
        borrowed.give_back()
    async with calling(server) as caller:
        story = Story(caller, folder, borrowed, console)
        await story.check()
        borrowed.open()
        try:
            await story.act_one()
            await story.act_two()
            await story.act_three()
            await story.epilogue()
        finally:
            borrowed.give_back()
        borrowed.close()


class Story:
    """The acts, and what they share."""

    def __init__(self, caller: Caller, folder: Path, borrowed: Borrowed, console: Console) -> None:
        self._caller = caller
        self._borrowed = borrowed
        self._console = console
        sources = read_folder(folder).sources
        self._manifests = {str(source.manifest.name): source.path for source in sources}
        self._approved = [s.manifest.name for s in sources if s.manifest.approved_preview]

    async def check(self) -> None:
        """Refuse to play on a stage that is not set, or where the story has been played."""
        needed = ("loan-v1", "loan-v2", "loan-v2-buggy", "loan-v2-rescue")
        absent = [name for name in needed if name not in self._manifests]
        if absent:
            raise CallFailed(
                f"the dev server does not watch examples/loan ({', '.join(absent)} not there); "
                "start it on that folder: make run"
            )
        versions = (await self._caller.get("/v1/versions", machine="loan", limit="1000"))[
            "versions"
        ]
        applied = {v["name"] for v in versions if v["standing"] == "Applied"}
        if "loan-v2" in applied and not self._borrowed.is_open:
            raise CallFailed(
                "the story has been played on this database (loan-v2 is applied), and actors do not "
                f"go back. {AFRESH}"
            )
        if early := [name for name in self._approved if name not in applied]:
            raise CallFailed(
                f"{', '.join(early)} carries an approval already; remove the annotation "
                "statekeep.io/approve from its file first"
            )
        for actor in (PAYING[0], WAIVED[0]):
            try:
                await self._caller.post("/v1/actors", {"id": actor, "version": "loan-v1"})
            except CallFailed as error:
                raise CallFailed(f"{error}: it is not the story's {actor}. {AFRESH}") from error

    async def act_one(self) -> None:
        """Applications come in; some pay the fee, some have it waived."""
        self._say("Act 1: 2,050 loan applications on loan-v1")
        await self._spawn([*PAYING, *WAIVED])
        everybody = [*PAYING, *WAIVED]
        await self._send(everybody, "START_APPLICATION")
        await self._send(everybody, "SUBMIT_INFO")
        await self._send(PAYING, "PAY_FEE", {"amount": 50, "currency": "EUR"})
        await self._send(WAIVED, "WAIVE_FEE", {"by": "branch manager"})
        self._print(f"{len(PAYING):,} paid the fee, {len(WAIVED):,} had it waived.")
        await self._where("alice", "bob")

    async def act_two(self) -> None:
        """A version for those who paid; who they are is in their history, not in their state."""
        self._say("Act 2: loan-v2 wants an income check from those who paid the fee")
        await self._deploy("loan-v2", migrate=len(PAYING), stay=len(WAIVED), rescue=0)
        await self._where("alice", "bob")
        self._print("Both go on, each on a version of their own:")
        await self._send(["alice"], "VERIFY_INCOME", {"document": "payslip"})
        await self._send(["bob"], "UPLOAD_DOCUMENTS", {"pages": 12})
        await self._where("alice", "bob")

    async def act_three(self) -> None:
        """A bug strikes some, and only they are rescued."""
        self._say("Act 3: loan-v2-buggy goes out; a check that times out leads nowhere")
        await self._deploy("loan-v2-buggy", migrate=len(PAYING), stay=0, rescue=0)
        await self._send([*UNLUCKY, *LUCKY], "UPLOAD_DOCUMENTS")
        await self._send(LUCKY, "CHECK_PASSED")
        await self._send(UNLUCKY, "CHECK_TIMEOUT")
        self._print(f"{len(UNLUCKY)} checks timed out:")
        await self._where("alice")
        self._say("Act 4: loan-v2-rescue takes over those who hit the bug, and nobody else")
        stay = len(PAYING) - len(UNLUCKY)
        await self._deploy("loan-v2-rescue", migrate=len(UNLUCKY), stay=stay, rescue=0)
        await self._where("alice", "bob")

    async def epilogue(self) -> None:
        """Show why each is where it is."""
        self._say("Why? Every decision is on record")
        for actor in ("alice", "bob"):
            page = await self._caller.get(f"/v1/actors/{actor}/decisions")
            self._print(f"\n{actor}:")
            self._console.print(decisions_table(page["decisions"]))
        self._print("\nAsk yourself: statekeep actors decisions payer-0042")

    async def _spawn(self, ids: Sequence[str]) -> None:
        slots = asyncio.Semaphore(AT_ONCE)
        with Progress(console=self._console, transient=True) as progress:
            task = progress.add_task("Spawning", total=len(ids))

            async def one(actor_id: str) -> None:
                async with slots:
                    body = {"id": actor_id, "version": "loan-v1"}
                    await self._caller.post("/v1/actors", body)
                    progress.advance(task)

            try:
                async with asyncio.TaskGroup() as group:
                    for actor_id in ids:
                        group.create_task(one(actor_id))
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from failed  # they fail alike: the server is gone

    async def _send(self, ids: Sequence[str], event_type: str, data: Any = None) -> None:
        """Send every actor the event; again, after an interruption, it changes nothing."""
        extra = {} if data is None else {"data": data}
        events = [
            {"actor": actor_id, "type": event_type, "id": f"demo-{event_type}", **extra}
            for actor_id in ids
        ]
        for result in await self._caller.post("/v1/events", events):
            if not result.get("handled"):
                raise CallFailed(f"{event_type} was not taken: {result}")

    async def _deploy(self, name: str, *, migrate: int, stay: int, rescue: int) -> None:
        """Show the preview, hold it against the story, approve it in the file, wait."""
        version = await self._until(name, lambda version: version.keys() & {"preview", "migration"})
        if "migration" in version:
            self._print(f"{name} was applied before the interruption.")
            return
        preview = version["preview"]
        self._print(f"Preview {preview['id']}:")
        for table in preview_tables(preview):
            self._console.print(table)
        counts = preview["actors"]
        seen = (counts["wouldMigrate"], counts["wouldStay"], counts["needsRescue"])
        if seen != (migrate, stay, rescue):
            self._print(
                f"(The story has {migrate:,} / {stay:,} / {rescue:,}; the rest are actors of yours.)"
            )
        path = self._manifests[name]
        self._print(f"Approving it in {path.name}: {preview['approve']}")
        before = text(path)
        self._borrowed.edit(path, before, approval.approve(before, name, preview["id"]))
        version = await self._until(name, lambda version: "migration" in version)
        done = version["migration"]
        numbers = (done["migrated"], done["stayed"], done["needsRescue"])
        if numbers != seen:
            raise CallFailed(f"{name} was to do {seen} and did {numbers}")
        self._print(
            f"Applied: {done['migrated']:,} migrated, {done['stayed']:,} stayed, "
            f"{done['needsRescue']:,} need a rescue."
        )

    async def _until(self, name: str, is_there: Callable[[Any], object]) -> Any:
        """Return the version once it is as wanted; the server looks at its files now and then."""
        for _ in range(int(PATIENCE_S / POLL_S)):
            versions = (await self._caller.get("/v1/versions", machine="loan", limit="1000"))[
                "versions"
            ]
            if any(version["name"] == name for version in versions):
                version = await self._caller.get(f"/v1/versions/{name}")
                if is_there(version):
                    return version
            await asyncio.sleep(POLL_S)
        raise CallFailed(
            f"nothing has come of {name} for {PATIENCE_S:g} s; the dev server says why"
        )

    async def _where(self, *ids: str) -> None:
        for actor_id in ids:
            actor = await self._caller.get(f"/v1/actors/{actor_id}")
            self._print(f"  {actor_id:6} is in {actor['state']} on {actor['version']}")

    def _say(self, title: str) -> None:
        self._console.print(f"\n[bold]{title}[/bold]")

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)
