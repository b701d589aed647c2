"""A TCP port on loopback that leads somewhere, for as long as a test wants."""

import asyncio
import threading
from collections.abc import Callable

START_S = 30.0


class Relay:
    """Serves a free port in a thread of its own; where a connection leads is up to ``_lead``."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(START_S)

    def close(self) -> None:
        """End every connection, and take no more."""
        self._soon(self._stop.set)
        self._thread.join(START_S)

    def _soon(self, act: Callable[[], None]) -> None:
        """Have something done by the thread."""
        self._loop.call_soon_threadsafe(act)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._lead, "127.0.0.1", 0)
        self.port: int = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        await self._end()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _end(self) -> None:
        """End the connections that there are."""
        raise NotImplementedError
