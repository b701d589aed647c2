"""Whose turn it is: once, never twice at a time, later after a failure."""

import asyncio

from statekeep.controller.operator.queue import FIRST_DELAY_S, LONGEST_DELAY_S, Queue


async def test_keys_come_in_the_order_in_which_they_were_first_added() -> None:
    queue: Queue[str] = Queue()
    for key in "abab":
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.next(), await queue.next()] == ["a", "b"]


async def test_a_key_that_is_worked_on_comes_back_afterwards() -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    assert await queue.next() == "a"
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await asyncio.wait_for(queue.next(), 1) == "a"


async def test_whoever_waits_is_woken() -> None:
    queue: Queue[str] = Queue()
    waiting = asyncio.create_task(queue.next())
    await asyncio.sleep(0)
    queue.add("a")
    assert await asyncio.wait_for(waiting, 1) == "a"


async def test_a_failure_is_repeated_later_and_later_up_to_a_limit() -> None:
    queue: Queue[str] = Queue()
    delays = []
    for _ in range(8):
        queue.add("a")
        delays.append(queue.retry(await queue.next()))
    assert delays[:3] == [FIRST_DELAY_S, FIRST_DELAY_S * 2, FIRST_DELAY_S * 4]
    assert delays[-1] == LONGEST_DELAY_S
    queue.add("a")
    queue.done(await queue.next())
    queue.add("a")
    assert queue.retry(await queue.next()) == FIRST_DELAY_S


async def test_news_do_not_wait_for_a_retry() -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    queue.retry(await queue.next())
    queue.add("a")
    assert await asyncio.wait_for(queue.next(), FIRST_DELAY_S / 2) == "a"


async def test_news_during_a_turn_that_fails_do_not_wait_either() -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    key = await queue.next()
    queue.add("a")
    queue.retry(key)
    assert await asyncio.wait_for(queue.next(), FIRST_DELAY_S / 2) == "a"
