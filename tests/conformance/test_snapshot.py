"""Our snapshots hydrate in the real XState: it stands where we stand, and goes on as we do."""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.conformance.xstate_package import install, script
from tests.store.conftest import NAMESPACE, World

from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.engine.json import JsonObject
from statekeep.engine.store.database import Database

PLAYER: JsonObject = {
    "id": "player",
    "initial": "off",
    "states": {
        "off": {"on": {"POWER": "on", "RESUME": "on.last", "RESUME_ALL": "on.all"}},
        "on": {
            "type": "parallel",
            "on": {"POWER": "off"},
            "states": {
                "sound": {
                    "initial": "normal",
                    "states": {"normal": {"on": {"MUTE": "muted"}}, "muted": {"id": "silence"}},
                },
                "film": {
                    "initial": "stopped",
                    "states": {
                        "stopped": {"on": {"PLAY": "playing"}},
                        "playing": {
                            "initial": "slow",
                            "states": {"slow": {"on": {"FASTER": "fast"}}, "fast": {}},
                        },
                    },
                },
                "last": {"type": "history"},
                "all": {"type": "history", "history": "deep"},
            },
        },
    },
}

STORIES = {
    "never moved": ([], ["POWER"]),
    "in parallel regions": (["POWER", "MUTE", "PLAY"], ["FASTER", "POWER", "RESUME_ALL"]),
    "shallow history": (["POWER", "MUTE", "PLAY", "FASTER", "POWER"], ["RESUME", "MUTE"]),
    "deep history": (["POWER", "MUTE", "PLAY", "FASTER", "POWER"], ["RESUME_ALL", "POWER"]),
}


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    if problem := install():
        pytest.skip(problem)


@pytest.fixture
async def url(database: Database) -> AsyncIterator[str]:
    await World(database).propose("player-v1", PLAYER, machine="player")
    async with listening(create(database, NAMESPACE), "127.0.0.1", 0) as base:
        yield base


def hydrated(snapshot: Any, events: list[str]) -> list[Any]:
    """Return what XState persists after hydrating the snapshot, and after each event."""
    case = json.dumps({"definition": PLAYER, "snapshot": snapshot, "events": events})
    program = str(script(Path(__file__).with_name("snapshot.mjs")))
    done = subprocess.run(["node", program], input=case, capture_output=True, text=True, check=True)
    answers: list[Any] = json.loads(done.stdout)
    return answers


def comparable(snapshot: Any) -> Any:
    """Return what two snapshots must share; XState lists remembered states in no set order."""
    remembered = {
        name: sorted(node["id"] for node in nodes)
        for name, nodes in snapshot["historyValue"].items()
    }
    return snapshot["status"], snapshot["value"], snapshot["context"], remembered


@pytest.mark.parametrize("story", STORIES)
async def test_xstate_goes_on_from_our_snapshot(url: str, story: str) -> None:
    before, after = STORIES[story]
    async with aiohttp.ClientSession(url) as session:

        async def post(path: str, body: Any) -> Any:
            async with session.post(path, json=body) as response:
                assert response.status < 300, await response.text()
                return await response.json()

        async def snapshot() -> Any:
            async with session.get("/v1/actors/a/snapshot") as response:
                return await response.json()

        await post("/v1/actors", {"id": "a", "machine": "player", "context": {"volume": 3}})
        for event in before:
            assert (await post("/v1/actors/a/events", {"type": event}))["handled"]
        theirs = hydrated(await snapshot(), after)
        ours = [await snapshot()]
        for event in after:
            await post("/v1/actors/a/events", {"type": event})
            ours.append(await snapshot())
    assert [comparable(one) for one in ours] == [comparable(one) for one in theirs]
