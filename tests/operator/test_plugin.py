"""The loan story on a cluster, as docs/gitops.md tells it, beside a running operator and the event API."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from tests.operator.kubernetes import PERSON, Kubernetes
from tests.operator.story import Story, emulated
from tests.plugin.run import Plugin
from tests.test_readme import ROOT, matches
from tests.test_readme import story as read

from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening


@pytest.fixture
async def plugin(story: Story, kubernetes: Kubernetes, tmp_path: Path) -> AsyncIterator[Plugin]:
    """Somebody in the story's namespace, to whom the event API's Service can be forwarded."""
    config = kubernetes.kubeconfig(tmp_path / "config", token=PERSON, namespace=story.namespace)
    service = {
        "metadata": {"namespace": "statekeep", "name": "statekeep-api"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    }
    async with listening(
        create(story.world.database, story.world.namespace), "127.0.0.1", 0
    ) as url:
        yield Plugin(
            tmp_path,
            config,
            environment={
                "STANDIN_API": url.removeprefix("http://"),
                "STANDIN_LOG": str(tmp_path / "forwards"),
                "STANDIN_SERVICES": json.dumps({"items": [service]}),
                "COLUMNS": "120",
            },
        )


def apply(story: Story, folder: Path) -> None:
    """Do what ``kubectl apply -f`` does; the emulator takes objects from tests alone."""
    for path in sorted(folder.glob("*.yaml")):
        one = yaml.safe_load(path.read_text())
        one["metadata"] = {"namespace": story.namespace, "annotations": {}, **one["metadata"]}
        story.kubernetes.apply(one)


@emulated
async def test_the_story_goes_as_the_page_tells_it(story: Story, plugin: Plugin) -> None:
    told = read(ROOT / "docs" / "gitops.md")
    assert len(told) == 10
    for line, expected in told:
        match line.split():
            case ["kubectl", "apply", "-f", folder]:
                apply(story, ROOT / folder)
            case ["kubectl", "wait", "--for=condition=Ready", name]:
                await asyncio.to_thread(story.becomes, name.removeprefix("mv/"), "Applied")
            case ["kubectl", "statekeep", *words]:
                if words[0] == "preview":
                    waiting = partial(story.becomes, words[1], "AwaitingApproval", saying="1 of 2")
                    await asyncio.to_thread(waiting)
                done = await asyncio.to_thread(plugin, *words)
                assert done.status == 0, (line, done.err)
                assert matches(done.out, expected), (line, done.out)
            case _:
                raise AssertionError(line)
    assert story.status("loan-v2")["migration"]["approvedBy"] == "kubectl-statekeep"
    status = await asyncio.to_thread(plugin, "status", "loan-v2")
    assert "(approved by kubectl-statekeep)" in status.out
    preview = await asyncio.to_thread(plugin, "preview", "loan-v2")
    assert preview.lines[0].startswith("This was shown before it was applied: 1 of 2")
