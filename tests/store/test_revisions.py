"""From the first release's schema to this one's, with its data in it; and from this one's to the next."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url
from tests.api.process import ask
from tests.conftest import KEYS
from tests.faults import next_release
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2
from tests.store.test_changes import Reader
from tests.store.test_rotation import BOTH, finished
from tests.store.test_waiting import WAITING

from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.controller.dev.postgres import EmbeddedPostgres
from statekeep.engine.ids import Namespace, PreviewId
from statekeep.engine.store import deployments, pruning, takeover, versions
from statekeep.engine.store.changes import ActorChanged, VersionDeployed
from statekeep.engine.store.database import Database, check, connect, upgrade
from statekeep.engine.store.deployments import Deployment
from statekeep.engine.store.events import Answer
from statekeep.engine.store.keyring import context_place, event_place
from statekeep.engine.store.rebuilding import rebuild
from statekeep.engine.store.schema import SCHEMA, metadata

DATA = Path(__file__).parent / "data" / "revision-0001.sql"
SHOWN = PreviewId("6be5776ae38d85c0f2b055e6f1ce755c")
"""What the first release showed of v3."""


def config(connection: sa.Connection | None = None) -> Config:
    made = Config()
    made.set_main_option("script_location", "statekeep.engine.store:migrations")
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def revisions() -> list[str]:
    """Return every revision, the first one first."""
    script = ScriptDirectory.from_config(config())
    return [one.revision for one in script.walk_revisions()][::-1]


def bring_to(url: str, revision: str) -> None:
    """Run the revisions up to this one, as Alembic runs them."""
    engine = sa.create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(sa.text(f"create schema if not exists {SCHEMA}"))
        command.upgrade(config(connection), revision)
    engine.dispose()


@pytest.fixture
def first_url(embedded: EmbeddedPostgres, request: pytest.FixtureRequest) -> str:
    """A database as the first release left it."""
    name = f"first_{abs(hash(request.node.name))}"
    with psycopg.connect(embedded.url, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    url = make_url(embedded.url).set(database=name).render_as_string(hide_password=False)
    bring_to(url, revisions()[0])
    with psycopg.connect(url) as connection:
        connection.execute(DATA.read_text("utf-8").encode())
    return url


@pytest.fixture
async def upgraded(first_url: str) -> AsyncIterator[World]:
    """It, upgraded revision by revision."""
    for revision in revisions():
        bring_to(first_url, revision)
        with psycopg.connect(first_url) as connection:
            [found] = connection.execute("select version_num from statekeep.alembic_version")
        assert found == (revision,)
    database = connect(first_url, KEYS)
    await check(database)
    yield World(database)
    await database.close()


async def test_actors_of_the_first_release_are_where_they_were(upgraded: World) -> None:
    assert {name: await upgraded.place(name) for name in ("paid", "later", "new")} == {
        "paid": ("v2", "documents"),
        "later": ("v2", "documents"),
        "new": ("v1", "idle"),
    }
    assert await upgraded.place("waived") == await upgraded.place("back") == ("v1", "documents")
    assert await upgraded.place("done") == ("v1", "approved")
    paid = await upgraded.actor("paid")
    assert paid.context is not None
    opened = json.loads(KEYS.open(paid.context, context_place(paid.key)))
    assert opened == {"amount": 9000, "paid": True}
    log = await upgraded.log("paid")
    assert [(one.event_type, one.configuration.label) for one in log] == [
        ("START", "fee"),
        ("PAY", "documents"),
        ("VERIFY", "documents"),
    ]
    assert log[1].data is not None
    assert KEYS.open(log[1].data, event_place(paid.key, 2)) == b'{"cents":500}'


async def test_decisions_of_the_first_release_read_as_they_did(upgraded: World) -> None:
    told = {
        name: [(one.reason, one.detail) for one in await upgraded.decisions(name)]
        for name in ("paid", "waived", "done", "back", "new", "later")
    }
    assert told == {
        "paid": [(None, None)],
        "waived": [("PathNotInHistory", "event 2 is WAIVE, the path has PAY")],
        "done": [("Completed", "done in approved")],
        "back": [("NeedsRescue", "event 3, UPLOAD, is not handled in income")],
        "new": [("PathNotInHistory", "0 of 2 events so far")],
        "later": [],
    }
    found = await upgraded.database.read(
        lambda connection: deployments.by_number(connection, upgraded.namespace, 1)
    )
    assert found is not None
    assert isinstance(found[0], Deployment)
    assert (found[0].migrated, found[0].stayed, found[0].needs_rescue) == (1, 3, 1)
    tallies = await upgraded.rows("select sum(actors) from tally")
    assert tallies[0][0] == 5


async def test_the_feed_tells_what_the_first_release_did_in_its_order(upgraded: World) -> None:
    changes = await Reader(upgraded).look()
    kinds = [type(one) for one in changes]
    assert kinds.count(VersionDeployed) == 1
    paid = [one for one in changes if isinstance(one, ActorChanged) and one.actor_id == "paid"]
    assert [one.seq for one in paid] == [0, 1, 2, 3]
    deployed = next(n for n, one in enumerate(changes) if isinstance(one, VersionDeployed))
    assert changes.index(paid[2]) < deployed < changes.index(paid[3])


async def test_what_the_first_release_began_goes_on(upgraded: World) -> None:
    again = await upgraded.answered("paid", "PAY", idempotency_key="pay-1")
    assert (again.repeated, again.handled, again.seq) == (True, True, 2)
    early = await upgraded.answered("new", "PAY", idempotency_key="early")
    assert (early.repeated, early.handled, early.seq) == (True, False, 0)
    assert (await upgraded.answered("paid", "UPLOAD")).configuration.label == "review"
    applied = await upgraded.apply("v3", SHOWN)
    assert isinstance(applied, Deployment)
    assert (applied.migrated, applied.stayed, applied.needs_rescue) == (3, 1, 0)
    assert await upgraded.place("waived") == ("v3", "review")
    for stored in await upgraded.database.read(
        lambda connection: versions.find_all(connection, upgraded.namespace)
    ):
        await upgraded.database.read(
            lambda connection, stored=stored: takeover.compare(connection, stored)  # type: ignore[misc]
        )
    assert (await rebuild(upgraded.database)).misplaced == 0


async def test_an_upgrade_waits_where_events_begin_and_holds_nothing_meanwhile(
    first_url: str,
) -> None:
    database = connect(first_url, KEYS)
    with psycopg.connect(first_url) as event, psycopg.connect(first_url) as looker:
        event.execute("select from statekeep.actor for update")
        running = asyncio.create_task(upgrade(database))
        while not looker.execute(WAITING).fetchone()[0]:  # type: ignore[index]
            assert not running.done()
            looker.rollback()
            await asyncio.sleep(0)
        event.execute("set lock_timeout = '1s'")
        for table in ("version", "event", "cohort", "decision", "deployment"):
            event.execute(f"lock table statekeep.{table} in row exclusive mode".encode())
        event.commit()
        looker.rollback()
        assert await running == ("0001", revisions()[-1])
    await database.close()


def as_a_later_release(url: str) -> None:
    """Change the schema as a release after this one may: it adds, and does not ask anything of old code."""
    next_release.apply(url)
    with psycopg.connect(url) as connection:
        for table in metadata.sorted_tables:
            connection.execute(f"alter table {SCHEMA}.{table.name} add column added text".encode())
        connection.execute("update statekeep.alembic_version set version_num = 'later'")


async def test_this_release_runs_on_the_next_ones_schema(
    database: Database, database_url: str
) -> None:
    """Everything that it does, on columns and tables that it does not know."""
    before = World(database)
    await before.propose("v1", LOAN_1)
    await before.spawn("a", "v1", "START", "PAY", context=b"{}")
    as_a_later_release(database_url)
    newly = connect(database_url, BOTH)
    await check(newly)
    for world in (before, World(newly)):
        n = "n" if world is before else "m"
        assert isinstance(await world.send("a", "NOTE"), Answer)
        await world.spawn(n, "v1", "START", "PAY", context=b'{"x": 1}')
        await world.answered(n, "UPLOAD", idempotency_key="k", data=b"1", context={"y": 2})
        await world.propose("v2" + n, LOAN_2, parent="v1", path=["START", "WAIVE"])
        assert isinstance(await world.apply("v2" + n), Deployment)
    async with listening(create(newly, Namespace("default")), "127.0.0.1", 0) as url:
        status, body = await asyncio.to_thread(ask, f"{url}/v1/actors/a")
        assert (status, body["state"]) == (200, "documents")
        assert (await asyncio.to_thread(ask, f"{url}/readyz"))[0] == 200
    assert len(await Reader(before).look()) >= 8
    assert (await finished(newly)).contexts == 2
    await before.propose("lonely", LOAN_1, machine="lonely")
    candidates = await database.read(pruning.candidates)
    [lonely] = [one for one in candidates if one.name == "lonely"]
    assert await pruning.prune(database, lonely)
    assert (await rebuild(database)).misplaced == 0
    assert await upgrade(newly) == ("later", "later")
    await newly.close()
