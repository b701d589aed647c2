"""Who may approve: the chart's admission policy, where the API server evaluates it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import yaml
from tests.chart import render
from tests.cluster.api_server import ApiServer
from tests.cluster.kubectl import Failed, Kubectl
from tests.operator.objects import Object
from tests.operator.patience import until
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION

pytestmark = pytest.mark.cluster

EDITOR = {
    "apiGroups": ["statekeep.io"],
    "resources": ["machineversions"],
    "verbs": ["get", "list", "create", "update", "patch"],
}
APPROVER = {
    "apiGroups": ["statekeep.io"],
    "resources": ["machineversions/approve"],
    "verbs": ["update"],
}

APPROVAL = f"{APPROVE_ANNOTATION}={'0' * 32}"

REFUSED = "may not set the annotation statekeep.io/approve"


@pytest.fixture
def policy(api_server: ApiServer, untended: str) -> Iterator[None]:
    """The policy is in force, in our namespace alone."""
    values = {"admissionPolicy": {"enabled": True}, "operator": {"namespaces": [untended]}}
    objects = render.objects(
        render.REQUIRED | values, only="admission-policy", name="tests", namespace=untended
    )
    policies = yaml.safe_dump_all(objects)
    api_server.kubectl("apply", "--server-side", "-f", "-", stdin=policies)
    yield
    api_server.kubectl("delete", "-f", "-", stdin=policies)


def manifest(name: str, **spec: Any) -> str:
    one: Object = {
        "apiVersion": "statekeep.io/v1alpha1",
        "kind": "MachineVersion",
        "metadata": {"name": name},
        "spec": spec,
    }
    return yaml.safe_dump(one)


@pytest.mark.usefixtures("policy")
def test_only_an_approver_approves(
    accounts: Callable[[str, Sequence[Object]], Kubectl], untended: str
) -> None:
    editor = accounts("editor", [EDITOR]).within(untended)
    approver = accounts("approver", [EDITOR, APPROVER]).within(untended)

    def is_refused(who: Kubectl, *arguments: str, stdin: str | None = None) -> str:
        try:
            who(*arguments, stdin=stdin)
        except Failed as refusal:
            return str(refusal)
        return ""

    apply = ("apply", "--server-side", "-f", "-")
    until(lambda: not is_refused(editor, *apply, stdin=manifest("p1", definition=LOAN_1)), "rights")
    approve = ("annotate", "mv", "p1", APPROVAL, "--overwrite")
    # A policy comes into force in its own time.
    until(lambda: REFUSED in is_refused(editor, *approve, "--dry-run=server"), "the policy")
    until(lambda: not is_refused(approver, *approve), "the rights of the approver")
    # What is approved already does not stand in the way of other edits, nor of taking it back.
    editor("annotate", "mv", "p1", "example.com/reviewed=yes")
    editor("annotate", "mv", "p1", f"{APPROVE_ANNOTATION}-")
    assert REFUSED in is_refused(editor, *approve)

    automatic = manifest("p2", parentId="p1", approval="Automatic", definition=LOAN_2)
    assert "approval: Automatic" in is_refused(editor, *apply, stdin=automatic)
    approver(*apply, stdin=automatic)
