"""What stands in for ``kubectl`` where there is none: the few calls that we make, over the API server's real HTTP.

It reads the kubeconfig, and prints and fails as ``kubectl`` does. Port-forwards lead to ``STANDIN_API``, and every one
says in the file ``STANDIN_LOG`` when it begins and ends; tokens name what they were asked for.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

arguments = argparse.Namespace()


def config() -> Any:
    return yaml.safe_load(Path(arguments.kubeconfig or os.environ["KUBECONFIG"]).read_text())


def context() -> Any:
    found = config()
    name = arguments.context or found["current-context"]
    for one in found["contexts"]:
        if one["name"] == name:
            return one["context"]
    sys.exit(f'error: context "{name}" does not exist')


def ask(method: str, path: str, body: Any = None, **query: str) -> Any:
    server, user = config()["clusters"][0]["cluster"]["server"], config()["users"][0]["user"]
    request = urllib.request.Request(
        f"{server}{path}?{urlencode(query)}",
        None if body is None else json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {user['token']}",
            "Content-Type": "application/merge-patch+json",
        },
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        reasons = {404: "NotFound", 409: "Conflict", 403: "Forbidden"}
        said = json.load(error).get("message")
        sys.exit(f"Error from server ({reasons.get(error.code, error.code)}): {said}")


def path(namespace: str | None, name: str = "") -> str:
    plural, _, group = arguments.resource.partition(".")
    root = f"/apis/{group}/v1alpha1" if group else "/api/v1"
    within = "" if namespace is None else f"/namespaces/{namespace}"
    return f"{root}{within}/{plural}{f'/{name}' if name else ''}"


def get() -> None:
    if arguments.resource == "services":
        print(os.environ.get("STANDIN_SERVICES", '{"items": []}'))
        return
    namespace = None if arguments.all_namespaces else arguments.namespace
    print(json.dumps(ask("GET", path(namespace, arguments.name or ""))))


def patch() -> None:
    where = path(arguments.namespace, arguments.name)
    ask("PATCH", where, json.loads(arguments.patch), fieldManager=arguments.field_manager)
    print(f"{arguments.resource}/{arguments.name} patched")


def view() -> None:
    print(context().get("namespace", ""), end="")


def token() -> None:
    print(f"{arguments.name}.{arguments.namespace}.{arguments.audience}")


def note(line: str) -> None:
    with Path(os.environ["STANDIN_LOG"]).open("a") as file:
        print(line, file=file)


async def forward() -> None:
    """Pass bytes on until somebody ends us."""
    if "STANDIN_API" not in os.environ:
        sys.exit("error: unable to forward port because pod is not running. Current status=Pending")
    host, _, port = os.environ["STANDIN_API"].partition(":")

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        print("Handling connection for it", flush=True)
        await asyncio.gather(passed(reader, back), passed(there, writer))

    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    server = await asyncio.start_server(connected, arguments.address, 0)
    note(f"began {arguments.namespace} {arguments.service} {arguments.ports}")
    print(f"Forwarding from 127.0.0.1:{server.sockets[0].getsockname()[1]} -> 8080", flush=True)
    await over.wait()
    note("ended")


def command(commands: Any, *words: str, run: Any) -> argparse.ArgumentParser:
    [first, *others] = words
    found: argparse.ArgumentParser = commands.add_parser(first)
    for word in others:
        found.add_argument(f"_{word}", choices=[word])
    for flag in ("namespace", "context", "kubeconfig", "cluster", "user", "as", "output"):
        found.add_argument(f"--{flag}")
    found.set_defaults(run=run)
    return found


def main() -> None:
    parser = argparse.ArgumentParser("kubectl")
    commands = parser.add_subparsers(required=True)
    one = command(commands, "get", run=get)
    one.add_argument("resource")
    one.add_argument("name", nargs="?")
    one.add_argument("--all-namespaces", action="store_true")
    one.add_argument("--selector")
    one = command(commands, "patch", run=patch)
    for each in ("resource", "name", "--type", "--field-manager", "--patch"):
        one.add_argument(each)
    command(commands, "config", "view", run=view).add_argument("--minify", action="store_true")
    one = command(commands, "create", "token", run=token)
    one.add_argument("name")
    one.add_argument("--audience")
    one = command(commands, "port-forward", run=lambda: asyncio.run(forward()))
    one.add_argument("--address")
    for each in ("service", "ports"):
        one.add_argument(each)
    parser.parse_args(namespace=arguments)
    arguments.run()


if __name__ == "__main__":
    main()
