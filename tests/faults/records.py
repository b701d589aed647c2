"""What clients called and what they were answered: a file of JSON lines for each client.

A line is written before a request is sent, and another one when its answer is there, so that a client that is
killed leaves behind all that it may have done. Times are those of the monotonic clock, which all processes of a
machine share.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any


class Kind(StrEnum):
    """What a call asks for."""

    EVENT = "event"
    SPAWN = "spawn"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the actor stands, by an answer."""

    seq: int
    version: str
    value: str
    """Canonical JSON of the state value."""

    handled: bool = True
    """Only an event can be left unhandled."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, or one item of a batch, and what came back."""

    id: str
    """Its own."""

    call: str
    """Shared by all attempts of one call; the payload of an event and its idempotency key."""

    kind: Kind
    actor: str
    type: str = ""
    """Of the event."""

    keyed: bool = False
    batch: str = ""
    """Shared by the items of one request, which are in the order of their ids; empty for a single one."""

    began: int = 0
    ended: int | None = None
    """Nobody knows what became of it while this is ``None``."""

    status: int | None = None
    answer: Answer | None = None


def now() -> int:
    """Return the time that all processes share, in nanoseconds."""
    return time.monotonic_ns()


class Journal:
    """A client's file. What has been written is there, whatever happens to its writer."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(self._file, b"\n")  # whoever wrote before may have been killed within a line

    def begin(self, attempts: Iterable[Attempt]) -> None:
        """Note what is about to be sent."""
        self._write(asdict(attempt) for attempt in attempts)

    def end(self, ended: Iterable[tuple[str, int, int | None, Answer | None]]) -> None:
        """Note (attempt, time, status, answer) of what came back."""
        self._write(
            {"id": id_, "ended": at, "status": status, "answer": answer and asdict(answer)}
            for id_, at, status, answer in ended
        )

    def _write(self, lines: Iterable[Any]) -> None:
        os.write(self._file, b"".join(json.dumps(line).encode() + b"\n" for line in lines))


@dataclass
class Records:
    """All that the clients of a folder have written so far."""

    folder: Path
    attempts: dict[str, Attempt] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    """Events that each client had an answer to."""

    newest: dict[str, int] = field(default_factory=dict)
    """When the latest of those began, by client."""

    failures: int = 0
    """Answers that leave open what happened."""

    _read: dict[Path, int] = field(default_factory=dict)

    def refresh(self) -> None:
        """Read what was written since the last time."""
        for path in sorted(self.folder.glob("*.jsonl")):
            self.refresh_only(path)

    def refresh_only(self, path: Path) -> None:
        """Do that for one client's file."""
        for line in self._new_lines(path):
            self._take(path.stem, line)

    def _new_lines(self, path: Path) -> Iterator[Any]:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            data = file.read()
        complete = data[: data.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(complete)
        for line in complete.splitlines():
            if not line:
                continue
            try:
                yield json.loads(line)
            except ValueError:
                continue  # its writer was killed meanwhile; what it says was not sent, or not answered

    def _take(self, client: str, line: dict[str, Any]) -> None:
        answer = line["answer"] and Answer(**line["answer"])
        if "call" in line:
            self.attempts[line["id"]] = Attempt(
                **{**line, "kind": Kind(line["kind"]), "answer": answer}
            )
            return
        begun = self.attempts[line["id"]]
        self.attempts[line["id"]] = replace(
            begun, ended=line["ended"], status=line["status"], answer=answer
        )
        if answer is None:
            self.failures += line["status"] is None or line["status"] >= 500
        elif begun.kind is Kind.EVENT:
            self.acknowledged[client] = self.acknowledged.get(client, 0) + 1
            self.newest[client] = max(self.newest.get(client, 0), begun.began)
