"""What the API is told at its start."""

from dataclasses import dataclass, field
from pathlib import Path

from statekeep.controller.access.modes import Mode
from statekeep.controller.api.observation import AccessLog
from statekeep.engine.ids import Namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Read once, at start; passed down by value, to other processes too."""

    database_url: str = field(repr=False)

    keys_file: Path
    """The key ring of what is sealed: a file, or a mounted Secret."""

    modes: frozenset[Mode]
    """How callers are asked who they are; none: nobody is."""

    audience: str
    """What a service account's token must have been made for."""

    namespace: Namespace
    """What a path without one means, to callers who have none of their own."""

    host: str
    port: int
    """0: any free one."""

    workers: int
    """Processes that share the port."""

    health_host: str
    health_port: int | None
    """An address of their own for probes and metrics; ``None``: they are on the API's. 0: any free one."""

    access_log: AccessLog
    logs: str
    """``plain`` or ``json``."""

    prepares: bool
    """Whether Postgres may be asked to prepare statements; not through a pooler that hands out
    another connection for every transaction and does not know of them."""
