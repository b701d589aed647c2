"""The types of the TypeScript example, made of the API's description by openapi-typescript, for those who have Node.

``make typescript-types`` writes them; the test beside this compares them.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from statekeep.controller.api.openapi import document
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.engine.ids import Namespace

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "typescript"
PLACE = ROOT / "build" / "typescript"
"""A copy with the packages in it: nothing is left behind in the example."""

FILES = ("package.json", "package-lock.json", "tsconfig.json", "loan.ts", "statekeep.d.ts")


def install() -> str | None:
    """Copy the example and install its packages; return why that cannot be done, if so."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "Node and npm are not installed: the TypeScript example was not run."
    PLACE.mkdir(parents=True, exist_ok=True)
    lock = (EXAMPLE / "package-lock.json").read_bytes()
    installed = PLACE / "node_modules" / ".of-lock"
    is_there = installed.is_file() and installed.read_bytes() == lock
    for name in FILES:
        shutil.copy(EXAMPLE / name, PLACE)
    if is_there:
        return None
    done = subprocess.run(
        ["npm", "ci", "--silent", "--ignore-scripts", "--fetch-retries=0"],
        cwd=PLACE,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return f"npm could not install the packages of the TypeScript example: {done.stderr.strip()[-300:]}"
    installed.write_bytes(lock)
    return None


def npm(*arguments: str, **environment: str) -> str:
    """Run a script of the example; return what it prints."""
    done = subprocess.run(
        ["npm", "run", "--silent", *arguments],
        cwd=PLACE,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def generate() -> str:
    """Return the types of this release's API."""
    description = document(Namespace(DEFAULT_NAMESPACE))
    (PLACE / "openapi.json").write_text(json.dumps(description))
    npm("types")
    return (PLACE / "statekeep.d.ts").read_text()


if __name__ == "__main__":
    if problem := install():
        sys.exit(problem)
    (EXAMPLE / "statekeep.d.ts").write_text(generate())
