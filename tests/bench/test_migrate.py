"""The benchmark measures what it says: a small run of each population, nothing of it timed."""

import dataclasses
import io
from typing import Any

import pytest
from rich.console import Console
from tests.bench.migrate import Bench, Wanted, table

SMALL = Wanted(
    actors=1_500,
    cohorts=70,
    history="shared",
    partitions=0,
    rate=50.0,
    calm_s=0.3,
    one_by_one=20,
    sample=300,
)

REPORTED = {
    "actors",
    "cohorts",
    "group_by_s",
    "preview_s",
    "apply_s",
    "max_event_wait_s",
    "max_other_event_wait_s",
    "row_per_actor_s",
    "one_by_one_s",
    "peak_rss_mb",
}


@pytest.mark.parametrize(
    ("wanted", "cohorts"),
    [
        (SMALL, 70),
        (dataclasses.replace(SMALL, history="unique", rate=0.0), 1_500),
        (dataclasses.replace(SMALL, history="loops", rate=0.0), None),
        (dataclasses.replace(SMALL, partitions=4, rate=0.0), 70),
    ],
    ids=["shared, under events", "unique", "loops", "partitioned"],
)
async def test_a_small_run_counts_everybody_and_finds_the_audit_exact(
    database_url: str, wanted: Wanted, cohorts: int | None
) -> None:
    """The run itself holds that preview, deployment, pages and the usual way reach every actor."""
    numbers = await Bench(database_url, wanted, Console(quiet=True)).run()
    assert numbers["actors"] == 1_500
    assert numbers["cohorts"] == cohorts or (cohorts is None and 70 < numbers["cohorts"] < 1_500)
    assert (numbers["audit_sample"], numbers["audit_wrong"]) == (300, 0)
    assert numbers["events_per_s"] > 0
    if wanted.rate:
        assert numbers.keys() >= REPORTED
        assert numbers["events_during"] >= 1
        assert numbers["other_events_during"] >= 1
        assert f"the slowest of {numbers['other_events_during']} events" in printed(numbers)
    assert table(numbers).row_count >= 8


def printed(numbers: dict[str, Any]) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(table(numbers))
    return console.export_text()
