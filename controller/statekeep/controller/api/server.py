"""Listening: the application on a TCP address, until it is told to stop."""

import ipaddress
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from statekeep.controller.api import problems
from statekeep.controller.api.authorization import GUARDS
from statekeep.engine.errors import StatekeepError

SHUTDOWN_S = 10.0
"""How long stopping may take: half of it for requests in flight to finish, half to break them off."""


class AddressRefused(StatekeepError):
    """The server cannot, or must not, listen there; the message says why and what to do."""

    @classmethod
    def taken(cls, host: str, port: int, error: OSError) -> "AddressRefused":
        """Return the refusal of an address that the system does not give us."""
        why = error.strerror or error
        return cls(f"cannot listen on {host}:{port}: {why}; choose another --port")


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, shares_port: bool = False
) -> AsyncIterator[str]:
    """Serve while the context is open; yield the base URL.

    Where nobody is asked who they are, only this machine may call. Processes that all say they share
    the port get the connections in turn.

    Raises:
        AddressRefused: the address is taken, or reaches beyond this machine and must not.
    """
    if not app.get(GUARDS) and not _is_loopback(host):
        raise AddressRefused(
            f"{host or 'every address'} can be reached from outside and callers are not authenticated: "
            "listen on 127.0.0.1, or have `statekeep api` ask them: --auth kubernetes, --auth keys or "
            "both (STATEKEEP_AUTH)"
        )
    logging.getLogger("aiohttp.server").addFilter(_is_our_fault)  # again, it changes nothing
    # aiohttp waits twice: for the answer, then for a handler that no longer gets a body. One that
    # waits for its client to read takes both.
    runner = _Runner(app, access_log=None, shutdown_timeout=SHUTDOWN_S / 2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, reuse_address=True, reuse_port=shares_port)
        try:
            await site.start()
        except OSError as error:
            raise AddressRefused.taken(host, port, error) from error
        bound_port = runner.addresses[0][1]
        yield f"http://{host if ':' not in host else f'[{host}]'}:{bound_port}"
    finally:
        await runner.cleanup()


class _Runner(web.AppRunner):
    """Serves an application, and answers what is not HTTP with a problem too."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            server.request_handler,
            request_factory=server.request_factory,
            loop=server._loop,
            **server._kwargs,
        )


class _Server(web.Server):
    """Makes our kind of connection."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    """One connection. What its parser refuses never becomes a request, so no middleware sees it."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Log the error as aiohttp does, and answer as we do."""
        super().handle_error(request, status, exc, message)
        response = problems.unparsed(HTTPStatus(status), exc).response()
        response.force_close()
        return response


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Return whether to log; a request that is not HTTP is its caller's, who is told with a 4xx."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | ClientPayloadError | ConnectionError)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
