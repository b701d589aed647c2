"""The part of an API server that tells who somebody is and what they may do, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import kopf
from aiohttp import web

from statekeep.controller.access.kubernetes import ACCESS_REVIEWS, TOKEN_REVIEWS

OWN_TOKEN = "the-api-itself"

Grant = tuple[str, str, str, str, str | None]
"""User, verb, resource with subresource, namespace, and a name, or ``None`` for all."""


@dataclass
class FakeCluster:
    """Accepts and grants what a test puts in."""

    users: dict[str, tuple[str, str]] = field(default_factory=dict)
    """User and audience by token."""

    grants: set[Grant] = field(default_factory=set)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The ``spec`` of every review."""

    own_token: str = OWN_TOKEN
    forbids: bool = False
    """Whether our own account may not ask."""

    knows_audiences: bool = True
    """Whether tokens are held against audiences at all; some authenticators do not."""

    answers: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: it takes requests and does not answer."""

    url: str = ""
    _runner: web.AppRunner | None = None

    def __post_init__(self) -> None:
        self.answers.set()

    def login(self) -> kopf.ConnectionInfo:
        """Return how to get here."""
        return kopf.ConnectionInfo(server=self.url, token=OWN_TOKEN)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the reviews with a field: ``token`` or ``resourceAttributes``."""
        return [spec for spec in self.asked if kind in spec]

    async def stop(self) -> None:
        """Go away: whoever connects is refused."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def _review(self, request: web.Request) -> web.Response:
        spec = (await request.json())["spec"]
        self.asked.append(spec)
        await self.answers.wait()
        if request.headers["Authorization"] != f"Bearer {self.own_token}":
            return web.json_response({"message": "Unauthorized"}, status=401)
        if self.forbids:
            return web.json_response({"message": "tokenreviews is forbidden"}, status=403)
        is_token = request.path == TOKEN_REVIEWS
        status = self._user(spec) if is_token else {"allowed": self._is_granted(spec)}
        return web.json_response({"spec": spec, "status": status}, status=201)

    def _user(self, spec: dict[str, Any]) -> dict[str, Any]:
        known = self.users.get(spec["token"])
        if known is None:
            return {"user": {}, "error": "[invalid bearer token]"}
        name, audience = known
        user = {
            "username": name,
            "uid": f"uid-{name}",
            "groups": ["system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": [f"JTI={name}"]},
        }
        if not self.knows_audiences:
            return {"authenticated": True, "user": user}
        if audience not in spec["audiences"]:
            return {"user": {}, "error": f'token audiences ["{audience}"] is invalid'}
        return {"authenticated": True, "user": user, "audiences": [audience]}

    def _is_granted(self, spec: dict[str, Any]) -> bool:
        wanted = spec["resourceAttributes"]
        if wanted["group"] != "statekeep.io" or spec["groups"] != ["system:authenticated"]:
            return False
        subresource = f"/{wanted['subresource']}" if wanted["subresource"] else ""
        right = (
            spec["user"],
            wanted["verb"],
            wanted["resource"] + subresource,
            wanted["namespace"],
        )
        return (*right, None) in self.grants or (*right, wanted["name"]) in self.grants


@asynccontextmanager
async def fake_cluster() -> AsyncIterator[FakeCluster]:
    """Serve while the context is open."""
    cluster = FakeCluster()
    app = web.Application()
    for path in (TOKEN_REVIEWS, ACCESS_REVIEWS):
        app.router.add_post(path, cluster._review)
    cluster._runner = runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        cluster.url = f"http://{host}:{port}"
        yield cluster
    finally:
        cluster.answers.set()
        await runner.cleanup()
