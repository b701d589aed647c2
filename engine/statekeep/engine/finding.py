"""One thing that is wrong, or surprising, in a document that a user wrote."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a finding stops the document or only deserves a look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, where, and how to mend it."""

    code: str
    """Kebab-case, stable, listed in ``docs/codes.md``: what tools match on."""

    pointer: str
    """RFC 6901 JSON pointer into the document that was checked; ``""`` is the whole of it."""

    message: str
    """One sentence for people: what is wrong and how to mend it."""

    severity: Severity = Severity.ERROR

    def under(self, pointer: str) -> "Finding":
        """Return the same finding, its pointer prefixed: the document is part of a larger one."""
        return Finding(self.code, pointer + self.pointer, self.message, self.severity)


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the errors among the findings, in their order."""
    return tuple(f for f in findings if f.severity is Severity.ERROR)


def warnings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the warnings among the findings, in their order."""
    return tuple(f for f in findings if f.severity is Severity.WARNING)


def escape(token: str) -> str:
    """Return one reference token of a JSON pointer (RFC 6901, section 3).

    >>> escape("a/b~c")
    'a~1b~0c'
    """
    return token.replace("~", "~0").replace("/", "~1")


def tokens(pointer: str) -> list[str]:
    """Return the reference tokens of a JSON pointer, each as it was before it was escaped.

    >>> tokens("/a~1b~0c/0"), tokens("")
    (['a/b~c', '0'], [])
    """
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
