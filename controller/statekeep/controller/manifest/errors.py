"""Every error this package raises on purpose; in each case the author of the manifest has the next move.

StatekeepError
├── DocumentsInvalid    the text is not YAML that we accept
├── ManifestInvalid     a document is not a MachineVersion
└── ApprovalImpossible  the annotation cannot be written without touching something else
"""

from collections.abc import Sequence

from statekeep.controller.manifest.problem import Problem
from statekeep.engine.errors import StatekeepError
from statekeep.engine.finding import Finding


class DocumentsInvalid(StatekeepError):
    """A text has errors as YAML; ``problems`` holds every one that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class ManifestInvalid(StatekeepError):
    """A document is not a ``MachineVersion``; ``findings`` holds every reason."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        first = findings[0]
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        super().__init__(f"{first.pointer or '/'}: {first.message}{more}")
        self.findings = tuple(findings)


class ApprovalImpossible(StatekeepError):
    """The approval could not be written into the file; the file is as it was."""
