"""What a reconciliation comes to, and who is told of it before its end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from statekeep.controller.standing import Standing
from statekeep.engine.finding import Finding
from statekeep.engine.ids import MachineName
from statekeep.engine.routing.preview import Preview


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reconciliation found out and did."""

    standing: Standing
    machine: MachineName | None
    """``None`` where it cannot be known: the parent is not there."""

    warnings: tuple[Finding, ...] = ()
    preview: Preview | None = None
    """What a deployment would do now, or what was shown before the one that has been."""

    previewed_at: datetime | None = None
    prefix_hash: bytes | None = None

    deployed: bool = False
    """Whether it was applied just now, by us; of several who try at once, one says so."""


Tell = Callable[[Outcome], Awaitable[None]]
"""Takes where a version stands while that changes; it raises nothing."""


async def tell_nobody(_: Outcome) -> None:
    """Take it, where nobody is there to be told in between."""
