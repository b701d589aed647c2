"""The advisory locks, and who holds which.

* Events hold their machine's lock shared, for one transaction; a deployment holds it exclusively
  while it rewrites cohorts. Postgres queues fairly, so a stream of events cannot starve a deployment. At its
  beginning it passes through that lock, so that it sees what those have written who held the machine then.
* A deployment first holds its machine's deployment lock, which events never touch, so that two of
  them do not evaluate at once.
* Whoever may store new histories, with what belongs to them, holds the founding lock until the commit: shared if
  that is one step of each actor, exclusively if it may be several.
* Whoever collects cohorts holds the machine's collection lock, and so does a deployment: what one has found
  deserted, the other must not have moved meanwhile. A collector gives way, a deployment waits.

The lock must be taken by an earlier statement than the one that reads what it protects.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

MACHINE_SPACE = 0x53_4B_01
"""First key of a machine's lock; the second is the machine's id."""

DEPLOYMENT_SPACE = 0x53_4B_02
"""First key of a machine's deployment lock."""

COLLECTION_SPACE = 0x53_4B_03
"""First key of a machine's collection lock."""

FOUNDING_SPACE = 0x53_4B_04
"""First key of the one lock of those who store new histories; the second is 0, since histories belong to no machine."""

_SHARED = sa.text("select pg_advisory_xact_lock_shared(:space, :machine_id)")
_TRY_SHARED = sa.text("select pg_try_advisory_xact_lock_shared(:space, :machine_id)")
_EXCLUSIVE = sa.text("select pg_advisory_xact_lock(:space, :machine_id)")
_PASS = sa.text(
    "select pg_advisory_lock(:space, :machine_id), pg_advisory_unlock(:space, :machine_id)"
)
_TRY = sa.text("select pg_try_advisory_xact_lock(:space, :machine_id)")


async def share_machine(connection: AsyncConnection, machine_id: int) -> None:
    """Hold off deployments of a machine until this transaction ends."""
    await connection.execute(_SHARED, {"space": MACHINE_SPACE, "machine_id": machine_id})


async def try_machine(connection: AsyncConnection, machine_id: int) -> bool:
    """Return whether deployments of a machine are held off until this transaction ends; nobody waits."""
    keys = {"space": MACHINE_SPACE, "machine_id": machine_id}
    return bool((await connection.execute(_TRY_SHARED, keys)).scalar_one())


async def stop_machine(connection: AsyncConnection, machine_id: int) -> None:
    """Hold off the events of a machine until this transaction ends."""
    await connection.execute(_EXCLUSIVE, {"space": MACHINE_SPACE, "machine_id": machine_id})


async def await_events(connection: AsyncConnection, machine_id: int) -> None:
    """Return once all transactions have ended that hold a machine now; those that come meanwhile wait, too."""
    try:
        await connection.execute(_PASS, {"space": MACHINE_SPACE, "machine_id": machine_id})
    except BaseException:
        # Whoever is broken off between the two holds a session's lock, which outlives the transaction.
        await connection.invalidate()
        raise


async def begin_deployment(connection: AsyncConnection, machine_id: int) -> bool:
    """Return whether this transaction is now the only one that deploys to the machine."""
    keys = {"space": DEPLOYMENT_SPACE, "machine_id": machine_id}
    return bool((await connection.execute(_TRY, keys)).scalar_one())


async def keep_collectors_out(connection: AsyncConnection, machine_id: int) -> None:
    """Hold off the collection of a machine's cohorts until this transaction ends."""
    await connection.execute(_EXCLUSIVE, {"space": COLLECTION_SPACE, "machine_id": machine_id})


async def begin_collection(connection: AsyncConnection, machine_id: int) -> bool:
    """Return whether this transaction is now the only one that may collect the machine's cohorts."""
    keys = {"space": COLLECTION_SPACE, "machine_id": machine_id}
    return bool((await connection.execute(_TRY, keys)).scalar_one())
