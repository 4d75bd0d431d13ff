"""`python -m devhost.debug` as a plugin's author uses it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devhost import Devhost
from devhost.tests.support import HTTP, ROOT, eventually

DEADLINE_S = 60


@pytest.fixture
def folder(witness: Path, tmp_path: Path) -> Path:
    return shutil.copytree(witness, tmp_path / "plugin")


@contextmanager
def debugging(folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "devhost.debug", str(folder)]
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def output_of(folder: Path, **environment: str) -> tuple[int, list[str]]:
    """The exit status of a debugger that ends by itself, and its own lines of output."""
    with debugging(folder, **environment) as process:
        output, _ = process.communicate(timeout=DEADLINE_S)
        lines = [line.removeprefix("devhost.debug: ") for line in output.splitlines() if line.startswith("devhost.debug: ")]
        assert "Traceback" not in output
        return process.returncode, lines


def env_file(folder: Path, host: Devhost, key: str | None = None) -> None:
    address = f"REMOTE_INSTALL_URL=127.0.0.1:{host.debug_port}\nREMOTE_INSTALL_KEY={host.debug_key if key is None else key}\n"
    (folder / ".env").write_text(f"INSTALL_METHOD=remote\n{address}")


def test_a_plugin_connects_by_its_env_file_and_a_change_is_served(folder: Path, witness: Path) -> None:
    with Devhost(witness, settings={"secret": "s3cret"}, runs="remote") as host:
        env_file(folder, host)
        with debugging(folder):
            assert eventually(lambda: HTTP.get(host.url + "/list").text == "a\nb\nc\n")
            (folder / "endpoints/witness.py").write_text("this is no Python")
            assert eventually(lambda: HTTP.get(host.url + "/list").status_code == 404)
            witness_module = (witness / "endpoints/witness.py").read_text()
            (folder / "endpoints/witness.py").write_text(witness_module.replace('"a\\n"', '"changed\\n"'))
            assert eventually(lambda: HTTP.get(host.url + "/list").text == "changed\nb\nc\n")
        assert eventually(lambda: HTTP.get(host.url + "/list").status_code == 404), "the plugin ends with its debugger"


@pytest.mark.parametrize(
    ("environment", "env", "name", "number"),
    [
        ({}, "DEBUG_NAME=\n", "witness-debug", signal.SIGINT),
        ({}, "DEBUG_NAME=mine\n", "mine", signal.SIGTERM),
        ({"DEBUG_NAME": "witness"}, "DEBUG_NAME=mine\n", "witness", signal.SIGKILL),
    ],
)
def test_its_name_differs_from_that_of_an_installed_package_and_the_plugin_ends_with_it(
    folder: Path, witness: Path, environment: dict[str, str], env: str, name: str, number: signal.Signals
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    with Devhost(witness, settings={"secret": "s3cret"}, runs="remote") as host:
        env_file(folder, host)
        with (folder / ".env").open("a") as file:
            file.write(env)
        with debugging(folder, **environment) as process:
            assert eventually(lambda: host.runtime.starts == 1)
            assert host.runtime.declaration is not None
            assert (host.runtime.declaration.manifest.name, HTTP.get(host.url + "/list").text) == (name, "a\nb\nc\n")
            process.send_signal(number)
            assert process.wait(DEADLINE_S) == (-number if number is signal.SIGKILL else 0)
            assert process.stdout is not None
            output = process.stdout.read()
        assert eventually(lambda: HTTP.get(host.url + "/list").status_code == 404)
    assert f"devhost.debug: the plugin connects as witness/{name}\n" in output
    assert ("Dify deletes it when the plugin disconnects" in output) == (name == "witness")
    assert {path: path.read_bytes() for path in before} == before


def test_without_an_env_file_it_connects_to_devhost(folder: Path) -> None:
    arguments = [sys.executable, "-m", "devhost", str(folder), "--remote", "--port", "0", "--debug-port", "0"]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            lines = list[str]()
            while not (lines and lines[-1].startswith("REMOTE_INSTALL_KEY")):
                lines.append(process.stdout.readline())
            url = next(line for line in lines if "/e/" in line).split()[-1]
            address = next(line for line in lines if line.startswith("REMOTE_INSTALL_URL")).strip().partition("=")[2]
            with debugging(folder, REMOTE_INSTALL_URL=address):
                assert eventually(lambda: HTTP.get(url + "list").text == "a\nb\nc\n")
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE_S) == 0


def test_a_wrong_key_ends_it_with_a_message(folder: Path, witness: Path) -> None:
    with Devhost(witness, runs="remote") as host:
        env_file(folder, host, key="wrong")
        status, lines = output_of(folder)
    assert status == 2
    assert "A key is valid for two hours" in lines[-1], "with or without the server's own words"


def test_a_missing_key_ends_it_with_a_message(folder: Path, witness: Path) -> None:
    with Devhost(witness, runs="remote") as host:
        env_file(folder, host, key="")
        status, [_, line] = output_of(folder)
    assert (status, line.startswith("there is no key in .env: copy .env.example to .env")) == (2, True)


def test_a_missing_server_is_tried_as_often_as_by_the_sdk(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    status, lines = output_of(folder, REMOTE_INSTALL_URL=f"127.0.0.1:{port}")
    assert (status, lines[1:]) == (
        2,
        [*[f"there is no debugging server at 127.0.0.1:{port}"] * 3, "gave up: Connection refused"],
    )


def test_a_server_that_goes_away_is_waited_for(folder: Path, witness: Path) -> None:
    with Devhost(witness, runs="remote") as host:
        env_file(folder, host)
        with debugging(folder) as process:
            assert eventually(lambda: host.runtime.starts == 1)
            host.__exit__(None, None, None)
            with Devhost(witness, runs="remote", debug_port=host.debug_port) as again:
                assert eventually(lambda: again.runtime.starts == 1)
                assert HTTP.get(again.url + "/list").text == "a\nb\nc\n"
            process.terminate()
            assert process.stdout is not None
            assert f"the debugging server at 127.0.0.1:{host.debug_port} is gone; connecting again" in process.stdout.read()


def test_a_folder_without_a_plugin_is_one_line(tmp_path: Path) -> None:
    assert output_of(tmp_path) == (2, [f"{tmp_path} holds no plugin: it has no manifest.yaml"])
