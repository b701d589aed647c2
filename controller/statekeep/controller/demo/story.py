"""The acts of the loan story.

Ids and idempotency keys are fixed, so a story that was interrupted goes on where it stopped: it is told again
from the beginning, and what has happened does not happen twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.progress import Progress

from statekeep.controller.cli.calls import Caller, CallFailed
from statekeep.controller.cli.tables import decisions_table

VERSIONS = ("loan-v1", "loan-v2", "loan-v2-buggy", "loan-v2-rescue")

PAYING = ["alice", *(f"payer-{number:04}" for number in range(1, 1203))]
WAIVED = ["bob", *(f"waived-{number:04}" for number in range(1, 847))]
UNLUCKY = ["alice", *(f"payer-{number:04}" for number in range(1, 17))]
"""Those whose automatic check times out."""

LUCKY = [f"payer-{number:04}" for number in range(101, 131)]

AT_ONCE = 32
"""Spawns in flight."""

PATIENCE_S = 60.0
POLL_S = 0.2


class Stage(Protocol):
    """Where versions are shown and approved."""

    async def preview(self, version: Any) -> Any:
        """Show the preview of a version that the API gives as it is now; return it as it was shown."""

    async def approve(self, name: str, preview_id: str) -> None:
        """Approve a preview."""

    async def applied(self, name: str) -> None:
        """Show what came of an approval."""


class Story:
    """The acts, and what they share."""

    def __init__(
        self, caller: Caller, stage: Stage, console: Console, *, root: str = "/v1"
    ) -> None:
        self._caller = caller
        self._stage = stage
        self._console = console
        self._root = root

    async def tell(self) -> None:
        """Tell it from the beginning."""
        await self.act_one()
        await self.act_two()
        await self.act_three()
        await self.epilogue()

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
            page = await self._caller.get(f"{self._root}/actors/{actor}/decisions")
            self._print(f"\n{actor}:")
            self._console.print(decisions_table(page["decisions"]))

    async def _spawn(self, ids: Sequence[str]) -> None:
        slots = asyncio.Semaphore(AT_ONCE)
        with Progress(console=self._console, transient=True) as progress:
            task = progress.add_task("Spawning", total=len(ids))

            async def one(actor_id: str) -> None:
                async with slots:
                    await self.spawn(actor_id)
                    progress.advance(task)

            try:
                async with asyncio.TaskGroup() as group:
                    for actor_id in ids:
                        group.create_task(one(actor_id))
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from failed  # they fail alike: the server is gone

    async def spawn(self, actor_id: str) -> None:
        """Spawn an actor on the root; again, it changes nothing."""
        body = {"id": actor_id, "version": VERSIONS[0]}
        await self._caller.post(f"{self._root}/actors", body)

    async def _send(self, ids: Sequence[str], event_type: str, data: Any = None) -> None:
        """Send every actor the event; again, after an interruption, it changes nothing."""
        extra = {} if data is None else {"data": data}
        events = [
            {"actor": actor_id, "type": event_type, "id": f"demo-{event_type}", **extra}
            for actor_id in ids
        ]
        for result in await self._caller.post(f"{self._root}/events", events):
            if not result.get("handled"):
                raise CallFailed(f"{event_type} was not taken: {result}")

    async def _deploy(self, name: str, *, migrate: int, stay: int, rescue: int) -> None:
        """Show the preview, hold it against the story, approve it, wait."""
        version = await self._until(name, lambda version: version.keys() & {"preview", "migration"})
        if "migration" in version:
            self._print(f"{name} was applied before the interruption.")
            return
        preview = await self._stage.preview(version)
        counts = preview["actors"]
        seen = (counts["wouldMigrate"], counts["wouldStay"], counts["needsRescue"])
        if seen != (migrate, stay, rescue):
            self._print(
                f"(The story has {migrate:,} / {stay:,} / {rescue:,}; the rest are actors of yours.)"
            )
        await self._stage.approve(name, preview["id"])
        version = await self._until(name, lambda version: "migration" in version)
        await self._stage.applied(name)
        done = version["migration"]
        numbers = (done["migrated"], done["stayed"], done["needsRescue"])
        if numbers != seen:
            raise CallFailed(f"{name} was to do {seen} and did {numbers}")
        self._print(
            f"Applied: {done['migrated']:,} migrated, {done['stayed']:,} stayed, "
            f"{done['needsRescue']:,} need a rescue."
        )

    async def _until(self, name: str, is_there: Callable[[Any], object]) -> Any:
        """Return the version once it is as wanted; the stage looks at its manifests now and then."""
        for _ in range(int(PATIENCE_S / POLL_S)):
            versions = (
                await self._caller.get(f"{self._root}/versions", machine="loan", limit="1000")
            )["versions"]
            if any(version["name"] == name for version in versions):
                version = await self._caller.get(f"{self._root}/versions/{name}")
                if is_there(version):
                    return version
            await asyncio.sleep(POLL_S)
        raise CallFailed(
            f"nothing has come of {name} for {PATIENCE_S:g} s; the log of the server says why"
        )

    async def _where(self, *ids: str) -> None:
        for actor_id in ids:
            actor = await self._caller.get(f"{self._root}/actors/{actor_id}")
            self._print(f"  {actor_id:6} is in {actor['state']} on {actor['version']}")

    def _say(self, title: str) -> None:
        self._console.print(f"\n[bold]{title}[/bold]")

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)
