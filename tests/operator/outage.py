"""A way to Postgres that can be blocked, as a network or a failing server would."""

import asyncio
import contextlib
import threading
from pathlib import Path

from sqlalchemy.engine import make_url


class Way:
    """A TCP port on loopback that leads to the Unix socket of a database URL."""

    def __init__(self, database_url: str) -> None:
        address = make_url(database_url)
        self._socket = Path(str(address.query["host"]), ".s.PGSQL.5432")
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_open = True
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._port = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._started.wait(10)
        there = address.difference_update_query(["host"]).set(host="127.0.0.1", port=self._port)
        self.url = there.render_as_string(hide_password=False)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._lead, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        self._cut()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_open:
            writer.close()
            return
        there, back = await asyncio.open_unix_connection(self._socket)
        self._writers |= {writer, back}
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def block(self) -> None:
        """Cut every connection, and let none through."""
        self._is_open = False
        self._loop.call_soon_threadsafe(self._cut)

    def unblock(self) -> None:
        self._is_open = True

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
