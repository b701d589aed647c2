"""Probes and metrics over HTTP, for the kubelet and Prometheus."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import web

from statekeep.controller.kubernetes.errors import ClusterUnavailable
from statekeep.engine.errors import SchemaOutdated, StoreUnavailable

TIMEOUT_S = 5.0
"""How long what a probe asks may take to answer."""

SHUTDOWN_S = 1.0

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Check = Callable[[], Awaitable[None]]


def application(
    is_alive: Callable[[], Awaitable[bool]],
    checks: dict[str, Check],
    metrics: Callable[[], bytes],
) -> web.Application:
    """Return the application.

    Args:
        is_alive: whether the process can still do its work; if not, only a restart helps.
        checks: by name, what must answer before the operator can do anything; each raises if it does not.
        metrics: in the Prometheus text format.
    """

    async def livez(_: web.Request) -> web.Response:
        if await is_alive():
            return web.Response(text="ok\n")
        return web.Response(text="the watch is stuck\n", status=HTTPStatus.SERVICE_UNAVAILABLE)

    async def readyz(_: web.Request) -> web.Response:
        problems = await asyncio.gather(*(_problem(name, check) for name, check in checks.items()))
        if any(problems):
            text = "".join(f"{problem}\n" for problem in problems if problem)
            return web.Response(text=text, status=HTTPStatus.SERVICE_UNAVAILABLE)
        return web.Response(text="ok\n")

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": METRICS_TYPE})

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", exposition)
    return app


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the context is open; yield the port, which port 0 leaves to the system."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_address=True).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _problem(name: str, check: Check) -> str | None:
    try:
        await asyncio.wait_for(check(), TIMEOUT_S)
    except (StoreUnavailable, SchemaOutdated, ClusterUnavailable) as error:
        return f"{name}: {error}"
    except TimeoutError:
        return f"{name}: no answer within {TIMEOUT_S:g} s"
    return None
