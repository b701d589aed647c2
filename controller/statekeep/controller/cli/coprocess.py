"""``statekeep simulate --jsonl``: simulations for another program, one JSON object a line in and out.

The other program decides when to write and when to read: it may send one line and wait for its answer, or send all and
read later. So each line that is not blank gets exactly one answer, in order, flushed; and nothing that stands in
a line, however broken, keeps the next one from being answered. What a line costs is bounded as well::

    {"id": 1, "definition": {…}, "events": ["PAY"]}
    {"id": 1, "initial": {"value": "fee", "status": "active"}, "steps": [{"value": …, "status": …, "handled": true}]}
    {"id": 2, "error": "events must be a list of texts"}
"""

import json
from collections.abc import Callable, Iterator
from typing import BinaryIO

from statekeep.engine.errors import StatekeepError
from statekeep.engine.json import JsonValue
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import initial, step

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Bytes of one line: a definition ends at 1 MiB, the rest is for events."""

MAX_EVENTS = 100_000
"""Events of one line; no case that somebody wants to compare is longer."""

MAX_ANSWER_CHARACTERS = 64 * 1024 * 1024
"""Characters of one answer: many events in a machine with many regions would fill the memory."""

Id = str | int | None
"""What the other program calls a line; ``None`` where it cannot be read."""


class LineRefused(Exception):
    """A line is not a simulation; it never leaves this module."""


def serve(lines: BinaryIO, write: Callable[[str], None]) -> None:
    """Answer line by line until there are no more; ``write`` must flush."""
    for line in _lines(lines):
        write(answer(line) + "\n")


def answer(line: bytes | None) -> str:
    """Return the answer to one line as JSON in ASCII; ``None`` is a line that was too long to be read.

    >>> answer(b'{"id": 1, "definition": {"id": "m"}, "events": []}')
    '{"id": 1, "initial": {"value": {}, "status": "active"}, "steps": []}'
    """
    name: Id = None
    try:
        if line is None:
            raise LineRefused(f"the line has more than {MAX_LINE_BYTES:,} bytes")
        document = _document(line)
        name = _id(document)
        return f'{{"id": {json.dumps(name)}, {_simulated(document)}}}'
    except (LineRefused, StatekeepError) as error:
        return json.dumps({"id": name, "error": str(error)})
    except Exception as error:  # The next line must be answered whatever this one has laid bare.
        return json.dumps({"id": name, "error": f"unexpected {type(error).__name__}: {error}"})


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines that are not blank, ``None`` for one that is too long; reads no further than a line."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE_BYTES)
            yield None
        elif not line.isspace():
            yield line


def _document(line: bytes) -> dict[str, JsonValue]:
    try:
        document = json.loads(line.decode(), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise LineRefused(f"the line is not UTF-8: {error.reason} at byte {error.start}") from error
    except ValueError as error:
        raise LineRefused(f"the line is not JSON: {error}") from error
    except RecursionError as error:
        raise LineRefused("the line is nested too deeply") from error
    if not isinstance(document, dict):
        raise LineRefused("the line must be a JSON object")
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def _id(document: dict[str, JsonValue]) -> Id:
    name = document.get("id")
    if name is None or isinstance(name, str | int):
        return name
    raise LineRefused("id must be a text or an integer")


def _simulated(document: dict[str, JsonValue]) -> str:
    """Return the members ``initial`` and ``steps``."""
    definition, events = document.get("definition"), document.get("events")
    if not isinstance(definition, dict):
        raise LineRefused("definition must be an object")
    if not isinstance(events, list):
        raise LineRefused("events must be a list of texts")
    if len(events) > MAX_EVENTS:
        raise LineRefused(f"there are more than {MAX_EVENTS:,} events")
    machine = compile_machine(definition)
    configuration = initial(machine)
    shown: dict[Configuration, str] = {}
    start = _shown(configuration, shown)
    steps: list[str] = []
    size = 0
    for event in events:
        if not isinstance(event, str):
            raise LineRefused("events must be a list of texts")
        taken = step(machine, configuration, event)
        configuration = taken.configuration
        handled = "true" if taken.handled else "false"
        steps.append(f'{{{_shown(configuration, shown)}, "handled": {handled}}}')
        size += len(steps[-1])
        if size > MAX_ANSWER_CHARACTERS:
            raise LineRefused(f"the answer has more than {MAX_ANSWER_CHARACTERS:,} characters")
    return f'"initial": {{{start}}}, "steps": [{", ".join(steps)}]'


def _shown(configuration: Configuration, shown: dict[Configuration, str]) -> str:
    """Return the members ``value`` and ``status``; they are spelt once for each configuration."""
    known = shown.get(configuration)
    if known is None:
        known = f'"value": {json.dumps(configuration.value)}, "status": "{configuration.status}"'
        shown[configuration] = known
    return known
