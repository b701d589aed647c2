"""``kubectl statekeep`` actors and preview --file: through a port-forward that lasts as long as the command."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.operator.patience import PATIENCE_S, until
from tests.plugin.run import Done, Plugin
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.engine.ids import Namespace
from statekeep.engine.store.database import Database

CONFIG = {
    "current-context": "c",
    "contexts": [
        {"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "loans"}},
        {"name": "d", "context": {"cluster": "k", "user": "u"}},
    ],
    "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
}


def service(name: str, *ports: tuple[str, int]) -> Any:
    listed = [{"name": name, "port": port} for name, port in ports]
    return {"metadata": {"namespace": "statekeep", "name": name}, "spec": {"ports": listed}}


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Somebody whose context is the namespace loans of a cluster with one event API."""
    config = tmp_path / "config"
    config.write_text(yaml.safe_dump(CONFIG))
    services = {"items": [service("statekeep-api", ("metrics", 9090), ("http", 8080))]}
    environment = {
        "STANDIN_SERVICES": json.dumps(services),
        "STANDIN_LOG": str(tmp_path / "forwards"),
    }
    return Plugin(tmp_path, config, environment=environment)


@pytest.fixture
async def world(database: Database, plugin: Plugin) -> AsyncIterator[World]:
    """The event API in its pod; ann is on loan-1, in the namespace loans."""
    world = World(database, namespace=Namespace("loans"))
    await world.propose("loan-1", LOAN_1, machine="loan")
    await world.spawn("ann", "loan-1", "START", "PAY")
    async with listening(create(database, Namespace("statekeep")), "127.0.0.1", 0) as url:
        plugin.environment["STANDIN_API"] = url.removeprefix("http://")
        yield world


async def run(plugin: Plugin, *arguments: str) -> Done:
    return await asyncio.to_thread(plugin, *arguments)


def forwards(plugin: Plugin) -> list[str]:
    """Return what port-forwards were made, and when they ended."""
    log = Path(plugin.environment["STANDIN_LOG"])
    return log.read_text().splitlines() if log.exists() else []


def forget(plugin: Plugin) -> None:
    """Forget the port-forwards that were made."""
    Path(plugin.environment["STANDIN_LOG"]).unlink(missing_ok=True)


async def test_actors_are_reached_through_a_forward_that_ends_with_the_command(
    world: World, plugin: Plugin
) -> None:
    done = await run(plugin, "actors", "list")
    assert done.err == ""
    assert done.lines[1].split() == ["ann", "loan-1", "documents", "active", "2"]
    assert forwards(plugin) == ["began statekeep service/statekeep-api :8080", "ended"]
    done = await run(plugin, "actors", "send", "ann", "UPLOAD")
    assert done.out == "UPLOAD → review on loan-1 (seq 3)\n"
    assert forwards(plugin).count("ended") == 2


async def test_the_namespace_is_the_flag_s_or_the_context_s(world: World, plugin: Plugin) -> None:
    assert '"id": "ann"' in (await run(plugin, "actors", "show", "ann")).out
    for where in (("-n", "other"), ("--context", "d")):
        done = await run(plugin, "actors", "show", "ann", *where)
        assert (done.status, done.out) == (1, "")
        assert "actor ann" in done.err
    done = await run(plugin, "actors", "show", "ann", "--context", "d", "--namespace", "loans")
    assert done.status == 0
    assert (
        'context "nowhere" does not exist'
        in (await run(plugin, "actors", "list", "--context", "nowhere")).err
    )


async def test_a_manifest_is_previewed_through_the_forward(world: World, plugin: Plugin) -> None:
    document = {
        "apiVersion": "statekeep.io/v1alpha1",
        "kind": "MachineVersion",
        "metadata": {"name": "loan-2"},
        "spec": {"parentId": "loan-1", "historyPath": ["START", "PAY"], "definition": LOAN_2},
    }
    file = plugin.home / "loan-2.json"
    file.write_text(json.dumps(document))
    done = await run(plugin, "preview", "-f", str(file))
    assert "1 of 1 actor on loan-1 would migrate" in done.out
    done = await run(plugin, "preview", "-f", str(file), "--format", "markdown")
    assert "```mermaid" in done.out
    assert forwards(plugin).count("ended") == 2


async def test_a_service_that_is_not_there_or_not_the_only_one_must_be_named(
    world: World, plugin: Plugin
) -> None:
    two = [service("one-api", ("http", 80)), service("two-api", ("http", 80))]
    for items, found in ([], "there is none"), (two, "statekeep/one-api, statekeep/two-api"):
        plugin.environment["STANDIN_SERVICES"] = json.dumps({"items": items})
        done = await run(plugin, "actors", "list")
        assert (done.status, done.out) == (1, "")
        assert found in done.err
        assert "--api NAMESPACE/NAME" in done.err
    assert (await run(plugin, "actors", "list", "--api", "statekeep/one-api")).status == 0
    assert forwards(plugin) == ["began statekeep service/one-api :http", "ended"]
    assert (await run(plugin, "actors", "list", "--api", "one-api")).status == 2


async def test_a_forward_that_fails_says_why(plugin: Plugin) -> None:
    done = await run(plugin, "actors", "list")
    assert done.status == 1
    assert done.err == (
        "kubectl statekeep: statekeep/statekeep-api cannot be reached: "
        "error: unable to forward port because pod is not running. Current status=Pending\n"
    )


async def test_the_caller_s_token_is_a_service_account_s_or_a_given_one(plugin: Plugin) -> None:
    seen: list[tuple[str, str]] = []

    async def record(request: web.Request) -> web.Response:
        seen.append((request.headers.get("Authorization", ""), request.path))
        return web.json_response({"actors": []})

    app = web.Application()
    app.router.add_get("/{path:.*}", record)
    async with TestServer(app) as server:
        there = ("actors", "list", "--server", str(server.make_url("/")))
        await run(plugin, *there, "--service-account", "backend")
        await run(plugin, *there, "--token", "given")
        plugin.environment["STATEKEEP_TOKEN"] = "found"
        await run(plugin, *there)
        await run(plugin, *there, "--service-account", "backend")
    path = "/v1/namespaces/loans/actors"
    assert seen == [
        ("Bearer backend.loans.statekeep", path),
        ("Bearer given", path),
        ("Bearer found", path),
        ("Bearer backend.loans.statekeep", path),
    ]
    assert forwards(plugin) == []


async def test_a_command_that_is_ended_ends_its_forward(plugin: Plugin) -> None:
    asked = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    app = web.Application()
    app.router.add_get("/{path:.*}", hang)
    async with TestServer(app) as server:
        plugin.environment["STANDIN_API"] = f"127.0.0.1:{server.port}"
        statuses = {signal.SIGTERM: -15, signal.SIGHUP: -1, signal.SIGINT: 1}
        for number, status in statuses.items():
            asked.clear()
            forget(plugin)
            process = await asyncio.create_subprocess_exec(
                *plugin.command("actors", "list"),
                env=plugin.variables(),
                stderr=asyncio.subprocess.PIPE,
            )
            await asyncio.wait_for(asked.wait(), PATIENCE_S)
            process.send_signal(number)
            _, err = await process.communicate()
            assert (process.returncode, b"Traceback" in err) == (status, False)
            await asyncio.to_thread(
                until, lambda: forwards(plugin)[-1] == "ended", "the forward's end"
            )
