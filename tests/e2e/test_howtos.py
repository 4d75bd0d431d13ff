"""Whoever follows docs/copy-me.md to the letter gets a plugin of their own, which passes its tests."""

import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from devhost.serverless import free_port
from tests.documents import Block, blocks
from tests.e2e.conftest import ROOT, WITH_UV
from tests.test_package import MANIFEST

SOURCE: str = MANIFEST["repo"]
PORT = "8001"
STEP_S = 400  # for the longest of them, the unit tests
# Stands for `make test`, without what takes minutes: the tests of the real process, coverage of Duck's own modules, and the tests
# of modules that are the same there as here.
UNIT_TESTS = """
.venv/bin/python -m pytest $(ls tests/test_{access,errors,layers,marketplace,package,settings,web,words}.py 2>/dev/null)
.venv/bin/coverage run --source duck.faces.parrot -m pytest tests/test_parrot.py
.venv/bin/coverage report
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository with Duck as it is in this folder, committed or not."""
    folder = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(lambda name: (ROOT / name).exists(), listed.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def test_a_plugin_made_by_the_book_runs_and_passes_its_tests(source: Path, tmp_path: Path) -> None:
    clone, *steps = blocks("docs/copy-me.md")
    command = clone.text.replace(SOURCE, str(source))
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True)
    follow(steps, tmp_path / "parrot")


def follow(steps: list[Block], folder: Path) -> None:
    """Does what each of them says in the folder, and compares what comes of it."""
    installed(folder)
    environment = os.environ | WITH_UV
    port = str(free_port())
    with ExitStack() as at_the_end:
        for step in steps:
            script = step.text.replace(PORT, port).replace("make test\n", UNIT_TESTS)
            if step.words == ("serves",):
                command = ["bash", "-c", f"exec {script}"]
                process = at_the_end.enter_context(
                    subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
                )
                at_the_end.callback(process.terminate)
                assert process.stdout
                assert any("/e/parrot" in line for line in process.stdout), "it does not serve"
                continue
            ended = subprocess.run(
                ["bash", "-euc", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=STEP_S, check=False
            )
            assert ended.returncode == 0, f"{step}: {ended.stdout[-5_000:]}{ended.stderr}"
            assert step.matches(ended.stdout), f"{step}: {ended.stdout[-5_000:]}"


def installed(folder: Path) -> None:
    """What `make .venv/ready` would take a minute for: the Python that runs these tests, with all that Duck needs."""
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("python", "ruff", "mypy", "coverage"):
        program = folder / ".venv/bin" / name
        module = "" if name == "python" else f"-m {name}"
        program.write_text(f'#!/bin/sh\nexec "{ROOT}/.venv/bin/python" {module} "$@"\n')
        program.chmod(0o755)
    (folder / ".venv/ready").touch()
    if (ROOT / ".mypy_cache").exists():
        shutil.copytree(ROOT / ".mypy_cache", folder / ".mypy_cache")
