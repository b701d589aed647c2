"""What people and GitOps tools see of a version with ``kubectl``."""

import json
import re
from typing import Any

import pytest
import yaml
from tests.cluster.api_server import ApiServer
from tests.cluster.kubectl import Failed, Kubectl
from tests.operator.objects import CRD, Object
from tests.operator.patience import until
from tests.operator.story import Story
from tests.operator.test_explain import FIELDS
from tests.operator.test_writes import big
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION

pytestmark = pytest.mark.cluster

PATH = ["START", "PAY"]

TIMEOUT = "--timeout=60s"

READY_REASON = 'jsonpath={.status.conditions[?(@.type=="Ready")].reason}'


@pytest.fixture
def kubectl(api_server: ApiServer, story: Story) -> Kubectl:
    """``kubectl`` in the namespace of the story."""
    return api_server.kubectl.within(story.namespace)


def applied(kubectl: Kubectl, *manifests: Object, by: str = "kubectl") -> None:
    """Apply manifests in one go, on the server's side."""
    kubectl("apply", "--server-side", "--field-manager", by, "-f", "-", stdin=listed(*manifests))


def listed(*manifests: Object) -> str:
    return yaml.safe_dump_all(manifests)


async def test_get_shows_where_every_version_stands(story: Story, kubectl: Kubectl) -> None:
    story.apply("v1", machine="loan", definition=LOAN_1)
    story.becomes("v1", "Applied")
    await story.world.spawn("a", "v1", *PATH)
    await story.world.spawn("b", "v1", "START", "WAIVE")
    await story.world.spawn("c", "v1", *PATH, "UPLOAD", "BACK")
    story.apply("v2", parentId="v1", historyPath=PATH, definition=LOAN_2)
    preview = story.becomes("v2", "AwaitingApproval", saying="of 3")["preview"]
    story.apply("v3", parentId="v2", definition=LOAN_2)
    story.becomes("v3", "AwaitingParent")
    rows = [line.split() for line in kubectl("get", "machineversions").splitlines()]
    columns = "NAME MACHINE PARENT READY REASON MIGRATE STAY RESCUE PREVIEW AGE"
    assert rows[0] == columns.split()
    assert rows[1][:4] == ["v1", "loan", "True", "Applied"]
    waiting = ["v2", "loan", "v1", "False", "AwaitingApproval", "1", "1", "1", preview["id"]]
    assert rows[2][:-1] == waiting
    assert rows[3][-4:-1] == ["v2", "False", "AwaitingParent"]
    by_category = kubectl("get", "statekeep", "-o", "name").split()
    assert by_category == kubectl("get", "mv", "-o", "name").split()


def test_versions_are_found_by_machine_and_by_parent(
    story: Story, kubectl: Kubectl, api_server: ApiServer
) -> None:
    crd = json.loads(api_server.kubectl("get", "-f", str(CRD), "-o", "json"))
    if "selectableFields" not in crd["spec"]["versions"][0]:
        pytest.skip("this API server selects by no fields of ours; those of Kubernetes 1.31 do")
    story.apply("v1", machine="loan", definition=LOAN_1)
    story.apply("v2", machine="loan", parentId="v1", definition=LOAN_2)
    story.apply("w1", machine="other", definition=LOAN_1)

    def selected(selector: str) -> list[str]:
        return kubectl("get", "mv", "-o", "name", "--field-selector", selector).split()

    assert len(selected("spec.machine=loan")) == 2
    assert selected("spec.parentId=v1") == ["machineversion.statekeep.io/v2"]
    assert selected("spec.machine=other,spec.parentId=v1") == []


def test_wait_returns_when_the_version_is_applied(story: Story, kubectl: Kubectl) -> None:
    story.apply("v1", definition=LOAN_1)
    kubectl("wait", "--for=condition=Ready", "mv/v1", TIMEOUT)
    story.apply("v2", parentId="v1", definition=LOAN_2)
    kubectl("wait", f"--for={READY_REASON}=AwaitingApproval", "mv/v2", TIMEOUT)
    with pytest.raises(Failed, match="timed out"):
        kubectl("wait", "--for=condition=Ready", "mv/v2", "--timeout=1s")
    waiting = kubectl.start("wait", "--for=condition=Ready", "mv/v2", TIMEOUT)
    preview_id = kubectl("get", "mv", "v2", "-o", "jsonpath={.status.preview.id}")
    kubectl("annotate", "mv", "v2", f"{APPROVE_ANNOTATION}={preview_id}")
    out, complaint = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, complaint
    assert out == "machineversion.statekeep.io/v2 condition met\n"
    assert story.status("v2")["migration"]["approvedBy"] == "kubectl-annotate"


def test_a_version_that_is_wrong_is_stalled(story: Story, kubectl: Kubectl) -> None:
    story.apply("v1", definition={"initial": "nowhere", "states": {"a": {}}})
    kubectl("wait", "--for=condition=Stalled", "mv/v1", TIMEOUT)


def test_describe_tells_the_story_with_its_events(story: Story, kubectl: Kubectl) -> None:
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    story.apply("v2", parentId="v1", approval="Automatic", definition=LOAN_2)
    story.becomes("v2", "Applied")
    until(lambda: "Applied" in story.announced("v2"), "the Event")
    described = kubectl("describe", "mv", "v2")
    message = "0 actors migrated, 0 stayed, 0 need a rescue"
    _, events = described.split("\nEvents:")
    assert re.search(rf"Normal +Applied +\S+ +\S+ +{message}", events)
    assert re.search(r"Parent Id: +v1", described)
    assert re.search(r"Needs Rescue: +0", described)
    assert re.search(rf"Normal +Applied +MachineVersion/v2 +{message}", kubectl("events"))


