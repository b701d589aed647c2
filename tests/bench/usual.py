"""The usual way, on the same actors: a row for each, which says its version and its state."""

import json
import time
from collections.abc import Mapping

import psycopg

from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.interpreter import initial, step

TABLES = """
create schema usual;
create table usual.instance (
  key uuid primary key, version text not null, state jsonb not null, updated_at timestamptz not null
);
create table usual.audit (
  id bigint generated always as identity primary key, key uuid not null, at timestamptz not null,
  from_version text not null, to_version text not null, from_state jsonb not null,
  to_state jsonb not null
);
insert into usual.instance
  select a.key, 'v1', cast(k.value as jsonb), a.updated_at
    from statekeep.actor a
    join statekeep.cohort c on c.id = a.cohort_id
    join statekeep.configuration k on k.id = c.configuration_id
    join statekeep.machine m on m.id = a.machine_id and m.name = 'm';
"""

SET_BASED = """
with moved as (
  update usual.instance i
     set version = 'v2', state = m.target, updated_at = now()
    from (select * from jsonb_each(%(mapping)s)) as m (source, target)
   where i.version = 'v1' and i.state = to_jsonb(m.source)
  returning i.key, m.source, m.target
)
insert into usual.audit (key, at, from_version, to_version, from_state, to_state)
select key, now(), 'v1', 'v2', to_jsonb(source), target from moved
"""


def prepare(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute("vacuum analyze usual.instance")


def set_based(url: str, mapping: Mapping[str, str]) -> tuple[float, int]:
    """Move everybody by state in one statement; return (seconds, actors)."""
    with psycopg.connect(url) as connection:
        start = time.perf_counter()
        moved = connection.execute(SET_BASED, {"mapping": json.dumps(mapping)}).rowcount
        connection.commit()
        return time.perf_counter() - start, moved


def one_by_one(url: str, definition: JsonObject, most: int) -> tuple[float, int]:
    """Load, replay, save, one transaction each; return (seconds, actors)."""
    machine = compile_machine(definition)
    with psycopg.connect(url) as connection:
        keys = connection.execute(
            "select key from usual.instance where version = 'v1' order by key limit %s", [most]
        ).fetchall()
        connection.commit()
        start = time.perf_counter()
        for (key,) in keys:
            rows = connection.execute(
                "select h.event_type from statekeep.event e join statekeep.history h"
                " on h.id = e.history_id where e.actor_key = %s order by e.seq",
                [key],
            )
            configuration = initial(machine)
            for (event_type,) in rows:
                configuration = step(machine, configuration, event_type).configuration
            connection.execute(
                "with before as (select key, state from usual.instance where key = %(key)s for update),"
                " moved as (update usual.instance i set version = 'v2', state = %(state)s,"
                " updated_at = now() from before b where i.key = b.key)"
                " insert into usual.audit (key, at, from_version, to_version, from_state, to_state)"
                " select key, now(), 'v1', 'v2', state, %(state)s from before",
                {"key": key, "state": json.dumps(configuration.value)},
            )
            connection.commit()
        seconds = time.perf_counter() - start
        # Back to where they were, for the other way.
        connection.execute(
            "update usual.instance i set version = 'v1', state = a.from_state"
            " from usual.audit a where a.key = i.key"
        )
        connection.execute("truncate usual.audit")
        connection.commit()
        connection.autocommit = True
        connection.execute("vacuum analyze usual.instance")
        return seconds, len(keys)
