"""devhost can be stopped at any time of its start: it does not hang, and no process is left behind."""

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any, Literal

import pytest

from devhost import Devhost
from devhost.tests.support import DEADLINE_S, ROOT, is_running

# A plugin that sends the test its process id, and never gets ready.
MAIN = """
import os, pathlib, time

pathlib.Path("pid").write_text(f"{os.getpid()}\\n")
time.sleep(600)
"""
# Replaces a package that devhost imports: a signal arrives in the middle of the import.
MODULE = """
import os, signal, time

os.kill(os.getpid(), signal.NUMBER)
time.sleep(600)
"""


class Starting:
    """The folder of a plugin that never gets ready, and the ids of its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "main.py").write_text(MAIN)
        os.mkfifo(folder / "pid")
        self._pipe = os.open(folder / "pid", os.O_RDWR)

    def pid(self) -> int:
        """Waits for the next process."""
        assert select.select([self._pipe], [], [], DEADLINE_S)[0], "the plugin's process was not started"
        return int(os.read(self._pipe, 100))

    def close(self) -> None:
        os.close(self._pipe)


@pytest.fixture
def starting(witness: Path, tmp_path: Path) -> Iterator[Starting]:
    plugin = Starting(shutil.copytree(witness, tmp_path / "plugin"))
    yield plugin
    plugin.close()


def test_nothing_starts_after_a_stop(witness: Path) -> None:
    host = Devhost(witness)
    host.stop()
    with pytest.raises(CancelledError):
        host.__enter__()
    assert not hasattr(host, "runtime")
    host.wait()


@pytest.mark.parametrize("runs", ["local", "serverless"])
def test_a_stop_while_the_plugin_starts_ends_the_plugin(starting: Starting, runs: Literal["local", "serverless"]) -> None:
    host, pids = Devhost(starting.folder, runs=runs), list[int]()

    def stop() -> None:
        pids.append(starting.pid())
        host.stop()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(CancelledError):
        host.__enter__()
    stopping.join()
    assert not is_running(pids[0])


def test_a_ctrl_c_before_the_event_loop_runs_ends_the_thread(witness: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    before = {*threading.enumerate()}
    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Devhost(witness).__enter__()
    assert {*threading.enumerate()} <= before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_plugin_starts_ends_the_command_and_the_plugin(starting: Starting, number: signal.Signals) -> None:
    (starting.folder / "settings.json").write_text("{}")
    options = ["--port", "0", "--settings", str(starting.folder / "settings.json")]
    command = [sys.executable, "-m", "devhost", str(starting.folder), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        pid = starting.pid()
        process.send_signal(number)
        assert (process.communicate(timeout=DEADLINE_S), process.returncode) == (("", ""), 0)
    assert not is_running(pid)


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_while_devhost_is_imported_is_not_lost(tmp_path: Path, number: str) -> None:
    (tmp_path / "uvicorn.py").write_text(MODULE.replace("NUMBER", number))
    command = ["/bin/sh", "-c", f"trap '' INT && exec {sys.executable} -m devhost"]  # as a shell starts a background job
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=DEADLINE_S, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
