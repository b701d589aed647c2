"""The loan story as the examples of ``/openapi.json`` tell it: played, not made up.

``make api-examples`` plays it again and writes the examples down.
"""

import asyncio
import base64
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from tests.conftest import KEYS

from statekeep.controller.api.app import create
from statekeep.controller.api.routes import PROBES, ROUTES
from statekeep.controller.api.server import listening
from statekeep.controller.dev import postgres
from statekeep.controller.manifest.folder import read_folder
from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION, Manifest
from statekeep.controller.reconcile import reconcile
from statekeep.engine.ids import Namespace
from statekeep.engine.store.database import Database, connect, upgrade

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "controller" / "statekeep" / "controller" / "api" / "examples.json"
NAMESPACE = Namespace("default")

_TIME = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"')
_WHEN = '"2026-11-02T09:30:00Z"'
"""What every time becomes."""

_CURSOR = re.compile(r'"cursor": "[^"]+"')
_BEHIND = '"cursor": "pSGn2QDqPZBK1wLIIq3VJ2cwYjJ1lXk0Vt8hJf0W"'
"""What every cursor of a change becomes, since it is sealed: nothing else differs from run to run."""

_CALLS = {
    **{route.contract.id: (route.method, "/v1" + route.path) for route in ROUTES},
    **{probe.contract.id: ("GET", probe.path) for probe in PROBES},
}


@dataclass
class Story:
    """One run, and what of it is written down."""

    database: Database
    url: str
    session: aiohttp.ClientSession
    told: dict[str, Any] = field(default_factory=lambda: {"problems": {}})

    async def call(
        self, call: str, body: Any = None, headers: Any = None, **parameters: Any
    ) -> tuple[int, Any]:
        """Make a call; what the path does not name goes into the query."""
        method, path = _CALLS[call]
        query = {name: one for name, one in parameters.items() if f"{{{name}}}" not in path}
        async with self.session.request(
            method,
            self.url + path.format(**parameters),
            params={n: str(v).lower() if isinstance(v, bool) else str(v) for n, v in query.items()},
            json=body,
            headers=headers,
        ) as response:
            return response.status, await response.json(content_type=None)

    async def tell(
        self, call: str, body: Any = None, headers: Any = None, **parameters: Any
    ) -> Any:
        """Make a call that goes well, and write it down."""
        status, answer = await self.call(call, body, headers, **parameters)
        assert status < 400, answer
        said = {"parameters": parameters, "headers": headers, "body": body}
        self.told[call] = {name: value for name, value in said.items() if value} | {
            "status": status,
            "answer": answer,
        }
        return answer

    async def fail(
        self, call: str, body: Any = None, headers: Any = None, **parameters: Any
    ) -> None:
        """Make a call that is refused, and write the problem down."""
        status, problem = await self.call(call, body, headers, **parameters)
        assert status >= 400, problem
        self.told["problems"][problem["type"].rpartition("/")[2]] = problem

    async def deploy(self, name: str) -> None:
        """Apply a version of the example, approved as its preview of now shows it."""
        manifest = self.manifests()[name]
        outcome = await reconcile(manifest, {}, self.database)
        if outcome.preview is not None:
            approved = replace(manifest, annotations={APPROVE_ANNOTATION: outcome.preview.id})
            await reconcile(approved, {}, self.database)

    def manifests(self) -> dict[str, Manifest]:
        """Return the manifests of the example, by name, in our namespace."""
        sources = read_folder(ROOT / "examples" / "loan").sources
        return {
            str(source.manifest.name): replace(source.manifest, namespace=NAMESPACE)
            for source in sources
        }


async def play(database: Database) -> dict[str, Any]:
    """Play the story on an empty database; return what is written down of it."""
    async with (
        listening(create(database, NAMESPACE), "127.0.0.1", 0) as url,
        aiohttp.ClientSession() as session,
    ):
        story = Story(database, url, session)
        await _applications(story)
        await _income_check(story)
        await _questions(story)
        await _refusals(story)
    told: dict[str, Any] = json.loads(
        _CURSOR.sub(_BEHIND, _TIME.sub(_WHEN, json.dumps(story.told)))
    )
    return told


