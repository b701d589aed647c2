"""The operator as a whole: its parts, their order of birth and of death."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from statekeep.controller.kubernetes.session import Login, login
from statekeep.controller.operator.cluster import Cluster
from statekeep.controller.operator.errors import OperatorEnded
from statekeep.controller.operator.index import Index
from statekeep.controller.operator.metrics import Metrics
from statekeep.controller.operator.queue import Queue
from statekeep.controller.operator.resource import Key
from statekeep.controller.operator.rounds import Rounds
from statekeep.controller.operator.settings import Settings
from statekeep.controller.operator.turns import Turns
from statekeep.controller.operator.watch import Watch
from statekeep.controller.probes import application, serving
from statekeep.controller.upkeep import keep_up
from statekeep.engine.store.database import Database, check

GRACE_S = 3.0
"""How long turns may take to unwind once the operator stops; a transaction that is cut off leaves nothing behind."""

log = logging.getLogger(__name__)


async def run(
    settings: Settings, database: Database, stop: asyncio.Event, *, login: Login = login
) -> None:
    """Operate until ``stop`` is set; ``login`` is called again when the credentials have expired.

    Raises:
        OperatorEnded: a part of it ended that must not; the process should end and be started again.
    """
    cluster, index, metrics = Cluster(login), Index(), Metrics()
    queue: Queue[Key] = Queue()

    def tell(key: Key, revision: str | None) -> None:
        if revision is None or not index.knows(key, revision):
            queue.add(key)

    watch = Watch(settings.namespaces, login, tell)
    turns = Turns(
        settings.identity,
        cluster=cluster,
        database=database,
        index=index,
        queue=queue,
        metrics=metrics,
    )
    rounds = Rounds(
        settings, cluster=cluster, database=database, index=index, queue=queue, watch=watch
    )
    app = application(
        watch.is_alive,
        {
            "database": lambda: check(database),
            "API server": lambda: cluster.check(settings.namespaces),
        },
        lambda: metrics.text(index, queue),
    )
    try:
        async with serving(app, settings.health_host, settings.health_port) as port:
            log.info("the operator answers probes on port %s", port)
            await _first_of(stop.wait(), _operate(settings.workers, watch, turns, rounds, database))
    finally:
        await watch.stop()
        await cluster.close()


async def _operate(
    workers: int, watch: Watch, turns: Turns, rounds: Rounds, database: Database
) -> None:
    """Run every part; the watch comes after the first list, which waits until there is our API."""
    await rounds.begin()
    watch.start()
    await _first_of(
        watch.ended(),
        rounds.refresh(),
        rounds.sweep(),
        keep_up(database),
        *(turns.work() for _ in range(workers)),
    )
    raise OperatorEnded("a part of the operator has ended by itself; the log says why")


async def _first_of(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Run all until the first one ends, then end the others; pass on how the first one ended."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=GRACE_S)
    for task in done:
        task.result()
