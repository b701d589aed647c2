"""Listening: the application on a TCP address, until it is told to stop."""

import ipaddress
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from statekeep.controller.api.authorization import GUARDS
from statekeep.controller.api.connections import Runner, is_our_fault
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
    logging.getLogger("aiohttp.server").addFilter(is_our_fault)  # again, it changes nothing
    # aiohttp waits twice: for the answer, then for a handler that no longer gets a body. One that
    # waits for its client to read takes both.
    runner = Runner(app, access_log=None, shutdown_timeout=SHUTDOWN_S / 2)
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


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
