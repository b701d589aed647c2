"""What is shipped: everything, under one namespace, in a wheel built from the sdist."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import statekeep

ROOT = Path(__file__).parent.parent
SOURCES = (ROOT / "engine", ROOT / "controller")


def shipped() -> Iterator[str]:
    """Yield every file of the sources, as it is named in a wheel."""
    for source in SOURCES:
        for path in source.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(source).as_posix()


def test_statekeep_is_a_namespace() -> None:
    """An ``__init__.py`` in either root would hide the other one."""
    assert getattr(statekeep, "__file__", None) is None


def test_every_package_says_what_belongs_in_it_and_holds_nothing_else() -> None:
    for source in SOURCES:
        for path in source.rglob("__init__.py"):
            if path.parent.name == "client":
                continue  # others import it, and should not have to know our modules
            text = path.read_text().strip()
            assert text.startswith('"""'), path
            assert text.count('"""') == 2, path
            assert text.endswith('"""'), path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the sdist, as an index would get it."""
    folder = tmp_path_factory.mktemp("dist")

    def build(kind: str, source: Path) -> Path:
        command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
        [built] = folder.glob("*.tar.gz" if kind == "sdist" else "*.whl")
        return built

    with tarfile.open(build("sdist", ROOT)) as sdist:
        sdist.extractall(folder, filter="data")
    [unpacked] = (path for path in folder.iterdir() if path.is_dir())
    return build("wheel", unpacked)


def test_the_wheel_holds_every_file_of_the_sources(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert not set(shipped()) - names


def test_the_wheel_carries_the_licence_and_the_commands(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [entry_points] = (name for name in names if name.endswith("entry_points.txt"))
        text = archive.read(entry_points).decode()
    assert "statekeep = statekeep.controller.cli.main:main" in text
    assert "kubectl-statekeep = statekeep.controller.cli.plugin.main:main" in text
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_version_is_the_installed_one() -> None:
    assert metadata.version("statekeep") == "0.1.0"
