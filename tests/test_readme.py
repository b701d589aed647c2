"""The stories of the README and the API's page, played command by command against the real server."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
URL = "http://127.0.0.1:8080"
"""What the README calls the server; the test's own listens on a free port."""


def story(page: Path = ROOT / "README.md") -> list[tuple[str, list[str]]]:
    """Return (command, the lines it prints) of every console block of a page, in order."""
    told: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                told.append((line[2:], []))
            else:
                told[-1][1].append(line)
    return told


def matches(printed: str, told: list[str]) -> bool:
    """Return whether the output is as told; ``…`` stands for anything within a line, or for lines."""
    lines = [line.rstrip() for line in printed.splitlines()]
    pattern = "".join(
        r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in told
    )
    return re.fullmatch(pattern, "".join(line + "\n" for line in lines)) is not None


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A copy of the examples with a dev server on it; the environment of somebody beside it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    command = [sys.executable, "-m", "statekeep.controller.cli.main", "dev", "examples/loan"]
    with subprocess.Popen(
        [*command, "--port", "0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if found := re.match(r"StateKeep serves (\S+) ", line):
                break
        for line in server.stdout:
            if line.startswith("loan-v2: AwaitingApproval"):
                break
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        yield {**os.environ, "PATH": path, "COLUMNS": "100", "URL": found[1] if found else ""}
        server.terminate()
        server.stdout.read()


@pytest.mark.parametrize(
    "pages", [("docs/api.md",), ("README.md", "docs/api.md")], ids=" then ".join
)
def test_the_story_goes_as_the_pages_tell_it(
    terminal: dict[str, str], tmp_path: Path, pages: tuple[str, ...]
) -> None:
    """Whoever has played one page goes on with the next one."""
    for command, told in [step for page in pages for step in story(ROOT / page)]:
        ran = subprocess.run(
            ["bash", "-c", command.replace(URL, terminal["URL"])],
            cwd=tmp_path,
            env=terminal,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, (command, ran.stderr)
        assert matches(ran.stdout, told), (command, ran.stdout)


def programs(page: Path) -> list[tuple[str, list[str]]]:
    """Return every Python block of a page, and what its comments say that it prints, in order."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    return [
        (
            block,
            [line for told in re.findall(r"print\(.*  # (.*)", block) for line in told.split(", ")],
        )
        for block in blocks
    ]


@pytest.mark.parametrize("page", ["README.md", "docs/client.md"])
def test_the_programs_print_what_the_page_says(
    terminal: dict[str, str], tmp_path: Path, page: str
) -> None:
    for command, _ in story(ROOT / "README.md"):
        shown = ["bash", "-c", command.replace(URL, terminal["URL"])]
        subprocess.run(shown, cwd=tmp_path, env=terminal, capture_output=True, check=True)
    for program, told in programs(ROOT / page):
        ran = subprocess.run(
            [sys.executable, "-c", program.replace(URL, terminal["URL"])],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.splitlines() == told


def test_something_to_run_stands_on_the_first_screen() -> None:
    head = (ROOT / "README.md").read_text().splitlines()[:25]
    assert any(line.startswith("make run") for line in head)
    assert any(line.startswith("make test") for line in head)
