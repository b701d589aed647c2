"""The TypeScript example: its types are this release's, it compiles, and it does what it says."""

import pytest
from tests.test_readme import terminal  # noqa: F401  (a fixture)
from tests.typescript_types import EXAMPLE, generate, install, npm


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    if problem := install():
        pytest.skip(problem)


def test_the_types_are_those_of_this_release() -> None:
    written = (EXAMPLE / "statekeep.d.ts").read_text()
    assert generate() == written, "run: make typescript-types"


def test_it_spawns_sends_and_follows(terminal: dict[str, str]) -> None:  # noqa: F811
    assert npm("start", STATEKEEP_SERVER=terminal["URL"]).splitlines() == [
        "spawned in idle on loan-v1",
        "START_APPLICATION → applying (seq 1)",
        "SUBMIT_INFO → awaiting_fee (seq 2)",
        "spawn: idle (seq 0)",
        "event: applying (seq 1)",
        "event: awaiting_fee (seq 2)",
    ]
