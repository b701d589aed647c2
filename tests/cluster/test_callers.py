"""Who may call the event API, as a real API server reviews tokens and rights."""

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.process import Api
from tests.cluster.api_server import ApiServer
from tests.dev.process import ENVIRONMENT
from tests.operator.patience import until

pytestmark = pytest.mark.cluster

DELEGATOR = "system:auth-delegator"
"""Kubernetes' own role for whoever has tokens and rights reviewed."""

_numbers = itertools.count(1)

BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


@pytest.fixture
def api(
    api_server: ApiServer,
    untended: str,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Api]:
    """An event API that asks the API server, with the rights of its own ServiceAccount."""
    name = f"event-api-{next(_numbers)}"
    api_server.add_account(untended, name)
    account = {"kind": "ServiceAccount", "namespace": untended, "name": name}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": DELEGATOR}
    metadata = {"name": f"{untended}-{name}"}
    api_server.ask(
        "POST", BINDINGS, {"metadata": metadata, "subjects": [account], "roleRef": reference}
    )
    config = api_server.kubeconfig_of(tmp_path / "config", untended, name)
    monkeypatch.setitem(ENVIRONMENT, "KUBECONFIG", str(config))
    running = Api(tmp_path, database_url, "--auth", "kubernetes", "--access-log", "all")
    yield running
    running.kill()
    api_server.ask("DELETE", f"{BINDINGS}/{metadata['name']}")


def ask(api: Api, path: str, token: str | None) -> tuple[int, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(api.url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_service_account_may_do_what_its_roles_say_in_its_own_namespace(
    api: Api, api_server: ApiServer, untended: str
) -> None:
    api_server.add_account(untended, "backend")
    token = api_server.token(untended, "backend", audience="statekeep")
    status, refusal = ask(api, "/v1/actors", token)
    assert status == 403
    assert (refusal["verb"], refusal["resource"]) == ("list", "actors")
    rules = [{"apiGroups": ["statekeep.io"], "resources": ["actors"], "verbs": ["list"]}]
    api_server.allow(untended, "reads-actors", rules, (untended, "backend"))
    until(lambda: ask(api, "/v1/actors", token)[0] == 200, "the right is known")
    assert ask(api, f"/v1/namespaces/{untended}/actors", token)[0] == 200
    assert ask(api, "/v1/namespaces/default/actors", token)[0] == 403
    assert ask(api, "/v1/versions", token)[0] == 403
    assert token not in api.output


def test_a_token_for_somebody_else_or_of_nobody_is_not_accepted(
    api: Api, api_server: ApiServer, untended: str
) -> None:
    api_server.add_account(untended, "stranger")
    for token in (None, "nonsense", api_server.token(untended, "stranger")):
        assert ask(api, "/v1/actors", token)[0] == 401, token
    assert ask(api, "/healthz", None)[0] == 200
