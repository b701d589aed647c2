"""What breaks around the operator, and the operator itself: nothing is lost, and nothing is done twice."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.operator.kubernetes import Kubernetes
from tests.operator.outage import Way
from tests.operator.patience import until
from tests.operator.process import STOP_S, Operator
from tests.operator.story import CLUSTERS, Cluster, Story, begin, emulated
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.engine.ids import Namespace, VersionName
from statekeep.engine.store import locks, versions
from statekeep.engine.store.database import Database, upgrade

AUTOMATIC: Any = {"parentId": "v1", "approval": "Automatic", "definition": LOAN_2}


@dataclass
class Stage:
    """A cluster and a database of one's own, and the operators that were started in it."""

    story: Story
    config: Path
    way: Way
    operators: list[Operator] = field(default_factory=list)

    def start(self, *arguments: str) -> Operator:
        scope = self.story.kubernetes.scope([self.story.namespace])
        self.operators.append(Operator(self.config, self.way.url, *scope, *arguments))
        return self.operators[-1]


@pytest.fixture(params=CLUSTERS)
def kubernetes(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """An API server: a real one is shared, an emulated one may be broken."""
    if request.param != "emulator":
        yield request.getfixturevalue("api_server")
        return
    server = Kubernetes()
    yield server
    server.close()


@pytest.fixture
async def stage(
    kubernetes: Cluster, database: Database, database_url: str, tmp_path: Path
) -> AsyncIterator[Stage]:
    [namespace] = kubernetes.namespaces(1)
    story = begin(kubernetes, database, namespace)
    stage = Stage(story, kubernetes.kubeconfig(tmp_path / "config"), Way(database_url))
    yield stage
    for operator in stage.operators:
        operator.kill()
    story.end()
    stage.way.close()


async def test_a_restart_does_nothing_again(stage: Stage) -> None:
    story = stage.story
    first = stage.start()
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    await story.world.spawn("a", "v1", "START")
    story.apply("v2", **AUTOMATIC)
    story.apply("v3", parentId="v2", definition=LOAN_1)
    story.becomes("v2", "Applied")
    story.becomes("v3", "AwaitingApproval")
    first.kill()
    before = [story.get(name) for name in ("v1", "v2", "v3")]
    second = stage.start()
    story.passes(second)
    assert [story.get(name) for name in ("v1", "v2", "v3")] == before
    assert second.metric("statekeep_operator_deployments_total") == 0
    assert story.announced("v2").count("Applied") == 1


def test_what_happened_while_no_operator_ran_is_made_up_for(stage: Stage) -> None:
    story = stage.story
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    first = stage.start()
    preview_id = story.becomes("v2", "AwaitingApproval")["preview"]["id"]
    story.apply("gone", parentId="v1", definition=LOAN_2)
    story.becomes("gone", "AwaitingApproval")
    first.kill()
    story.delete("gone")
    story.apply("v2", approve=preview_id, parentId="v1", definition=LOAN_2)
    second = stage.start()
    story.becomes("v2", "Applied")
    until(lambda: second.metric("statekeep_operator_withdrawals_total") == 1, "the withdrawal")


def test_of_two_roots_neither_is_applied_until_one_goes(stage: Stage) -> None:
    story = stage.story
    for name in ("one", "two"):
        story.apply(name, machine="m", definition=LOAN_1)
    operator = stage.start("--refresh", "3600", "--sweep", "3600")
    story.becomes("one", "Invalid", saying="two is a root of machine m too")
    story.becomes("two", "Invalid", saying="one is a root of machine m too")
    story.apply("three", machine="m", definition=LOAN_1)
    story.becomes("three", "Invalid")
    story.apply("three", parentId="two", definition=LOAN_2)
    story.becomes("three", "AwaitingParent")
    assert story.status("three")["machine"] == "m"
    story.delete("one")
    story.becomes("two", "Applied")
    story.becomes("three", "AwaitingApproval")
    assert "Traceback" not in operator.log


async def test_two_operators_do_what_one_does(stage: Stage) -> None:
    story = stage.story
    both = [stage.start(), stage.start()]
    for operator in both:
        until(lambda one=operator: one.probe("/readyz")[0] == 200, "readiness")  # type: ignore[misc]
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    for number in range(20):
        await story.world.spawn(f"a{number}", "v1", "START")
    story.apply("v2", **AUTOMATIC)
    migration = story.becomes("v2", "Applied")["migration"]
    assert migration["migrated"] == 20
    for operator in both:
        story.passes(operator)
    assert story.status("v2")["migration"] == migration
    assert story.announced("v2").count("Applied") == 1
    assert story.announced("v1") == ["Applied"]
    counts = [operator.metric("statekeep_operator_deployments_total") for operator in both]
    assert sorted(counts) == [0, 1]
    assert sum(operator.log.count("v2 was applied") for operator in both) == 1
    assert [operator.stop() for operator in both] == [0, 0]


async def test_an_outage_of_the_database_is_told_and_survived(stage: Stage) -> None:
    story = stage.story
    operator = stage.start()
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    preview = story.becomes("v2", "AwaitingApproval")["preview"]
    stage.way.block()
    status = story.becomes("v2", "DatabaseUnavailable")
    assert status["preview"] == preview
    assert operator.probe("/readyz")[0] == 503
    assert operator.probe("/livez")[0] == 200
    # What is applied stays so, and frozen; the annotation makes the operator look.
    story.apply("v1", approve=preview["id"], definition=LOAN_1)
    conditions = story.becomes("v1", "DatabaseUnavailable", saying="Postgres")["conditions"]
    assert [c["status"] for c in conditions if c["type"] in ("Ready", "Applied")] == [
        "False",
        "True",
    ]
    story.apply("v2", approve=preview["id"], parentId="v1", definition=LOAN_2)
    story.apply("v3", parentId="v2", definition=LOAN_2)
    story.becomes("v3", "DatabaseUnavailable")
    stage.way.unblock()
    story.becomes("v2", "Applied")
    story.becomes("v3", "AwaitingApproval")
    assert operator.probe("/readyz")[0] == 200
    assert operator.process.poll() is None


def test_an_operator_without_a_database_does_not_write_against_one_that_has_it(
    stage: Stage,
) -> None:
    story = stage.story
    first = stage.start()
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    way, stage.way = stage.way, Way(stage.way.database_url)
    try:
        stage.way.block()
        second = stage.start()
        until(
            lambda: second.log.count("is looked after by another operator too") >= 3, "three looks"
        )
        story.becomes("v1", "Applied")
        assert second.metric("statekeep_operator_status_writes_total") == 1
        told = ["Applied", "DatabaseUnavailable", "Applied"]
        until(lambda: story.announced("v1") == told, "one Event of each kind")
        assert first.process.poll() is None
    finally:
        way.close()


async def test_a_deployment_that_takes_its_time_is_told_of(stage: Stage) -> None:
    story = stage.story
    stage.start()
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    await story.world.spawn("a", "v1", "START")
    spec: Any = {"parentId": "v1", "definition": LOAN_2}
    story.apply("v2", **spec)
    preview = story.becomes("v2", "AwaitingApproval", saying="1 of 1")["preview"]

    async def meanwhile(connection: AsyncConnection) -> None:
        root = await versions.find(connection, Namespace(story.namespace), VersionName("v1"))
        assert root is not None
        await locks.share_machine(connection, root.machine_id)
        story.apply("v2", approve=preview["id"], **spec)
        status = await asyncio.to_thread(story.becomes, "v2", "Applying", saying=preview["id"])
        assert status["preview"] == preview
        assert story.ready("v2")[0] == "False"

    await story.world.database.transact(meanwhile)
    status = story.becomes("v2", "Applied")
    assert status["preview"] == preview
    assert status["summary"]["migrate"] == 1


@emulated
def test_an_operator_may_start_before_everything_else(stage: Stage, kubernetes: Kubernetes) -> None:
    stage.way.block()
    kubernetes.break_down(broken=True)
    operator = stage.start()
    stage.story.apply("v1", definition=LOAN_1)
    status, problems = operator.probe("/readyz")
    assert status == 503
    assert "database: " in problems
    assert "API server: " in problems
    assert operator.probe("/livez")[0] == 200
    kubernetes.break_down(broken=False)
    stage.story.becomes("v1", "DatabaseUnavailable")
    stage.way.unblock()
    stage.story.becomes("v1", "Applied")


async def test_an_operator_may_start_before_the_schema_is_there(
    stage: Stage, database: Database
) -> None:
    async def wipe(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("drop schema statekeep cascade"))

    await database.transact(wipe)
    operator = stage.start()
    stage.story.apply("v1", definition=LOAN_1)
    stage.story.becomes("v1", "DatabaseUnavailable")
    status, problems = operator.probe("/readyz")
    assert status == 503
    assert "schema revision none" in problems
    await upgrade(database)
    stage.story.becomes("v1", "Applied")
    assert operator.probe("/readyz")[0] == 200


@emulated
def test_an_outage_of_the_api_server_and_new_credentials_are_survived(
    stage: Stage, kubernetes: Kubernetes
) -> None:
    operator = stage.start()
    for name in ("v1", "other"):  # the first may have been listed; of the second the watch has told
        stage.story.apply(name, definition=LOAN_1)
        stage.story.becomes(name, "Applied")
    kubernetes.break_down(broken=True)
    stage.story.apply("v2", **AUTOMATIC)
    series = 'statekeep_operator_errors_total{error="ClusterUnavailable"}'
    until(lambda: operator.metric(series), "an error")
    kubernetes.expire(stage.config)
    kubernetes.break_down(broken=False)
    stage.story.becomes("v2", "Applied")


@emulated
def test_what_the_watch_misses_is_found_by_the_sweep(stage: Stage, kubernetes: Kubernetes) -> None:
    story = stage.story
    operator = stage.start()
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    story.becomes("v2", "AwaitingApproval")
    assert operator.probe("/livez")[0] == 200
    kubernetes.fall_silent(silent=True)
    story.delete("v2")
    story.apply("other", definition=LOAN_1)
    until(lambda: operator.metric("statekeep_operator_withdrawals_total") == 1, "the withdrawal")
    story.becomes("other", "Applied")
    until(lambda: operator.probe("/livez")[0] == 503, "a stuck watch")
    kubernetes.fall_silent(silent=False)
    until(lambda: operator.probe("/livez")[0] == 200, "a watch")


def test_children_are_woken_by_their_parent(stage: Stage) -> None:
    stage.start("--refresh", "3600", "--sweep", "3600")
    story = stage.story
    story.apply("v3", parentId="v2", approval="Automatic", definition=LOAN_1)
    story.apply("v2", **AUTOMATIC)
    story.becomes("v3", "AwaitingParent", saying="not applied yet")
    story.becomes("v2", "AwaitingParent")
    story.apply("v1", definition=LOAN_1)
    story.becomes("v3", "Applied")
    story.delete("v3")


@emulated
def test_an_operator_of_some_namespaces_leaves_the_others_alone(stage: Stage) -> None:
    story = stage.story
    [elsewhere] = story.kubernetes.namespaces(1)
    other = begin(story.kubernetes, story.world.database, elsewhere)
    operator = stage.start("--namespaces", f"{story.namespace}, somewhere")
    other.apply("v1", definition=LOAN_1)
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    story.apply("v2", parentId="v1", definition=LOAN_2)
    story.becomes("v2", "AwaitingApproval")
    story.passes(operator)
    assert other.ready("v1") == ("", "", "")


def test_a_stop_takes_moments_even_in_an_outage(stage: Stage) -> None:
    operator = stage.start("--logs", "json")
    stage.story.apply("v1", definition=LOAN_1)
    stage.story.becomes("v1", "Applied")
    stage.way.block()
    began = time.monotonic()
    assert operator.stop() == 0, operator.log
    assert time.monotonic() - began < STOP_S
    assert all(json.loads(line)["severity"] for line in operator.lines)
