"""Rights: what each component and each kind of user needs, and nothing beside it."""

from itertools import product

import pytest
from tests.chart.render import SETS, objects, of_kind
from tests.chart.rights import aggregated, rights, role

from statekeep.controller.api.routes import ROUTES
from statekeep.controller.operator.rights import RULES

GROUP = "statekeep.io"
CALLS = {(GROUP, route.resource, route.verb) for route in ROUTES}
FEED = (GROUP, "actors", "watch")
WRITES = {(GROUP, "actors", "create"), (GROUP, "actors/events", "create")}


def test_the_operator_may_do_what_it_needs_and_nothing_else() -> None:
    needed = {
        one
        for rule in RULES
        for one in product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }
    assert rights(role(objects(SETS["required"]), "-operator")) == needed


def test_an_operator_of_some_namespaces_has_its_rights_there_alone() -> None:
    rendered = objects(SETS["namespaced"])
    everywhere = rights(role(objects(SETS["required"]), "-operator"))
    for kind in ("Role", "RoleBinding"):
        found = of_kind(rendered, kind)
        assert [one["metadata"]["namespace"] for one in found] == ["loans", "loans-staging"]
    assert all(rights(one) == everywhere for one in of_kind(rendered, "Role"))
    for kind in ("ClusterRole", "ClusterRoleBinding"):
        assert not any("operator" in one["metadata"]["name"] for one in of_kind(rendered, kind))


def test_the_api_may_ask_who_calls_and_whether_they_may() -> None:
    assert rights(role(objects(SETS["required"]), "-api")) == {
        ("authentication.k8s.io", "tokenreviews", "create"),
        ("authorization.k8s.io", "subjectaccessreviews", "create"),
    }


def test_an_api_that_asks_no_cluster_has_no_rights() -> None:
    rendered = objects(SETS["keys"])
    assert not any("-api" in one["metadata"]["name"] for one in of_kind(rendered, "ClusterRole"))
    [bound] = of_kind(rendered, "ClusterRoleBinding")
    assert bound["subjects"][0]["name"] == "statekeep-operator"


@pytest.mark.parametrize("name", SETS)
def test_every_binding_gives_a_role_that_is_made(name: str) -> None:
    rendered = objects(SETS[name])
    for one in of_kind(rendered, "RoleBinding", "ClusterRoleBinding"):
        kind = one["roleRef"]["kind"]
        found = role(rendered, one["roleRef"]["name"], kind) if kind == "ClusterRole" else None
        if found is None:
            same = one["metadata"]["namespace"]
            [found] = (r for r in of_kind(rendered, kind) if r["metadata"]["namespace"] == same)
        assert found["metadata"]["name"] == one["roleRef"]["name"]


def test_a_viewer_may_make_every_call_that_changes_nothing() -> None:
    viewer = role(objects(SETS["required"]), "-viewer")
    assert rights(viewer) == (CALLS - WRITES) | {FEED, (GROUP, "machineversions", "watch")}
    assert aggregated(viewer) == {"view", "edit", "admin"}


def test_an_actor_writer_may_make_the_others_and_follow_the_feed() -> None:
    writer = role(objects(SETS["required"]), "-actor-writer")
    assert WRITES <= CALLS
    assert rights(writer) == WRITES | {FEED}
    assert aggregated(writer) == {"edit", "admin"}


def test_an_author_writes_versions_but_no_status() -> None:
    author = role(objects(SETS["required"]), "-author")
    verbs = {"create", "update", "patch", "delete", "deletecollection"}
    assert rights(author) == {(GROUP, "machineversions", verb) for verb in verbs}
    assert aggregated(author) == {"edit", "admin"}


def test_nobody_becomes_an_approver_by_being_something_else() -> None:
    rendered = objects(SETS["required"])
    approver = role(rendered, "-approver")
    assert rights(approver) == {(GROUP, "machineversions/approve", "update")}
    assert aggregated(approver) == set()
    for one in of_kind(rendered, "ClusterRole"):
        assert one is approver or not rights(one) & rights(approver)


def test_roles_can_be_left_to_others() -> None:
    without = objects(SETS["own-accounts"])
    assert of_kind(without, "Role", "RoleBinding", "ClusterRoleBinding") == []
    assert all(aggregated(one) == set() for one in of_kind(without, "ClusterRole"))
    names = {one["metadata"]["name"] for one in of_kind(objects(SETS["namespaced"]), "ClusterRole")}
    assert names == {"platform-statekeep-keeper-api"}
