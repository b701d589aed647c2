"""Files that the demonstration edits for a while, and puts back even if it was killed in between.

Before a file is touched, its text and the text to come are written down in the workspace. A file
that somebody else has edited since then is left as they made it.
"""

import json
import os
from pathlib import Path


class Borrowed:
    """The files that are changed just now; whoever comes next finds them in the journal."""

    def __init__(self, workspace: Path) -> None:
        self._journal = workspace / "demo.json"

    @property
    def is_open(self) -> bool:
        """Whether a demonstration began and did not end."""
        return self._journal.exists()

    def open(self) -> None:
        """Write down that a demonstration has begun."""
        if not self.is_open:
            self._write({})

    def edit(self, path: Path, before: str, after: str) -> None:
        """Change a file."""
        self._write({**self._read(), str(path.resolve()): [before, after]})
        replace(path, after)

    def give_back(self) -> None:
        """Put every file back that is still as we left it."""
        for name, (before, after) in self._read().items():
            path = Path(name)
            if path.exists() and text(path) == after:
                replace(path, before)
        self._write({})

    def close(self) -> None:
        """Write down that the demonstration has ended."""
        self._journal.unlink()

    def _read(self) -> dict[str, list[str]]:
        if not self.is_open:
            return {}
        files: dict[str, list[str]] = json.loads(self._journal.read_text(encoding="utf-8"))
        return files

    def _write(self, files: dict[str, list[str]]) -> None:
        draft = self._journal.with_suffix(".new")
        draft.write_text(json.dumps(files), encoding="utf-8")
        draft.replace(self._journal)


def text(path: Path) -> str:
    """Return what a file holds, its line breaks as they are."""
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def replace(path: Path, content: str) -> None:
    """Give a file another content, all of it or nothing."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", encoding="utf-8", newline="") as file:
        file.write(content)
    draft.chmod(path.stat().st_mode)
    os.replace(draft, path)
