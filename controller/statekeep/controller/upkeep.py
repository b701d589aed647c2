"""What a database needs now and then, whoever runs beside it: the operator and ``statekeep dev`` both do it.

Several at once do no harm.
"""

import asyncio
import logging

from statekeep.engine.errors import SchemaOutdated, StoreUnavailable
from statekeep.engine.store import collection, deployments
from statekeep.engine.store.database import Database, check

EVERY_S = 60.0
"""Seconds between two rounds, unless the last one was full; each looks once at every actor, about 60 ms a million."""

log = logging.getLogger(__name__)


async def keep_up(database: Database, every_s: float = EVERY_S) -> None:
    """Collect deserted cohorts and make up for counts that were broken off, for ever."""
    while True:
        is_full = False
        try:
            await check(database)
            counted = await deployments.count_all(database)
            collected = await collection.collect(database)
        except (StoreUnavailable, SchemaOutdated) as error:
            log.warning("the upkeep of the database is put off: %s", error)
        except Exception:
            # The outermost loop: nobody else would hear of it, and nothing is lost by trying again.
            log.exception("the upkeep of the database failed")
        else:
            gone, is_full = collected.cohorts, collected.is_full
            if counted or gone:
                log.info("upkeep: %s deployments counted, %s cohorts collected", counted, gone)
        await asyncio.sleep(0 if is_full else every_s)
