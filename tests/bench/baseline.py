"""The same work the usual way: one transaction an event, driven by ``pgbench``.

On a copy of the same tables, with the same rows: lock the actor, move it, append to the log. The script does not ask
where the event leads, seals nothing and answers nobody, so it is the cheapest form of what a team would write.
Prepared statements, 16 clients.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from tests.bench.traffic import DATA

CLIENTS = 16

SEAL_BYTES = 40
"""About what sealing adds to a payload."""

SCRIPT = f"""
\\set n random(0, :actors - 1)
begin;
select a.key, a.cohort_id, a.seq, a.spawn_epoch as epoch, c.history_id, c.configuration_id
  from statekeep.actor a join statekeep.cohort c on c.id = a.cohort_id
 where a.namespace = 'default' and a.id = 'a' || :n
   for no key update of a \\gset
update statekeep.actor set cohort_id = :cohort_id, seq = :seq + 1, updated_at = clock_timestamp() where key = :key;
insert into statekeep.event (actor_key, seq, history_id, configuration_id, epoch, data, at)
  values (:key, :seq + 1, :history_id, :configuration_id, :epoch,
          convert_to('{DATA}' || repeat('x', {SEAL_BYTES}), 'UTF8'), clock_timestamp());
commit;
"""


def transactions_per_s(pgbench: Path, url: str, actors: int, seconds: int) -> float:
    """Run ``pgbench`` for so long."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "event.sql")
        script.write_text(SCRIPT)
        done = subprocess.run(
            [
                *(str(pgbench), "--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}"),
                *(f"--jobs={os.cpu_count() or 1}", f"--time={seconds}"),
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
