"""A wall clock that can be set, for processes that are started with it; the monotonic clock stays as it is."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

SHARED = Path("/dev/shm")
"""Where the library keeps a small file for each process."""

JUMP_S = 86_400
"""How far it is set forward or back at most."""

PROBE_S = 50_000


class Clock:
    """A file that says by how many seconds the wall clock is wrong; who looks at the time reads it each second."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self._file = folder / "clock"
        self.set(0)
        self.problem = ""
        """Why the clock cannot be set, if it cannot."""

        found = importlib.util.find_spec("libfaketime")
        libraries = [] if found is None else _libraries(found)
        if not libraries:
            self.problem = "libfaketime is not installed"
            return
        library = Path(shutil.copy(libraries[0], folder))  # Postgres' user may not look into ours
        library.chmod(0o755)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        if not self._works():
            self.problem = "libfaketime does not work on this machine"
            self.environment = {}

    environment: dict[str, str] = {}  # noqa: RUF012  (replaced, never changed)
    """For the processes that are to have this clock."""

    def set(self, wrong_by_s: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{wrong_by_s:+d}\n")
        new.chmod(0o644)
        new.replace(self._file)

    def close(self) -> None:
        """Remove what the library leaves behind of processes that were killed."""
        for path in SHARED.glob("*faketime_*"):
            pid = int(path.name.rpartition("_")[2])
            if not psutil.pid_exists(pid):
                path.unlink(missing_ok=True)

    def _works(self) -> bool:
        self.set(PROBE_S)
        done = subprocess.run(
            [sys.executable, "-c", "import time; print(time.time())"],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        self.set(0)
        try:
            return abs(float(done.stdout) - time.time() - PROBE_S) < PROBE_S / 2
        except ValueError:
            return False


def _libraries(found: object) -> list[Path]:
    origin = getattr(found, "origin", None)
    return sorted(Path(origin).parent.rglob("libfaketime.so*")) if origin else []
