"""Spread over partitions, everything is as it was."""

import psycopg
import pytest
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.engine.store.deployments import Deployment
from statekeep.engine.store.partitioning import MOST, PartitioningRefused, partition
from statekeep.engine.store.rebuilding import rebuild

SHAPE = (
    "select conname, pg_get_constraintdef(oid) from pg_constraint where contype <> 'n' and conparentid = 0"
    " and conrelid in ('actor'::regclass, 'event'::regclass, 'ignored_event'::regclass)"
    " union all select tgname, regexp_replace(pg_get_triggerdef(oid), '.*EXECUTE', '') from pg_trigger"
    " where not tgisinternal and tgparentid = 0 and tgrelid in ('event'::regclass, 'ignored_event'::regclass)"
    " union all select indexrelid::regclass::text, '' from pg_index"
    " where indrelid in ('actor'::regclass, 'event'::regclass, 'ignored_event'::regclass) order by 1, 2"
)


async def test_actors_live_on_when_their_tables_are_spread(world: World, database_url: str) -> None:
    await world.propose("v1", LOAN_1)
    names = [f"a{number:02}" for number in range(40)]
    for name in names:
        await world.spawn(name, "v1", "START", "PAY")
    first = await world.send("a00", "UPLOAD", idempotency_key="k", data=b"{}")
    shape, log = await world.rows(SHAPE), await world.log("a00")

    await partition(world.database, 4)

    assert await world.rows(SHAPE) == shape
    assert await world.log("a00") == log
    spread = await world.rows("select tableoid, count(*) as actors from actor group by 1")
    assert len(spread) == 4
    assert sum(row.actors for row in spread) == 40
    again = await world.send("a00", "UPLOAD", idempotency_key="k", data=b"{}")
    assert again.seq == first.seq  # type: ignore[union-attr]
    await world.spawn("young", "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1")
    done = await world.apply("v2")
    assert isinstance(done, Deployment)
    assert (done.migrated, done.needs_rescue) == (40, 1)
    for name in (*names[1:], "young"):
        assert await world.place(name) == ("v2", "income")
    assert (await world.answered("a01", "VERIFY")).configuration.label == "documents"
    assert (await rebuild(world.database)).misplaced == 0
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.RestrictViolation),
    ):
        connection.execute("delete from statekeep.event")


async def test_partitioning_is_refused_where_it_cannot_be_done(world: World) -> None:
    for number in (-1, 0, 1, MOST + 1):
        with pytest.raises(PartitioningRefused, match="not between"):
            await partition(world.database, number)
    await partition(world.database, 2)
    with pytest.raises(PartitioningRefused, match="already"):
        await partition(world.database, 2)


BELONGINGS = (
    "select relname, pg_get_userbyid(relowner), relacl::text, obj_description(oid, 'pg_class') from pg_class"
    " where oid in ('actor'::regclass, 'event'::regclass, 'ignored_event'::regclass) order by 1"
)


async def test_tables_keep_their_owner_and_what_others_may_do_with_them(
    world: World, database_url: str
) -> None:
    """Also where somebody else spreads them, who may do everything."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for role in ("owner", "reader"):
            connection.execute(f"create role {role}_of_spread".encode())
        connection.execute("alter table statekeep.actor owner to owner_of_spread")
        connection.execute("grant select on statekeep.actor to reader_of_spread with grant option")
        connection.execute("grant select (seq) on statekeep.event to public")
        columns = (
            "select attname, attacl::text from pg_attribute"
            " where attrelid = 'event'::regclass and attacl is not null"
        )
        kept = [await world.rows(query) for query in (BELONGINGS, columns)]
        await partition(world.database, 3)
        assert [await world.rows(query) for query in (BELONGINGS, columns)] == kept
        assert "reader_of_spread=r*" in str(kept[0])
        assert len(kept[1]) == 1
        owners = (
            "select distinct pg_get_userbyid(relowner) from pg_class"
            " where relname like 'actor%' and relkind in ('r', 'p')"
        )
        assert [tuple(row) for row in await world.rows(owners)] == [("owner_of_spread",)]
        for role in ("owner", "reader"):
            connection.execute(f"drop owned by {role}_of_spread cascade".encode())
            connection.execute(f"drop role {role}_of_spread".encode())
