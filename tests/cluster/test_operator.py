"""The operator against an API server that refuses, dies, forgets and comes back."""

import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.cluster.api_server import CRDS, ApiServer
from tests.cluster.control_plane import ControlPlane
from tests.cluster.found import found
from tests.operator.objects import Refused
from tests.operator.patience import PATIENCE_S, until
from tests.operator.process import Operator
from tests.operator.story import Story, begin
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.controller.kubernetes.errors import ClusterUnavailable
from statekeep.controller.kubernetes.session import login
from statekeep.controller.operator.cluster import Cluster
from statekeep.controller.operator.errors import StatusRefused
from statekeep.controller.operator.resource import Key
from statekeep.engine.ids import Namespace, VersionName
from statekeep.engine.store.database import Database

pytestmark = pytest.mark.cluster

NEVER = ("--refresh", "3600", "--sweep", "3600")


@pytest.fixture
def apart(api_server: ApiServer, database: Database) -> Iterator[Story]:
    """A namespace and a database that no operator looks after yet."""
    [namespace] = api_server.namespaces(1)
    told = begin(api_server, database, namespace)
    yield told
    told.end()


@pytest.fixture
def own(
    api_server: ApiServer, apart: Story, database_url: str, tmp_path: Path
) -> Iterator[Operator]:
    """The operator of that namespace, which looks at nothing that no watch tells of."""
    config = api_server.kubeconfig(tmp_path / "config")
    running = Operator(config, database_url, *api_server.scope([apart.namespace]), *NEVER)
    yield running
    running.process.send_signal(signal.SIGCONT)
    running.kill()


@pytest.fixture
async def session(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Cluster]:
    """What an operator speaks to the API server with."""
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig(tmp_path / "operator")))
    cluster = Cluster(login)
    yield cluster
    await cluster.close()


async def test_a_status_is_written_only_against_what_was_read(
    apart: Story, session: Cluster
) -> None:
    apart.apply("v1", definition=LOAN_1)
    key = Key(Namespace(apart.namespace), VersionName("v1"))
    read = await session.find(key)
    assert read is not None
    apart.apply("v1", definition=LOAN_2)
    with pytest.raises(StatusRefused):
        await session.write_status(read, {"machine": "stale"})
    again = await session.find(key)
    assert again is not None
    assert (await session.write_status(again, {"machine": "fresh"})).status == {"machine": "fresh"}
    fresh = await session.find(key)
    assert fresh is not None
    with pytest.raises(ClusterUnavailable, match=r"status\.machine"):
        await session.write_status(fresh, {"machine": 1})
    apart.delete("v1")
    with pytest.raises(StatusRefused):
        await session.write_status(again, {"machine": "gone"})
    apart.apply("v1", definition=LOAN_1)
    with pytest.raises(StatusRefused):
        await session.write_status(again, {"machine": "of the one before"})
    assert apart.status("v1") == {"observedGeneration": -1}


def test_a_stale_copy_is_a_conflict(apart: Story) -> None:
    apart.apply("v1", definition=LOAN_1)
    stale = apart.get("v1")
    apart.apply("v1", definition=LOAN_2)
    server = apart.kubernetes
    assert isinstance(server, ApiServer)
    path = f"/apis/statekeep.io/v1alpha1/namespaces/{apart.namespace}/machineversions/v1"
    for place in (path, f"{path}/status"):
        with pytest.raises(Refused, match="the object has been modified") as refusal:
            server.ask("PUT", place, stale)
        assert refusal.value.status == 409


def test_edits_that_come_thick_and_fast_end_in_a_status_of_the_last(story: Story) -> None:
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    for number in range(40):
        story.apply("v2", parentId="v1", historyPath=[f"E{number}"], definition=LOAN_2)
    last = story.becomes("v2", "AwaitingApproval")
    assert last["observedGeneration"] == 40
    story.apply(
        "v2", approve=last["preview"]["id"], parentId="v1", historyPath=["E39"], definition=LOAN_2
    )
    story.becomes("v2", "Applied")


