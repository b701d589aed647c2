"""Every error the engine raises on purpose; each class says whose move is next.

StatekeepError
├── DefinitionInvalid       the definition is wrong; only its author can help
├── ChartUnstable           the event would never come to rest; only the author can help
├── ConfigurationInvalid    a stored configuration is not its machine's; stop, tell a human
├── KeyRingInvalid          the key ring cannot be used; its owner can help
├── DatabaseUrlInvalid      the URL of the database cannot be used; its owner can help
├── SealBroken              a stored value does not decrypt; stop, tell a human
├── StoreUnavailable        Postgres did not answer, or refused us; try again
├── SchemaOutdated          the database is not at this release's schema yet; migrate it
├── SemanticsDiffer         a stored version means something else to this release; its operator chooses
├── SemanticsOutdated       a later release has taken a version over; ask a process of that one
└── VersionUnknown          nothing was applied under that name; the caller can help
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


class KeyRingInvalid(StatekeepError):
    """The encryption keys cannot be used."""


class DatabaseUrlInvalid(StatekeepError):
    """The URL of the database is not one that Postgres can be reached under."""


class SealBroken(StatekeepError):
    """A stored value does not decrypt."""


class StoreUnavailable(StatekeepError):
    """Postgres did not answer, or not in time, or refused us."""


class SchemaOutdated(StatekeepError):
    """The schema of the database is older than this release, or not there."""


class SemanticsDiffer(StatekeepError):
    """A stored version means something else to this release than to the one that stored it."""

    def __init__(self, version: str, differences: Sequence[str]) -> None:
        more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        super().__init__(
            f"{version} means something else to this release: {differences[0]}{more}; nothing was done and nothing is "
            "lost: go back to the release before, or move its actors to a new version"
        )
        self.version = version
        self.differences = tuple(differences)
        """One clause each, with the state and the event."""


class SemanticsOutdated(StatekeepError):
    """A later release has taken a version over, and gives its definition another meaning than this one."""

    def __init__(self, kept_under: int, ours: int) -> None:
        super().__init__(
            f"a later release has taken the version over (semantics {kept_under}, this one has {ours}): "
            "its processes take the event, so retry; to go back to this release, run "
            "`statekeep db check --take-over` of it"
        )


class VersionUnknown(StatekeepError):
    """No version of that name, or no machine, has been applied."""
