"""What GitOps tools make of the operator's own statuses: Argo CD by our Lua, Flux by kstatus or by our CEL."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml
from lupa.lua51 import LuaRuntime
from tests.gitops.statuses import STANDINGS, edited, fresh, version

from statekeep.controller.standing import (
    Applied,
    Applying,
    AwaitingApproval,
    AwaitingParent,
    DatabaseUnavailable,
    Immutable,
    Invalid,
    PreviewChanged,
    Reinterpreted,
    Standing,
)

ARGOCD = Path(__file__).parents[2] / "examples" / "gitops" / "argocd"
FLUX = Path(__file__).parents[2] / "examples" / "gitops" / "flux"

HEALTH = {
    Invalid: ("Degraded", "Failed", "failed"),
    AwaitingParent: ("Progressing", "InProgress", "inProgress"),
    AwaitingApproval: ("Suspended", "InProgress", "current"),
    PreviewChanged: ("Suspended", "InProgress", "current"),
    Applying: ("Progressing", "InProgress", "inProgress"),
    Applied: ("Healthy", "Current", "current"),
    Reinterpreted: ("Degraded", "Failed", "failed"),
    Immutable: ("Degraded", "Failed", "failed"),
    DatabaseUnavailable: ("Progressing", "InProgress", "inProgress"),
}
"""What Argo CD, kstatus and our expressions for Flux make of each standing."""

every_standing = pytest.mark.parametrize("standing", STANDINGS.values(), ids=STANDINGS)


def argocd(one: Any) -> tuple[str, str]:
    """Return (health, message) as Argo CD gets them: Lua 5.1, the object in ``obj``."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = lua.table_from(one, recursive=True)
    health = lua.execute((ARGOCD / "health.lua").read_text())
    return health.status, health.message


def kstatus(one: Any) -> str:
    """Return the status by the rules of ``cli-utils`` (``pkg/kstatus/status``), in their order.

    Terminating and resources that cannot be found are left out: the rules for them do not look at our status.
    """
    status = one["status"]
    conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
    observed = status.get("observedGeneration")
    if observed is not None and observed != one["metadata"]["generation"]:
        return "InProgress"
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if "Ready" in conditions:
        return "Current" if conditions["Ready"] == "True" else "InProgress"
    return "Current"


def flux(one: Any) -> str:
    """Return which of our expressions holds first, in the order in which Flux evaluates them."""
    [_, kustomization] = yaml.safe_load_all((FLUX / "machines.yaml").read_text())
    [expressions] = kustomization["spec"]["healthCheckExprs"]
    for name in ("inProgress", "failed", "current"):
        if cel.evaluate(expressions[name], one):
            return name
    return "inProgress"


def test_no_standing_is_left_out() -> None:
    assert {type(standing) for standing in STANDINGS.values()} == set(Standing.__args__)
    assert set(HEALTH) == set(Standing.__args__)


@every_standing
def test_each_tool_sees_where_a_version_stands(standing: Standing) -> None:
    one = version(standing)
    assert (argocd(one)[0], kstatus(one), flux(one)) == HEALTH[type(standing)]


@every_standing
def test_argo_cd_shows_the_reason_and_what_to_do(standing: Standing) -> None:
    one = version(standing)
    ready = one["status"]["conditions"][0]
    assert argocd(one)[1] == f"{ready['reason']}: {ready['message']}"


@pytest.mark.parametrize(
    "see", [lambda one: argocd(one)[0], kstatus, flux], ids=["argocd", "kstatus", "flux"]
)
def test_what_the_operator_has_not_looked_at_is_in_progress(see: Callable[[Any], str]) -> None:
    for one in (fresh(), *map(edited, STANDINGS.values())):
        assert see(one) in ("Progressing", "InProgress", "inProgress")


def test_argo_cd_takes_an_object_without_a_status() -> None:
    one = fresh()
    del one["status"]
    assert argocd(one)[0] == "Progressing"


@every_standing
def test_kubectl_wait_for_ready_ends_when_a_version_is_applied(standing: Standing) -> None:
    """It compares the condition's own generation with the object's."""
    one = version(standing)
    ready = next(c for c in one["status"]["conditions"] if c["type"] == "Ready")
    assert ready["observedGeneration"] == one["metadata"]["generation"]
    assert (ready["status"] == "True") == isinstance(standing, Applied)


def test_the_patch_of_the_config_map_has_the_same_script() -> None:
    patch = yaml.safe_load((ARGOCD / "argocd-cm.yaml").read_text())
    key = "resource.customizations.health.statekeep.io_MachineVersion"
    assert patch["data"] == {key: (ARGOCD / "health.lua").read_text()}
