"""NetworkPolicies: each pod reaches what it needs, and nothing else is let in or out."""

from typing import Any

import pytest
from tests.chart.render import SETS, Object, objects, of_kind, pods

DNS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
DATABASE = [{"port": 5432, "protocol": "TCP"}]
KUBERNETES = [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]
HEALTH = [{"port": "health", "protocol": "TCP"}]
HTTP = [{"port": "http", "protocol": "TCP"}]


def policies(values: Object) -> dict[str, Any]:
    """Return the policies by the component that they are for; each pod has one."""
    rendered = objects(values)
    found = {}
    for one in pods(rendered):
        [policy] = (
            it["spec"]
            for it in of_kind(rendered, "NetworkPolicy")
            if it["spec"]["podSelector"]["matchLabels"].items() <= one.labels.items()
        )
        found[one.component] = policy
    assert len(found) == len(of_kind(rendered, "NetworkPolicy"))
    return found


def ports(rules: list[Object]) -> list[Any]:
    """Return the ports of each rule."""
    return [rule.get("ports") for rule in rules]


def test_every_pod_is_closed_but_for_what_it_needs() -> None:
    found = policies(SETS["namespaced"])
    assert all(policy["policyTypes"] == ["Ingress", "Egress"] for policy in found.values())
    assert {name: ports(policy["egress"]) for name, policy in found.items()} == {
        "operator": [DNS, DATABASE, KUBERNETES],
        "api": [DNS, DATABASE, KUBERNETES],
        "migration": [DNS, DATABASE],
        "test": [DNS, HEALTH],
    }
    assert {name: ports(policy["ingress"]) for name, policy in found.items()} == {
        "operator": [HEALTH],
        "api": [HTTP, HEALTH],
        "migration": [],
        "test": [],
    }


def test_an_api_that_asks_no_cluster_reaches_none() -> None:
    assert ports(policies(SETS["keys"])["api"]["egress"]) == [DNS, DATABASE]


def test_peers_can_be_named() -> None:
    found = policies(SETS["everything"])
    dns, database, kubernetes, extra = found["api"]["egress"]
    assert "to" not in dns
    assert database["to"] == SETS["everything"]["networkPolicy"]["databaseTo"]
    assert kubernetes["to"] == SETS["everything"]["networkPolicy"]["kubernetesTo"]
    assert kubernetes["ports"] == [{"port": 6443, "protocol": "TCP"}]
    assert extra["to"][0]["namespaceSelector"]
    [calls, _] = policies(SETS["keys"])["api"]["ingress"]
    assert calls["from"] == [{"podSelector": {"matchLabels": {"app": "gateway"}}}]


def test_no_peers_let_nobody_in() -> None:
    """A rule without them would let in everybody."""
    closed = {"networkPolicy": {"enabled": True, "apiFrom": [], "metricsFrom": []}}
    found = policies(SETS["required"] | closed)
    assert [policy["ingress"] for policy in found.values()] == [[], [], []]


@pytest.mark.parametrize("name", ["required", "own-accounts"])
def test_without_being_asked_for_there_is_none(name: str) -> None:
    assert of_kind(objects(SETS[name]), "NetworkPolicy") == []
