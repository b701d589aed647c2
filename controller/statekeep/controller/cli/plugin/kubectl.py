"""The API server, by way of ``kubectl``.

A plugin can rely on ``kubectl`` being there. It knows every way to authenticate (clouds have programs of their own for
that, which kubeconfigs name), contexts, proxies, port-forwards and tokens; a client of ours would know some of them.
"""

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.controller.operator.resource import GROUP, PLURAL
from statekeep.engine.errors import StatekeepError
from statekeep.engine.ids import Namespace

RESOURCE = f"{PLURAL}.{GROUP}"

FIELD_MANAGER = "kubectl-statekeep"
"""The owner of what we set, in ``metadata.managedFields``."""

_LOGGED = re.compile(r"[EFIW]\d{4} ")

AUDIENCE = "statekeep"
"""What tokens for the event API are for."""


class KubectlFailed(StatekeepError):
    """``kubectl`` could not do it; its own words say why."""


class Conflict(KubectlFailed):
    """The object has changed since it was read."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """``kubectl`` with the flags that our caller gave."""

    flags: tuple[str, ...] = ()
    """Which cluster, as whom."""

    given_namespace: Namespace | None = None

    def namespace(self) -> Namespace:
        """Return the namespace of the caller: the flag's, else that of the context."""
        if self.given_namespace is not None:
            return self.given_namespace
        found = self.run("config", "view", "--minify", "--output", "jsonpath={..namespace}").strip()
        return Namespace(found) if found else DEFAULT_NAMESPACE

    def version(self, namespace: Namespace, name: str) -> Any:
        """Return a MachineVersion."""
        return self.json("get", RESOURCE, name, "--namespace", namespace)

    def versions(self, namespace: Namespace | None) -> Sequence[Any]:
        """Return the MachineVersions of a namespace, or of all of them."""
        where = ("--all-namespaces",) if namespace is None else ("--namespace", namespace)
        items: Sequence[Any] = self.json("get", RESOURCE, *where)["items"]
        return items

    def merge(self, namespace: Namespace, name: str, patch: Any) -> None:
        """Merge a patch into a MachineVersion.

        Raises:
            Conflict: the patch names a ``resourceVersion`` that is not the current one.
        """
        where = (RESOURCE, name, "--namespace", namespace)
        how = ("--type", "merge", "--field-manager", FIELD_MANAGER)
        self.run("patch", *where, *how, "--patch", json.dumps(patch))

    def token(self, service_account: str) -> str:
        """Return a new token of a service account, for the event API alone."""
        where = ("--namespace", self.namespace())
        return self.run("create", "token", service_account, "--audience", AUDIENCE, *where).strip()

    def json(self, *arguments: str) -> Any:
        """Return what a command prints as JSON."""
        return json.loads(self.run(*arguments, "--output", "json"))

    def run(self, *arguments: str) -> str:
        """Return what a command prints."""
        try:
            done = subprocess.run(self.command(*arguments), capture_output=True, check=False)  # noqa: S603  (likewise)
        except OSError as error:
            raise missing(error) from error
        if done.returncode != 0:
            why = said(done.stderr)
            failure = Conflict if "(Conflict)" in why else KubectlFailed
            raise failure(why or f"kubectl {arguments[0]} ended with {done.returncode}")
        return done.stdout.decode()

    def command(self, *arguments: str) -> list[str]:
        """Return the whole command line."""
        return ["kubectl", *arguments, *self.flags]


def said(errors: bytes) -> str:
    """Return what kubectl says to people, without the lines that it logs."""
    lines = errors.decode(errors="replace").splitlines()
    return "\n".join(line for line in lines if not _LOGGED.match(line)).strip()


def missing(error: OSError) -> KubectlFailed:
    """Return what to say where there is no kubectl."""
    return KubectlFailed(f"kubectl cannot be run: {error.strerror}; it must be on the PATH")
