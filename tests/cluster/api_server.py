"""A real API server, for the stories that an emulator is enough for too, and for those that it is not.

Everything that is made lies in namespaces with generated names and a label, and goes when the tests end; the
CustomResourceDefinition goes with it if it was not there before.
"""

import json
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.control_plane import write_kubeconfig
from tests.cluster.kubectl import Kubectl
from tests.cluster.proxy import Proxy
from tests.operator.objects import CRD, Name, Object, Refused
from tests.operator.patience import until

from statekeep.controller.operator.rights import RULES

LABEL = "statekeep.io/tests"

ACCOUNT = "statekeep-operator"
"""The ServiceAccount of every operator that the tests start."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/machineversions.statekeep.io"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


class ApiServer:
    """The API server that ``KUBECONFIG`` names, or one of our own."""

    refused: Sequence[str] = ()
    """An API server keeps no list of what it refused; the log of the operator does."""

    def __init__(self, kubectl: Kubectl, folder: Path) -> None:
        self.kubectl = kubectl
        self._proxy = Proxy(kubectl, folder)
        shown = kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
        self._cluster: Object = json.loads(shown)["clusters"][0]["cluster"]
        self._run = secrets.token_hex(3)
        self._made: list[str] = []
        self._owns_crd = False

    @property
    def home(self) -> str:
        """The namespace of the ServiceAccount of the operators."""
        return self._made[0]

    def begin(self) -> None:
        """Make the ServiceAccount, and our API known."""
        self.namespaces(1)
        self.add_account(self.home, ACCOUNT)
        try:
            self.ask("GET", CRDS)
        except Refused:
            self._owns_crd = True
        self.introduce()

    def introduce(self) -> None:
        """Make our API known, or known again."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
        self.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRD))
        until(self.is_serving, "our API")

    def is_serving(self) -> bool:
        """Whether MachineVersions can be asked for."""
        try:
            self.names(self.home)
        except Refused:
            return False
        return True

    def close(self) -> None:
        """Delete everything that was made, as far as it goes."""
        failures = [
            failure for name in self._made for failure in self._refusals(self._delete, name)
        ]
        failures += self._refusals(self._forget)
        self._proxy.close()
        if failures:
            raise ExceptionGroup("something is left behind", failures)

    def _refusals(self, step: Callable[..., None], *arguments: str) -> list[Refused]:
        try:
            step(*arguments)
        except Refused as refusal:
            return [refusal]
        return []

    def _delete(self, namespace: str) -> None:
        for name in self.names(namespace):
            self.delete(name)
        self.ask("DELETE", f"/api/v1/namespaces/{namespace}")

    def _forget(self) -> None:
        """Delete the CustomResourceDefinition if it was not there before, and nobody uses it."""
        everything = "/apis/statekeep.io/v1alpha1/machineversions"
        if self._owns_crd and not self.ask("GET", everything)["items"]:
            self.ask("DELETE", CRDS)

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send one request as the administrator; see ``Proxy.ask``."""
        return self._proxy.ask(method, path, body, **options)

    def namespaces(self, count: int) -> Sequence[str]:
        """Make namespaces in which the operators' ServiceAccount has an operator's rights."""
        names = [f"statekeep-tests-{self._run}-{len(self._made) + n}" for n in range(count)]
        for name in names:
            self.make_namespace(name)
            self.allow(name, "operator", RULES, (self.home, ACCOUNT))
        operator = f"system:serviceaccount:{self.home}:{ACCOUNT}"
        what = {"group": "statekeep.io", "resource": "machineversions", "verb": "list"}
        for name in names:
            assert self.eventually_may(operator, {"namespace": name, **what})
        return names

    def make_namespace(self, name: str) -> None:
        """Make a namespace in which nobody has any rights yet."""
        metadata = {"name": name, "labels": {LABEL: self._run}}
        self.ask("POST", "/api/v1/namespaces", {"metadata": metadata})
        self._made.append(name)

    def scope(self, namespaces: Sequence[str]) -> Sequence[str]:
        """Return the arguments that keep an operator away from what is not ours."""
        return ["--namespaces", ",".join(namespaces)]

    def kubeconfig(self, path: Path) -> Path:
        """Write the file that leads an operator here, with the rights of an operator."""
        return self.kubeconfig_of(path, self.home, ACCOUNT)

    # Accounts and rights

    def add_account(self, namespace: str, name: str) -> None:
        """Make a ServiceAccount."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.ask("POST", path, {"metadata": {"name": name}})

    def token(self, namespace: str, account: str, *, audience: str | None = None) -> str:
        """Mint a token of a ServiceAccount, for the API server or for another audience."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        spec = {} if audience is None else {"audiences": [audience]}
        answer = self.ask("POST", path, {"spec": {"expirationSeconds": 3600, **spec}})
        return str(answer["status"]["token"])

    def kubeconfig_of(self, path: Path, namespace: str, account: str) -> Path:
        """Write the file that leads a ServiceAccount here."""
        write_kubeconfig(path, self._cluster, self.token(namespace, account))
        return path

    def allow(
        self, namespace: str, role: str, rules: Sequence[Any], account: tuple[str, str]
    ) -> None:
        """Make a Role, and bind a ServiceAccount, named by its namespace and name, to it."""
        made = {"metadata": {"name": role}, "rules": list(rules)}
        self.ask("POST", f"{RBAC}/namespaces/{namespace}/roles", made)
        self.bind(namespace, role, account)

    def bind(self, namespace: str, role: str, account: tuple[str, str]) -> None:
        """Bind a ServiceAccount to a Role that is there."""
        subject = {"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}
        metadata = {"generateName": f"{role}-"}
        binding = {"metadata": metadata, "subjects": [subject], "roleRef": reference}
        self.ask("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", binding)

    def may(self, user: str, attributes: Object) -> bool:
        """Return whether a user has a right, as the API server sees it."""
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answer = self.ask("POST", path, {"spec": {"user": user, "resourceAttributes": attributes}})
        return bool(answer["status"]["allowed"])

    def eventually_may(self, user: str, attributes: Object) -> bool:
        """Wait until a user has a right; the API server reads roles in its own time."""
        return until(lambda: self.may(user, attributes), f"{user} may {attributes}")

    # Objects

    def apply(self, manifest: Object, *, manager: str = "kubectl") -> Object:
        """Create or edit an object as ``kubectl apply --server-side`` does."""
        metadata = manifest["metadata"]
        path = _path((metadata["namespace"], metadata["name"]))
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        applied: Object = self.ask("PATCH", path, manifest, kind=APPLY, query=query)
        return applied

    def write_status(self, name: Name, status: Object) -> Object:
        path, body = f"{_path(name)}/status", {"status": status}
        one = self.get(name)
        written: Object = self.ask("PUT", path, {**one, **body})
        return written

    def delete(self, name: Name) -> None:
        """Delete an object, and take away what somebody may hold it with."""
        left = self.ask("DELETE", _path(name))
        if left.get("metadata", {}).get("finalizers"):
            self.ask("PATCH", _path(name), {"metadata": {"finalizers": None}}, kind=MERGE)

    def mark_deleted(self, name: Name) -> None:
        """Delete an object that somebody's finalizer holds."""
        held = {"metadata": {"finalizers": ["example.com/held"]}}
        self.ask("PATCH", _path(name), held, kind=MERGE)
        self.ask("DELETE", _path(name))

    def get(self, name: Name) -> Object:
        one: Object = self.ask("GET", _path(name))
        return one

    def names(self, namespace: str) -> list[Name]:
        """Return the names of the objects in a namespace."""
        items = self.ask("GET", _path((namespace, "")).rstrip("/"))["items"]
        return [(namespace, one["metadata"]["name"]) for one in items]

    def events(self, name: Name) -> list[Object]:
        """Return the Events of an object, oldest first."""
        query = {"fieldSelector": f"involvedObject.name={name[1]}"}
        found = self.ask("GET", f"/api/v1/namespaces/{name[0]}/events", query=query)["items"]
        return sorted(found, key=lambda event: str(event["eventTime"]))


def _path(name: Name) -> str:
    return f"/apis/statekeep.io/v1alpha1/namespaces/{name[0]}/machineversions/{name[1]}"
