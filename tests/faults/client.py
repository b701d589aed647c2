"""A client process: sends events as backends do, gives up on some, and remembers in its journal what it asked for.

Started again after it was killed, it reads its journal and retries what has a key and no answer. On SIGTERM it
finishes: every keyed event that it has not abandoned gets its answer, then it leaves.
"""

import asyncio
import dataclasses
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from tests.faults.definitions import EVENTS, MACHINES
from tests.faults.records import Answer, Attempt, Journal, Kind, Records, now

from statekeep.engine.json import canonical

HANDS = 3
"""Calls that one client makes at a time."""

HERD = 6
"""Own actors that one client looks after at a time."""

CROWD = 5
"""Actors that all clients send events to at a time."""

CROWD_CALLS = 120
"""After so many calls a client goes on to the next crowd."""

BATCH = 12
PATIENCE_S = 20.0
"""For an answer, mostly."""

PAUSE_S = 0.05
"""Between two calls at most; keeps a small machine from being busy with clients alone."""

LOST = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError)
"""What leaves nobody knowing what became of a call; a cut answer is no JSON."""


@dataclass(frozen=True)
class Settings:
    """What a client is told at its start."""

    name: str
    url: str
    folder: str
    seed: int
    life: int
    """How often it has been started before."""

    @property
    def journal(self) -> Path:
        return Path(self.folder) / f"{self.name}.jsonl"


