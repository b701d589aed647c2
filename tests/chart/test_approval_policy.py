"""The admission policy, its expressions evaluated as the API server would: by CEL, over objects.

The authorizer is a string that remembers what it was asked, since CEL dispatches on types; all else is CEL's own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from cel_expr_python import cel  # type: ignore[import-untyped]
from cel_expr_python.ext.ext_optional import ExtOptional  # type: ignore[import-untyped]
from tests.chart.render import SETS, Object, objects, of_kind

from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION

ALICE = "alice"
QUESTION = (
    "group=statekeep.io resource=machineversions subresource=approve "
    "namespace=loans name=loan-v2 check=update"
)


@dataclass
class Policy:
    """The rendered policy, for one user."""

    is_approver: bool
    spec: Object = field(
        default_factory=lambda: of_kind(objects(SETS["everything"]), "ValidatingAdmissionPolicy")[
            0
        ]["spec"]
    )
    asked: list[str] = field(default_factory=list)

    def refusals(self, new: Object, old: Object | None) -> list[str]:
        """Return what the user is told, none if the request is let through."""
        declared = dict.fromkeys(("object", "oldObject", "request", "variables"), cel.Type.DYN)
        env = cel.NewEnv(
            variables={**declared, "authorizer": cel.Type.STRING},
            functions=[*map(_step, STEPS), self._allowed()],
            extensions=[ExtOptional()],
        )

        def value(expression: str, variables: Object) -> Any:
            data = {
                "object": new,
                "oldObject": old,
                "authorizer": "",
                "request": {"userInfo": {"username": ALICE}},
                "variables": variables,
            }
            return env.compile(expression).eval(data=data).plain_value()

        variables = {one["name"]: value(one["expression"], {}) for one in self.spec["variables"]}
        return [
            value(one["messageExpression"], variables)
            for one in self.spec["validations"]
            if value(one["expression"], variables) is not True
        ]

    def _allowed(self) -> cel.FunctionDecl:
        def allowed(question: str) -> bool:
            self.asked.append(question.strip())
            return self.is_approver

        return _member("allowed", 0, cel.Type.BOOL, allowed)


STEPS = ("group", "resource", "subresource", "namespace", "name", "check")


def _step(name: str) -> cel.FunctionDecl:
    return _member(name, 1, cel.Type.STRING, lambda asked, value: f"{asked} {name}={value}")


def _member(
    name: str, arguments: int, returns: cel.Type, call: Callable[..., Any]
) -> cel.FunctionDecl:
    strings = [cel.Type.STRING] * (1 + arguments)
    return cel.FunctionDecl(
        name, [cel.Overload(f"authorizer_{name}", returns, strings, True, call)]
    )


def version(preview: str | None = None, **spec: Any) -> Object:
    """A MachineVersion with a parent, as an API server hands it to a policy."""
    annotations = {} if preview is None else {APPROVE_ANNOTATION: preview}
    definition = {"id": "loan", "initial": "a", "states": {"a": {}}}
    return {
        "metadata": {"name": "loan-v2", "namespace": "loans", "annotations": annotations},
        "spec": {"parentId": "loan-v1", "approval": "Manual", "definition": definition, **spec},
    }


def root(**spec: Any) -> Object:
    """One without a parent, which moves nobody, and without annotations."""
    one = version(**spec)
    del one["spec"]["parentId"], one["metadata"]["annotations"]
    return one


AUTOMATIC = {"approval": "Automatic"}

GUARDED = {
    "an approval is set": (version("1"), version()),
    "an approval is changed": (version("2"), version("1")),
    "a version comes with an approval": (version("1"), None),
    "a version becomes automatic": (version(**AUTOMATIC), version()),
    "a version comes automatic": (version(**AUTOMATIC), None),
    "what an automatic version says is changed": (
        version(**AUTOMATIC, definition={"id": "other"}),
        version(**AUTOMATIC),
    ),
    "an automatic root gets a parent": (version(**AUTOMATIC), root(**AUTOMATIC)),
}

FREE = {
    "a version comes without an approval": (version(), None),
    "a version is edited": (version(definition={"id": "other"}), version()),
    "a version that is approved is edited": (version("1", machine="other"), version("1")),
    "an approval is taken back": (version(), version("1")),
    "an approval is emptied": (version(""), version("1")),
    "an automatic version is applied again": (version(**AUTOMATIC), version(**AUTOMATIC)),
    "a version is no longer automatic": (version(), version(**AUTOMATIC)),
    "a root comes automatic": (root(**AUTOMATIC), None),
    "a root is edited": (root(definition={"id": "other"}), root()),
}


@pytest.mark.parametrize(("new", "old"), GUARDED.values(), ids=GUARDED)
def test_only_an_approver_may(new: Object, old: Object | None) -> None:
    approver, editor = Policy(is_approver=True), Policy(is_approver=False)
    assert approver.refusals(new, old) == []
    [message] = editor.refusals(new, old)
    assert message.startswith("alice may not ")
    assert "ClusterRole statekeep-approver" in message
    assert set(approver.asked) == set(editor.asked) == {QUESTION}


def test_no_role_is_named_where_the_release_makes_none() -> None:
    [policy] = of_kind(objects(SETS["namespaced"]), "ValidatingAdmissionPolicy")
    messages = [one["messageExpression"] for one in policy["spec"]["validations"]]
    assert all(message.endswith("machineversions/approve'") for message in messages)


@pytest.mark.parametrize(("new", "old"), FREE.values(), ids=FREE)
def test_anybody_who_may_edit_may(new: Object, old: Object | None) -> None:
    assert Policy(is_approver=False).refusals(new, old) == []


def test_a_failure_refuses_and_every_write_of_a_version_is_looked_at() -> None:
    spec = Policy(is_approver=False).spec
    assert spec["failurePolicy"] == "Fail"
    [rule] = spec["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["machineversions"]  # the status is the operator's
    assert set(rule["operations"]) == {"CREATE", "UPDATE"}
    assert all(one["reason"] == "Forbidden" for one in spec["validations"])


def test_the_policy_binds_where_the_operator_looks() -> None:
    [everywhere] = of_kind(objects(SETS["everything"]), "ValidatingAdmissionPolicyBinding")
    assert "matchResources" not in everywhere["spec"]
    assert everywhere["spec"]["validationActions"] == ["Deny"]
    [some] = of_kind(objects(SETS["namespaced"]), "ValidatingAdmissionPolicyBinding")
    [expression] = some["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["loans", "loans-staging"]
    for name in ("everything", "namespaced"):
        [policy] = of_kind(objects(SETS[name]), "ValidatingAdmissionPolicy")
        [binding] = of_kind(objects(SETS[name]), "ValidatingAdmissionPolicyBinding")
        assert binding["spec"]["policyName"] == policy["metadata"]["name"]


def test_without_being_asked_for_there_is_no_policy() -> None:
    assert objects(SETS["required"], only="admission-policy") == []
