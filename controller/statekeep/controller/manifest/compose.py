"""From the parser's events to nodes.

PyYAML's own composer recurses, builds what tags ask for, keeps the last of two equal keys and expands aliases without
bound. This one does none of that: it is a stack machine that counts what it builds, and notes what it refuses.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import yaml

from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.limits import MAX_FINDINGS, MAX_KEY, Limits
from statekeep.controller.manifest.node import Entry, Mapping, Node, Scalar, Sequence, copied
from statekeep.controller.manifest.scalar import (
    MAPPING_TAGS,
    SEQUENCE_TAGS,
    Doubt,
    key_text,
    refused_tag,
    resolve,
    short,
)
from statekeep.controller.manifest.text import Text
from statekeep.engine.finding import Severity, escape

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML has it, as its wheels do: it keeps marks and is fifty times as fast."""

_OPEN = -1
"""The end of a node that is still being read."""


@dataclass(frozen=True, slots=True)
class Defect:
    """What is wrong at a place of the text."""

    offset: int
    code: Code
    pointer: str
    message: str
    severity: Severity = Severity.ERROR


class TextRefused(Exception):
    """Reading cannot go on behind ``defect``; it never leaves this package."""

    def __init__(self, defect: Defect) -> None:
        super().__init__(defect.message)
        self.defect = defect


@dataclass(frozen=True, slots=True)
class Root:
    """One document and what is wrong within it."""

    node: Node
    defects: tuple[Defect, ...]


@dataclass(slots=True)
class _Key:
    scalar: Scalar
    name: str | None
    """None: the key was refused, its value is read and forgotten."""

    is_merge: bool = False


@dataclass(slots=True)
class _Frame:
    node: Sequence | Mapping
    key: _Key | None = None
    merges: list[Node] = field(default_factory=list)


def compose(source: Text, limits: Limits) -> Iterator[Root]:
    """Yield the documents of a text, one by one; those without content are left out.

    Raises:
        TextRefused: the text is not YAML, or exceeds a limit; what came before it stands.
        yaml.YAMLError: the parser's own refusal.
    """
    composer = _Composer(source, limits)
    for event in yaml.parse(source.scanned, Loader=_LOADER):
        root = composer.take(event)
        if root is not None and not _is_empty(root):
            yield root


def _is_empty(root: Root) -> bool:
    return isinstance(root.node, Scalar) and root.node.plain and not root.node.text


