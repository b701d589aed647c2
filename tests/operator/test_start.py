"""What an operator says at its start of what it was given."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.operator.patience import until
from tests.operator.process import Operator
from tests.operator.story import Cluster, emulated

from statekeep.controller.cli.operator import operator
from statekeep.controller.kubernetes.errors import ClusterUnavailable
from statekeep.controller.kubernetes.session import Session, login

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.mark.parametrize("name", ["Loans", "a_b", "-a", "n" * 64, "a/b"])
def test_what_cannot_be_a_namespace_is_refused(name: str) -> None:
    done = CliRunner().invoke(
        operator, ["--database-url", NOWHERE, "--namespaces", f"loans, {name}"]
    )
    assert done.exit_code == 2
    assert "a namespace is a DNS label" in done.output


@emulated
def test_a_namespace_without_versions_is_named(kubernetes: Cluster, tmp_path: Path) -> None:
    config = kubernetes.kubeconfig(tmp_path / "config")
    running = Operator(config, NOWHERE, "--namespaces", "typo,loans")
    try:
        until(lambda: "no MachineVersions yet in typo, loans" in running.log, "the warning")
    finally:
        running.kill()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "{}: No such file or directory"),
        ("[1, 2", "it is not the YAML of one"),
        ("current-context: x\n", "it has no x"),
    ],
    ids=["no file", "no YAML", "no such context"],
)
def test_a_kubeconfig_that_cannot_be_used_is_told_in_words(
    text: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("KUBECONFIG", os.fspath(path))
    with pytest.raises(ClusterUnavailable) as refused:
        login()
    assert str(refused.value) == f"the kubeconfig cannot be used: {why.format(path)}"


async def test_an_api_server_that_is_not_there_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.write_text(
        "current-context: c\n"
        "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: u, user: {token: t}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", os.fspath(path))
    session = Session(login, agent="tests")
    with pytest.raises(ClusterUnavailable) as silent:
        await session.ask("GET", "/version")
    await session.close()
    assert str(silent.value) == "the API server did not answer: 127.0.0.1:1: Connection refused"