async def test_a_restart_of_the_api_server_loses_nothing(
    apart: Story, own: Operator, api_server: ApiServer, plane: ControlPlane
) -> None:
    apart.apply("v1", definition=LOAN_1)
    apart.becomes("v1", "Applied")
    await apart.world.spawn("a", "v1", "START")
    apart.apply("v2", parentId="v1", definition=LOAN_2)
    preview_id = apart.becomes("v2", "AwaitingApproval", saying="1 of 1")["preview"]["id"]
    apart.apply("v2", approve=preview_id, parentId="v1", definition=LOAN_2)
    plane.kill_api_server()  # before the operator has told, perhaps before it has heard
    until(lambda: own.probe("/readyz")[0] == 503, "the outage is seen")
    assert own.probe("/livez")[0] == 200
    plane.start_api_server()
    until(api_server.is_serving, "our API")
    migration = apart.becomes("v2", "Applied")["migration"]
    assert (migration["migrated"], migration["previewId"]) == (1, preview_id)
    apart.apply("v3", parentId="v2", approval="Automatic", definition=LOAN_2)
    apart.becomes("v3", "Applied")
    assert own.process.poll() is None
    assert own.probe("/readyz")[0] == 200
    assert own.metric("statekeep_operator_deployments_total") == 2


def test_a_watch_whose_past_is_forgotten_begins_anew(
    apart: Story, own: Operator, api_server: ApiServer, plane: ControlPlane
) -> None:
    apart.apply("v1", definition=LOAN_1)
    apart.becomes("v1", "Applied")
    past = apart.get("v1")["metadata"]["resourceVersion"]
    own.process.send_signal(signal.SIGSTOP)
    for name in ("v2", "v3"):
        apart.apply(name, parentId="v1", definition=LOAN_2)
    apart.delete("v3")
    plane.kill_api_server()
    plane.compact()
    plane.start_api_server()
    until(api_server.is_serving, "our API")
    path = f"/apis/statekeep.io/v1alpha1/namespaces/{apart.namespace}/machineversions"
    query = {"watch": "1", "resourceVersion": past, "timeoutSeconds": "5"}
    told = api_server.ask("GET", path, query=query)
    assert (told["type"], told["object"]["code"]) == ("ERROR", 410)
    own.process.send_signal(signal.SIGCONT)
    apart.becomes("v2", "AwaitingApproval")
    apart.apply("v4", parentId="v1", definition=LOAN_2)
    apart.becomes("v4", "AwaitingApproval")
    assert own.process.poll() is None


@pytest.mark.usefixtures("plane")
def test_an_operator_whose_definition_is_deleted_ends_and_the_next_one_waits_for_it(
    database: Database, database_url: str
) -> None:
    # On a cluster of its own: the objects of every story would go with the definition.
    with tempfile.TemporaryDirectory(prefix="statekeep-cluster-") as name, found(Path(name)) as way:
        server = ApiServer(way[0], Path(name))
        server.begin()
        [namespace] = server.namespaces(1)
        story = begin(server, database, namespace)
        config = server.kubeconfig(Path(name, "operator"))
        scope = server.scope([namespace])
        operators = [Operator(config, database_url, *scope)]
        try:
            story.apply("v1", definition=LOAN_1)
            story.becomes("v1", "Applied")
            server.ask("DELETE", CRDS)
            assert operators[0].process.wait(PATIENCE_S) == 1
            operators.append(Operator(config, database_url, *scope))
            until(lambda: "the cluster does not know" in operators[1].log, "the complaint")
            server.introduce()
            story.apply("v1", definition=LOAN_1)
            story.becomes("v1", "Applied")
        finally:
            for operator in operators:
                operator.kill()
            server.close()
    assert "the watch has ended: the cluster does not know MachineVersions" in operators[0].log


@pytest.mark.usefixtures("everywhere")
def test_one_operator_looks_after_all_namespaces(
    apart: Story, api_server: ApiServer, database: Database, database_url: str, tmp_path: Path
) -> None:
    operator = Operator(api_server.kubeconfig(tmp_path / "config"), database_url)
    try:
        made = f"{apart.namespace}-made-meanwhile"
        api_server.make_namespace(made)
        for namespace in (apart.namespace, made):
            story = begin(api_server, database, namespace)
            story.apply("v1", definition=LOAN_1)
            story.becomes("v1", "Applied")
            story.delete("v1")
        assert operator.stop() == 0
    finally:
        operator.kill()


def test_an_operator_without_rights_says_which_are_missing(
    apart: Story, api_server: ApiServer, database_url: str, tmp_path: Path
) -> None:
    api_server.add_account(apart.namespace, "nobody")
    config = api_server.kubeconfig_of(tmp_path / "config", apart.namespace, "nobody")
    operator = Operator(config, database_url, *api_server.scope([apart.namespace]))
    try:
        missing = 'cannot list resource "machineversions"'
        until(lambda: missing in operator.probe("/readyz")[1], "the problem")
        problem = operator.probe("/readyz")[1]
        assert f'in the namespace "{apart.namespace}"' in problem
        api_server.bind(apart.namespace, "operator", (apart.namespace, "nobody"))
        apart.apply("v1", definition=LOAN_1)
        apart.becomes("v1", "Applied")
    finally:
        operator.kill()
