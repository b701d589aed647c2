"""The API as a process on a real Postgres, with a loan version in force; and a way to it that can be cut."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.api.definitions import LOAN_1, LOAN_2
from tests.api.process import Api
from tests.client.cutter import Cutter
from tests.conftest import KEYS
from tests.store.conftest import World

from statekeep.engine.json import JsonObject
from statekeep.engine.store.database import connect

ODD: JsonObject = {
    "id": "odd",
    "initial": "a\u2028b\u0085",
    "states": {"a\u2028b\u0085": {"on": {"GO\u2029": {}}}},
}
"""JSON has one kind of line break; texts in it may hold any."""


@dataclass
class House:
    """A running API, and what belongs to it."""

    home: Path
    database_url: str
    api: Api

    @property
    def url(self) -> str:
        return self.api.url

    def restart(self) -> None:
        """Start another process in the place of one that was killed; on another port."""
        self.api = Api(self.home, self.database_url)

    def migrate(self) -> None:
        """Apply ``v2`` to those who paid."""
        asyncio.run(self._migrate())

    async def _migrate(self) -> None:
        database = connect(self.database_url, KEYS)
        world = World(database)
        await world.propose("v2", LOAN_2, machine="loan", parent="v1", path=["START", "PAY"])
        await world.apply("v2")
        await database.close()


async def propose(database_url: str) -> None:
    database = connect(database_url, KEYS)
    world = World(database)
    await world.propose("v1", LOAN_1, machine="loan")
    await world.propose("odd", ODD, machine="odd")
    await database.close()


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    asyncio.run(propose(database_url))
    house = House(tmp_path, database_url, Api(tmp_path, database_url))
    yield house
    if house.api.process.poll() is None:
        house.api.kill()


@pytest.fixture
def cutter(house: House) -> Iterator[Cutter]:
    cutter = Cutter(house.url)
    yield cutter
    cutter.close()
