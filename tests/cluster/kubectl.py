"""``kubectl`` on the cluster that the tests were given."""

import os
import subprocess
from pathlib import Path

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
            [self.program, *arguments],
            env=self.environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
