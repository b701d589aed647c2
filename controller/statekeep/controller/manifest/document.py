"""Text into documents: safe and strict YAML, with the place of everything in it.

JSON is read as the YAML that it is. Tags beyond JSON's types, equal keys, recursive aliases, numbers that JSON does not
keep, and texts beyond ``Limits`` are refused; anchors, aliases and merge keys work. ``scalar`` says what a word without
quotes means, and where kubectl would differ.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import yaml

from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.compose import Defect, Root, TextRefused, compose
from statekeep.controller.manifest.limits import DEFAULT_LIMITS, Limits
from statekeep.controller.manifest.node import Mapping, Node, Sequence
from statekeep.controller.manifest.problem import Position, Problem
from statekeep.controller.manifest.syntax import place, reason
from statekeep.controller.manifest.text import Text
from statekeep.engine.finding import Finding, tokens
from statekeep.engine.json import JsonValue

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DIRECTIVE = re.compile(r"^%TAG\b", re.MULTILINE)
_LISTS = frozenset({"List", "MachineVersionList"})


@dataclass(frozen=True, eq=False)
class Document:
    """One document of a text, or one item of a Kubernetes list in it."""

    source: Text
    node: Node
    path: str
    """The file, for problems."""

    origin: str = ""
    """Where the value stands in its YAML document: ``/items/0`` for an item of a list."""

    defects: tuple[Defect, ...] = ()

    @property
    def value(self) -> JsonValue:
        """Return the document as JSON."""
        return self.node.value

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with it as YAML, warnings included."""
        return tuple(_problem(self.source, self.path, defect) for defect in self.defects)

    def position(self, pointer: str) -> Position:
        """Return where a pointer into ``value`` leads: to the key of a member, to the beginning of an item.

        A pointer to what is not there leads to the nearest thing above it that is.
        """
        node, offset = self.node, self.node.start
        for name in tokens(pointer):
            match node:
                case Mapping() if name in node.entries:
                    entry = node.entries[name]
                    node, offset = entry.value, entry.key.start
                case Sequence() if (index := _index(name)) < len(node.items):
                    node = node.items[index]
                    offset = node.start
                case _:
                    break
        return self.source.position(offset)

    def problem(self, finding: Finding) -> Problem:
        """Return a finding about ``value`` with its place in the file."""
        position = self.position(finding.pointer)
        return Problem(
            path=self.path,
            line=position.line,
            column=position.column,
            pointer=self.origin + finding.pointer,
            code=finding.code,
            message=finding.message,
            severity=finding.severity,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text holds."""

    documents: tuple[Document, ...]
    """Those that could be read, each with its own problems; those before a fatal problem are here too."""

    problems: tuple[Problem, ...]
    """What ended the reading; at most one."""


def scan(text: str, *, limits: Limits = DEFAULT_LIMITS, path: str = "<text>") -> Reading:
    """Return whatever can be read of a text; it never raises."""
    source = Text(text if len(text) <= limits.max_bytes else "")
    documents: list[Document] = []
    problems: list[Problem] = []
    try:
        _check(text, source, limits)
        for root in compose(source, limits):
            documents.extend(_documents(root, source, path))
    except TextRefused as refused:
        problems.append(_problem(source, path, refused.defect))
    except (yaml.YAMLError, OverflowError, ValueError) as error:
        # Without libyaml, PyYAML turns some escapes into Python's own errors.
        problems.append(_problem(source, path, _syntax_defect(error, source)))
    return Reading(tuple(documents), tuple(problems))


def _check(text: str, source: Text, limits: Limits) -> None:
    """Refuse what the parser should not even see."""
    size = (
        len(text.encode("utf-8", "surrogatepass")) if len(text) <= limits.max_bytes else len(text)
    )
    if size > limits.max_bytes:
        message = f"the text is larger than {limits.max_bytes} bytes: split it"
        raise TextRefused(Defect(0, Code.YAML_TOO_LARGE, "", message))
    if match := _FORBIDDEN.search(source.scanned):
        name = f"U+{ord(match[0]):04X}"
        message = (
            f"the character {name} may not stand in YAML: remove it, or escape it in double quotes"
        )
        raise TextRefused(Defect(source.offset(match.start()), Code.YAML_CHARACTER, "", message))
    # libyaml compares each tag directive with all before it.
    if match := _DIRECTIVE.search(source.scanned):
        message = "%TAG declares tags, which have no meaning in JSON: remove the line, or indent it if it is text"
        raise TextRefused(Defect(source.offset(match.start()), Code.YAML_TAG, "", message))


def _documents(root: Root, source: Text, path: str) -> Iterator[Document]:
    """Yield the document, or the items of a Kubernetes list."""
    match root.node:
        case Mapping(value={"kind": str() as kind}, entries={"items": entry}) if kind in _LISTS:
            if isinstance(entry.value, Sequence):
                for index, item in enumerate(entry.value.items):
                    origin = f"/items/{index}"
                    yield Document(source, item, path, origin, _within(root, origin))
                return
    yield Document(source, root.node, path, "", root.defects)


def _within(root: Root, origin: str) -> tuple[Defect, ...]:
    """Return the defects of one item; those of the list itself are the first item's."""
    others = (
        (d for d in root.defects if not d.pointer.startswith("/items/"))
        if origin == "/items/0"
        else ()
    )
    own = (d for d in root.defects if d.pointer == origin or d.pointer.startswith(f"{origin}/"))
    return (*others, *own)


def _syntax_defect(error: Exception, source: Text) -> Defect:
    if isinstance(error, yaml.MarkedYAMLError):
        offset = place(error)
        message = reason(error, source.scanned[offset : offset + 1])
    else:
        offset, message = 0, f"the text is not YAML: {error}".replace("\n", " ")
    return Defect(source.offset(offset), Code.YAML_SYNTAX, "", message)


def _problem(source: Text, path: str, defect: Defect) -> Problem:
    position = source.position(defect.offset)
    return Problem(
        path=path,
        line=position.line,
        column=position.column,
        pointer=defect.pointer,
        code=defect.code,
        message=defect.message,
        severity=defect.severity,
    )


def _index(token: str) -> int:
    """Return a list index, or one that no list has."""
    return int(token) if token.isdecimal() and token.isascii() and len(token) < 10 else 10**9
