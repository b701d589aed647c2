"""What only a real API server shows; ``tests/operator`` has the stories that an emulator is enough for too."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.cluster.api_server import ApiServer
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

Manifest = Callable[..., Object]


@pytest.fixture(scope="package")
def kubernetes(api_server: ApiServer) -> ApiServer:
    """The API server of the stories."""
    return api_server


@pytest.fixture(scope="package")
def untended(api_server: ApiServer) -> str:
    """A namespace that no operator looks after."""
    [namespace] = api_server.namespaces(1)
    return namespace


@pytest.fixture(scope="session")
def plane(cluster: tuple[Kubectl, ControlPlane | None]) -> ControlPlane:
    """The control plane, where it is ours to break."""
    if cluster[1] is None:
        pytest.skip("the cluster is not ours to break; KUBEBUILDER_ASSETS makes one that is")
    return cluster[1]


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
