"""The demonstration on a cluster, as docs/cluster.md tells it."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster.api_server import ApiServer
from tests.dev.process import Watched
from tests.operator.process import Operator
from tests.test_readme import ROOT, matches
from tests.tied import tied_statekeep

from statekeep.engine.store.keyring import new_key_ring_text

pytestmark = pytest.mark.cluster

NAMESPACE = "statekeep-demo"
"""What the page calls it; the test has a name of its own."""


@dataclass
class Terminal:
    """Where somebody types, beside a cluster."""

    api_server: ApiServer
    namespace: str

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        kubectl = self.api_server.kubectl
        path = f"{Path(kubectl.program).parent}:{os.environ['PATH']}"
        return subprocess.Popen(
            tied_statekeep("demo", "--cluster", "--namespace", self.namespace, *arguments),
            cwd=ROOT,
            env={**kubectl.environment, "PATH": path, "COLUMNS": "120", "TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def is_clean(self) -> bool:
        """Whether no object is left, and the namespace is on its way out."""
        where = f"/api/v1/namespaces/{self.namespace}"
        phase = self.api_server.ask("GET", where)["status"]["phase"]
        return not self.api_server.names(self.namespace) and phase == "Terminating"


@pytest.fixture
def terminal(api_server: ApiServer) -> Iterator[Terminal]:
    namespace = f"{NAMESPACE}-{secrets.token_hex(3)}"
    yield Terminal(api_server, namespace)
    api_server.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


def test_the_story_goes_as_the_page_tells_it(terminal: Terminal) -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    [block] = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    command, *told = block.splitlines()
    assert command == "$ make demo-cluster"
    with terminal.start() as process:
        printed, complaints = process.communicate(timeout=200)
    assert (process.returncode, complaints) == (0, "")
    assert matches(printed.replace(terminal.namespace, NAMESPACE), told), printed
    assert terminal.is_clean()


def test_a_story_that_is_cut_short_leaves_nothing_behind(terminal: Terminal) -> None:
    with terminal.start("--keep") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Act 1"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
        assert process.wait(60) == 0
    assert rest.endswith("Stopped.\n")
    assert terminal.is_clean()


@pytest.mark.usefixtures("everywhere")
def test_an_installed_statekeep_does_the_work_where_its_api_is_named(
    terminal: Terminal, database_url: str, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(new_key_ring_text())
    config = terminal.api_server.kubeconfig(tmp_path / "config")
    api = Watched(
        tmp_path, "api", "--database-url", database_url, "--keys", str(keys), "--port", "0"
    )
    operator = Operator(config, database_url)
    try:
        server = api.line("StateKeep serves").split()[2]
        with terminal.start("--server", server) as process:
            printed, complaints = process.communicate(timeout=200)
        assert (process.returncode, complaints) == (0, "")
        assert f"The event API is at {server}." in printed
        assert printed.count("Applied: 17 migrated, 1,186 stayed, 0 need a rescue.") == 1
        assert terminal.is_clean()
    finally:
        api.kill()
        operator.kill()


def test_a_namespace_that_is_there_is_left_alone(terminal: Terminal, untended: str) -> None:
    terminal.namespace = untended
    with terminal.start() as process:
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"the namespace {untended} exists" in complaints
    assert "Traceback" not in complaints
    terminal.namespace = "nothing-to-delete"


def test_kubectl_and_a_checkout_are_asked_for(terminal: Terminal, tmp_path: Path) -> None:
    assert shutil.which("kubectl", path=str(tmp_path)) is None
    environment = {**terminal.api_server.kubectl.environment, "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "statekeep.controller.cli.main", "demo", "--cluster"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("statekeep: kubectl is not on the PATH")
    environment["PATH"] = str(Path(terminal.api_server.kubectl.program).parent)
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "play from the root of a checkout" in ran.stderr
