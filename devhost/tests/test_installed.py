"""devhost installed without the rest of the repository, and a plugin in an environment of its own."""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from devhost.tests.support import HERE, HTTP, PLUGINS, ROOT

DEADLINE_S = 120  # of one command
FOLDER = HERE.parent
PROJECT = tomllib.loads((FOLDER / "pyproject.toml").read_text("utf-8"))["project"]
REQUIREMENTS = {requirement.name: requirement for requirement in map(Requirement, PROJECT["dependencies"])}
OF_THE_PLUGIN = {"dify_plugin", "dotenv"}  # imported by debugged.py, which runs in the plugin's process


def imported() -> set[str]:
    """The packages that devhost's own modules import."""
    found: set[str] = set()
    for path in [*FOLDER.glob("*.py"), *FOLDER.glob("demo/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {name.partition(".")[0] for name in names}
    return found - sys.stdlib_module_names - {"devhost"}


def test_it_requires_what_it_imports() -> None:
    distributions = packages_distributions()
    assert {distributions[name][0].lower() for name in imported() - OF_THE_PLUGIN} == set(REQUIREMENTS)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_it_is_tested_with_what_it_requires(name: str) -> None:
    assert REQUIREMENTS[name].specifier.contains(version(name))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the commands, in a new environment that has only devhost."""
    folder = tmp_path_factory.mktemp("installed")
    uv = shutil.which("uv", path=f"{ROOT}/.uv/bin:{os.environ['PATH']}")
    assert uv, "uv is missing: install it"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", folder / "venv/bin/python", FOLDER]
    subprocess.run(install, cwd=folder, check=True)
    return folder / "venv/bin"


@pytest.fixture(scope="module")
def helps(installed: Path) -> dict[str, str]:
    """What each command prints for --help."""
    return {
        command: subprocess.run([installed / command, "--help"], capture_output=True, text=True, check=True, cwd=installed).stdout
        for command in PROJECT["scripts"]
    }


@pytest.mark.parametrize("command", PROJECT["scripts"])
def test_a_command_explains_itself(helps: dict[str, str], command: str) -> None:
    assert helps[command].startswith(f"usage: {command} ")


def test_readme_lists_every_option(helps: dict[str, str]) -> None:
    rows = re.findall(r"^\| `(--[\w-]+)", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    also = ["--debug-key", "--debug-port"]  # in the row of --remote
    assert sorted(rows + also) == sorted(set(re.findall(r"^  (--[\w-]+)", helps["devhost"], re.MULTILINE)))


def test_it_serves_a_plugin_that_has_an_environment_of_its_own(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(PLUGINS / "minimal", tmp_path / "some-plugin")
    (tmp_path / "settings.yaml").write_text("whom: Ada\n")
    command: list[str | Path] = [installed / "devhost", "some-plugin", "--port", "0", "--settings", "settings.yaml", "--python"]
    python = os.path.relpath(sys.executable, tmp_path)  # relative, while the plugin runs in another folder
    with subprocess.Popen([*command, python], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = next(line for line in process.stdout if "/e/" in line).split()[-1]
        assert HTTP.get(f"{url}hello", timeout=DEADLINE_S).text == "Hello, Ada!"
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("command", ["devhost", "devhost-debug"])
def test_without_the_sdk_the_message_says_what_to_do(installed: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "settings.yaml").write_text("whom: Ada\n")
    options = ["--port", "0", "--settings", str(tmp_path / "settings.yaml")] if command == "devhost" else []
    ended = subprocess.run(
        [installed / command, PLUGINS / "minimal", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 2
    assert "No module named 'dify_plugin'" in ended.stderr
    assert ended.stderr.endswith("--python path/to/plugin/.venv/bin/python\n")


def test_without_settings_the_message_says_what_to_do(installed: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [installed / "devhost", PLUGINS / "minimal", "--port", "0"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (ended.returncode, ended.stderr.splitlines()) == (
        2,
        [
            "devhost: failed to validate settings: missing required setting: whom",
            "Write the settings of this plugin's endpoint into a YAML file, and name it: --settings FILE",
        ],
    )
