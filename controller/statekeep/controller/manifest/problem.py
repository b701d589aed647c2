"""One thing that is wrong in a file, with the place to put the cursor."""

from dataclasses import dataclass

from statekeep.engine.finding import Severity


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text, as editors count: from one, in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A ``Finding`` that knows its file; its text is what compilers print and editors jump to.

    >>> print(Problem("loan.yaml", 3, 7, "/spec/approval", "field-value", "use Manual or Automatic"))
    loan.yaml:3:7: error[field-value] /spec/approval: use Manual or Automatic
    """

    path: str
    """The file, as the reader was given it; ``<text>`` where there is none."""

    line: int
    """From one; zero if the file could not be read at all."""

    column: int
    """From one, in characters; zero if the file could not be read at all."""

    pointer: str
    """RFC 6901, into the document; ``""`` is the whole of it."""

    code: str
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        """Return ``path:line:column: error[code] /pointer: message`` on one line."""
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        pointer = f" {self.pointer}" if self.pointer else ""
        return f"{place}: {self.severity}[{self.code}]{pointer}: {self.message}"
