"""What Helm renders: valid, belonging together, and nothing twice."""

import copy
from collections import Counter
from importlib import metadata

import helm_python as helm
import pytest
import yaml
from tests.chart.render import (
    CHART,
    NAMESPACE,
    REQUIRED,
    ROOT,
    SETS,
    Object,
    objects,
    of_kind,
    pod,
    pods,
)
from tests.chart.validity import VERSIONS, problem

CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}

every_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS)


@pytest.mark.parametrize("version", VERSIONS)
def test_helm_lint_finds_nothing(version: str) -> None:
    report = helm.lint(CHART, strict=True, kube_version=f"v{version}.0")
    assert report["errors"] == []
    [message] = report["messages"]
    assert message["error"] == "icon is recommended"


@every_set
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(values: Object, version: str) -> None:
    rendered = objects(values)
    assert len(rendered) > 5
    for one in rendered:
        assert problem(one, version) is None, (one["kind"], one["metadata"]["name"])


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "spec.template.spec.containers.0.imagePullpolicy", "Always"),
        ("Deployment", "spec.replicas", "2"),
        ("ValidatingAdmissionPolicy", "spec.validations.0.message_expression", "x"),
        ("CustomResourceDefinition", "spec.versions.0.schema.openAPIV3Schema.maxlength", 3),
        ("NetworkPolicy", "spec.ingress.0.from.0.podselector", {}),
        ("HorizontalPodAutoscaler", "spec.maxReplica", 3),
        ("ServiceMonitor", "spec.endpoints.0.intervall", "30s"),
    ],
)
def test_a_wrong_field_would_be_found(kind: str, path: str, value: object) -> None:
    one = copy.deepcopy(of_kind(objects(SETS["everything"]), kind)[0])
    place: Object = one
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[last] = value
    assert problem(one, VERSIONS[-1]) is not None


@every_set
def test_nothing_is_made_twice_and_everything_says_whose_it_is(values: Object) -> None:
    rendered = objects(values)
    names = Counter(
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in rendered
    )
    assert set(names.values()) == {1}
    for one in rendered:
        assert ("namespace" in one["metadata"]) != (one["kind"] in CLUSTER_SCOPED), one["kind"]
        if one["kind"] != "ConfigMap":  # the one of extraObjects
            assert one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


@pytest.mark.parametrize("name", ["statekeep", "a", "x" * 53])
def test_names_fit_and_selectors_find_the_pods_of_one_component(name: str) -> None:
    rendered = objects(SETS["everything"], name=name)
    running = list(pods(rendered))
    selectors = {
        one["metadata"]["name"]: one["spec"]["selector"].get("matchLabels", one["spec"]["selector"])
        for one in of_kind(rendered, "Deployment", "Service", "PodDisruptionBudget")
    }
    for owner, selector in selectors.items():
        assert len(owner) <= 63
        found = [one for one in running if selector.items() <= one.labels.items()]
        assert [one.owner["metadata"]["name"] for one in found] == [owner]
    [monitor] = of_kind(rendered, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    services = of_kind(rendered, "Service")
    assert all(wanted <= one["metadata"]["labels"].items() for one in services)


@every_set
def test_every_port_that_is_named_is_one_of_the_pod(values: Object) -> None:
    rendered = objects(values)
    for one in of_kind(rendered, "Service"):
        found = pod(rendered, one["spec"]["selector"]["app.kubernetes.io/component"])
        ports = {port["name"] for box in found.containers for port in box.get("ports", [])}
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports


def test_releases_of_one_name_in_two_namespaces_share_no_roles() -> None:
    def names(namespace: str) -> set[str]:
        values = {**REQUIRED, "crds": {"enabled": False}, "userRoles": {"create": False}}
        values["admissionPolicy"] = {"enabled": True}
        rendered = objects(values, namespace=namespace)
        return {one["metadata"]["name"] for one in of_kind(rendered, *CLUSTER_SCOPED)}

    assert names("loans")
    assert not names("loans") & names("orders")


def test_the_operator_is_one_and_never_two_at_a_time() -> None:
    [operator] = (
        one
        for one in of_kind(objects(REQUIRED), "Deployment")
        if one["metadata"]["name"] == "statekeep-operator"
    )
    assert operator["spec"]["replicas"] == 1
    assert operator["spec"]["strategy"] == {"type": "Recreate"}


@every_set
def test_only_the_api_is_scaled_and_spared(values: Object) -> None:
    rendered = objects(values)
    for one in of_kind(rendered, "PodDisruptionBudget", "HorizontalPodAutoscaler"):
        assert one["metadata"]["labels"]["app.kubernetes.io/component"] == "api"
    [scaled] = (
        one for one in of_kind(rendered, "Deployment") if one["metadata"]["name"].endswith("-api")
    )
    # A number of replicas in the manifest would undo what the autoscaler did at every upgrade.
    by_itself = bool(of_kind(rendered, "HorizontalPodAutoscaler"))
    assert ("replicas" in scaled["spec"]) != by_itself
    assert by_itself == (values is SETS["everything"])


def test_the_definition_of_the_resource_is_that_of_the_project() -> None:
    assert (CHART / "files" / "machineversions.yaml").read_bytes() == (
        ROOT / "crds" / "machineversions.yaml"
    ).read_bytes(), "run: make chart"
    [rendered] = of_kind(objects(REQUIRED), "CustomResourceDefinition")
    original = yaml.safe_load((ROOT / "crds" / "machineversions.yaml").read_text())
    assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert rendered["metadata"].pop("labels")
    assert rendered == original


def test_the_definition_of_the_resource_can_be_left_out_and_let_go() -> None:
    assert of_kind(objects(SETS["namespaced"]), "CustomResourceDefinition") == []
    [released] = of_kind(objects(SETS["own-accounts"]), "CustomResourceDefinition")
    assert "annotations" not in released["metadata"]


def test_the_chart_is_for_this_release_of_the_program() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == metadata.version("statekeep")
    api = pod(objects(REQUIRED), "api").container("api")
    assert api["image"] == f"statekeep:{about['appVersion']}"
    assert pod(objects(SETS["keys"]), "api").container("api")["image"] == "statekeep:main"
    everything = pod(objects(SETS["everything"]), "api").container("api")["image"]
    assert everything.startswith("registry.example.com/statekeep@sha256:")


def test_the_labels_that_selectors_use_cannot_be_replaced() -> None:
    values = {**SETS["everything"], "commonLabels": {"app.kubernetes.io/instance": "mine"}}
    operator = pod(objects(values), "operator")
    assert operator.labels["app.kubernetes.io/instance"] == "statekeep"
    assert operator.labels["tier"] == "control"


def test_spreading_needs_no_selector_and_keeps_one_that_is_given() -> None:
    api = pod(objects(SETS["everything"]), "api")
    ours, theirs = api.spec["topologySpreadConstraints"]
    assert ours["labelSelector"]["matchLabels"].items() <= api.labels.items()
    assert theirs["labelSelector"] == {"matchLabels": {"tier": "service"}}


def test_further_objects_are_templates() -> None:
    [one] = of_kind(objects(SETS["everything"]), "ConfigMap")
    assert one["metadata"] == {"name": "statekeep-dashboards", "namespace": NAMESPACE}
