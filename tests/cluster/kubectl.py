"""``kubectl`` on the cluster that the tests were given."""

import copy
import os
import subprocess
from pathlib import Path
from typing import Self

from tests.tied import tied

PATIENCE_S = 120.0


class Failed(Exception):
    """``kubectl`` ended with an error."""


class Kubectl:
    """Runs ``kubectl`` as whoever a kubeconfig says."""

    def __init__(self, program: str, kubeconfig: str, cache: Path) -> None:
        self.program = program
        self.environment = {
            **os.environ,
            "KUBECONFIG": kubeconfig,
            "KUBECACHEDIR": str(cache),
            "KUBECTL_KUBERC": "false",  # what its user is used to is no matter of ours
        }
        self._within: list[str] = []

    def within(self, namespace: str) -> Self:
        """Return the same in a namespace."""
        there = copy.copy(self)
        there._within = ["-n", namespace]
        return there

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Return what it prints.

        Raises:
            Failed: with what it complains of.
        """
        ran = self.run(*arguments, stdin=stdin)
        if ran.returncode != 0:
            raise Failed(ran.stderr.strip() or ran.stdout.strip())
        return ran.stdout

    def run(self, *arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run it to its end, whatever that is."""
        return subprocess.run(
            [self.program, *self._within, *arguments],
            env=self.environment,
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start it; it ends with us."""
        return subprocess.Popen(
            tied(self.program, *self._within, *arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
