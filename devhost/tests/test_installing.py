"""A package that is installed as Dify does it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from devhost import StartError, installing
from devhost.installing import install
from devhost.package import pack
from devhost.tests.support import HTTP, PLUGINS, ROOT

DEADLINE_S = 120  # of one command


@pytest.fixture(autouse=True)
def uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `make` has put it."""
    monkeypatch.setenv("PATH", f"{ROOT}/.uv/bin:{os.environ['PATH']}")


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return shutil.copytree(PLUGINS / "minimal", tmp_path / "minimal")


@pytest.fixture
def package(plugin: Path, tmp_path: Path) -> Path:
    pack(plugin, tmp_path / "minimal.difypkg")
    return tmp_path / "minimal.difypkg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where it is installed."""
    (tmp_path / "installed").mkdir()
    return tmp_path / "installed"


def refusal(package: Path, folder: Path) -> str:
    with pytest.raises(StartError) as caught:
        install(package, folder)
    return str(caught.value)


def test_the_command_serves_a_package(package: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("whom: Ada\n")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "devhost",
        package,
        "--port",
        "0",
        "--settings",
        tmp_path / "settings.yaml",
    ]
    own = tmp_path / "own"
    own.mkdir()
    environment = os.environ | {"TMPDIR": str(own)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        url = next(line for line in process.stdout if "/e/minimal" in line).split()[-1]
        assert HTTP.get(f"{url}hello", timeout=DEADLINE_S).text == "Hello, Ada!"
        assert [path.name.partition("-")[0] for path in own.iterdir()] == ["devhost"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert list(own.iterdir()) == [], "what was installed is gone"


def test_the_plugin_has_what_it_requires_and_nothing_of_devhosts(package: Path, folder: Path) -> None:
    python = install(package, folder)
    found = subprocess.run(
        [python, "-c", "import importlib.util as u; print([bool(u.find_spec(n)) for n in ('dify_plugin', 'uvicorn')])"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "[True, False]\n"


def test_a_project_file_wins_over_the_requirements(plugin: Path, tmp_path: Path, folder: Path) -> None:
    (plugin / "requirements.txt").write_text("no package is called like this")
    (plugin / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = []\n[tool.uv]\npackage = false\n'
    )
    pack(plugin, tmp_path / "package")
    assert install(tmp_path / "package", folder).exists()


def test_a_package_that_requires_what_there_is_not_is_refused(plugin: Path, tmp_path: Path, folder: Path) -> None:
    (plugin / "requirements.txt").write_text("no package is called like this")
    pack(plugin, tmp_path / "package")
    assert refusal(tmp_path / "package", folder).startswith("what the plugin requires cannot be installed:\nerror: ")


def test_a_file_that_is_no_package_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "text").write_text("no zip")
    assert refusal(tmp_path / "text", folder) == f"{tmp_path}/text is no package of a plugin: File is not a zip file"
    with ZipFile(tmp_path / "empty", "w"):
        pass
    assert refusal(tmp_path / "empty", folder).endswith("holds no plugin: it has no manifest.yaml")


def test_a_package_that_is_too_large_is_refused(package: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(installing, "MAX_SIZE", 10)
    assert refusal(package, folder).endswith("bytes, 10 are allowed")
    assert list(folder.iterdir()) == []


def test_without_uv_the_message_says_what_is_missing(package: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert refusal(package, folder).startswith("uv is missing: ")
