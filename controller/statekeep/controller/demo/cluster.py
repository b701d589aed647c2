"""The stage of ``statekeep demo --cluster``: a namespace of the cluster that ``KUBECONFIG`` names.

What somebody would do with ``kubectl`` is done with it, and shown. The stage is taken down in the end, however that
comes; a demonstration that was killed leaves its namespace behind, and the next one says so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from statekeep.controller.cli.calls import CallFailed, Server, calling
from statekeep.controller.demo.approvals import refuse_early
from statekeep.controller.demo.installation import installed
from statekeep.controller.demo.kubectl import Kubectl
from statekeep.controller.demo.story import Story
from statekeep.controller.manifest.folder import read_folder
from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION

CRD_NAME = "crd/machineversions.statekeep.io"

INSTALLED_LABEL = "app.kubernetes.io/name=statekeep"

TIMEOUT = "--timeout=120s"

MESSAGE = 'jsonpath={.status.conditions[?(@.type=="Ready")].message}{"\\n"}'


@dataclass(frozen=True, slots=True)
class Options:
    """How to play on a cluster."""

    namespace: str
    manifests: Path
    crd: Path

    server: Server | None
    """The event API of an installed StateKeep; ``None``: one of our own, with an operator."""

    named_by: str
    """Where its URL comes from."""

    keep: bool
    """Whether everything stays until it is interrupted."""


async def play(options: Options, console: Console) -> None:
    """Set the stage, tell the story, take the stage down."""
    admin, kubectl = Kubectl(console), Kubectl(console, options.namespace)
    for path in (options.manifests, options.crd):
        if not path.exists():
            raise CallFailed(
                f"{path} is not there; play from the root of a checkout: make demo-cluster"
            )
    refuse_early(read_folder(options.manifests).sources)
    context = await _context(admin)
    console.print(
        f"On the cluster of the context {context}, in a namespace of its own:", markup=False
    )
    async with (
        _crd(admin, options.crd),
        _namespace(admin, options.namespace, alone=options.server is None),
    ):
        if options.server is not None:
            console.print(
                f"With the StateKeep that {options.named_by} names, and the operator that is installed beside it.",
                soft_wrap=True,
                markup=False,
            )
            await _tell(options, options.server, kubectl, console)
            return
        async with installed(kubectl, options.namespace) as url:
            await _tell(options, Server(url), kubectl, console)


async def _tell(options: Options, server: Server, kubectl: Kubectl, console: Console) -> None:
    console.print(f"The event API is at {server.url}.\n", soft_wrap=True, markup=False)
    await kubectl.show("apply", "-f", f"{options.manifests}/")
    await _tended(kubectl)
    await kubectl.show("get", "mv")
    async with calling(server) as caller:
        root = f"/v1/namespaces/{options.namespace}"
        await Story(caller, ClusterStage(kubectl, console), console, root=root).tell()
    console.print()
    await kubectl.show("get", "mv")
    if options.keep:
        console.print(
            f"\nIt goes on until Ctrl-C. In another terminal: kubectl -n {options.namespace} describe mv "
            f"loan-v2; statekeep actors decisions payer-0042 --server {server.url}",
            soft_wrap=True,
            markup=False,
        )
        await asyncio.Event().wait()


async def _tended(kubectl: Kubectl) -> None:
    """Wait until an operator has looked at every version."""
    try:
        await kubectl.show("wait", "--for=condition=Valid", "mv", "--all", TIMEOUT)
    except CallFailed as error:
        raise CallFailed(f"{error}\nDoes an operator look after this namespace?") from error


class ClusterStage:
    """Approves with ``kubectl``; in a team that is a commit, which a GitOps tool applies."""

    def __init__(self, kubectl: Kubectl, console: Console) -> None:
        self._kubectl = kubectl
        self._console = console

    async def preview(self, version: Any) -> Any:
        """Show where the version stands, with its message, once the operator has seen what the API sees."""
        name = version["name"]
        live = f"--for=jsonpath={{.status.preview.id}}={version['preview']['id']}"
        await self._kubectl.ask("wait", live, f"mv/{name}", TIMEOUT)
        await self._kubectl.show("get", "mv", name)
        await self._kubectl.show("get", "mv", name, "-o", MESSAGE)
        status = await self._kubectl.ask("get", "mv", name, "-o", "jsonpath={.status}")
        return msgspec.json.decode(status)["preview"]

    async def approve(self, name: str, preview_id: str) -> None:
        """Set the annotation."""
        self._console.print("Approving it; in a team, this line is a commit to the manifest:")
        await self._kubectl.show("annotate", "mv", name, f"{APPROVE_ANNOTATION}={preview_id}")

    async def applied(self, name: str) -> None:
        """Wait for the condition and show what it says."""
        await self._kubectl.show("wait", "--for=condition=Ready", f"mv/{name}", TIMEOUT)


async def _context(kubectl: Kubectl) -> str:
    """Return the name of the context; refuse where there is no cluster."""
    try:
        context = await kubectl.ask("config", "current-context")
        await kubectl.ask("get", "namespaces", "-o", "name", "--request-timeout=20s")
    except CallFailed as error:
        said = str(error).splitlines()[-1]
        raise CallFailed(
            f"no cluster answers; KUBECONFIG names one, and kubectl says: {said}"
        ) from error
    return context


@asynccontextmanager
async def _crd(kubectl: Kubectl, file: Path) -> AsyncIterator[None]:
    """Make the CustomResourceDefinition known; forget it again if it was not before, and nobody uses it."""
    known = await kubectl.ask("get", CRD_NAME, "-o", "name", "--ignore-not-found")
    if not known:
        await kubectl.show("apply", "--server-side", "-f", str(file))
    await kubectl.ask("wait", "--for=condition=Established", CRD_NAME, TIMEOUT)
    try:
        yield
    finally:
        if not known and not await kubectl.ask("get", "mv", "--all-namespaces", "-o", "name"):
            await kubectl.ask("delete", CRD_NAME, "--wait=false")


@asynccontextmanager
async def _namespace(kubectl: Kubectl, name: str, *, alone: bool) -> AsyncIterator[None]:
    """Hold a namespace of our own; where an operator of ours will be ``alone`` in it, no other one may run."""
    if await kubectl.ask("get", "namespace", name, "-o", "name", "--ignore-not-found"):
        raise CallFailed(
            f"the namespace {name} exists; if an earlier demonstration was killed: kubectl delete "
            f"namespace {name}, else choose another one with --namespace"
        )
    if alone:
        ours = ("--all-namespaces", "-l", INSTALLED_LABEL, "-o", "name")
        if there := await kubectl.ask("get", "deployments", *ours):
            raise CallFailed(
                f"StateKeep is installed on this cluster ({there.splitlines()[0]}): play with it, and name "
                "its event API with --server (kubectl port-forward leads there)"
            )
    await kubectl.show("create", "namespace", name)
    try:
        yield
    finally:
        await kubectl.ask("delete", "mv", "--all", "-n", name)
        await kubectl.show("delete", "namespace", name, "--wait=false")
