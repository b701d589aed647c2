"""An operator and an event API in this process, on a Postgres that goes with it.

They reach the cluster as they would from a pod: with the token of a ServiceAccount that has an operator's rights in the
one namespace, and nothing else. So any credentials that ``kubectl`` knows will do for whoever plays.
"""

import asyncio
import base64
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import kopf
import msgspec

from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.controller.demo.kubectl import Kubectl
from statekeep.controller.dev import postgres
from statekeep.controller.dev.database import opened
from statekeep.controller.operator.rights import RULES
from statekeep.controller.operator.run import run
from statekeep.controller.operator.settings import Settings
from statekeep.engine.ids import Namespace
from statekeep.engine.store.database import Database
from statekeep.engine.store.keyring import new_key_ring_text, read_key_ring

ACCOUNT = "statekeep-operator"

REFRESH_S = 1.0
"""Seconds between two looks at a version that waits; people are watching."""


@asynccontextmanager
async def installed(kubectl: Kubectl, namespace: str) -> AsyncIterator[str]:
    """Operate on the namespace while the context is open; yield the URL of the event API."""
    info = await _credentials(kubectl, namespace)
    stop = asyncio.Event()
    async with _database() as database:
        api = create(database, Namespace(namespace))
        async with listening(api, "127.0.0.1", 0) as url:
            try:
                async with asyncio.TaskGroup() as group:
                    operator = run(_settings(namespace), database, stop, login=lambda: info)
                    group.create_task(operator)
                    try:
                        yield url
                    finally:
                        stop.set()
            except BaseExceptionGroup as failed:
                raise failed.exceptions[0] from failed


def _settings(namespace: str) -> Settings:
    return Settings(
        identity=socket.gethostname(),
        namespaces=(Namespace(namespace),),
        refresh_s=REFRESH_S,
        sweep_s=REFRESH_S * 10,
        health_host="127.0.0.1",
        health_port=0,
        workers=4,
    )


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    with tempfile.TemporaryDirectory(prefix="statekeep-demo-") as folder:
        server = await asyncio.to_thread(postgres.start, Path(folder), durable=False)
        async with opened(server, read_key_ring(new_key_ring_text())) as database:
            yield database


async def _credentials(kubectl: Kubectl, namespace: str) -> kopf.ConnectionInfo:
    """Make the ServiceAccount, and return the way to the cluster with a token of it."""
    await kubectl.ask("apply", "-f", "-", stdin=msgspec.json.encode(_account(namespace)).decode())
    token = await kubectl.ask("create", "token", ACCOUNT, "--duration=8h")
    shown = await kubectl.ask(
        "config", "view", "--raw", "--minify", "--flatten", "-o", "jsonpath={.clusters[0].cluster}"
    )
    cluster = msgspec.json.decode(shown)
    authority = cluster.get("certificate-authority-data")
    return kopf.ConnectionInfo(
        server=cluster["server"],
        ca_data=None if authority is None else base64.b64decode(authority),
        insecure=cluster.get("insecure-skip-tls-verify"),
        proxy_url=cluster.get("proxy-url"),
        token=token,
    )


def _account(namespace: str) -> Any:
    """Return the ServiceAccount and its rights."""
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "namespace": namespace, "name": ACCOUNT}
    items: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount"},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "rules": RULES},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "subjects": [subject],
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": ACCOUNT},
        },
    ]
    metadata = {"metadata": {"name": ACCOUNT}}
    return {"apiVersion": "v1", "kind": "List", "items": [item | metadata for item in items]}
