"""The load generator: a process of its own, HTTP/1.1 on raw sockets, one request in flight a connection.

It reads a task as JSON from its standard input, sends one step of traffic (see ``traffic``), and writes what it saw as
JSON. It is lean because it shares the processors with what it measures: requests are byte strings, answers are
searched and not parsed.
"""

import asyncio
import json
import re
import resource
import sys
import time
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import cast

import uvloop
from tests.bench.traffic import DATA, Shape, Traffic

LENGTH = re.compile(rb"[Cc]ontent-[Ll]ength: (\d+)")


class Mode(StrEnum):
    """How events are sent."""

    SINGLE = "single"
    BATCH = "batch"


@dataclass(frozen=True)
class Task:
    """One step of traffic, and how to send it."""

    host: str
    port: int
    mode: Mode
    connections: int
    shape: Shape
    actors: int
    step: int
    batch: int
    keys: bool
    """Whether every event carries an idempotency key."""


@dataclass
class Report:
    """What the generator saw."""

    acknowledged: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    """Of every request, in no particular order."""

    refused: list[str] = field(default_factory=list)
    """The first answers that were no success."""


def requests(task: Task, number: int) -> Iterator[tuple[bytes, int]]:
    """Yield the requests of one connection, each with the number of its events."""
    traffic = Traffic(task.shape, task.actors)
    own = traffic.share(number, task.connections)
    step = task.step
    if task.mode is Mode.SINGLE:
        for actor in own:
            body = f'{{"type":"{traffic.event_type(actor, step)}","data":{DATA}}}'
            key = f"Idempotency-Key: s{step}\r\n" if task.keys else ""
            yield post(f"/v1/actors/a{actor}/events", key, body), 1
        return
    for start in range(0, len(own), task.batch):
        some = own[start : start + task.batch]
        key = f',"id":"s{step}"' if task.keys else ""
        items = (
            f'{{"actor":"a{actor}","type":"{traffic.event_type(actor, step)}"{key},"data":{DATA}}}'
            for actor in some
        )
        yield post("/v1/events", "", f"[{','.join(items)}]"), len(some)


def post(path: str, headers: str, body: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{headers}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Caller(asyncio.Protocol):
    """One connection: sends a request, waits for the answer, sends the next one."""

    def __init__(self, wanted: Iterator[tuple[bytes, int]], report: Report, took: "array[float]"):
        self._wanted = wanted
        self._report = report
        self._took = took
        self._answer = b""
        self._missing = -1
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods and not the class.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed a connection"))

    def send(self) -> None:
        request, self._events = next(self._wanted, (b"", 0))
        if request:
            self._sent = time.perf_counter()
            self._transport.write(request)
        else:
            self.done.set_result(None)
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._answer = answer = self._answer + data if self._answer else data
        if self._missing < 0:
            head = answer.find(b"\r\n\r\n")
            length = LENGTH.search(answer, 0, head)
            if head < 0 or length is None:
                return
            self._missing = head + 4 + int(length[1])
        if len(answer) < self._missing:
            return
        self._took.append(time.perf_counter() - self._sent)
        taken = answer.count(b'"handled":true') if answer.startswith(b"HTTP/1.1 200") else 0
        self._report.acknowledged += taken
        if taken != self._events and len(self._report.refused) < 3:
            self._report.refused.append(answer[:600].decode(errors="replace"))
        self._answer, self._missing = b"", -1
        self.send()


async def run(task: Task) -> Report:
    """Send all of it as fast as it is answered."""
    report, took = Report(), array("d")
    loop = asyncio.get_running_loop()
    callers = []
    for number in range(task.connections):
        wanted = requests(task, number)
        if task.mode is Mode.BATCH:
            wanted = iter(list(wanted))  # made before the clock runs; single requests as they go
        make = Caller(wanted, report, took)
        await loop.create_connection(lambda make=make: make, task.host, task.port)  # type: ignore[misc]
        callers.append(make)
    cpu, start = cpu_s(), time.perf_counter()
    for caller in callers:
        caller.send()
    await asyncio.gather(*(caller.done for caller in callers))
    report.seconds = time.perf_counter() - start
    report.cpu_s = cpu_s() - cpu
    report.latencies_ms = [round(one * 1000, 3) for one in took]
    return report


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    given = json.load(sys.stdin)
    task = Task(**given | {"mode": Mode(given["mode"]), "shape": Shape(given["shape"])})
    json.dump(asdict(uvloop.run(run(task))), sys.stdout)
