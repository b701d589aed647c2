"""A machine with as many actors as one likes, written straight into the tables.

What stands there afterwards is what spawns and events would have left, deserted cohorts collected.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import psycopg

from statekeep.engine.history.fingerprint import extend
from statekeep.engine.json import JsonObject, canonical
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import initial, step
from statekeep.engine.statechart.state_value import label

Kind = Literal["shared", "unique", "loops"]

DIGITS = [f"D{digit}" for digit in range(10)]
NAMESPACE = "default"
AT = datetime(2026, 1, 1, tzinfo=UTC)

Progress = Callable[[str, int, int], None]
"""Is told the table, the rows that are written, and how many there will be."""


def definition(*, without: str | None = None) -> JsonObject:
    """Return a machine that takes digits for ever; ``without`` is not taken while it checks."""
    work: JsonObject = {d: "check" if int(d[1]) % 2 else "work" for d in DIGITS}
    check: JsonObject = {d: "work" if int(d[1]) % 3 else "check" for d in DIGITS if d != without}
    states: JsonObject = {
        "idle": {"on": {"START": "work"}},
        "work": {"on": {**work, "RETRY": "work"}},
        "check": {"on": {**check, "RETRY": "work"}},
    }
    return {"initial": "idle", "states": states}


def histories(kind: Kind, actors: int, cohorts: int) -> Iterator[tuple[str, ...]]:
    """Yield the history of each actor."""
    chance = random.Random(actors)
    match kind:
        case "shared":
            digits = len(str(cohorts - 1))
            for number in range(actors):
                yield _digits(number % cohorts, digits)
        case "unique":
            digits = len(str(actors - 1))
            for number in range(actors):
                yield _digits(number, digits)
        case "loops":
            for _ in range(actors):
                yield ("START", *_loop(chance, "D1"), *_loop(chance, "D2"), chance.choice(DIGITS))


def _digits(number: int, digits: int) -> tuple[str, ...]:
    return ("START", *(f"D{digit}" for digit in f"{number:0{digits}}"))


def _loop(chance: random.Random, event_type: str) -> list[str]:
    """Return attempts until one succeeds: four of five do not."""
    tries: list[str] = []
    while chance.random() < 0.8:
        tries += [event_type, "RETRY"]
    return tries


@dataclass(frozen=True)
class Place:
    """A history, and where the machine stands after it."""

    id: int
    parent_id: int | None
    event_type: str
    depth: int
    fingerprint: bytes
    configuration: Configuration


class Filling:
    """Writes one population into an empty database, where version 1 has been applied."""

    def __init__(self, url: str, version_id: int, machine_id: int, progress: Progress) -> None:
        self._url = url
        self._version_id = version_id
        self._machine_id = machine_id
        self._progress = progress
        self._machine = compile_machine(definition())
        root = hashlib.sha256(b"statekeep/history/v1").digest()
        start = Place(1, None, "", 0, root, initial(self._machine))
        self._places: dict[tuple[int, str], Place] = {}
        self._order = [start]
        self._configurations = {start.configuration: 1}

    def fill(self, kind: Kind, actors: int, cohorts: int) -> None:
        lives = [self._walk(history) for history in histories(kind, actors, cohorts)]
        inhabited = sorted({life.id for life in lives})
        events = sum(life.depth for life in lives)
        with psycopg.connect(self._url) as connection:
            # Everything is there in the end; to check it row by row takes longer than to write it.
            connection.execute("set session_replication_role = replica")
            connection.execute("set search_path to statekeep")
            # A name that identifies and a text to write; ids are given, as nobody else writes.
            self._copy(
                connection,
                "configuration (id, version_id, digest, document, value, label, done)",
                len(self._configurations),
                (self._configuration(c, id_) for c, id_ in self._configurations.items()),
            )
            self._copy(
                connection,
                "history (id, parent_id, event_type, depth, fingerprint)",
                len(self._order) - 1,
                (
                    (p.id, p.parent_id, p.event_type, p.depth, p.fingerprint)
                    for p in self._order[1:]
                ),
            )
            self._copy(
                connection,
                "cohort (id, version_id, history_id, configuration_id, canonical)",
                len(inhabited),
                (
                    (
                        id_,
                        self._version_id,
                        id_,
                        self._configurations[self._order[id_ - 1].configuration],
                        True,
                    )
                    for id_ in inhabited
                ),
            )
            self._copy(
                connection,
                "actor (key, namespace, id, machine_id, cohort_id, seq, body_digest, spawn_epoch,"
                " spawn_configuration_id, created_at, updated_at)",
                actors,
                (
                    (key(n), NAMESPACE, f"a{n}", self._machine_id, p.id, p.depth, b"", 0, 1, AT, AT)
                    for n, p in enumerate(lives)
                ),
            )
            self._copy(connection, "spawn (actor_key)", actors, ((key(n),) for n in range(actors)))
            self._copy(
                connection,
                "event (actor_key, seq, history_id, configuration_id, epoch, at)",
                events,
                self._events(lives),
            )
            for table in ("configuration", "history", "cohort"):
                connection.execute(
                    f"select setval(pg_get_serial_sequence('{table}', 'id'), max(id)) from {table}"
                )
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("vacuum analyze")

    def _walk(self, history: Iterable[str]) -> Place:
        place = self._order[0]
        for event_type in history:
            after = self._places.get((place.id, event_type))
            if after is None:
                taken = step(self._machine, place.configuration, event_type)
                assert taken.handled, (event_type, place.configuration)
                after = Place(
                    len(self._order) + 1,
                    place.id,
                    event_type,
                    place.depth + 1,
                    extend(place.fingerprint, event_type),
                    taken.configuration,
                )
                self._configurations.setdefault(after.configuration, len(self._configurations) + 1)
                self._places[place.id, event_type] = after
                self._order.append(after)
            place = after
        return place

    def _configuration(self, configuration: Configuration, id_: int) -> tuple[object, ...]:
        document = canonical(configuration.to_json())
        return (
            id_,
            self._version_id,
            hashlib.sha256(document).digest(),
            document.decode(),
            canonical(configuration.value).decode(),
            label(configuration.value),
            configuration.is_done,
        )

    def _events(self, lives: Iterable[Place]) -> Iterator[tuple[object, ...]]:
        """Yield each actor's events in their order, in which they get their positions in the feed."""
        for number, life in enumerate(lives):
            actor = key(number)
            for place in reversed(list(self._upwards(life))):
                configuration = self._configurations[place.configuration]
                yield actor, place.depth, place.id, configuration, 0, AT

    def _upwards(self, place: Place) -> Iterator[Place]:
        """Yield a history and all its beginnings but the empty one."""
        while place.parent_id is not None:
            yield place
            place = self._order[place.parent_id - 1]

    def _copy(
        self,
        connection: psycopg.Connection,
        target: str,
        total: int,
        rows: Iterable[tuple[object, ...]],
    ) -> None:
        table = target.partition(" ")[0]
        with connection.cursor().copy(f"copy {target} from stdin") as copy:
            for number, row in enumerate(rows, 1):
                copy.write_row(row)
                if number % 10_000 == 0 or number == total:
                    self._progress(table, number, total)


def key(number: int) -> str:
    return hashlib.sha256(f"{NAMESPACE}/a{number}".encode()).hexdigest()[:32]
