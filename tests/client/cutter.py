"""A way to a server that can be cut: in the midst of an answer, before it, or for good."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.relay import Relay


class Cutter(Relay):
    """Leads to a URL; what it does to answers is set from outside."""

    def __init__(self, url: str) -> None:
        self.lead_to(url)
        self.losing = 0
        """Answers that are still to be lost: the server has given them, and the connection is closed."""

        self.lost = 0
        self.cut_after: int | None = None
        """Every connection is cut when so many bytes have come back over it."""

        self.cuts = 0
        self.before_answer: Callable[[], object] | None = None
        """Called once, when the next answer has come from the server and before it is passed on."""

        self.in_vain = threading.Event()
        """Somebody came while the server was away."""

        self._tasks: set[asyncio.Task[None]] = set()
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}"

    def lead_to(self, url: str) -> None:
        """Lead further connections there."""
        self._there = urlsplit(url).hostname, urlsplit(url).port

    async def _end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        back: asyncio.StreamWriter | None = None
        try:
            there, back = await asyncio.open_connection(*self._there)
            upwards = asyncio.create_task(self._up(reader, back))
            try:
                await self._down(there, writer)
            finally:
                upwards.cancel()
                await asyncio.wait([upwards])
        except ConnectionRefusedError:
            self.in_vain.set()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            if back is not None:
                back.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await reader.read(65536):
            if self.losing:
                self.losing -= 1
                self.lost += 1
                return
            if self.before_answer is not None:
                self.before_answer()
                self.before_answer = None
            if self.cut_after is not None and passed + len(data) > self.cut_after:
                writer.write(data[: self.cut_after - passed])
                await writer.drain()
                self.cuts += 1
                return
            passed += len(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()
