"""Trees of histories, and versions small enough to be read at a glance."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from statekeep.engine.ids import VersionName
from statekeep.engine.json import JsonObject, canonical
from statekeep.engine.routing.cohort import Cohort, HistoryNode
from statekeep.engine.routing.evaluation import Decided, evaluate
from statekeep.engine.routing.policy import MigrationPolicy
from statekeep.engine.routing.replay import Walk
from statekeep.engine.routing.version import Version, read_version
from statekeep.engine.statechart.interpreter import initial, step

History = tuple[str, ...]

LOAN: JsonObject = {
    "id": "loan",
    "initial": "idle",
    "states": {
        "idle": {"on": {"START": "fee"}},
        "fee": {"on": {"PAY": "review", "WAIVE": "review"}},
        "review": {"on": {"BACK": "fee", "APPROVE": "approved"}},
        "approved": {"type": "final"},
    },
}

CHECKED: JsonObject = {
    "id": "loan",
    "initial": "idle",
    "states": {
        "idle": {"on": {"START": "fee"}},
        "fee": {"on": {"PAY": "income", "WAIVE": "review"}},
        "income": {"on": {"APPROVE": "approved"}},
        "review": {"on": {"APPROVE": "approved"}},
        "approved": {"type": "final"},
    },
}
"""Those who pay have to prove their income; nobody goes back."""


@dataclass(frozen=True)
class Population:
    """Cohorts, and the histories they stand on, parents first."""

    cohorts: tuple[Cohort, ...]
    histories: Sequence[HistoryNode]


def evaluated(target: Version, everybody: Population) -> Iterator[Decided]:
    return evaluate(Walk(target, everybody.histories), everybody.cohorts)


def version(
    definition: JsonObject = CHECKED,
    *,
    path: Sequence[str] = (),
    policy: MigrationPolicy | None = None,
    parent: str = "v1",
) -> Version:
    return read_version(
        VersionName("v2"),
        parent=VersionName(parent),
        path=tuple(path),
        policy=policy or MigrationPolicy(),
        definition=definition,
    )


def population(
    histories: Iterable[History], *, definition: JsonObject = LOAN, actors: int = 1
) -> Population:
    """Return one cohort for each history, standing where the definition leads it."""
    ids, nodes = tree(histories)
    machine = version(definition).machine
    cohorts = []
    for history in dict.fromkeys(histories):
        configuration = initial(machine)
        for event_type in history:
            configuration = step(machine, configuration, event_type).configuration
        value = canonical(configuration.value).decode()
        cohorts.append(
            Cohort(ids[history], ids[history], value, configuration.is_done, actors=actors)
        )
    return Population(tuple(cohorts), nodes)


def tree(histories: Iterable[History]) -> tuple[dict[History, int], list[HistoryNode]]:
    """Return the ids of the histories and of all their beginnings, and the tree of them."""
    ids: dict[History, int] = {(): 1}
    nodes = [HistoryNode(1, None, "", 0)]
    for history in histories:
        for depth in range(1, len(history) + 1):
            beginning = history[:depth]
            if beginning not in ids:
                ids[beginning] = len(ids) + 1
                above = ids[beginning[:-1]]
                nodes.append(HistoryNode(ids[beginning], above, beginning[-1], depth))
    return ids, nodes


def line(length: int, *event_types: str) -> tuple[int, list[HistoryNode]]:
    """Return the end of one long history that repeats the event types, and the tree that it is."""
    nodes = [HistoryNode(0, None, "", 0)]
    for depth in range(1, length + 1):
        event_type = event_types[(depth - 1) % len(event_types)]
        nodes.append(HistoryNode(depth, depth - 1, event_type, depth))
    return length, nodes
