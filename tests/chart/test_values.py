"""What a person may write into values, and what they are told where it cannot be."""

import copy

import helm_python as helm
import pytest
from tests.chart.render import CHART, REQUIRED, SETS, Object, objects, templates
from tests.chart.values_table import PAGE, VALUES, default, described, table


def with_value(path: str, value: object) -> Object:
    """Return the required values and one more."""
    values = copy.deepcopy(REQUIRED)
    place = values
    *way, last = path.split(".")
    for step in way:
        place = place.setdefault(step, {})
    place[last] = value
    return values


def leaves(node: object, path: str, known: set[str]) -> set[str]:
    """Return the paths of values, going no deeper than the schema does."""
    if path in known or not isinstance(node, dict):
        return {path}
    return {
        leaf
        for name, below in node.items()
        for leaf in leaves(below, f"{path}.{name}".removeprefix("."), known)
    }


def test_schema_and_defaults_have_the_same_values_and_each_is_explained() -> None:
    meanings = dict(described())
    assert all(meanings.values())
    assert set(meanings) - {"global"} == leaves(VALUES, "", set(meanings))
    assert all(default(path) is not None for path in meanings if path != "global")


def test_the_page_has_the_table_of_values() -> None:
    assert table() in PAGE.read_text(), "run: make chart"


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("operator.replicaCount", 2, "at '/operator/replicaCount': value must be 1"),
        ("api.auth", "none", "at '/api/auth': value must be one of 'kubernetes', 'keys'"),
        ("api.replicas", 3, "at '/api': additional properties 'replicas' not allowed"),
        ("databse", {}, "additional properties 'databse' not allowed"),
        ("migrations.mode", "hook", "value must be one of 'initContainer', 'job', 'none'"),
        ("operator.namespaces", "loans", "at '/operator/namespaces': got string, want array"),
        ("operator.namespaces", ["Loans"], "at '/operator/namespaces/0': 'Loans' does not match"),
        ("api.service.port", 8081, "at '/api/service/port': 'not' failed"),
        ("operator.workers", 0, "at '/operator/workers': minimum: got 0, want 1"),
        ("image.digest", "latest", "at '/image/digest': 'latest' does not match pattern"),
        ("api.podDisruptionBudget.maxUnavailable", 0, "minimum: got 0, want 1"),
        ("database.url", "postgresql://", "additional properties 'url' not allowed"),
        ("logs", "xml", "value must be one of 'plain', 'json'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(path: str, value: object, told: str) -> None:
    with pytest.raises(helm.HelmValuesError) as refused:
        templates(with_value(path, value))
    assert told in str(refused.value)


@pytest.mark.parametrize("missing", ["database", "encryption"])
def test_a_secret_that_is_not_named_is_asked_for(missing: str) -> None:
    values = {key: value for key, value in REQUIRED.items() if key != missing}
    with pytest.raises(helm.HelmRenderError) as refused:
        templates(values)
    assert f"{missing}.existingSecret is missing: name a Secret whose key {missing}.key" in str(
        refused.value
    )


def test_values_of_a_parent_chart_are_let_through() -> None:
    assert objects(with_value("global", {"imageRegistry": "x"})) == objects(REQUIRED)


def test_the_chart_holds_what_it_needs_and_no_values_of_tests() -> None:
    with helm.Chart.load(CHART) as chart:
        assert chart.values == VALUES
        assert [file["name"] for file in chart.files] == ["files/machineversions.yaml"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("required", "MISSING: Secret loans-app with the URL of Postgres was not found"),
        ("required", "create secret generic statekeep-keys --from-literal=keyring="),
        ("required", "--clusterrole=statekeep-actor-writer --serviceaccount=default:backend"),
        ("required", "create token backend --audience=statekeep"),
        ("required", "Whoever may edit a MachineVersion may approve its migration."),
        ("everything", "--clusterrole=statekeep-approver"),
        ("everything", "port-forward service/statekeep-api 8080:8080"),
        ("namespaced", "MISSING: Secret statekeep-owner with the URL for migrations"),
        ("namespaced", "--from-literal=url=postgresql://"),
        ("namespaced", "kubectl get crd machineversions.statekeep.io"),
        ("namespaced", "kubectl -n loans apply -f examples/loan/loan-v1.yaml"),
        ("keys", "statekeep db upgrade"),
        ("keys", "exec deployment/statekeep-api -- statekeep keys create --namespace default"),
        ("own-accounts", "makes no roles for the operator and the API"),
    ],
)
def test_the_notes_say_what_to_do_next_and_what_is_missing(name: str, said: str) -> None:
    notes = templates(SETS[name])["NOTES.txt"]
    assert said in notes
    assert "helm -n platform test statekeep" in notes


def test_the_notes_ask_for_nothing_that_is_not_there() -> None:
    namespaced, keys = (templates(SETS[name])["NOTES.txt"] for name in ("namespaced", "keys"))
    assert "--clusterrole=" not in namespaced
    assert "create token" not in keys
