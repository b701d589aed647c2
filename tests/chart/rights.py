"""Roles, as sets of rights."""

from itertools import product

from tests.chart.render import Object, of_kind

Right = tuple[str, str, str]
"""API group, resource, verb."""


def rights(role: Object) -> set[Right]:
    """Return what a role allows."""
    return {
        right
        for rule in role["rules"]
        for right in product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }


def role(rendered: list[Object], name: str, kind: str = "ClusterRole") -> Object:
    """Return the role whose name ends so."""
    [found] = (one for one in of_kind(rendered, kind) if one["metadata"]["name"].endswith(name))
    return found


def aggregated(one: Object) -> set[str]:
    """Return the built-in roles that include a role."""
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    labels = one["metadata"]["labels"]
    return {key.removeprefix(prefix) for key in labels if key.startswith(prefix)}
