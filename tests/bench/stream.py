"""A steady stream of events from a process of its own: how long does each of them take?

``python -m tests.bench.stream URL ACTORS RATE`` sends single events, RATE a second to the machine and as many to
another one, each at its time whether the one before is answered or not, as the API does with requests, until its
standard input ends. Then it prints every answer as (first letter of the actor, start, seconds), the start by the
monotonic clock, which all processes share.
"""

import asyncio
import json
import random
import sys
import time
from functools import partial

from tests.bench.population import DIGITS, NAMESPACE

from statekeep.controller.api.admission import RETRY_AFTER_S
from statekeep.controller.api.batcher import Batcher, Overloaded
from statekeep.controller.api.waits import Waits
from statekeep.engine.ids import ActorId, EventType, Namespace
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import connect
from statekeep.engine.store.events import Answer, Event
from statekeep.engine.store.keyring import new_key_ring_text, read_key_ring
from statekeep.engine.store.processing import attempt, process


async def stream(url: str, actors: int, rate: float) -> list[tuple[str, float, float]]:
    database = connect(url, read_key_ring(new_key_ring_text()))
    catalogue, chance = Catalogue(), random.Random(1)
    batcher = Batcher(
        partial(attempt, database, catalogue), partial(process, database, catalogue), Waits()
    )
    answers: list[tuple[str, float, float]] = []

    async def send(actor: str, event_type: str) -> None:
        start = time.monotonic()
        event = Event(Namespace(NAMESPACE), ActorId(actor), EventType(event_type))
        while True:
            try:
                assert isinstance(await batcher.submit(event), Answer)
                break
            except Overloaded:  # as many wait for the machine as may; clients come back
                await asyncio.sleep(RETRY_AFTER_S)
        answers.append((actor[:1], start, time.monotonic() - start))

    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await send("o0", "START")
    print("ready", flush=True)
    async with asyncio.TaskGroup() as group:
        number, start = 0, time.monotonic()
        while not ended.is_set():
            due = start + number / rate / 2
            await asyncio.sleep(max(0, due - time.monotonic()))
            number += 1
            if number % 2:
                group.create_task(send(f"o{number % 100}", "START"))
            else:
                group.create_task(send(f"a{chance.randrange(actors)}", chance.choice(DIGITS)))
    await batcher.close()
    await database.close()
    return answers


def main() -> None:
    url, actors, rate = sys.argv[1:]
    print(json.dumps(asyncio.run(stream(url, int(actors), float(rate)))))


if __name__ == "__main__":
    main()
