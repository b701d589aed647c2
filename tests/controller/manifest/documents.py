"""The documents of a text that has to be in order."""

from statekeep.controller.manifest.document import Document, scan
from statekeep.controller.manifest.errors import DocumentsInvalid
from statekeep.controller.manifest.limits import DEFAULT_LIMITS, Limits
from statekeep.engine.finding import Severity


def read_documents(text: str, *, limits: Limits = DEFAULT_LIMITS) -> list[Document]:
    """Return the documents of a text without errors.

    Raises:
        DocumentsInvalid: with every problem of every document.
    """
    reading = scan(text, limits=limits)
    problems = [problem for document in reading.documents for problem in document.problems]
    problems.extend(reading.problems)
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise DocumentsInvalid(problems)
    return list(reading.documents)
