"""What only a real API server shows; ``tests/operator`` has the stories that an emulator is enough for too."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.api_server import ACCOUNT, ApiServer
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kubectl import Kubectl
from tests.operator.conftest import (  # noqa: F401  (fixtures: an operator for the stories of this folder)
    operator,
    shared_database,
    shared_url,
    stages,
    story,
)
from tests.operator.objects import Object

from statekeep.controller.operator.rights import RULES

_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def kubernetes(api_server: ApiServer) -> ApiServer:
    """The API server of the stories."""
    return api_server


@pytest.fixture(scope="package")
def untended(api_server: ApiServer) -> str:
    """A namespace that no operator looks after."""
    [namespace] = api_server.namespaces(1)
    return namespace


@pytest.fixture
def plane(cluster: tuple[Kubectl, ControlPlane | None]) -> Iterator[ControlPlane]:
    """The control plane, where it is ours to break; it is whole again in the end."""
    _, plane = cluster
    if plane is None:
        pytest.skip("the cluster is not ours to break; KUBEBUILDER_ASSETS makes one that is")
    yield plane
    plane.start_api_server()


@pytest.fixture
def accounts(
    api_server: ApiServer, untended: str, tmp_path: Path
) -> Callable[[str, Sequence[Object]], Kubectl]:
    """Make a ServiceAccount with some rights in the untended namespace; return its ``kubectl``."""

    def make(name: str, rules: Sequence[Object]) -> Kubectl:
        api_server.add_account(untended, name)
        api_server.allow(untended, name, rules, (untended, name))
        config = api_server.kubeconfig_of(tmp_path / name, untended, name)
        return Kubectl(api_server.kubectl.program, str(config), tmp_path / "cache")

    return make


@pytest.fixture
def everywhere(api_server: ApiServer, plane: ControlPlane) -> Iterator[str]:
    """The operator's ServiceAccount has its rights in all namespaces; only where nobody else is."""
    name = f"{api_server.home}-{next(_numbers)}"
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    account = {"kind": "ServiceAccount", "namespace": api_server.home, "name": ACCOUNT}
    api_server.ask("POST", roles, {"metadata": {"name": name}, "rules": list(RULES)})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    binding: Any = {"metadata": {"name": name}, "subjects": [account], "roleRef": reference}
    api_server.ask("POST", bindings, binding)
    yield name
    api_server.ask("DELETE", f"{bindings}/{name}")
    api_server.ask("DELETE", f"{roles}/{name}")
