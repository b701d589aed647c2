"""What an operator is told at its start."""

from dataclasses import dataclass

from statekeep.engine.ids import Namespace

COMPONENT = "statekeep.io/operator"
"""The reporting component of Events; it must be a qualified name."""

FIELD_MANAGER = "statekeep-operator"
"""The owner of ``status`` in ``metadata.managedFields``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Read once, at start; passed down by value."""

    identity: str
    """The pod's name: the reporting instance of Events."""

    namespaces: tuple[Namespace, ...]
    """Those to look after; none means all."""

    refresh_s: float
    """Seconds between two looks at a version that waits for something."""

    sweep_s: float
    """Seconds between two comparisons of everything there is with everything that was seen."""

    health_host: str
    health_port: int
    """0: any free one."""

    workers: int
    """Turns at a time; each needs a database connection, and a second one while it applies."""
