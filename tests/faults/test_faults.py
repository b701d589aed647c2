"""A short round: one world, one fault of each kind after the other, and after each the whole history is checked.

``make soak`` does the same for as long as you like.
"""

from collections.abc import Iterator
from random import Random

import pytest
from tests.faults.kinds import KINDS, impossible
from tests.faults.world import World
from tests.faults.world import world as turning

SEED = 7


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Everything that runs, with traffic."""
    with turning(SEED) as one:
        one.recovers(deployments=1)
        yield one


@pytest.mark.parametrize("kind", KINDS)
def test_events_and_decisions_are_held_through(kind: str, world: World) -> None:
    if why := impossible(world, kind):
        pytest.skip(why)
    KINDS[kind](world, Random(f"{SEED}/{kind}"))
    assert world.violations() == []


def test_in_the_end_every_call_with_a_key_has_its_answer(world: World) -> None:
    world.settle()
    assert world.violations() == []
    assert world.kubernetes.refused == []
