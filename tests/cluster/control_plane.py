"""A control plane of our own: etcd and a kube-apiserver, found where envtest keeps them.

Both listen on free loopback ports, keep everything in one folder, and end with the test process, however that ends.
Only flags that Kubernetes 1.30 to 1.36 and etcd 3.4 to 3.6 have in common.
"""

import contextlib
import json
import secrets
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.tied import tied

START_S = 120.0
"""An API server needs ten seconds on a small machine with nothing else to do."""

ATTEMPTS = 3
"""A free port may be taken by somebody else before it is used."""


class ControlPlane:
    """Running processes; ``kubeconfig`` leads there as a cluster's administrator."""

    def __init__(self, assets: Path, folder: Path) -> None:
        self._assets = assets
        self._folder = folder
        self._token = secrets.token_hex(16)
        self._etcd, self._etcd_port = self._start_etcd()
        try:
            self._write_credentials()
            self._api, self._port = self._start_api_server()
            self.kubeconfig = self._write_kubeconfig()
        except BaseException:
            self._etcd.kill()
            self._etcd.wait()
            raise

    def kill_api_server(self) -> None:
        """Kill it, at once and without a word; etcd stays."""
        self._api.kill()
        self._api.wait()

    def start_api_server(self) -> None:
        """Start it where it was, unless it runs, and wait until it is ready."""
        if self._api.poll() is not None:
            self._api = self._run_api_server(self._port)
        assert self._is_ready(), self._log("kube-apiserver")

    def compact(self) -> None:
        """Let etcd forget everything but what there is now, as it does by itself every five minutes."""
        status = self._ask_etcd("/v3/maintenance/status", {})
        self._ask_etcd("/v3/kv/compaction", {"revision": status["header"]["revision"]})

    def close(self) -> None:
        """End both; nothing that they hold is wanted any more."""
        for process in (self._api, self._etcd):
            process.kill()
            process.wait()

    def _start_etcd(self) -> tuple[subprocess.Popen[bytes], int]:
        for _ in range(ATTEMPTS):
            port, peers = _free_port(), _free_port()
            process = self._run(
                "etcd",
                f"--data-dir={self._folder / 'etcd'}",
                f"--listen-client-urls=http://127.0.0.1:{port}",
                f"--advertise-client-urls=http://127.0.0.1:{port}",
                f"--listen-peer-urls=http://127.0.0.1:{peers}",
            )
            if _answers(process, f"http://127.0.0.1:{port}/health", {}):
                return process, port
        raise AssertionError(f"etcd does not start:\n{self._log('etcd')}")

    def _start_api_server(self) -> tuple[subprocess.Popen[bytes], int]:
        for _ in range(ATTEMPTS):
            self._port = _free_port()
            self._api = self._run_api_server(self._port)
            if self._is_ready():
                return self._api, self._port
        raise AssertionError(f"kube-apiserver does not start:\n{self._log('kube-apiserver')}")

    def _run_api_server(self, port: int) -> subprocess.Popen[bytes]:
        return self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={self._folder / 'certificates'}",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={self._folder / 'accounts.key'}",
            f"--service-account-signing-key-file={self._folder / 'accounts.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",  # nobody asks for the Service that leads to it
        )

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                tied(str(self._assets / program), *arguments),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _is_ready(self) -> bool:
        headers = {"Authorization": f"Bearer {self._token}"}
        return _answers(self._api, f"https://127.0.0.1:{self._port}/readyz", headers)

    def _log(self, program: str) -> str:
        return (self._folder / f"{program}.log").read_text(errors="replace")[-4000:]

    def _write_credentials(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        (self._folder / "accounts.key").write_bytes(key)
        (self._folder / "tokens.csv").write_text(f"{self._token},admin,1,system:masters\n")

    def _write_kubeconfig(self) -> Path:
        # What the API server signed for itself has the certificate of its signer in it.
        authority = self._folder / "certificates" / "apiserver.crt"
        server = f"https://127.0.0.1:{self._port}"
        path = self._folder / "kubeconfig"
        write_kubeconfig(
            path, {"server": server, "certificate-authority": str(authority)}, self._token
        )
        return path

    def _ask_etcd(self, path: str, body: dict[str, int]) -> dict[str, dict[str, int]]:
        url = f"http://127.0.0.1:{self._etcd_port}{path}"
        with urllib.request.urlopen(url, json.dumps(body).encode()) as response:
            answer: dict[str, dict[str, int]] = json.load(response)
            return answer


def write_kubeconfig(path: Path, cluster: dict[str, object], token: str) -> None:
    """Write a file that leads whoever has the token to a cluster."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "tests", "user": {"token": token}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], url: str, headers: dict[str, str]) -> bool:
    """Wait until a server is ready; return ``False`` if its process ends before."""
    nobody = ssl.create_default_context()
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE  # it is on this machine
    deadline = time.monotonic() + START_S
    while process.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError):
            request = urllib.request.Request(url, headers=headers)
            with urllib.request.urlopen(request, timeout=5, context=nobody):
                return True
        assert time.monotonic() < deadline, f"{url} is not ready"
        time.sleep(0.05)
    return False