@dataclass
class Client:
    settings: Settings
    session: aiohttp.ClientSession
    journal: Journal
    chance: Random
    calls: int = 0
    attempts: int = 0
    herd: dict[str, int] = field(default_factory=dict)
    """Own actors, with the events that each may still get."""

    done: list[Attempt] = field(default_factory=list)
    """Some keyed calls that were answered."""

    open: list[Attempt] = field(default_factory=list)
    """Keyed calls that wait to be tried again."""

    stopping: bool = False

    def recall(self) -> None:
        """Take up what an earlier life left without an answer."""
        records = Records(Path(self.settings.folder))
        records.refresh_only(self.settings.journal)
        last: dict[str, Attempt] = {}
        answered: set[str] = set()
        for attempt in records.attempts.values():
            if attempt.kind is Kind.EVENT and attempt.keyed:
                last[attempt.call] = attempt
                if attempt.answer is not None:
                    answered.add(attempt.call)
        self.open = [last[call] for call in last.keys() - answered if not self._gives_up()]
        self.open.sort(key=lambda attempt: attempt.began)

    def _gives_up(self) -> bool:
        return self.chance.random() < 0.05

    def _name(self) -> str:
        self.calls += 1
        return f"{self.settings.name}.{self.settings.life}.{self.calls}"

    def _attempt(self, call: Attempt, batch: str = "") -> Attempt:
        self.attempts += 1
        id_ = f"{self.settings.name}.{self.settings.life}/{self.attempts}"
        return dataclasses.replace(
            call, id=id_, batch=batch, began=now(), ended=None, status=None, answer=None
        )

    # What is called

    def draw_actor(self) -> str:
        if self.chance.random() < 0.2:
            crowd = self.calls // CROWD_CALLS
            machine = self.chance.choice(MACHINES)
            return f"{machine}.crowd.{crowd}.{self.chance.randrange(CROWD)}"
        if len(self.herd) < HERD:
            name = f"{self.chance.choice(MACHINES)}.{self._name()}"
            self.herd[name] = self.chance.randint(4, 24)
            return name
        name = self.chance.choice(sorted(self.herd))
        self.herd[name] -= 1
        if self.herd[name] < 0:
            del self.herd[name]
        return name

    def draw_call(self) -> Attempt:
        keyed = self.chance.random() < 0.75
        call = self._name()
        return Attempt(
            call, call, Kind.EVENT, self.draw_actor(), self.chance.choice(EVENTS), keyed=keyed
        )

    async def hand(self) -> None:
        """Make one call after the other; at the end, only those that are left open."""
        while not self.stopping or self.open:
            if self.stopping or (self.open and self.chance.random() < 0.3):
                await self._again()
            else:
                act = self.chance.choices(
                    (self._single, self._batch, self._repeat, self._read), (6, 3, 1, 1)
                )[0]
                await act()
            await asyncio.sleep(self.chance.random() * PAUSE_S)

    async def _single(self) -> None:
        await self.send(self.draw_call())

    async def _again(self) -> None:
        """Try open calls again, one or some of them."""
        number = 1 if self.chance.random() < 0.5 else BATCH
        some, self.open = self.open[:number], self.open[number:]
        if len(some) == 1:
            await self.send(some[0])
        else:
            await self.send_many(some)

    async def _batch(self) -> None:
        await self.send_many([self.draw_call() for _ in range(self.chance.randint(2, BATCH))])

    async def _repeat(self) -> None:
        """Ask once more for what was answered: another process may not have heard of it."""
        if self.done:
            await self.send(self.chance.choice(self.done))

    async def _read(self) -> None:
        if self.herd:
            actor = self.chance.choice(sorted(self.herd))
            await self._ask(Attempt("", self._name(), Kind.READ, actor))

    # How it is called

    async def send(self, call: Attempt) -> None:
        """Send one event in a request of its own, with the key in the header or in the body."""
        attempt = self._attempt(call)
        self.journal.begin([attempt])
        body = {"type": call.type, "data": {"call": call.call}}
        headers = {}
        if call.keyed and self.chance.random() < 0.5:
            headers["Idempotency-Key"] = call.call
        elif call.keyed:
            body["id"] = call.call
        path = f"/v1/actors/{call.actor}/events"
        status, document = await self._post(path, body, headers)
        self._note([(attempt, status, document)])
        if status == 404:
            await self.spawn(call.actor)

    async def send_many(self, calls: Sequence[Attempt]) -> None:
        """Send events in one request, as an array or as a stream."""
        batch = self._name()
        attempts = [self._attempt(call, batch) for call in calls]
        self.journal.begin(attempts)
        items = [
            {"actor": one.actor, "type": one.type, "data": {"call": one.call}}
            | ({"id": one.call} if one.keyed else {})
            for one in attempts
        ]
        if self.chance.random() < 0.5:
            _, documents = await self._post("/v1/events", items, {})
        else:
            documents = await self._stream(items)
        if not isinstance(documents, list):
            documents = []
        documents += [None] * (len(attempts) - len(documents))
        results = [
            (attempt, _status(document), document)
            for attempt, document in zip(attempts, documents, strict=True)
        ]
        self._note(results)
        for actor in sorted({one.actor for one, status, _ in results if status == 404}):
            await self.spawn(actor)

    async def spawn(self, actor: str) -> None:
        """Spawn an actor; whoever else does so wants the same one."""
        await self._ask(Attempt("", self._name(), Kind.SPAWN, actor))

    async def _ask(self, call: Attempt) -> None:
        attempt = self._attempt(call)
        self.journal.begin([attempt])
        if call.kind is Kind.SPAWN:
            body = {"id": call.actor, "machine": call.actor.partition(".")[0]}
            status, document = await self._post("/v1/actors", body, {})
        else:
            status, document = await self._called("GET", f"/v1/actors/{call.actor}")
        self._note([(attempt, status, document)])

    def _note(self, results: Sequence[tuple[Attempt, int | None, Any]]) -> None:
        """Write down what came back; what nobody knows is tried again, if it has a key."""
        at = now()
        lines = []
        for attempt, status, document in results:
            answer = _answer(document) if status in (200, 201) else None
            lines.append((attempt.id, at, status, answer))
            if attempt.kind is not Kind.EVENT or not attempt.keyed:
                continue
            if answer is None:
                if not self._gives_up():
                    self.open.append(attempt)
                continue
            if self.chance.random() < 0.1:
                self.done = [*self.done[-20:], attempt]
            if document["status"] == "done":
                self.herd.pop(attempt.actor, None)
        self.journal.end(lines)

    # The wire

    def _timeout(self) -> aiohttp.ClientTimeout:
        """Return a patience, or now and then hardly any."""
        impatient = not self.stopping and self.chance.random() < 0.05
        return aiohttp.ClientTimeout(self.chance.uniform(0.002, 0.05) if impatient else PATIENCE_S)

    async def _post(self, path: str, body: Any, headers: dict[str, str]) -> tuple[int | None, Any]:
        return await self._called("POST", path, json=body, headers=headers)

    async def _called(self, method: str, path: str, **more: Any) -> tuple[int | None, Any]:
        try:
            async with self.session.request(
                method, self.settings.url + path, timeout=self._timeout(), **more
            ) as response:
                return response.status, await response.json(content_type=None)
        except LOST:
            return None, None

    async def _stream(self, items: Sequence[Any]) -> list[Any]:
        """Send NDJSON; return the whole lines of the answer, however it ended."""
        documents: list[Any] = []
        body = b"".join(json.dumps(item).encode() + b"\n" for item in items)
        headers = {"Content-Type": "application/x-ndjson"}
        try:
            async with self.session.post(
                f"{self.settings.url}/v1/events",
                data=body,
                headers=headers,
                timeout=self._timeout(),
            ) as response:
                async for line in response.content:
                    if response.status != 200 or not line.endswith(b"\n"):
                        break
                    documents.append(json.loads(line))
        except LOST:
            pass
        return documents[: len(items)]


def _status(document: Any) -> int | None:
    """Return the status of a batch's item."""
    if document is None:
        return None
    return 200 if "handled" in document else int(document["status"])


def _answer(document: Any) -> Answer:
    value = canonical(document["stateValue"]).decode()
    return Answer(document["seq"], document["version"], value, document.get("handled", True))


async def run(settings: Settings) -> None:
    """Send events until SIGTERM, then finish."""
    chance = Random(f"{settings.seed}/{settings.name}/{settings.life}")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        client = Client(settings, session, Journal(settings.journal), chance)
        client.recall()

        def stop() -> None:
            client.stopping = True

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
        async with asyncio.TaskGroup() as group:
            for _ in range(HANDS):
                group.create_task(client.hand())


if __name__ == "__main__":
    asyncio.run(run(Settings(**json.loads(sys.argv[1]))))
