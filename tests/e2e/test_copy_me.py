"""Whoever follows docs/copy-me.md to the letter has a plugin that runs, and that passes Duck's own tests of what it has kept."""

import os
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.documents import blocks
from tests.e2e.conftest import ROOT

SOURCE = "https://github.com/example/duck"
PORT = "8001"
STEP_S = 300  # for the longest of them, the conformance suite


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


def installed(folder: Path) -> None:
    """What `make .venv/ready` would take a minute for: the Python that runs these tests, with all that Duck needs."""
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{ROOT}/.venv/bin/python" "$@"\n')
    python.chmod(0o755)
    (folder / ".venv/ready").touch()


@pytest.fixture
def port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
    return str(number)


def test_each_step_does_what_it_says(source: Path, port: str, tmp_path: Path) -> None:
    folder = tmp_path
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:{ROOT}/.uv/bin"}
    with ExitStack() as at_the_end:
        for block in blocks("docs/copy-me.md"):
            script = block.text.replace(SOURCE, str(source)).replace(PORT, port)
            if block.words == ("serves",):
                command = ["bash", "-c", f"exec {script}"]
                process = at_the_end.enter_context(
                    subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
                )
                at_the_end.callback(process.terminate)
                assert process.stdout
                assert any("/e/duck" in line for line in process.stdout), "it does not serve"
                continue
            ended = subprocess.run(
                ["bash", "-euo", "pipefail"],
                input=script,
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=STEP_S,
                check=False,
            )
            assert ended.returncode == 0, f"{block}: {ended.stdout[-5_000:]}{ended.stderr}"
            assert block.holds(ended.stdout), f"{block}: {ended.stdout}"
            if folder == tmp_path:
                folder = tmp_path / "parrot"
                installed(folder)
