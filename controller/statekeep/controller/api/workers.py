"""Several processes that serve the API on one port, and the one that looks after them.

The kernel spreads connections over them (``SO_REUSEPORT``). A worker that dies is replaced; its requests in flight
are lost, which a retry with the same idempotency key finds out. When the supervisor ends, however it ends, the pipe to
each worker closes, and the worker finishes what is in flight and ends too.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop
from prometheus_client.multiprocess import mark_process_dead

from statekeep.controller.api.metrics import METRICS_FOLDER, Metrics, text_of_workers
from statekeep.controller.api.run import Announce, opened, probed, served
from statekeep.controller.api.server import SHUTDOWN_S, AddressRefused
from statekeep.controller.api.settings import Settings
from statekeep.controller.logs import log_as
from statekeep.engine.errors import StatekeepError, StoreUnavailable

MAX_FAILURES = 3
"""Workers that end before they are ready, one after the other, until it is said that they cannot start."""

PAUSE_S = 0.5
"""Between the end of a worker and the start of the next one; twice as long after each that was never ready."""

MAX_PAUSE_S = 8.0
"""However many were never ready."""

AWAY = os.EX_TEMPFAIL
"""How a worker exits that could not start because Postgres does not answer."""

GRACE_S = 5.0
"""What a worker may take to stop beyond the time that its requests have."""

_processes = multiprocessing.get_context("spawn")

log = logging.getLogger(__name__)


class WorkersFailed(StatekeepError):
    """Workers cannot start; what they logged says why."""


async def supervise(settings: Settings, stop: asyncio.Event, announce: Announce) -> None:
    """Serve with ``settings.workers`` processes until ``stop`` is set."""
    async with opened(settings) as database:
        with (
            _reserved(settings.host, settings.port) as port,
            tempfile.TemporaryDirectory(prefix="statekeep-metrics-") as folder,
        ):
            os.environ[METRICS_FOLDER] = folder
            slots: list[_Slot] = []

            def is_served() -> bool:
                return any(slot.is_ready for slot in slots)

            async def is_alive() -> bool:
                return is_served()

            slots += [
                _Slot(replace(settings, port=port), stop, is_served)
                for _ in range(settings.workers)
            ]
            metrics = partial(text_of_workers, Path(folder))
            async with probed(settings, database, metrics, is_alive):
                await _keep(slots, stop, announce)


async def _keep(slots: "list[_Slot]", stop: asyncio.Event, announce: Announce) -> None:
    """Run every slot; the first one that gives up ends the others."""
    keeping = [asyncio.create_task(slot.keep()) for slot in slots]
    starting = asyncio.create_task(_announced(slots, announce))
    try:
        await asyncio.wait(keeping, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        starting.cancel()
        results = await asyncio.gather(*keeping, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _announced(slots: "list[_Slot]", announce: Announce) -> None:
    urls = [await slot.url for slot in slots]
    announce(urls[0])


class _Slot:
    """The place of one worker: when it ends, another one takes it.

    Postgres being away is no reason to give up, and neither is anything else while other workers serve: they would
    have to end with it.
    """

    def __init__(
        self, settings: Settings, stop: asyncio.Event, is_served: Callable[[], bool]
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._is_served = is_served
        self.is_ready = False
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def keep(self) -> None:
        """Keep a worker running until everything is to stop.

        Raises:
            WorkersFailed: none gets ready.
        """
        failures = 0
        pause = PAUSE_S
        while not self._stop.is_set():
            worker = _Worker(self._settings)
            was_ready = await self._lived(worker)
            if self._stop.is_set():
                return
            log.error("a worker ended", extra={"fields": {"status": worker.status}})
            failures = 0 if was_ready or worker.status == AWAY else failures + 1
            if failures >= MAX_FAILURES and not self._is_served():
                raise WorkersFailed("a worker cannot start; the log says why")
            pause = PAUSE_S if was_ready else min(pause * 2, MAX_PAUSE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)

    async def _lived(self, worker: "_Worker") -> bool:
        """Follow a worker to its end; return whether it was ever ready."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait(
                (worker.url, worker.ended, stopping), return_when=asyncio.FIRST_COMPLETED
            )
            self.is_ready = worker.url.done()
            if self.is_ready and not self.url.done():
                self.url.set_result(worker.url.result())
            await asyncio.wait((worker.ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            self.is_ready = False
            await worker.stop()
        return worker.url.done()


class _Worker:
    """One process, and the pipe that ties it to us."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self.url: asyncio.Future[str] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._pipe, theirs = _processes.Pipe()
        self._process = _processes.Process(target=work, args=(settings, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._loop.add_reader(self._pipe.fileno(), self._hear)
        self._loop.add_reader(self._process.sentinel, self._end)

    @property
    def status(self) -> int | None:
        """Return the exit status; negative is a signal."""
        return self._process.exitcode

    async def stop(self) -> None:
        """Tell the process to finish what is in flight, and wait until it has."""
        self._loop.remove_reader(self._pipe.fileno())
        self._pipe.close()
        await asyncio.wait((self.ended,), timeout=SHUTDOWN_S + GRACE_S)
        if not self.ended.done():
            self._process.kill()
            await self.ended

    def _hear(self) -> None:
        try:
            self.url.set_result(self._pipe.recv_bytes().decode())
        except (EOFError, OSError):
            self._loop.remove_reader(self._pipe.fileno())

    def _end(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._process.join()
        mark_process_dead(self._process.pid, os.environ[METRICS_FOLDER])  # type: ignore[no-untyped-call]
        self.ended.set_result(None)


def work(settings: Settings, pipe: Connection) -> None:
    """Serve in a process of its own; where everything a worker does begins."""
    log_as(settings.logs)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us too; the supervisor decides
    try:
        uvloop.run(_work(settings, pipe))
    except StatekeepError as error:
        log.error("a worker cannot serve: %s", error)
        sys.exit(AWAY if isinstance(error, StoreUnavailable) else 1)


async def _work(settings: Settings, pipe: Connection) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(pipe.fileno(), stop.set)  # nothing is ever sent to us, so it has closed
    async with (
        opened(settings) as database,
        served(settings, database, Metrics(), shares_port=True) as url,
    ):
        pipe.send_bytes(url.encode())
        await stop.wait()
        loop.remove_reader(pipe.fileno())


@contextmanager
def _reserved(host: str, port: int) -> Iterator[int]:
    """Hold a port that nobody else uses, without listening there; 0 becomes a free one.

    Raises:
        AddressRefused: it is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as alone, socket.socket(family) as shared:
        try:
            # As servers do: connections of a predecessor, which linger, are no other user.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host, port))
            free: int = alone.getsockname()[1]
            alone.close()
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            shared.bind((host, free))
        except OSError as error:
            raise AddressRefused.taken(host, port, error) from error
        yield free
