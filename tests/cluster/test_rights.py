"""What an operator may do, as the API server sees it, and whom a token is good for."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart import render
from tests.cluster.api_server import ACCOUNT, ApiServer
from tests.operator.objects import Object

from statekeep.controller.operator.rights import RULES

pytestmark = pytest.mark.cluster

OURS = {"group": "statekeep.io", "resource": "machineversions"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["resources"][0])
def test_an_operator_may_do_what_it_does(api_server: ApiServer, untended: str, rule: Any) -> None:
    [resource] = rule["resources"]
    name, _, subresource = resource.partition("/")
    for verb in rule["verbs"]:
        what = {"group": rule["apiGroups"][0], "resource": name, "subresource": subresource}
        assert may(api_server, untended, {**what, "verb": verb})


@pytest.mark.parametrize(
    "what",
    [
        *({**OURS, "verb": verb} for verb in ("create", "update", "patch", "delete")),
        {**OURS, "subresource": "status", "verb": "update"},
        {**OURS, "subresource": "approve", "verb": "update"},
        {"resource": "secrets", "verb": "get"},
        {"resource": "events", "verb": "list"},
        {"resource": "pods", "verb": "create"},
    ],
    ids=lambda what: f"{what['verb']} {what['resource']}/{what.get('subresource', '')}",
)
def test_and_nothing_else(api_server: ApiServer, untended: str, what: Object) -> None:
    assert not may(api_server, untended, what)


def may(api_server: ApiServer, namespace: str, what: Object) -> bool:
    user = f"system:serviceaccount:{api_server.home}:{ACCOUNT}"
    return api_server.may(user, {"namespace": namespace, **what})


def test_a_token_is_good_for_its_audience_and_for_no_other(
    api_server: ApiServer, untended: str
) -> None:
    api_server.add_account(untended, "somebody")
    token = api_server.token(untended, "somebody", audience="statekeep")
    known = review(api_server, token, "statekeep")
    assert known["authenticated"] is True
    assert known["audiences"] == ["statekeep"]
    assert known["user"]["username"] == f"system:serviceaccount:{untended}:somebody"
    assert "authenticated" not in review(api_server, token, "somebody-else")
    default = api_server.token(untended, "somebody")
    assert "authenticated" not in review(api_server, default, "statekeep")


def review(api_server: ApiServer, token: str, audience: str) -> Any:
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    spec = {"token": token, "audiences": [audience]}
    return api_server.ask("POST", path, {"spec": spec})["status"]


def test_rights_on_actors_and_events_are_given_like_any_other(
    api_server: ApiServer, untended: str
) -> None:
    """No CustomResourceDefinition has these resources; a Role may name them all the same."""
    api_server.add_account(untended, "sender")
    rule = {
        "apiGroups": ["statekeep.io"],
        "resources": ["actors/events"],
        "resourceNames": ["alice"],
        "verbs": ["create"],
    }
    api_server.allow(untended, "sender", [rule], (untended, "sender"))
    user = f"system:serviceaccount:{untended}:sender"
    what = {"group": "statekeep.io", "resource": "actors", "subresource": "events"}
    asked = {"namespace": untended, "verb": "create", "name": "alice", **what}
    assert api_server.eventually_may(user, asked)
    assert not api_server.may(user, asked | {"name": "bob"})
    assert not api_server.may(user, asked | {"namespace": api_server.home})
    assert not api_server.may(user, asked | {"verb": "list"})


def test_the_page_shows_the_rights() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operator.md").read_text()
    _, _, block = page.partition("```yaml\n")
    assert yaml.safe_load(block.partition("```")[0])["rules"] == [dict(rule) for rule in RULES]


def test_the_chart_gives_the_same_rights() -> None:
    values = render.REQUIRED | {"operator": {"namespaces": ["loans"]}}
    [role] = render.of_kind(render.objects(values, only="operator-rbac"), "Role")
    assert role["rules"] == [dict(rule) for rule in RULES]