@pytest.mark.parametrize(
    "path", [path for path in FIELDS if "[]" not in path and not path.startswith(".metadata")]
)
def test_explain_has_a_text_for_every_field(api_server: ApiServer, path: str) -> None:
    said = " ".join(api_server.kubectl("explain", f"mv{path}").split())
    if path in (".apiVersion", ".kind"):  # the API server has words of its own for these
        return
    assert " ".join(FIELDS[path]["description"].split()) in said


def test_explain_shows_the_whole_tree(api_server: ApiServer) -> None:
    tree = api_server.kubectl("explain", "mv", "--recursive")
    for path in FIELDS:
        assert re.search(rf"^ *{path.rpartition('.')[2]}\b", tree, re.MULTILINE), path


@pytest.mark.parametrize("server_side", [True, False], ids=["on the server's side", "on ours"])
def test_there_is_no_drift_once_the_operator_has_written(
    story: Story, kubectl: Kubectl, server_side: bool
) -> None:
    how = ["--server-side"] if server_side else []
    v1 = story.manifest("v1", definition=LOAN_1)
    v2 = story.manifest("v2", parentId="v1", historyPath=PATH, definition=LOAN_2)
    kubectl("apply", *how, "-f", "-", stdin=listed(v1, v2))
    preview_id = story.becomes("v2", "AwaitingApproval")["preview"]["id"]
    assert kubectl("diff", *how, "-f", "-", stdin=listed(v1, v2)) == ""
    v2["metadata"]["annotations"] = {APPROVE_ANNOTATION: preview_id}
    kubectl("apply", *how, "-f", "-", stdin=listed(v1, v2))
    story.becomes("v2", "Applied")
    assert kubectl("diff", *how, "-f", "-", stdin=listed(v1, v2)) == ""
    said = kubectl("apply", *how, "-f", "-", stdin=listed(v1, v2))
    assert len(re.findall("serverside-applied|unchanged", said)) == 2
    assert story.get("v2")["metadata"]["generation"] == 1


def test_a_definition_of_one_megabyte_is_applied_and_does_not_drift(
    story: Story, kubectl: Kubectl
) -> None:
    v1 = story.manifest("v1", definition=big(1_000_000))
    applied(kubectl, v1)
    story.becomes("v1", "Applied")
    assert kubectl("diff", "--server-side", "-f", "-", stdin=listed(v1)) == ""
    kept = kubectl("get", "mv", "v1", "-o", "json", "--show-managed-fields")
    assert len(json.dumps(json.loads(kept)["metadata"])) < 4096


@pytest.mark.parametrize("order", [("v1", "v2"), ("v2", "v1")], ids="then ".join)
def test_an_approval_in_the_same_apply_as_its_version_is_honoured(
    story: Story, kubectl: Kubectl, order: Any
) -> None:
    manifests = {
        "v1": story.manifest("v1", definition=LOAN_1),
        "v2": story.manifest("v2", parentId="v1", definition=LOAN_2),
    }
    applied(kubectl, *manifests.values())
    preview_id = story.becomes("v2", "AwaitingApproval")["preview"]["id"]
    kubectl("delete", "mv", "--all", "--timeout=20s")
    manifests["v2"]["metadata"]["annotations"] = {APPROVE_ANNOTATION: preview_id}
    applied(kubectl, *(manifests[name] for name in order), by="flux")
    migration = story.becomes("v2", "Applied")["migration"]
    assert (migration["previewId"], migration["approvedBy"]) == (preview_id, "flux")


def test_the_approver_is_the_manager_of_the_annotation_not_of_the_rest(
    story: Story, kubectl: Kubectl
) -> None:
    applied(kubectl, story.manifest("v1", definition=LOAN_1), by="argocd-controller")
    version = story.manifest("v2", parentId="v1", definition=LOAN_2)
    applied(kubectl, version, by="argocd-controller")
    preview_id = story.becomes("v2", "AwaitingApproval")["preview"]["id"]
    names = {key: version["metadata"][key] for key in ("namespace", "name")}
    head = {"apiVersion": version["apiVersion"], "kind": version["kind"]}
    approval = head | {"metadata": names | {"annotations": {APPROVE_ANNOTATION: preview_id}}}
    applied(kubectl, approval, by="release-manager")
    assert story.becomes("v2", "Applied")["migration"]["approvedBy"] == "release-manager"
    assert story.get("v2")["spec"]["definition"] == LOAN_2


def test_what_is_applied_refuses_an_edit_with_the_way_out(story: Story, kubectl: Kubectl) -> None:
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", approval="Automatic", definition=LOAN_2)
    before = story.becomes("v2", "Applied")
    edit = json.dumps({"spec": {"historyPath": PATH, "definition": {"initial": "fee"}}})
    with pytest.raises(Failed) as refusal:
        kubectl("patch", "mv", "v2", "--type=merge", "-p", edit)
    assert "its historyPath cannot change; make a new version" in str(refusal.value)
    assert "its definition cannot change; make a new version" in str(refusal.value)
    assert story.status("v2") == before


def test_a_deletion_does_not_wait_for_an_operator(api_server: ApiServer, untended: str) -> None:
    kubectl = api_server.kubectl.within(untended)
    spec = {"definition": LOAN_1}
    head = {"apiVersion": "statekeep.io/v1alpha1", "kind": "MachineVersion"}
    applied(kubectl, head | {"metadata": {"name": "orphan"}, "spec": spec})
    kubectl("delete", "mv", "orphan", "--timeout=20s")
    assert kubectl("get", "mv", "orphan", "--ignore-not-found") == ""
