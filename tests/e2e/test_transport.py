"""Duck's own way of reading and writing lines does what the SDK's does, and steps aside where it cannot know that."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from devhost.wire import request_line
from tests.e2e.conftest import ROOT, eventually
from tests.support import KEY

SCRIPT = [sys.executable, "-m", "tests.e2e.transports"]
PIPE = 65_536  # bytes that one holds
REQUEST = request_line("s1", "e1", f"GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n".encode(), {"api_key": KEY})
LAST = REQUEST.replace(b'"s1"', b'"last"')
LINES = [
    b"not JSON\n",
    b"[1]\n",
    b'"text"\n',
    b"null\n",
    b"{}\n",
    b'{"session_id": "s", "event": "request"}\n',
    b'{"session_id": "s", "data": {}}\n',
    b'{"event": "request", "data": {}}\n',
    b'{"session_id": "s", "event": "tomorrow", "data": {}}\n',
    b'{"session_id": "s", "event": {"a": 1}, "data": {}}\n',
    b'{"session_id": "s", "event": "backwards_response", "data": {"backwards_request_id": "nobody"}}\n',
    b'{"session_id": "s", "event": "backwards_response", "data": null}\n',
    b'{"session_id": "s", "event": "request", "data": {"type": "endpoint", "action": "tomorrow"}}\n',
    b'{"a": "\\ud800"}\n',
    b'{"a": "\xff"}\n',
    b'{"a": "\0"}\n',
    b'{"a": NaN, "a": 1e999}\n',
    b"[" * 300 + b"\n",
    b'{"session_id": "' + b"x" * 200_000 + b'"}\n',
    b"\n  \r\n\t\n",
    REQUEST.replace(b'"s1"', b'"after\xc3\xa4"').replace(b"\n", b"\r\n"),
    b"  " + REQUEST,
]


def script(*words: str, **options: Any) -> str:
    run: subprocess.CompletedProcess[str] = subprocess.run(
        [*SCRIPT, *words], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, **options
    )
    return run.stdout.strip()


def conversation(transport: str, pieces: list[bytes]) -> list[dict[str, Any]]:
    """What the plugin says to lines that come in pieces, by the order of its sessions: those run side by side."""
    with plugin(transport) as process:
        assert process.stdin
        assert process.stdout
        for piece in pieces:
            process.stdin.write(piece)
            process.stdin.flush()
        process.stdin.write(LAST)
        process.stdin.flush()
        said = []
        for line in process.stdout:
            message = json.loads(line) if line.strip() else {}
            if message.get("event") in {"session", "error"}:
                said.append(message)
            if message.get("session_id") == "last" and message["data"]["type"] == "end":
                break
        process.kill()
    return sorted(said, key=lambda message: str(message.get("session_id")))


def plugin(transport: str, **options: Any) -> subprocess.Popen[bytes]:
    environment = os.environ | {"INSTALL_METHOD": "local", "DUCK_TRANSPORT": transport}
    return subprocess.Popen(
        [sys.executable, "-m", "main"],
        cwd=ROOT,
        env=environment,
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **options},
    )


@pytest.fixture(scope="module")
def by_the_sdk() -> list[dict[str, Any]]:
    """What the SDK's own transport makes of the lines."""
    said = conversation("stock", LINES)
    assert len([message for message in said if message["event"] == "error"]) > 10
    return said


@pytest.mark.parametrize("size", [1, 1000, 100_000_000], ids=["by the byte", "by the kilobyte", "at once"])
def test_lines_are_read_as_the_sdk_reads_them_wherever_they_break(by_the_sdk: list[dict[str, Any]], size: int) -> None:
    lines = [line[:500] + line[-500:] if size < 1000 else line for line in LINES]
    stream = b"".join(lines)
    due = by_the_sdk if size >= 1000 else conversation("stock", lines)
    assert conversation("duck", [stream[start : start + size] for start in range(0, len(stream), size)]) == due


def test_each_line_gets_to_those_who_would_have_got_it_from_the_sdk() -> None:
    assert json.loads(script("deliver", "0", stdin=subprocess.PIPE)) == []


