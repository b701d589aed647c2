"""The benchmark of the API still runs; how fast is for ``make bench-api`` to say."""

import json

import pytest
from tests.bench import api
from tests.bench.traffic import Shape, Traffic

FIGURES = {
    "single_events_per_s",
    "single_p99_ms",
    "pgbench_tps",
    "batch_events_per_s",
    "worker_rss_mb",
}


@pytest.mark.parametrize("options", [[], ["--keys", "--shape", "unique"]], ids=["usual", "worst"])
def test_a_small_run_ends_with_the_figures(
    options: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """It counts the log itself: an event that was acknowledged and lost would end it."""
    small = ["--events", "600", "--actors", "150", "--connections", "4", "--batch", "20"]
    few = ["--batch-connections", "2", "--rounds", "1", "--pgbench-s", "1"]
    assert api.main([*small, *few, *options]) == 0
    figures = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert figures.keys() == FIGURES
    assert all(figure > 0 for figure in figures.values())


def test_in_the_unique_shape_no_two_histories_are_alike_from_the_second_step_on() -> None:
    traffic = Traffic(Shape.UNIQUE, 50_000)
    ways = {tuple(traffic.event_type(actor, step) for step in (0, 1)) for actor in range(50_000)}
    assert len(ways) == 50_000
