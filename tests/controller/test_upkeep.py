"""The upkeep goes on, whatever happens to the database meanwhile."""

import asyncio
import logging

import pytest
from tests.conftest import KEYS
from tests.store.conftest import World
from tests.store.definitions import LOAN_1

from statekeep.controller import upkeep
from statekeep.controller.upkeep import keep_up
from statekeep.engine.store import collection
from statekeep.engine.store.database import Database, connect


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def test_what_is_deserted_goes_by_itself_whoever_else_does_the_same(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY", "UPLOAD")
    keepers = [asyncio.create_task(keep_up(world.database, every_s=0.01)) for _ in range(3)]
    async with asyncio.timeout(30):
        while await world.count("cohort") > 1:
            assert not any(keeper.done() for keeper in keepers)
    for keeper in keepers:
        keeper.cancel()
    assert await world.place("a") == ("v1", "review")


async def test_what_one_round_does_not_take_goes_at_once_with_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two a round, of four in each of two machines; nobody waits for an hour in between."""
    monkeypatch.setattr(collection, "A_ROUND", 2)
    for number in range(2):
        await world.propose(f"v{number}", LOAN_1, machine=f"m{number}")
        await world.spawn(f"a{number}", f"v{number}", "START", "PAY", "UPLOAD", "BACK")
    assert await world.count("cohort") == 10
    keeper = asyncio.create_task(keep_up(world.database, every_s=3600))
    async with asyncio.timeout(30):
        while await world.count("cohort") > 2:
            assert not keeper.done()
    keeper.cancel()


class Heard(logging.Handler):
    """Tells when so many warnings have been given."""

    def __init__(self, number: int) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self.enough = asyncio.Event()
        self._number = number

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        if len(self.messages) == self._number:
            self.enough.set()


async def test_the_upkeep_outlives_a_database_that_does_not_answer() -> None:
    database, heard = connect("postgresql://nobody@127.0.0.1:1/nothing", KEYS), Heard(2)
    upkeep.log.addHandler(heard)
    try:
        keeper = asyncio.create_task(keep_up(database, every_s=0.01))
        await asyncio.wait_for(heard.enough.wait(), 30)
        assert not keeper.done()
        keeper.cancel()
    finally:
        upkeep.log.removeHandler(heard)
        await database.close()
    assert heard.messages[0].startswith(
        "the upkeep of the database is put off: Postgres did not answer"
    )