class _Composer:
    """The documents so far are counted, the current one is on the stack."""

    def __init__(self, source: Text, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._spent = 0
        self._documents = 0
        self._begin()

    def _begin(self) -> None:
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._defects: list[Defect] = []
        self._root: Node | None = None

    def take(self, event: yaml.Event) -> Root | None:
        """Take one event; return the document that it completes."""
        start, end = self._span(event)
        match event:
            case yaml.ScalarEvent():
                self._scalar(event, start, end)
            case yaml.MappingStartEvent():
                self._open(Mapping(start, _OPEN, bool(event.flow_style)), event, MAPPING_TAGS)
            case yaml.SequenceStartEvent():
                self._open(Sequence(start, _OPEN, bool(event.flow_style)), event, SEQUENCE_TAGS)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close(end)
            case yaml.AliasEvent():
                self._alias(event, start, end)
            case yaml.DocumentEndEvent() if self._root is not None:
                self._count_document(start)
                root = Root(self._root, tuple(self._defects))
                self._begin()
                return root
            case _:
                pass
        return None

    def _span(self, event: yaml.Event) -> tuple[int, int]:
        start = event.start_mark.index if event.start_mark else 0
        end = event.end_mark.index if event.end_mark else start
        return self._source.offset(start), self._source.offset(end)

    def _count_document(self, offset: int) -> None:
        self._documents += 1
        if self._documents > self._limits.max_documents:
            message = f"more than {self._limits.max_documents} documents: split the file"
            self._refuse(offset, Code.YAML_TOO_LARGE, message)

    def _scalar(self, event: yaml.ScalarEvent, start: int, end: int) -> None:
        self._spend(1, start)
        plain = not event.style
        scalar = Scalar(start, end, None, event.value, plain)
        if self._expects_key():
            self._key(scalar, event.tag)
            scalar.value = event.value
        else:
            meaning = resolve(event.value, tag=event.tag, plain=plain)
            scalar.value = meaning.value
            if meaning.doubt:
                self._note(start, meaning.doubt)
            self._place(scalar)
        if event.anchor:
            self._anchors[event.anchor] = scalar

    def _key(self, scalar: Scalar, tag: str | None) -> None:
        frame = self._stack[-1]
        meaning = key_text(scalar.text, tag=tag, plain=scalar.plain)
        name = meaning.value if isinstance(meaning.value, str) else scalar.text
        key = _Key(scalar, name, is_merge=scalar.plain and tag is None and scalar.text == "<<")
        frame.key = key
        if len(name) > MAX_KEY:
            key.name = None
            self._doubt(
                scalar, Code.YAML_KEY, f"the key has more than {MAX_KEY} characters: shorten it"
            )
            return
        if meaning.doubt:
            self._note(scalar.start, meaning.doubt)
        first = frame.node.entries.get(name) if isinstance(frame.node, Mapping) else None
        if first is not None:
            line = self._source.position(first.key.start).line
            message = f"the key {short(name)} is already in line {line}: keep one of the two"
            self._doubt(scalar, Code.YAML_DUPLICATE_KEY, message)
            key.name = None

    def _open(
        self,
        node: Sequence | Mapping,
        event: yaml.MappingStartEvent | yaml.SequenceStartEvent,
        tags: frozenset[str],
    ) -> None:
        self._spend(1, node.start)
        if len(self._stack) >= self._limits.max_depth:
            self._refuse_depth(node.start)
        if event.tag is not None and event.tag not in tags:
            self._note(node.start, refused_tag(event.tag))
        if event.anchor:
            self._anchors[event.anchor] = node
        self._stack.append(_Frame(node))

    def _close(self, end: int) -> None:
        frame = self._stack.pop()
        frame.node.end = end
        if isinstance(frame.node, Mapping):
            for merged in frame.merges:
                self._merge(frame.node, merged)
        self._place_or_key(frame.node)

    def _alias(self, event: yaml.AliasEvent, start: int, end: int) -> None:
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None or anchored.end == _OPEN:
            blank = Scalar(start, end, None, "", plain=False)
            reason = (
                "stands inside the value that it names" if anchored else "names no anchor above it"
            )
            message = f"the alias *{short(event.anchor or '')} {reason}: write the value out"
            self._doubt(blank, Code.YAML_ALIAS, message)
            self._place_or_key(blank)
            return
        self._spend(anchored.weight, start)
        if len(self._stack) + anchored.height > self._limits.max_depth:
            self._refuse_depth(start)
        self._place_or_key(copied(anchored, start, end))

    def _place_or_key(self, node: Node) -> None:
        """Place a node that may stand where a key belongs, where only scalars may."""
        if not self._expects_key():
            self._place(node)
        elif isinstance(node, Scalar):
            # An aliased key is text already, whatever it looks like.
            self._key(replace(node, plain=False), None)
        else:
            message = (
                "a key must be text, not a list or mapping: put it in quotes, or mend the brackets"
            )
            self._doubt(node, Code.YAML_KEY, message)
            self._stack[-1].key = _Key(Scalar(node.start, node.end, None, "", plain=False), None)

    def _place(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        if isinstance(frame.node, Sequence):
            frame.node.append(node)
            return
        key, frame.key = frame.key, None
        if key is None or key.name is None:
            return
        if key.is_merge:
            frame.merges.append(node)
        else:
            frame.node.add(key.name, Entry(key.scalar, node))

    def _merge(self, target: Mapping, merged: Node) -> None:
        """Add the entries of a merge key; those of the mapping itself, and of earlier merges, win."""
        sources = merged.items if isinstance(merged, Sequence) else [merged]
        for source in sources:
            if not isinstance(source, Mapping):
                message = "the merge key << takes a mapping, or a list of mappings: write *anchor behind it"
                self._doubt(source, Code.YAML_MERGE, message)
                continue
            for name, entry in source.entries.items():
                if name not in target.entries:
                    self._spend(entry.value.weight, source.start)
                    node = copied(entry.value, entry.value.start, entry.value.end)
                    target.add(name, Entry(entry.key, node, merged=True))

    def _expects_key(self) -> bool:
        return (
            bool(self._stack)
            and isinstance(self._stack[-1].node, Mapping)
            and self._stack[-1].key is None
        )

    def _pointer(self) -> str:
        tokens: list[str] = []
        for frame in self._stack:
            if isinstance(frame.node, Sequence):
                tokens.append(str(len(frame.node.items)))
            elif frame.key is not None:
                tokens.append(
                    frame.key.name
                    if frame.key.name is not None
                    else frame.key.scalar.text[:MAX_KEY]
                )
        return "".join(f"/{escape(token)}" for token in tokens)

    def _note(self, offset: int, doubt: Doubt) -> None:
        if len(self._defects) < MAX_FINDINGS:
            defect = Defect(offset, doubt.code, self._pointer(), doubt.message, doubt.severity)
            self._defects.append(defect)

    def _doubt(self, node: Node, code: Code, message: str) -> None:
        self._note(node.start, Doubt(code, message))

    def _spend(self, weight: int, offset: int) -> None:
        self._spent += weight
        if self._spent > self._limits.max_values:
            message = f"more than {self._limits.max_values} values, aliases expanded: make the file smaller"
            self._refuse(offset, Code.YAML_TOO_LARGE, message)

    def _refuse_depth(self, offset: int) -> None:
        message = f"more than {self._limits.max_depth} levels of nesting: make the document flatter"
        self._refuse(offset, Code.YAML_TOO_DEEP, message)

    def _refuse(self, offset: int, code: Code, message: str) -> None:
        raise TextRefused(Defect(offset, code, "", message))
