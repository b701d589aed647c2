"""What runs: as little as it needs, before anything else the migration, and one image for all of it."""

import pytest
from tests.chart.render import REQUIRED, ROOT, SETS, Object, objects, of_kind, pod, pods

from statekeep.controller.api.server import SHUTDOWN_S
from statekeep.controller.probes import TIMEOUT_S

every_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS)


@every_set
def test_every_pod_is_restricted(values: Object) -> None:
    """The Pod Security Standard "restricted", and a file system that is not written to."""
    for one in pods(objects(values)):
        security = one.spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in one.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(one.spec)
        for volume in one.spec.get("volumes", []):
            assert {"emptyDir", "secret"} & set(volume)


def test_the_user_is_a_number_that_the_platform_may_choose_instead() -> None:
    for one in pods(objects(REQUIRED)):
        assert one.spec["securityContext"]["runAsUser"] > 0
    for one in pods(objects(SETS["own-accounts"])):
        assert set(one.spec["securityContext"]) == {"runAsNonRoot", "seccompProfile"}


@every_set
def test_no_service_beside_a_pod_sets_its_options(values: Object) -> None:
    """A Service called ``statekeep`` would set ``STATEKEEP_PORT`` to an address."""
    for one in pods(objects(values)):
        assert one.spec["enableServiceLinks"] is False


@pytest.mark.parametrize(
    ("name", "with_token"),
    [
        ("required", {"operator", "api"}),
        ("namespaced", {"operator", "api"}),
        ("everything", {"operator", "api"}),
        ("keys", {"operator"}),
    ],
)
def test_only_who_calls_the_api_server_gets_a_token(name: str, with_token: set[str]) -> None:
    rendered = objects(SETS[name])
    mounted = {one.component: one.spec["automountServiceAccountToken"] for one in pods(rendered)}
    assert {component for component, token in mounted.items() if token} == with_token
    for account in of_kind(rendered, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@every_set
def test_accounts_are_those_that_are_made_or_named(values: Object) -> None:
    rendered = objects(values)
    made = {one["metadata"]["name"] for one in of_kind(rendered, "ServiceAccount")}
    used = {one.spec.get("serviceAccountName", "default") for one in pods(rendered)}
    named = {"our-operator"} if values is SETS["own-accounts"] else set()
    assert used - {"default"} == made | named
    bound = {
        subject["name"]
        for one in of_kind(rendered, "RoleBinding", "ClusterRoleBinding")
        for subject in one["subjects"]
    }
    assert bound <= used


@every_set
def test_all_run_one_image_and_every_mount_has_its_volume(values: Object) -> None:
    images = set()
    for one in pods(objects(values)):
        volumes = {volume["name"] for volume in one.spec.get("volumes", [])}
        for container in one.containers:
            images.add(container["image"])
            mounts = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounts <= volumes
            assert container["resources"]["limits"]["memory"]
    assert len(images) == 1


@pytest.mark.parametrize(
    ("name", "first", "job"),
    [("required", ["migrate"], 0), ("namespaced", [], 1), ("keys", [], 0)],
    ids=["by an init container of both", "by a job", "by somebody else"],
)
def test_the_schema_is_migrated_before_anything_starts(
    name: str, first: list[str], job: int
) -> None:
    rendered = objects(SETS[name])
    for component in ("operator", "api"):
        containers = pod(rendered, component).spec.get("initContainers", [])
        assert [container["name"] for container in containers] == first
        assert all(container["args"] == ["db", "upgrade"] for container in containers)
    jobs = of_kind(rendered, "Job")
    assert len(jobs) == job
    for one in jobs:
        assert one["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        # A hook runs before the rest is there.
        assert "serviceAccountName" not in one["spec"]["template"]["spec"]


def test_the_key_ring_is_a_file_that_only_the_api_has() -> None:
    rendered = objects(SETS["namespaced"])
    api = pod(rendered, "api")
    [volume] = (volume for volume in api.spec["volumes"] if "secret" in volume)
    assert volume["secret"]["secretName"] == "statekeep-keys"
    assert volume["secret"]["items"] == [{"key": "ring.txt", "path": "keyring"}]
    assert volume["secret"]["defaultMode"] == 0o440
    assert "statekeep-keys" not in str(pod(rendered, "operator").spec)


def test_what_postgres_needs_beside_its_url_reaches_the_migration_too() -> None:
    rendered = objects(SETS["everything"])
    for component in ("operator", "api"):
        for container in pod(rendered, component).containers:
            assert {"name": "PGSSLMODE", "value": "verify-full"} in container["env"]
            assert "/etc/postgres" in {mount["mountPath"] for mount in container["volumeMounts"]}


@pytest.mark.parametrize(
    ("component", "probes"),
    [
        ("operator", {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}),
        ("api", {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}),
    ],
)
def test_probes_ask_what_the_program_answers(component: str, probes: dict[str, str]) -> None:
    container = pod(objects(REQUIRED), component).container(component)
    text = (ROOT / "controller" / "statekeep" / "controller" / "probes.py").read_text()
    for probe, path in probes.items():
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked == {"path": path, "port": "health"}
        assert f'"{path}"' in text


def test_probes_wait_longer_than_what_they_ask_may_take() -> None:
    for component in ("operator", "api"):
        container = pod(objects(REQUIRED), component).container(component)
        assert container["readinessProbe"]["timeoutSeconds"] > TIMEOUT_S


def test_the_api_has_the_time_that_it_takes_to_stop() -> None:
    api = pod(objects(REQUIRED), "api")
    pause = api.container("api")["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = api.spec.get("terminationGracePeriodSeconds", 30)
    assert pause + SHUTDOWN_S < grace
