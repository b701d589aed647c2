"""Writing the decisions of a deployment, and doing what they say."""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.routing.decision import Migrate, Stay
from statekeep.engine.routing.evaluation import Decided
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.store import interning
from statekeep.engine.store.sql import statements
from statekeep.engine.store.versions import StoredVersion

_SQL = statements("routing.sql")

AT_ONCE = 20_000
"""Decisions that one statement writes: the parameters of a million take a gigabyte."""


class Landings:
    """The ids of the configurations that cohorts land in, each asked for once."""

    def __init__(self, version_id: int) -> None:
        self._version_id = version_id
        self._ids: dict[Configuration, int] = {}

    async def of(
        self, connection: AsyncConnection, decided: Sequence[Decided]
    ) -> Mapping[Configuration, int]:
        """Return the ids, at least of those that these decisions name."""
        wanted = {
            (self._version_id, one.decision.configuration)
            for one in decided
            if isinstance(one.decision, Migrate) and one.decision.configuration not in self._ids
        }
        found = await interning.configurations(connection, wanted)
        self._ids |= {configuration: id_ for (_, configuration), id_ in found.items()}
        return self._ids


async def write(
    connection: AsyncConnection, deployment_id: int, landings: Landings, decided: Sequence[Decided]
) -> None:
    """Write decisions of a deployment; nobody sees them before it is over."""
    ids = await landings.of(connection, decided)
    for start in range(0, len(decided), AT_ONCE):
        part = decided[start : start + AT_ONCE]
        rows = [_row(one, ids) for one in part]
        columns = ("landings", "reasons", "details", "skipped")
        await connection.execute(
            _SQL["insert_decisions"],
            {
                "deployment_id": deployment_id,
                "histories": [one.cohort.history_id for one in part],
                "configurations": [one.cohort.configuration_id for one in part],
                **{name: [row[i] for row in rows] for i, name in enumerate(columns)},
            },
        )


async def carry_out(
    connection: AsyncConnection, deployment_id: int, target: StoredVersion, parent: StoredVersion
) -> None:
    """Move the cohorts that migrate; the machine's lock is held, and nothing is left to do but to commit."""
    await connection.execute(_SQL["look_up_by_key"])
    keys = {"deployment_id": deployment_id, "parent_id": parent.id, "version_id": target.id}
    await connection.execute(_SQL["move_cohorts"], keys)


def _row(
    one: Decided, landings: Mapping[Configuration, int]
) -> tuple[int | None, str | None, str | None, str]:
    match one.decision:
        case Migrate(configuration=configuration, skipped=skipped):
            return landings[configuration], None, None, json.dumps(dict(skipped))
        case Stay(reason, detail):
            return None, reason.value, detail, "{}"
