"""The real ``xstate`` package from npm, in ``build/xstate``, for those who have Node."""

import json
import shutil
import subprocess
from pathlib import Path

VERSION = "5.33.3"
PACKAGE = Path(__file__).parents[2] / "build" / "xstate"


def install() -> str | None:
    """Return why XState cannot be run, if so."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "Node and npm are not installed: nothing was compared."
    manifest = PACKAGE / "node_modules" / "xstate" / "package.json"
    if manifest.is_file() and json.loads(manifest.read_text())["version"] == VERSION:
        return None
    PACKAGE.mkdir(parents=True, exist_ok=True)
    quietly = ["npm", "install", "--silent", "--no-save", "--prefix", str(PACKAGE)]
    done = subprocess.run(
        [*quietly, f"xstate@{VERSION}"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        return f"npm could not install xstate {VERSION}: {done.stderr.strip()[-300:]}"
    return None


def script(path: Path) -> Path:
    """Return a copy of a script from where its imports find the package."""
    return Path(shutil.copy(path, PACKAGE))
