"""Start and end, also from the command line."""

import errno
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devhost import Devhost, StartError, serve
from devhost.tests.support import DEADLINE_S, HERE, HTTP, ROOT, is_running

type Command = Callable[..., tuple[int | str | None, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs the command in this process; returns its exit status, stdout and stderr."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments: str | Path) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr("sys.argv", ["devhost", *map(str, arguments)])
        try:
            status: int | str | None = serve.main()
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_hook_is_the_plugins_name_unless_another_is_given(witness: Path, tmp_path: Path) -> None:
    assert [Devhost(folder).hook for folder in (witness, tmp_path)] == ["witness", "plugin"]
    (tmp_path / "manifest.yaml").write_text("name: a/b")
    assert [Devhost(tmp_path).hook, Devhost(witness, hook="other").hook] == ["plugin", "other"]


def test_leaving_the_context_leaves_no_process_and_no_listener(witness: Path) -> None:
    with Devhost(witness) as host:
        pid, port = host.runtime.pid, host.port
        assert pid is not None
        assert is_running(pid)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"GET /e/{host.hook}/stream?n=1&linger=20 HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert client.recv(1)  # a stream has begun
            host.__exit__(None, None, None)
            assert not is_running(pid)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_plugin_that_does_not_start_is_an_error_with_the_reason(witness: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plugin"
    shutil.copytree(witness, folder)
    (folder / "main.py").write_text("raise RuntimeError('no such luck')\n")
    with pytest.raises(StartError, match=r"(?s)did not start \(exit status 1\).*RuntimeError: no such luck"), Devhost(folder):
        pass


@pytest.mark.parametrize(
    ("file", "text", "advice"),
    [
        ("main.py", "import no_such_module\n", "--python path/to/plugin/.venv/bin/python"),
        ("endpoints/witness.py", "x = 1\n", "needs a subclass of dify_plugin.Endpoint."),
        (
            "endpoints/witness.py",
            "from dify_plugin import Endpoint\nclass A(Endpoint): pass\nclass B(Endpoint): pass\n",
            "Import their module instead.",
        ),
    ],
    ids=["missing module", "no endpoint", "two endpoints"],
)
def test_the_error_of_a_plugin_that_does_not_start_says_what_to_do(
    witness: Path, tmp_path: Path, file: str, text: str, advice: str
) -> None:
    folder = shutil.copytree(witness, tmp_path / "plugin")
    (folder / file).write_text(text)
    with pytest.raises(StartError) as caught, Devhost(folder):
        pass
    assert str(caught.value).endswith(advice)


def test_the_install_method_is_local_whatever_the_folder_says(served: Devhost) -> None:
    assert "INSTALL_METHOD=remote" in (Path(served.folder) / ".env").read_text()
    assert HTTP.get(served.url + "/list").text == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("name", "manifest", "message"),
    [
        ("missing", None, "devhost: there is no folder {folder}"),
        ("empty", None, "devhost: {folder} holds no plugin: it has no manifest.yaml"),
        ("broken", "a: [", "devhost: {folder}/manifest.yaml is not a plugin manifest: "),
        ("list", "- a", "devhost: {folder}/manifest.yaml is not a plugin manifest: "),
    ],
)
def test_a_folder_without_a_plugin_is_one_clear_line(
    command: Command, tmp_path: Path, name: str, manifest: str | None, message: str
) -> None:
    folder = tmp_path / name
    if name != "missing":
        folder.mkdir()
    if manifest is not None:
        (folder / "manifest.yaml").write_text(manifest)
    status, output, errors = command(folder)
    assert (status, output) == (2, "")
    [line] = errors.splitlines()
    assert line.startswith(message.format(folder=folder))


@pytest.mark.parametrize(
    ("options", "end"),
    [
        (["--port", "99999"], "argument --port: a number up to 65535 is needed"),
        (["--port", "-1"], "argument --port: a number up to 65535 is needed"),
        (["--debug-port", "x"], "argument --debug-port: a number up to 65535 is needed"),
        (["--hook", "a/b"], "argument --hook: letters and digits are needed"),
        (["--python", "/nowhere/python"], "devhost: /nowhere/python cannot be run: No such file or directory"),
    ],
)
def test_an_invalid_option_is_one_clear_line(command: Command, witness: Path, options: list[str], end: str) -> None:
    status, output, errors = command(witness, "--port", "0", *options)
    assert (status, output) == (2, "")
    assert errors.splitlines()[-1].endswith(end)


def test_every_command_of_readme_has_options_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", (HERE.parent / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    told = re.findall(r"^(?:devhost|uvx .* devhost)( .*?|)(?:\s+#.*)?$", "".join(blocks), re.MULTILINE)
    assert len(told) > 6
    for arguments in told:
        monkeypatch.setattr("sys.argv", ["devhost", *shlex.split(arguments)])
        serve.read_options()


def test_a_taken_port_is_one_clear_line(command: Command, witness: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = command(witness, "--port", str(port))
    assert ended == (2, "", f"devhost: cannot listen on 127.0.0.1:{port}: {os.strerror(errno.EADDRINUSE)}\n")


@pytest.mark.parametrize(
    ("shell", "number"),
    [("exec", signal.SIGTERM), ("trap '' INT && exec", signal.SIGINT)],
    ids=["foreground", "as a background job"],
)
def test_the_command_serves_until_a_signal_ends_it(witness: Path, tmp_path: Path, number: int, shell: str) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("secret: from a file\n")
    arguments = [sys.executable, "-m", "devhost", str(witness), "--port", "0", "--hook", "other", "--settings", str(settings)]
    command = ["/bin/sh", "-c", f"{shell} {shlex.join(arguments)}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = next(line for line in process.stdout if "http://" in line).split()[-1]
        assert url.endswith("/e/other/")
        assert HTTP.get(url + "echo").json()["settings"] == {"secret": "from a file"}
        process.send_signal(number)
        rest, noise = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, rest.strip()) == (0, "")
        assert "Traceback" not in noise
