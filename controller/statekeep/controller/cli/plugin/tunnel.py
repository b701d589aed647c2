"""A way from here to the event API in the cluster: ``kubectl port-forward``, for as long as a command takes."""

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from statekeep.controller.cli.plugin.kubectl import Kubectl, KubectlFailed, missing, said
from statekeep.engine.ids import Namespace

LABELS = "app.kubernetes.io/name=statekeep,app.kubernetes.io/component=api"
"""Of the Service of the event API, by which it is found wherever it was installed."""

NAME_IT = "name the Service of the event API with --api NAMESPACE/NAME, or its URL with --server"

PORT_NAME = "http"

PATIENCE_S = 30.0
"""How long kubectl may take to reach the pod."""

STOP_S = 5.0

_READY = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> ")


@dataclass(frozen=True, slots=True)
class Service:
    """The Service of the event API."""

    namespace: Namespace
    name: str
    port: int | None
    """``None``: the one that is called ``http``."""


def find_service(kubectl: Kubectl, given: str | None) -> Service:
    """Return the Service that is named (``NAMESPACE/NAME``), or the only one with our labels.

    Raises:
        KubectlFailed: there is none, or there are several.
    """
    if given is not None:
        namespace, _, name = given.partition("/")
        return Service(Namespace(namespace), name, None)
    try:
        found = kubectl.json("get", "services", "--all-namespaces", "--selector", LABELS)
    except KubectlFailed as error:
        raise KubectlFailed(f"{error}; {NAME_IT}") from error
    items = found["items"]
    if len(items) != 1:
        names = ", ".join(sorted(map(_full_name, items))) or "none"
        raise KubectlFailed(
            f"one Service with the labels {LABELS} is needed, there is {names}; {NAME_IT}"
        )
    [one] = items
    ports = one["spec"]["ports"]
    named = [port["port"] for port in ports if port.get("name") == PORT_NAME]
    where = Namespace(one["metadata"]["namespace"])
    return Service(where, one["metadata"]["name"], [*named, ports[0]["port"]][0])


@contextmanager
def tunnel(kubectl: Kubectl, service: Service) -> Iterator[str]:
    """Hold a port-forward to the Service while the context is open; yield the URL of this end.

    Raises:
        KubectlFailed: there is no way.
    """
    command = kubectl.command(
        *("port-forward", "--namespace", service.namespace, "--address", "127.0.0.1"),
        *(f"service/{service.name}", f":{service.port or PORT_NAME}"),
    )
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603  (kubectl, no shell)
        except OSError as error:
            raise missing(error) from error
        with _ending(process):
            assert process.stdout is not None
            port = _port(process, process.stdout)
            if port is None:
                errors.seek(0)
                why = said(errors.read())
                raise KubectlFailed(
                    f"{service.namespace}/{service.name} cannot be reached: "
                    f"{why or f'kubectl port-forward was not ready within {PATIENCE_S:.0f} s'}"
                )
            # It says a line for each connection, which must go somewhere.
            threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()
            yield f"http://127.0.0.1:{port}"


def _port(process: "subprocess.Popen[str]", output: IO[str]) -> int | None:
    """Return the port that kubectl says it listens on, or ``None`` if it ends, or is ended, without saying so."""
    timer = threading.Timer(PATIENCE_S, process.kill)
    timer.start()
    try:
        for line in output:
            if found := _READY.match(line):
                return int(found[1])
        return None
    finally:
        timer.cancel()


def _drain(output: IO[str]) -> None:
    for _ in output:
        pass


@contextmanager
def _ending(process: "subprocess.Popen[str]") -> Iterator[None]:
    """End kubectl with the context, and also where a signal ends us at once, so that it does not go on alone."""

    def leave(number: int, _: Any) -> None:
        process.terminate()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, leave) for number in numbers]
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _full_name(service: Any) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"
