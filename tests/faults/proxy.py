"""A relay with everything that networks do to those who rely on them."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random

from tests.relay import Relay

COMMIT = (b"COMMIT\0", b"commit\0")
"""How a transaction's end looks on its way to Postgres, in a simple query or in a parsed statement."""

Target = Path | int
"""A Unix socket, or a port on loopback."""


class Cut(StrEnum):
    """What happens to a connection in the middle of a commit."""

    BEFORE = "before the COMMIT arrives"
    AFTER = "after the COMMIT was done, before its answer"
    AMID = "while the COMMIT may or may not be done"


@dataclass(eq=False)
class _Link:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    cut: Cut | None = None

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


@dataclass
class Proxy(Relay):
    """Leads to ``target``, which may change."""

    chance: Random
    target: Target | None = None
    latency_s: float = 0.0
    """How long a piece of data is held back at most."""

    resets: float = 0.0
    """How probable it is, for a piece of data, that its connection is reset instead."""

    cut: Cut | None = None
    """What to do to the next commits; ``cuts`` counts them."""

    cuts: int = 0
    refuses: bool = False
    _links: set[_Link] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._flows = asyncio.Event()
        self._flows.set()
        super().__init__()

    def lead_to(self, target: Target | None) -> None:
        """Lead new connections elsewhere; nowhere without a target."""
        self.target = target

    def cut_off(self) -> None:
        """Reset every connection that there is."""
        self._soon(self._abort_all)

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Let nobody through."""
        self.refuses = True
        self.cut_off()
        try:
            yield
        finally:
            self.refuses = False

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold everything back, and reset the connections in the end: nobody is told before."""
        self._soon(self._flows.clear)
        try:
            yield
        finally:
            self.cut_off()
            self._soon(self._flows.set)

    async def _end(self) -> None:
        self._abort_all()

    def _abort_all(self) -> None:
        for link in list(self._links):
            link.abort()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, back)
        self._links.add(link)
        await asyncio.gather(self._forth(link, reader), self._back(link, there))
        self._links.discard(link)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.refuses or self.target is None:
            raise ConnectionRefusedError
        if isinstance(self.target, Path):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection("127.0.0.1", self.target)

    async def _forth(self, link: _Link, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._pass(link)
                if self.cut is not None and any(commit in data for commit in COMMIT):
                    self.cuts += 1
                    link.cut = self.cut
                    if link.cut is Cut.BEFORE:
                        break
                link.server.write(data)
                await link.server.drain()
                if link.cut is Cut.AMID:
                    break
        if link.cut in (Cut.BEFORE, Cut.AMID):
            link.abort()
        link.server.close()

    async def _back(self, link: _Link, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._pass(link)
                if link.cut is not None:
                    link.abort()
                    break
                link.client.write(data)
                await link.client.drain()
        link.client.close()

    async def _pass(self, link: _Link) -> None:
        """Take the time that the network takes; some never arrive."""
        await self._flows.wait()
        if self.latency_s:
            await asyncio.sleep(self.chance.random() * self.latency_s)
        if self.resets and self.chance.random() < self.resets:
            link.abort()
