"""The Dockerfile, as far as it can be tried without Docker."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
STEPS = [
    line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")
]


def arguments(keyword: str) -> list[str]:
    """Return what stands behind each instruction of a kind."""
    return [line.removeprefix(f"{keyword} ") for line in STEPS if line.startswith(f"{keyword} ")]


def copied() -> list[str]:
    """Return what is taken from the project."""
    found = [shlex.split(line)[:-1] for line in arguments("COPY") if "--from" not in line]
    return [path for paths in found for path in paths]


def test_what_is_copied_is_all_that_is_sent() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build sees of the project."""
    folder = tmp_path_factory.mktemp("src")
    for name in copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def test_a_wheel_can_be_built_of_what_is_copied(source: Path) -> None:
    [build] = (line for line in arguments("RUN") if "hatchling build" in line)
    python, *rest = shlex.split(build)
    assert python == "/build/bin/python"
    assert rest[-2:] == ["-d", "/dist"]
    command = [sys.executable, *rest[:-1], str(source / "dist")]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    assert len(list((source / "dist").glob("statekeep-*.whl"))) == 1


def test_everything_that_is_installed_is_pinned() -> None:
    installs = [line for line in arguments("RUN") if "pip install" in line]
    assert len(installs) == 2
    for line in installs:
        assert "--constraint constraints.txt" in line


def test_the_last_stage_takes_the_finished_environment_and_nothing_else() -> None:
    last = STEPS[max(n for n, line in enumerate(STEPS) if line.startswith("FROM ")) :]
    assert not any(line.startswith("RUN ") for line in last)
    assert [line for line in last if line.startswith("COPY ")] == ["COPY --from=build /venv /venv"]


def test_python_is_one_that_is_supported_and_both_stages_have_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [version] = re.findall(r"^PYTHON=(.+)$", arguments("ARG")[0])
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    bases = [line.split()[0] for line in arguments("FROM")]
    assert bases == ["python:${PYTHON}-slim"] * 2


def test_it_starts_the_program_as_the_user_and_on_the_ports_of_the_chart() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [entry] = arguments("ENTRYPOINT")
    [program] = json.loads(entry)
    assert program in project["scripts"]
    values = yaml.safe_load((ROOT / "charts" / "statekeep" / "values.yaml").read_text())
    security = values["podSecurityContext"]
    assert arguments("USER") == [f"{security['runAsUser']}:{security['runAsGroup']}"]
    assert arguments("EXPOSE") == ["8080 8081"]
