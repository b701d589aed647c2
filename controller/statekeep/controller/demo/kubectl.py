"""``kubectl``, as somebody types it: each command is shown with what it prints."""

import asyncio
import shlex
import shutil

from rich.console import Console

from statekeep.controller.cli.calls import CallFailed


class Kubectl:
    """Runs ``kubectl`` on the cluster that ``KUBECONFIG`` names, in one namespace if there is one."""

    def __init__(self, console: Console, namespace: str | None = None) -> None:
        self._console = console
        self._within = () if namespace is None else ("-n", namespace)
        if shutil.which("kubectl") is None:
            raise CallFailed("kubectl is not on the PATH: https://kubernetes.io/docs/tasks/tools/")

    async def show(self, *arguments: str) -> str:
        """Print a command and what it prints, and return that."""
        words = ("kubectl", *self._within, *arguments)
        self._print(f"$ {' '.join(_quoted(word) for word in words)}")
        printed = await self.ask(*arguments)
        self._print(printed)
        return printed

    async def ask(self, *arguments: str, stdin: str | None = None) -> str:
        """Return what a command prints.

        Raises:
            CallFailed: it ended with an error, which says why.
        """
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            *self._within,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, complaint = await process.communicate(None if stdin is None else stdin.encode())
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode != 0:
            said = complaint.decode(errors="replace").strip()
            raise CallFailed(f"kubectl {arguments[0]}: {said}")
        return out.decode(errors="replace").rstrip("\n")

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)


def _quoted(word: str) -> str:
    """Return a word as people quote it: the value of an option, not the whole of it.

    >>> _quoted("jsonpath={.status}")
    "jsonpath='{.status}'"
    """
    name, equals, value = word.partition("=")
    return f"{name}={shlex.quote(value)}" if equals else shlex.quote(word)
