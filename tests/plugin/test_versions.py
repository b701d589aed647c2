"""``kubectl statekeep`` status, preview and approve, over HTTP: by the stand-in, and by kubectl where there is one."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gitops.statuses import DEPLOYMENT, OLD, PREVIEW_ID, STANDINGS, version
from tests.operator.kubernetes import PERSON, Kubernetes
from tests.plugin.run import KUBECTL, Plugin

from statekeep.controller.cli.plugin.live import read_live
from statekeep.controller.cli.plugin.status import next_step
from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION
from statekeep.controller.standing import Applied, AwaitingApproval, Invalid, Standing
from statekeep.engine.finding import Finding
from statekeep.engine.ids import PreviewId

NAMESPACE = "loans"
LINE = f'{APPROVE_ANNOTATION}: "{PREVIEW_ID}"'
MANIFEST = f"""\
apiVersion: statekeep.io/v1alpha1
kind: MachineVersion
metadata:
  name: loan-2
  namespace: {NAMESPACE}
spec: {{parentId: loan-1, definition: {{initial: a, states: {{a: {{}}}}}}}}  # by hand
"""


@pytest.fixture(scope="module")
def api() -> Iterator[Kubernetes]:
    """An API server without an operator: the tests say what it has written."""
    server = Kubernetes()
    server.admit_anonymous()
    yield server
    server.close()


@pytest.fixture
def kubernetes(api: Kubernetes) -> Iterator[Kubernetes]:
    yield api
    for name in [*api.names(NAMESPACE), *api.names("other")]:
        api.delete(name)


@pytest.fixture(
    params=[
        "standin",
        pytest.param(
            "kubectl",
            marks=pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on this machine"),
        ),
    ]
)
def plugin(request: pytest.FixtureRequest, kubernetes: Kubernetes, tmp_path: Path) -> Plugin:
    config = kubernetes.kubeconfig(tmp_path / "config", token=PERSON, namespace=NAMESPACE)
    return Plugin(tmp_path, config, real=request.param == "kubectl")


def put(kubernetes: Kubernetes, standing: Standing, **metadata: Any) -> Any:
    """Let the cluster hold loan-2 as the operator has found it."""
    one = copy.deepcopy(version(standing, annotations={}))
    one["metadata"] |= metadata
    status = one.pop("status")
    live = kubernetes.apply(one)
    generation = live["metadata"]["generation"]
    status["observedGeneration"] = generation
    for condition in status["conditions"]:
        condition["observedGeneration"] = generation
    name = (one["metadata"]["namespace"], one["metadata"]["name"])
    return kubernetes.write_status(name, status)


def approval(kubernetes: Kubernetes) -> Any:
    return kubernetes.get((NAMESPACE, "loan-2"))["metadata"]["annotations"].get(APPROVE_ANNOTATION)


def test_the_table_has_each_version_and_what_to_do_next(
    kubernetes: Kubernetes, plugin: Plugin
) -> None:
    assert plugin("status").out == f"No MachineVersions: there are none in namespace {NAMESPACE}.\n"
    put(kubernetes, Applied(None), name="loan-1")
    put(kubernetes, AwaitingApproval(None))
    put(kubernetes, Applied(DEPLOYMENT), name="loan-3", namespace="other")
    lines = [line.split() for line in plugin("status").lines]
    assert lines[0] == [
        "NAME",
        "MACHINE",
        "PARENT",
        "STANDING",
        "MIGRATE",
        "STAY",
        "RESCUE",
        "NEXT",
    ]
    assert ["loan-1", "loan", "loan-1", "Applied"] in lines
    assert [*["loan-2", "loan", "loan-1", "AwaitingApproval", "2", "1", "0"]] == lines[2][:7]
    assert lines[2][-4:] == ["kubectl", "statekeep", "approve", "loan-2"]
    everywhere = plugin("status", "-A").lines
    assert len(everywhere) == 4
    assert everywhere[3].split() == ["other", "loan-3", "loan", "loan-1", "Applied", "2", "1", "0"]
    assert "loan-3" in plugin("status", "-n", "other").out


def test_everything_about_one_version_comes_at_once(kubernetes: Kubernetes, plugin: Plugin) -> None:
    put(kubernetes, AwaitingApproval(None))
    done = plugin("status", "loan-2")
    assert done.lines[:2] == [
        "loan-2 (namespace loans, machine loan, parent loan-1)",
        "AwaitingApproval: 2 of 3 actors would migrate, 1 would stay, 0 need a rescue",
    ]
    rows = [line.split() for line in done.lines]
    assert ["2", "documents", "income"] in rows
    assert any(row[:3] == ["1", "documents", "PathNotInHistory"] for row in rows)
    assert done.lines[-2] == f"To approve, commit the annotation {LINE}"
    assert done.out.count(APPROVE_ANNOTATION) == 1


def test_errors_have_their_pointers_and_deployments_their_approver(
    kubernetes: Kubernetes, plugin: Plugin
) -> None:
    put(kubernetes, STANDINGS["invalid"])
    assert (
        "error[field-value] /spec/approval: use Manual or Automatic"
        in plugin("status", "loan-2").lines
    )
    put(kubernetes, Applied(DEPLOYMENT))
    done = plugin("status", "loan-2")
    assert f"preview {PREVIEW_ID} (approved by Manual)" in done.out
    assert "To approve" not in done.out


def test_a_version_that_is_not_there_is_kubectl_s_own_error(plugin: Plugin) -> None:
    done = plugin("status", "loan-9")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("kubectl statekeep: Error from server (NotFound): ")
    assert "loan-9" in done.err


def test_the_preview_is_that_of_the_status(kubernetes: Kubernetes, plugin: Plugin) -> None:
    put(kubernetes, AwaitingApproval(None))
    done = plugin("preview", "loan-2")
    assert done.lines[0] == "2 of 3 actors on loan-1 would migrate, 1 would stay, 0 need a rescue"
    assert done.lines[-1] == f"To approve loan-2, commit the annotation {LINE}"
    assert f'"id": "{PREVIEW_ID}"' in plugin("preview", "loan-2", "--format", "json").out
    put(kubernetes, STANDINGS["waiting for a parent that is not"])
    done = plugin("preview", "loan-2")
    assert done.status == 1
    assert "loan-2 has no preview: it is AwaitingParent: the parent loan-1" in done.err
    assert plugin("preview").status == plugin("preview", "x", "--format", "markdown").status == 2


def test_a_manifest_whose_words_kubectl_reads_as_booleans_is_not_previewed(
    plugin: Plugin, tmp_path: Path
) -> None:
    file = tmp_path / "loan-2.yaml"
    file.write_text(MANIFEST.replace("{a: {}}", "{a: {on: {YES: a}}}"))
    done = plugin("preview", "-f", str(file), "--server", "http://127.0.0.1:9")
    assert done.status == 1
    assert "error[yaml-ambiguous] /spec/definition/states/a/on/YES" in done.out
    assert "there is no preview of loan-2: kubectl reads these words" in done.err


def test_an_approval_shows_what_it_approves_and_asks(
    kubernetes: Kubernetes, plugin: Plugin
) -> None:
    put(kubernetes, AwaitingApproval(None))
    done = plugin("approve", "loan-2", stdin="n\n")
    assert done.status == 1
    assert ["2", "documents", "income"] in [line.split() for line in done.lines]
    assert approval(kubernetes) is None
    assert plugin("approve", "loan-2").status == 1
    done = plugin("approve", "loan-2", stdin="y\n")
    assert (done.status, approval(kubernetes)) == (0, PREVIEW_ID)
    assert f"commit this line too: {LINE}" in done.out
    managers = kubernetes.get((NAMESPACE, "loan-2"))["metadata"]["managedFields"]
    assert [entry["manager"] for entry in managers] == ["kubectl-statekeep"]
    assert "is approved already" in plugin("approve", "loan-2").out


def test_an_id_with_spaces_around_it_is_no_approval_yet(
    kubernetes: Kubernetes, plugin: Plugin
) -> None:
    spaced = f" {PREVIEW_ID}"
    put(kubernetes, AwaitingApproval(PreviewId(spaced)), annotations={APPROVE_ANNOTATION: spaced})
    assert f'"{spaced}" has spaces around it' in plugin("status", "loan-2").out
    done = plugin("approve", "loan-2", "--yes")
    assert (done.status, approval(kubernetes)) == (0, PREVIEW_ID)
    assert "is approved already" not in done.out


def test_what_was_reviewed_is_approved_without_a_question(
    kubernetes: Kubernetes, plugin: Plugin
) -> None:
    put(kubernetes, AwaitingApproval(None), annotations={"team": "loans"})
    assert plugin("approve", "loan-2", "--preview", PREVIEW_ID).status == 0
    assert approval(kubernetes) == PREVIEW_ID
    assert kubernetes.get((NAMESPACE, "loan-2"))["metadata"]["annotations"]["team"] == "loans"


def test_a_preview_that_is_not_current_is_refused(kubernetes: Kubernetes, plugin: Plugin) -> None:
    put(kubernetes, AwaitingApproval(None))
    done = plugin("approve", "loan-2", "--preview", OLD)
    assert done.status == 1
    assert f"preview {OLD} is not the current one of loan-2, which is {PREVIEW_ID}" in done.err
    assert approval(kubernetes) is None


def test_a_status_that_changes_meanwhile_stops_an_approval_only_if_its_preview_does(
    kubernetes: Kubernetes, plugin: Plugin
) -> None:
    name = (NAMESPACE, "loan-2")
    status = copy.deepcopy(put(kubernetes, AwaitingApproval(None))["status"])
    status["preview"]["actors"]["wouldStay"] = 9
    kubernetes.write_status_before_the_next_write(name, status)
    assert plugin("approve", "loan-2", "--yes").status == 0
    assert approval(kubernetes) == PREVIEW_ID
    kubernetes.delete(name)

    status = copy.deepcopy(put(kubernetes, AwaitingApproval(None))["status"])
    status["preview"]["id"] = OLD
    kubernetes.write_status_before_the_next_write(name, status)
    done = plugin("approve", "loan-2", "--yes")
    assert done.status == 1
    assert f"which is {OLD}" in done.err
    assert "nothing was approved" in done.err
    assert approval(kubernetes) is None


def test_an_edit_that_nobody_has_looked_at_cannot_be_approved(
    kubernetes: Kubernetes, plugin: Plugin
) -> None:
    one = put(kubernetes, AwaitingApproval(None))
    kubernetes.apply(one | {"spec": one["spec"] | {"historyPath": ["START"]}})
    done = plugin("approve", "loan-2", "--yes")
    assert done.status == 1
    assert "has not looked at the last edit yet" in done.err
    assert "out of date" in plugin("status", "loan-2").out


@pytest.mark.parametrize(
    "name", ["invalid", "waiting for a parent that is not", "edited once applied"]
)
def test_what_has_no_preview_cannot_be_approved(
    kubernetes: Kubernetes, plugin: Plugin, name: str
) -> None:
    put(kubernetes, STANDINGS[name])
    done = plugin("approve", "loan-2", "--yes")
    assert done.status == 1
    assert "loan-2 has nothing to approve, it is" in done.err


def test_what_is_applied_needs_no_approval(kubernetes: Kubernetes, plugin: Plugin) -> None:
    put(kubernetes, Applied(DEPLOYMENT))
    done = plugin("approve", "loan-2", "--yes")
    assert (done.status, done.out) == (
        0,
        "loan-2 is applied already; there is nothing to approve.\n",
    )


def test_an_approval_of_another_preview_than_the_applied_one_fails(
    kubernetes: Kubernetes, plugin: Plugin
) -> None:
    put(kubernetes, Applied(DEPLOYMENT))
    done = plugin("approve", "loan-2", "--preview", OLD)
    assert done.status == 1
    assert f"loan-2 is applied already, by preview {PREVIEW_ID}, not by {OLD}" in done.err
    assert plugin("approve", "loan-2", "--preview", PREVIEW_ID).status == 0


def test_each_error_is_printed_once_and_those_that_are_left_out_are_counted(
    kubernetes: Kubernetes, plugin: Plugin
) -> None:
    many = tuple(Finding("field-value", f"/spec/{n}", f"mend {n}" + "x" * 400) for n in range(90))
    put(kubernetes, Invalid(many))
    lines = plugin("status", "loan-2").lines
    assert lines[1] == "Invalid: 90 errors"
    shown = [line for line in lines if line.startswith("error[field-value]")]
    assert len(shown) < 90
    assert sum("mend 0x" in line for line in lines) == 1
    assert f"… and {90 - len(shown)} more errors; statekeep validate FILE lists them all" in lines


def test_an_approval_can_be_written_into_the_manifest_instead(
    kubernetes: Kubernetes, plugin: Plugin, tmp_path: Path
) -> None:
    put(kubernetes, AwaitingApproval(None))
    file = tmp_path / "loan-2.yaml"
    file.write_text(MANIFEST)
    done = plugin("approve", "loan-2", "-f", str(file))
    assert done.status == 0
    assert f"{file}: approved preview {PREVIEW_ID}. Commit it." in done.lines
    assert file.read_text() == MANIFEST.replace(
        "spec:", f"  annotations:\n    {LINE}\nspec:"
    ).replace(
        "  name: loan-2\n  namespace: loans\n  annotations", "  name: loan-2\n  annotations"
    ).replace(f"    {LINE}\nspec:", f"    {LINE}\n  namespace: loans\nspec:")
    assert approval(kubernetes) is None


@pytest.mark.parametrize(
    ("metadata", "tool"),
    [
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "loans"}}, "Flux, loans"),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "loans:statekeep.io/x:y"}},
            "Argo CD, loans",
        ),
        ({"managedFields": [{"manager": "argocd-controller"}]}, "Argo CD"),
        ({"managedFields": [{"manager": "kubectl"}]}, None),
    ],
    ids=["Flux's label", "Argo CD's annotation", "Argo CD's fields", "nobody's"],
)
def test_what_applies_a_version_from_git_is_seen(metadata: Any, tool: str | None) -> None:
    assert read_live(version(AwaitingApproval(None), **metadata)).gitops == tool


def test_whoever_approves_what_comes_from_git_is_told_where_that_belongs(
    kubernetes: Kubernetes, plugin: Plugin
) -> None:
    put(
        kubernetes,
        AwaitingApproval(None),
        annotations={"argocd.argoproj.io/tracking-id": "loans:x"},
    )
    done = plugin("approve", "loan-2", stdin="n\n")
    assert "comes from git (Argo CD, loans), and the approval belongs there" in done.out
    assert LINE in done.out


@pytest.mark.parametrize("standing", STANDINGS.values(), ids=STANDINGS)
def test_every_standing_but_the_last_has_a_next_step(standing: Standing) -> None:
    step = next_step(read_live(version(standing)))
    assert (step == "") == isinstance(standing, Applied)
    assert "wait for the operator to look" not in step
    assert ("mend" in step) == isinstance(standing, Invalid)
