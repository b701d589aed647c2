"""What git knows of files that changed, asked of ``git`` itself."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from statekeep.engine.errors import StatekeepError


class GitFailed(StatekeepError):
    """Git could not say what changed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What lies between a commit and the files as they are."""

    base: str
    """The commit that both sides have in common."""

    touched: frozenset[str]
    """Real paths of the files that were added, changed or removed; untracked ones are not among them."""

    before: tuple[tuple[Path, bytes], ...]
    """Of those that were there before: the path and what it held."""


def difference(since: str, named: Sequence[str]) -> Difference:
    """Return what changed in the named files and folders since the branch left ``since``.

    Raises:
        GitFailed: there is no repository, or it does not reach back so far.
    """
    root = Path(os.fsdecode(_git("rev-parse", "--show-toplevel")).rstrip("\n"))
    try:
        base = _git("merge-base", "--end-of-options", since, "HEAD").decode().strip()
    except GitFailed as error:
        raise GitFailed(
            f"git knows no commit that {since} and HEAD have in common: fetch the whole history "
            f"(fetch-depth: 0 on GitHub, GIT_DEPTH: 0 on GitLab); {error}"
        ) from error
    listed = _git("diff", "--name-status", "--no-renames", "-z", base, "--", *named)
    fields = [os.fsdecode(field) for field in listed.split(b"\0")[:-1]]
    changed = list(zip(fields[::2], fields[1::2], strict=True))
    return Difference(
        base,
        frozenset(os.path.realpath(root / path) for _, path in changed),
        tuple(
            (root / path, _git("show", f"{base}:{path}")) for kind, path in changed if kind != "A"
        ),
    )


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)  # noqa: S603, S607  (git, wherever it is)
    except OSError as error:
        raise GitFailed(f"git cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
        raise GitFailed(f"git {arguments[0]}: {said}")
    return done.stdout
