"""Every error the engine raises on purpose; each class says whose move is next.

StatekeepError
├── DefinitionInvalid       the definition is wrong; only its author can help
├── ChartUnstable           the event would never come to rest; only the definition's author can help
└── ConfigurationInvalid    a stored configuration is not one of this machine's; stop and tell a human
"""

from collections.abc import Sequence

from statekeep.engine.finding import Finding


class StatekeepError(Exception):
    """The root of the tree."""


class DefinitionInvalid(StatekeepError):
    """A definition has errors; ``findings`` holds every one of them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        first = findings[0]
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        super().__init__(f"{first.pointer or '/'}: {first.message}{more}")
        self.findings = tuple(findings)


class ChartUnstable(StatekeepError):
    """One event, or the start, causes more microsteps than any chart that comes to rest."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} microsteps without coming to rest")
        self.limit = limit


class ConfigurationInvalid(StatekeepError):
    """A configuration that was stored does not belong to the machine it is read with."""
