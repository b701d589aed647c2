"""What a manifest may not exceed, so that hostile text ends in a problem and not in a hang."""

from dataclasses import dataclass

MAX_DEPTH = 200
"""Levels of mappings and lists in a document. A statechart takes two for each nested state; what walks a document, here
and elsewhere, may then do so recursively."""

MAX_KEY = 1024
"""Characters of a key: YAML's own limit for a key before a colon. It bounds what pointers take."""

MAX_INTEGER = 2**53
"""Beyond it JSON readers round integers to the next double, so that two copies of a definition would differ."""

MAX_FINDINGS = 100
"""Findings of one document; nobody mends more in one go, and a hostile document could cause millions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one text, that is one file, may hold."""

    max_bytes: int = 4 * 1024 * 1024
    """Size as UTF-8. A Kubernetes object ends at about 1.5 MiB; a file may hold several."""

    max_values: int = 400_000
    """Scalars, lists and mappings once aliases are expanded; an aliased string counts once for each 64 characters."""

    max_documents: int = 10_000
    """Documents in one text."""

    max_depth: int = MAX_DEPTH
    """Levels of mappings and lists in each document."""


DEFAULT_LIMITS = Limits()