async def _applications(story: Story) -> None:
    """Alice and Bob apply; she pays the fee, he has it waived."""
    await story.deploy("loan-v1")
    alice = {"id": "alice", "machine": "loan", "context": {"applicant": "Alice", "amount": 12_000}}
    await story.tell("spawnActor", alice, {"Idempotency-Key": "application-4711"})
    await story.call("spawnActor", {"id": "bob", "machine": "loan"})
    events = [
        {"actor": actor, "type": event, "id": f"{actor}-{number}"}
        for actor in ("alice", "bob")
        for number, event in enumerate(("START_APPLICATION", "SUBMIT_INFO"), 1)
    ]
    await story.tell("sendEvents", [*events, {"actor": "carol", "type": "SUBMIT_INFO"}])
    fee = {
        "type": "PAY_FEE",
        "data": {"amount": 50, "currency": "EUR"},
        "context": {"feePaid": True},
    }
    headers = {"Idempotency-Key": "payment-1", "If-Match": '"2"'}
    await story.tell("sendEvent", fee, headers, id="alice")
    await story.call("sendEvent", {"type": "WAIVE_FEE"}, id="bob")


async def _income_check(story: Story) -> None:
    """Who paid has to verify their income."""
    manifest = story.manifests()["loan-v2"]
    version = {
        "id": manifest.name,
        "parentId": manifest.parent_id,
        "historyPath": list(manifest.history_path or ()),
        "definition": manifest.definition,
    }
    await story.tell("previewVersion", version, limit=10)
    await story.deploy("loan-v2")


async def _questions(story: Story) -> None:
    """Where is everybody, and why?"""
    await story.tell("listActors", machine="loan", status="active", limit=10)
    await story.tell("getActor", id="alice")
    await story.tell("getActorEvents", id="alice", limit=10)
    await story.tell("getActorDecisions", id="bob")
    await story.tell("getActorSnapshot", id="alice")
    await story.tell("listVersions", machine="loan")
    applied = await story.tell("getVersion", name="loan-v2")
    deployment = applied["migration"]["deployment"]
    await story.tell("getDeploymentDecisions", id=deployment, actors=True)
    await story.tell("followChanges", kinds="event,migration", follow=False, limit=1)
    await story.tell("isLive")
    await story.tell("isReady")


async def _refusals(story: Story) -> None:
    """What is refused, and how."""
    key = {"Idempotency-Key": "payment-1"}
    strict = {"Prefer": "handling=strict"}
    await story.fail("getActor", id="carol")
    await story.fail("spawnActor", {"id": "bob", "version": "loan-v1", "context": {"amount": 1}})
    await story.fail("sendEvent", {"type": "PAY_FEE"}, key, id="alice")
    await story.fail("sendEvent", {"type": "VERIFY_INCOME"}, {"If-Match": '"2"'}, id="alice")
    await story.fail("sendEvent", {"type": "VERIFY_INCOME"}, {"If-Match": "3"}, id="alice")
    await story.fail("sendEvent", {"type": "VERIFY_INCOME"}, strict, id="bob")
    definition = {"id": "loan", "initial": "idle", "states": {"idle": {"on": {"PAY": "paid"}}}}
    broken = {"id": "loan-v3", "parentId": "loan-v2", "definition": definition}
    await story.fail("previewVersion", broken)
    never = base64.urlsafe_b64encode(b"[9,1,null]").decode().rstrip("=")
    await story.fail("followChanges", after=never, follow=False)


def differences(told: dict[str, Any]) -> Iterator[str]:
    """Yield the name of every example that is written down otherwise than it was told."""
    written = json.loads(EXAMPLES.read_text())
    for name in sorted({*told, *written}):
        if told.get(name) != written.get(name):
            yield name


async def _record() -> None:
    with tempfile.TemporaryDirectory(prefix="statekeep-story-") as folder:
        server = postgres.start(Path(folder), durable=False)
        database = connect(server.url, KEYS)
        try:
            await upgrade(database)
            told = await play(database)
        finally:
            await database.close()
            server.close()
    EXAMPLES.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    asyncio.run(_record())
