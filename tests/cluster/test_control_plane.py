"""The control plane of the tests leaves nothing running."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.cluster.found import is_named
from tests.dev.process import gone

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]

STARTED = """
import sys
from pathlib import Path
from tests.cluster.control_plane import ControlPlane
plane = ControlPlane(Path(sys.argv[1]), Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.read()
"""


def test_it_ends_with_the_test_process_however_that_ends(tmp_path: Path) -> None:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets is None:
        pytest.skip("KUBEBUILDER_ASSETS is not set: the cluster is not ours")
    with subprocess.Popen(
        [sys.executable, "-c", STARTED, assets, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert {child.name() for child in children} == {"etcd", "kube-apiserver"}
        process.send_signal(signal.SIGKILL)
        gone(children)


@pytest.mark.parametrize(
    ("environment", "status", "line"),
    [
        ({}, 0, "The cluster tests are skipped: no cluster: set KUBECONFIG"),
        ({"KUBECONFIG": "/nowhere"}, 1, "The cluster tests cannot run: the cluster of KUBECONFIG"),
        ({"KUBEBUILDER_ASSETS": "/nowhere"}, 1, "there is no program etcd"),
    ],
    ids=["nothing is set", "a kubeconfig that is not there", "programs that are not there"],
)
def test_a_run_that_has_no_cluster_says_so_in_one_line(
    environment: dict[str, str], status: int, line: str
) -> None:
    assert is_named()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KUBE")}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--cluster", "tests/cluster/test_rights.py"],
        cwd=ROOT,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == status
    assert ran.stdout.count(line) == 1
    assert "Traceback" not in ran.stdout
