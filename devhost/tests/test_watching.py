"""The tools for plugin authors: reload and trace."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from devhost import Devhost
from devhost.tests.support import HTTP, ROOT, eventually, say
from devhost.trace import describe

# The endpoint of a plugin that answers with its process id.
PID = """
import os

from dify_plugin import Endpoint
from werkzeug import Response


class Pid(Endpoint):
    def _invoke(self, r, values, settings):
        return Response(str(os.getpid()))
"""


def test_a_change_in_the_folder_is_served(bare: Path) -> None:
    with Devhost(bare, reload=True) as host:
        assert HTTP.get(host.url + "/").text.startswith("hello ")
        say("goodbye", bare)
        assert eventually(lambda: HTTP.get(host.url + "/").text.startswith("goodbye "))


def test_with_a_mistake_there_is_no_plugin_until_it_is_fixed(bare: Path) -> None:
    with Devhost(bare, reload=True) as host:
        (bare / "main.py").write_text("this is no Python")
        assert eventually(lambda: "no available node, plugin runtime not found" in HTTP.get(host.url + "/").text)
        say("fixed", bare)
        assert eventually(lambda: HTTP.get(host.url + "/").text.startswith("fixed "))


def test_a_devhost_that_is_killed_leaves_no_plugin_behind(witness: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(witness, tmp_path / "plugin")
    (folder / "endpoints/witness.py").write_text(PID)
    command = [sys.executable, "-m", "devhost", str(folder), "--port", "0", "--settings", str(folder / "settings.json")]
    (folder / "settings.json").write_text("{}")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        url = next(line for line in process.stdout if "/e/" in line).split()[-1]
        pid = int(HTTP.get(url + "pid").text)
        assert Path(f"/proc/{pid}").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert eventually(lambda: not _is_running(pid))


def test_the_trace_shows_a_request_and_its_answer(served: Devhost, messages: list[Mapping[str, Any]]) -> None:
    HTTP.get(served.url + "/list?a=1")
    session_id = next(message["session_id"] for message in messages if message.get("event") == "request")
    lines = [describe(message) for message in messages if message.get("session_id") == session_id]  # others may still end
    session = session_id[:8]
    assert lines == [
        f"-> {session} request GET /list?a=1 HTTP/1.1, 0 bytes, settings secret",
        f'<- {session} answer 200 {{"Content-Type": "text/plain"}} chunk of 6 bytes \'a\\nb\\nc\\n\'',
        f"<- {session} end",
    ]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            {
                "event": "session",
                "session_id": "0123456789",
                "data": {"type": "invoke", "data": {"type": "app", "request": {"a": 1}}},
            },
            '<- 01234567 invoke app {"a": 1}',
        ),
        (
            {"event": "session", "session_id": "s", "data": {"type": "error", "data": {"message": "x" * 1000}}},
            '<- s error {"message": "' + "x" * 147 + "… (1015 characters)",
        ),
        ({"event": "session", "session_id": "s", "data": {"type": "stream", "data": {"status": 204}}}, "<- s answer 204"),
        (
            {
                "event": "backwards_response",
                "session_id": "s",
                "data": {"event": "response", "message": "stream", "data": {"event": "message"}},
            },
            '-> s response stream {"event": "message"}',
        ),
        ({"event": "backwards_response", "session_id": "s", "data": {"event": "end", "message": "", "data": None}}, "-> s end"),
        ({"event": "heartbeat", "session_id": None, "data": {}}, None),
    ],
)
def test_the_trace_describes_each_message_in_a_line(message: dict[str, Any], line: str | None) -> None:
    assert describe(message) == line


def _is_running(pid: int) -> bool:
    """Whether the process runs. A zombie does not run."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
