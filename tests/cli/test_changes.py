"""``statekeep changes``: what happens, as it happens, also past a server that goes away."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import pytest
from tests.api.process import Api
from tests.dev.process import Watched, statekeep
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.engine.store.database import Database


@pytest.fixture
async def world(database: Database) -> World:
    """Somebody who was there before the move, and moved with it."""
    world = World(database)
    await world.propose("v1", LOAN_1)
    await world.spawn("alice", "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    await world.apply("v2")
    return world


@pytest.fixture
def api(tmp_path: Path, database_url: str, world: World) -> Iterator[Api]:
    server = Api(tmp_path, database_url)
    yield server
    if server.process.poll() is None:
        server.kill()


STORY = """\
alice: was spawned in idle on v1 (seq 0)
alice: START → fee on v1 (seq 1)
alice: PAY → documents on v1 (seq 2)
v2 was applied to actors on v1: 1 migrated, 0 stayed, 0 need a rescue
alice: migrated from documents on v1 → income on v2 (seq 2)
"""


def test_all_that_there_is_can_be_printed(api: Api, tmp_path: Path) -> None:
    run = ("changes", "--server", api.url, "--all", "--no-follow")
    assert statekeep(tmp_path, *run) == (0, STORY)
    assert statekeep(tmp_path, *run, "--machine", "other") == (0, "")
    status, printed = statekeep(tmp_path, *run, "--json")
    lines = [json.loads(line) for line in printed.splitlines()]
    assert (status, [line["kind"] for line in lines]) == (
        0,
        ["spawn", "event", "event", "deployment", "migration"],
    )
    rest = statekeep(tmp_path, *run[:3], "--no-follow", "--after", lines[2]["cursor"])
    assert rest == (0, "".join(STORY.splitlines(keepends=True)[3:]))


def test_a_refusal_is_one_line(api: Api, tmp_path: Path) -> None:
    status, printed = statekeep(tmp_path, "changes", "--server", api.url, "--after", "x")
    assert (status, printed) == (
        1,
        "statekeep: the cursor is not one that this API gave out\n",
    )


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    status, printed = statekeep(tmp_path, "changes", "--server", "http://127.0.0.1:1")
    assert status == 1
    assert printed.startswith("statekeep: http://127.0.0.1:1 does not answer")
    assert printed.count("\n") == 1


async def test_a_server_that_comes_back_is_followed_on_without_a_gap(
    api: Api, tmp_path: Path, database_url: str, world: World
) -> None:
    follower = Watched(tmp_path, "changes", "--server", api.url, "--all")
    follower.line("income on v2")
    api.kill()
    follower.line("waiting for it")
    await world.answered("alice", "VERIFY")
    port = str(urlparse(api.url).port)
    again = Api(tmp_path, database_url, port=port)
    follower.line("alice: VERIFY → documents on v2 (seq 3)")
    await world.answered("alice", "UPLOAD")
    follower.line("alice: UPLOAD → review on v2 (seq 4)")
    follower.kill()
    again.kill()
    told = [line for line in follower.lines if "does not answer" not in line]
    assert told == [
        *STORY.splitlines(),
        "alice: VERIFY → documents on v2 (seq 3)",
        "alice: UPLOAD → review on v2 (seq 4)",
    ]
