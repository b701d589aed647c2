"""Answers that are kept: for a while, a bounded number of them, and asked for once at a time."""

import asyncio

import pytest

from statekeep.controller.access.memory import Memory


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Oracle:
    """Counts how often it is asked."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked = 0
        self.takes_s = 0.0
        self.fails = False

    async def __call__(self) -> tuple[int, float]:
        self.asked += 1
        await asyncio.sleep(0)
        self.clock.now += self.takes_s
        if self.fails:
            raise ConnectionError
        return self.asked, 10.0


async def test_an_answer_counts_from_when_it_was_asked_for() -> None:
    clock = Clock()
    memory: Memory[str, int] = Memory(clock)
    oracle = Oracle(clock)
    oracle.takes_s = 4.0
    assert await memory.answer("k", oracle) == 1
    clock.now = 9.9
    assert await memory.answer("k", oracle) == 1
    clock.now = 10.0
    assert await memory.answer("k", oracle) == 2


async def test_only_so_many_are_kept_and_the_ones_in_use_stay() -> None:
    clock = Clock()
    memory: Memory[int, int] = Memory(clock, capacity=3)
    hot = Oracle(clock)
    for n in range(50):
        assert await memory.answer(-1, hot) == 1
        await memory.answer(n, Oracle(clock))
    forgotten = Oracle(clock)
    assert await memory.answer(0, forgotten) == 1
    assert forgotten.asked == 1


async def test_an_error_reaches_everybody_who_waits_and_is_not_remembered() -> None:
    clock = Clock()
    memory: Memory[str, int] = Memory(clock)
    oracle = Oracle(clock)
    oracle.fails = True
    results = await asyncio.gather(
        *(memory.answer("k", oracle) for _ in range(5)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ConnectionError] * 5
    assert oracle.asked == 1
    oracle.fails = False
    assert await memory.answer("k", oracle) == 2


async def test_an_error_that_nobody_waits_for_any_more_disturbs_nobody() -> None:
    clock = Clock()
    memory: Memory[str, int] = Memory(clock)
    oracle = Oracle(clock)
    oracle.fails = True
    waiting = asyncio.create_task(memory.answer("k", oracle))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for _ in range(5):
        await asyncio.sleep(0)
    oracle.fails = False
    assert await memory.answer("k", oracle) == 2
