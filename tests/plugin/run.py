"""Running the plugin as ``kubectl`` runs it: a process, with ``kubectl`` on its path and a kubeconfig."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

STANDIN = Path(__file__).with_name("kubectl.py")
KUBECTL = shutil.which("kubectl")


@dataclass(frozen=True)
class Done:
    """What a run came to."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.out.splitlines()]


@dataclass
class Plugin:
    """Somebody at a terminal."""

    home: Path
    kubeconfig: Path
    real: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        program = self.home / "bin" / "kubectl"
        program.parent.mkdir()
        if self.real:
            program.symlink_to(str(KUBECTL))
        else:
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STANDIN}" "$@"\n')
            program.chmod(0o755)

    def variables(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.home),
            **self.environment,
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "statekeep.controller.cli.plugin.main", *arguments]

    def __call__(self, *arguments: str, stdin: str = "") -> Done:
        """Run ``kubectl statekeep``; whatever it meets, it says so in a line."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.variables(),
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)
