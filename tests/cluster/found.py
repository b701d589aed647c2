"""The cluster that the tests may use: whatever ``KUBECONFIG`` names, else one of our own."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.control_plane import ControlPlane
from tests.cluster.kubectl import Kubectl

ABSENT = (
    "no cluster: set KUBECONFIG to that of a cluster for tests, or KUBEBUILDER_ASSETS to a folder "
    "with etcd, kube-apiserver and kubectl (setup-envtest makes one)"
)


class Unusable(Exception):
    """What the environment names cannot be used; the message says why."""


def is_named() -> bool:
    """Whether the environment names a cluster, or the means to start one."""
    return bool(os.environ.get("KUBECONFIG") or os.environ.get("KUBEBUILDER_ASSETS"))


@contextmanager
def found(folder: Path) -> Iterator[tuple[Kubectl, ControlPlane | None]]:
    """Hold the cluster; yield the way there, and its control plane where that is our own.

    Raises:
        Unusable: there is none that these tests can run on.
    """
    assets = Path(os.environ.get("KUBEBUILDER_ASSETS", ""))
    program = shutil.which("kubectl", path=f"{assets}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        raise Unusable("kubectl is neither in KUBEBUILDER_ASSETS nor on the PATH")
    cache = folder / "cache"
    if given := os.environ.get("KUBECONFIG"):
        kubectl = Kubectl(program, given, cache)
        _check(kubectl, given)
        yield kubectl, None
        return
    for name in ("etcd", "kube-apiserver"):
        if not os.access(assets / name, os.X_OK):
            raise Unusable(f"KUBEBUILDER_ASSETS names {assets}, where there is no program {name}")
    plane = ControlPlane(assets, folder)
    try:
        yield Kubectl(program, str(plane.kubeconfig), cache), plane
    finally:
        plane.close()


def _check(kubectl: Kubectl, given: str) -> None:
    """Refuse a cluster that does not answer, or whose administrator we are not."""
    may = kubectl.run("auth", "can-i", "*", "*", "--all-namespaces", "--request-timeout=20s")
    match may.stdout.strip():
        case "yes":
            pass
        case "no":
            raise Unusable(
                f"the user of KUBECONFIG={given} is no cluster administrator: the tests make "
                "namespaces, roles and our CustomResourceDefinition"
            )
        case _:
            said = (may.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise Unusable(f"the cluster of KUBECONFIG={given} does not answer: {said}")
    installed = ("-l", "app.kubernetes.io/name=statekeep", "--all-namespaces", "-o", "name")
    if there := kubectl("get", "deployments", *installed).split():
        raise Unusable(
            f"StateKeep is installed on the cluster of KUBECONFIG={given} ({there[0]}), and its "
            "operator would take part: choose a cluster without"
        )