def test_it_steps_aside_where_its_input_or_output_is_of_another_kind() -> None:
    one, other = socket.socketpair()
    read, write = os.pipe()
    os.set_blocking(write, False)
    assert script("obstacle", stdin=subprocess.PIPE) == ""
    assert script("obstacle", stdin=subprocess.DEVNULL) == "stdin is no pipe"
    assert script("obstacle", stdin=one) == "stdin is no pipe"
    with one, other, os.fdopen(read) as said, os.fdopen(write):
        subprocess.run([*SCRIPT, "obstacle"], cwd=ROOT, check=True, stdin=subprocess.PIPE, stdout=write)
        assert said.readline() == "stdout does not block\n"


def test_it_steps_aside_where_the_sdk_is_another(tmp_path: Path) -> None:
    changed = (ROOT / "duck/sdk/transport.py").read_text().replace('TESTED = "', 'TESTED = "another ')
    (tmp_path / "changed.py").write_text(changed + "\nprint(obstacle(StdioRequestReader()))\n")
    run = subprocess.run(
        [sys.executable, tmp_path / "changed.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert run.stdout.startswith("the SDK is not as it was")


@pytest.mark.parametrize(("transport", "lines"), [("duck", 0), ("stock", 1)])
def test_the_log_says_when_it_has_stepped_aside(transport: str, lines: int) -> None:
    with plugin(transport) as process:
        assert process.stdout
        log = []
        for line in process.stdout:
            log.append(line)
            if b'"heartbeat"' in line:
                break
        process.kill()
    assert len([line for line in log if b"own transport is used" in line]) == lines


def test_a_transport_that_is_none_is_refused_at_the_start() -> None:
    with plugin("fast", stderr=subprocess.PIPE) as process:
        _, complaint = process.communicate()
    assert b"DUCK_TRANSPORT" in complaint
    assert process.returncode


def written(whose: str) -> bytes:
    """A message of a megabyte, whose writer is interrupted by signals while it waits for its reader."""
    with subprocess.Popen([*SCRIPT, "write", whose], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stderr.readline() == b"ready\n"
        assert eventually(lambda: waiting_in(process.stdout) == PIPE)
        process.send_signal(signal.SIGUSR1)
        assert eventually(lambda: b"SigPnd:\t0000000000000000" in Path(f"/proc/{process.pid}/status").read_bytes())
        return process.stdout.read()


def waiting_in(pipe: Any) -> int:
    """Bytes that nobody has read yet."""
    return int.from_bytes(fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


def test_what_a_signal_interrupts_is_written_whole() -> None:
    message = b'{"event":"session","session_id":"s","data":{"type":"stream","data":{"result":"' + b"x" * 1_000_000 + b'"}}}\n\n'
    assert written("duck") == message
    assert len(written("sdk")) < len(message), "the SDK does it by itself, by now"


def test_it_waits_for_its_end_when_its_input_has_ended() -> None:
    with plugin("duck") as process:
        assert process.stdin
        assert process.stdout
        assert any(b'"heartbeat"' in line for line in process.stdout)
        process.stdin.close()
        watched = psutil.Process(process.pid)
        time.sleep(0.2)
        before = watched.cpu_times().user
        time.sleep(1)
        assert watched.cpu_times().user - before < 0.2, "the SDK's own reader would have used all of the second"
        assert process.poll() is None
        process.kill()


def test_no_line_leaves_for_which_the_daemon_would_end_the_process() -> None:
    ended = subprocess.run([*SCRIPT, "long"], cwd=ROOT, capture_output=True, text=True, check=True)
    short, said = ended.stdout.splitlines()[0], json.loads(ended.stdout.splitlines()[-1])
    written, log = said.pop("written"), said.pop("log")
    assert len(said) == 12
    assert set(map(tuple, said.values())) == {(413, "file_too_large")}
    assert [json.loads(text)["data"] for text in (short, *written)] == [{"result": "short"}] * 3, "and what is short still does"
    assert log < 200_000
