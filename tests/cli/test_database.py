"""``statekeep db``: what an operator of the database runs by hand."""

import asyncio

import psycopg
import pytest
from click.testing import CliRunner, Result
from tests.store.conftest import World
from tests.store.definitions import LOAN_1

from statekeep.controller.cli.main import statekeep
from statekeep.engine.store.database import Database


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def db(*arguments: str) -> Result:
    return CliRunner().invoke(statekeep, ["db", *arguments])


async def in_thread(*arguments: str) -> Result:
    """Run a command beside this event loop: it has one of its own."""
    return await asyncio.to_thread(db, *arguments)


async def test_the_index_is_rebuilt_by_a_command(world: World, database_url: str) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.spawn("b", "v1", "START")
    done = await in_thread("rebuild-index", "--database-url", database_url)
    assert done.exit_code == 0, done.output
    assert done.output == (
        "Rebuilt 2 cohorts and 1 edge of 1 machine.\nEvery actor was where the log has it.\n"
    )
    assert await world.place("a") == ("v1", "documents")


async def test_an_actor_that_the_index_had_elsewhere_is_counted_and_put_right(
    world: World, database_url: str
) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.spawn("b", "v1")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "update statekeep.actor set cohort_id = (select cohort_id from statekeep.actor where id = 'b')"
            " where id = 'a'"
        )
    done = await in_thread("rebuild-index", "--database-url", database_url)
    assert done.output.splitlines()[1:] == [
        "1 actor had another place than in the log; now all are where the log has them."
    ]
    assert await world.place("a") == ("v1", "documents")


async def test_tables_are_partitioned_by_a_command(world: World, database_url: str) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    done = await in_thread("partition", "3", "--database-url", database_url)
    assert done.output == "Actors and events are spread over 3 partitions.\n"
    assert await world.place("a") == ("v1", "fee")


def test_a_number_of_partitions_that_makes_no_sense_is_refused() -> None:
    done = db("partition", "1", "--database-url", "postgresql://nowhere")
    assert done.exit_code == 2
    assert "is not in the range 2<=x<=1024" in done.output
