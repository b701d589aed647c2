"""The benchmark's population is what spawns and events would have left, in the log, the index and the feed."""

from collections import defaultdict

import pytest
from tests.bench.population import Filling, Kind, definition, histories
from tests.store.conftest import World

from statekeep.engine.store import changes
from statekeep.engine.store.changes import ActorChanged
from statekeep.engine.store.database import Database
from statekeep.engine.store.rebuilding import rebuild


@pytest.mark.parametrize("kind", ["shared", "unique", "loops"])
async def test_the_feed_tells_every_life_from_its_spawn_on_in_order(
    database: Database, database_url: str, kind: Kind
) -> None:
    world = World(database)
    root = await world.propose("v1", definition())
    Filling(database_url, root.id, root.machine_id, lambda *_: None).fill(kind, 120, 17)
    told: dict[str, list[tuple[int, str | None]]] = defaultdict(list)
    newest = (await world.database.read(changes.newest)).position
    for change in await world.database.read(
        lambda connection: changes.stretch(
            connection, world.catalogue, [world.namespace], after=0, upto=newest
        )
    ):
        assert isinstance(change, ActorChanged)
        told[change.actor_id].append((change.seq, change.event_type))
    lives = {f"a{number}": life for number, life in enumerate(histories(kind, 120, 17))}
    assert told == {name: list(enumerate((None, *life))) for name, life in lives.items()}
    assert (await rebuild(database)).misplaced == 0
