"""The examples for GitOps fit together, and are what the tools that read them take."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from statekeep.controller.api.routes import ROUTES
from statekeep.controller.cli.main import statekeep
from statekeep.controller.manifest.folder import read_files

ROOT = Path(__file__).parents[2]
GITOPS = ROOT / "examples" / "gitops"
WORKFLOWS = {
    GITOPS / "github" / "statekeep-preview.yml": ["vendor.github-workflows"],
    GITOPS / "gitlab" / ".gitlab-ci.yml": ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}
KUBECTL = shutil.which("kubectl")


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def resources(folder: Path) -> Iterator[Any]:
    """Yield everything that a kustomization stands for."""
    [kustomization] = documents(folder / "kustomization.yaml")
    for name in kustomization["resources"]:
        path = (folder / name).resolve()
        yield from resources(path) if path.is_dir() else documents(path)


def commands(path: Path) -> Iterator[list[str]]:
    """Yield the words of every call of ``statekeep`` in a workflow."""
    text = re.sub(r"\n {10,}(?=>>)", " ", path.read_text())
    for line in text.splitlines():
        if "statekeep " in line and (
            found := re.match(r"\s*(?:- )?(?:run: )?(statekeep [a-z].*)", line)
        ):
            yield shlex.split(found[1].partition(" >")[0])


def test_the_base_is_what_a_cluster_needs_once() -> None:
    kinds = [one["kind"] for one in resources(GITOPS / "base")]
    assert kinds == ["CustomResourceDefinition", "Namespace"]


def test_the_versions_are_those_of_the_loan_story_in_the_namespace_of_the_base() -> None:
    [kustomization] = documents(GITOPS / "machines" / "kustomization.yaml")
    [_, namespace] = resources(GITOPS / "base")
    assert kustomization["namespace"] == namespace["metadata"]["name"]
    files = {path.name for path in (GITOPS / "machines").iterdir()} - {"kustomization.yaml"}
    assert files == set(kustomization["resources"])
    for name in files:
        [original] = read_files([ROOT / "examples" / "loan" / name]).sources
        [copy] = read_files([GITOPS / "machines" / name]).sources
        assert copy.manifest.namespace == kustomization["namespace"]
        assert replace(copy.manifest, namespace=None) == original.manifest


def test_every_reader_of_yaml_takes_the_versions_alike() -> None:
    """Unquoted, ``on`` is a boolean to those of YAML 1.1, and the API server keeps what it is sent."""
    for path in (GITOPS / "machines").glob("loan-*.yaml"):
        assert not re.search(r"^\s*on:", path.read_text(), re.MULTILINE)
        assert "true" not in json.dumps(documents(path))


@pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on this machine")
@pytest.mark.parametrize("name", ["base", "machines"])
def test_kubectl_builds_each_kustomization(name: str) -> None:
    built = subprocess.run(
        [str(KUBECTL), "kustomize", str(GITOPS / name)], check=True, capture_output=True, text=True
    )
    found = {(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(built.stdout)}
    assert found == {(one["kind"], one["metadata"]["name"]) for one in resources(GITOPS / name)}


def test_the_loan_folder_can_be_applied_as_it_is() -> None:
    for path in (ROOT / "examples" / "loan").iterdir():
        for one in documents(path):
            assert one["kind"] == "MachineVersion"
            assert "namespace" not in one["metadata"]


def test_the_tools_are_led_to_the_versions() -> None:
    names = {one["metadata"]["name"] for one in resources(GITOPS / "machines")}
    [application] = documents(GITOPS / "argocd" / "application.yaml")
    assert list(resources(ROOT / application["spec"]["source"]["path"]))
    assert "ServerSideApply=true" in application["spec"]["syncPolicy"]["syncOptions"]
    [_, kustomization] = documents(GITOPS / "flux" / "machines.yaml")
    spec = kustomization["spec"]
    assert list(resources(ROOT / spec["path"]))
    assert {check["name"] for check in spec["healthChecks"]} == names


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.parent.name)
def test_a_workflow_is_one(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *WORKFLOWS[path]]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.parent.name)
def test_every_call_in_a_workflow_has_options_that_exist(path: Path) -> None:
    found = list(commands(path))
    assert {words[1] for words in found} == {"validate", "review"}
    for _, name, *words in found:
        command = statekeep.get_command(click.Context(statekeep), name)
        assert command is not None
        options = {flag: one for one in command.params for flag in one.opts}
        for word, following in zip(words, [*words[1:], ""], strict=True):
            if word.startswith("-"):
                kind = options[word].type
                assert not isinstance(kind, click.Choice) or following in kind.choices


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.parent.name)
def test_a_workflow_installs_this_release(path: Path) -> None:
    assert f'"statekeep=={metadata.version("statekeep")}"' in path.read_text()


def test_the_reviewer_may_do_what_a_review_does_and_no_more() -> None:
    [_, role, binding] = documents(GITOPS / "reviewer.yaml")
    allowed = {
        (verb, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }
    assert allowed == {
        (route.verb, route.resource)
        for route in ROUTES
        if (route.method, route.path) in (("GET", "/versions/{name}"), ("POST", "/previews"))
    }
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
