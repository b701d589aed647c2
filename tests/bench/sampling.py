"""Is the audit exact? A sample of actors, each judged again by itself from its own log, slowly."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.bench.population import NAMESPACE

from statekeep.engine.history.fingerprint import fingerprint, show
from statekeep.engine.ids import ActorId, Namespace
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.interpreter import initial, step
from statekeep.engine.store import audit
from statekeep.engine.store.actors import actor_key
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database

Verdict = tuple[str, str | None, JsonValue, JsonValue, int, str]
"""Version, reason to stay, state before, state after, events, fingerprint."""


@dataclass(frozen=True)
class Deployed:
    name: str
    parent: str
    epoch: int
    definition: JsonObject
    path: tuple[str, ...]


class Judge:
    """Knows the definitions, and asks nobody else."""

    def __init__(self, root: JsonObject, deployed: Sequence[Deployed]) -> None:
        self._deployed = deployed
        self._machines = {"v1": compile_machine(root)} | {
            one.name: compile_machine(one.definition) for one in deployed
        }

    def judge(self, log: Sequence[tuple[str, int]]) -> list[Verdict]:
        """Return what the deployments should have said of an actor with these (event, epoch)."""
        version = "v1"
        verdicts: list[Verdict] = []
        for one in self._deployed:
            if version != one.parent:
                continue
            lived = [event_type for event_type, epoch in log if epoch < one.epoch]
            before, _ = self._replay(version, lived)
            after, lost = self._replay(one.name, lived)
            reason = None
            if tuple(lived[: len(one.path)]) != one.path:
                reason = "PathNotInHistory"
            elif lost:
                reason = "NeedsRescue"
            chain = show(fingerprint(lived))
            landing = None if reason else after
            verdicts.append((one.name, reason, before, landing, len(lived), chain))
            version = version if reason else one.name
        return verdicts

    def _replay(self, version: str, events: Sequence[str]) -> tuple[JsonValue, bool]:
        machine = self._machines[version]
        configuration, lost = initial(machine), False
        for event_type in events:
            taken = step(machine, configuration, event_type)
            configuration, lost = taken.configuration, lost or not taken.handled
        return configuration.value, lost


async def disagreements(
    url: str, database: Database, judge: Judge, actors: int, size: int
) -> tuple[int, int]:
    """Compare a sample; return (actors compared, actors of which the audit says something else)."""
    names = [f"a{n}" for n in random.Random(5).sample(range(actors), min(size, actors))]
    catalogue, wrong = Catalogue(), 0
    with psycopg.connect(url) as connection:
        for name in names:
            log = connection.execute(
                "select h.event_type, e.epoch from statekeep.event e"
                " join statekeep.actor a on a.key = e.actor_key"
                " join statekeep.history h on h.id = e.history_id where a.id = %s order by e.seq",
                [name],
            ).fetchall()
            key = actor_key(Namespace(NAMESPACE), ActorId(name))

            async def ask(connection: AsyncConnection, key=key) -> Sequence[audit.Explained]:  # type: ignore[no-untyped-def]
                return await audit.decisions(connection, catalogue, key)

            said = [
                (
                    d.version,
                    d.reason,
                    d.before.value,
                    d.after and d.after.value,
                    d.events,
                    d.fingerprint,
                )
                for d in await database.read(ask)
            ]
            wrong += said != judge.judge(log)
    return len(names), wrong
