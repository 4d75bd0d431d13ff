"""What the documents tell their readers to type is typed here, and says what they say."""

import contextlib
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent
from playwright.sync_api import Page

from devhost import App, Devhost, demo
from devhost.serverless import free_port
from tests.documents import Block, blocks, connection
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, ROOT, Duck, eventually, site
from tests.support import KEY, sample

ADDRESS = "127.0.0.1:8000"  # where `make demo` serves
MAKE = ("make", "--old-file", ".venv/ready")  # these tests run in the .venv, which must not be made anew under them
RECIPES = blocks("docs/recipes.md")
CLIENTS = blocks("docs/clients.md")
DEVHOST = blocks("devhost/README.md")
START = RECIPES[0].text  # what all commands need
ELSEWHERE = {"nginx", "js"}  # configurations that tests below try, and programs for Node that `make clients` runs


@pytest.fixture(scope="module")
def demonstration() -> Iterator[Devhost]:
    """What `make demo` serves, without its pauses."""
    apps, keys = demo.apps(pace=0), demo.app_keys()
    with Devhost(ROOT, apps, demo.settings(), app_keys=keys) as host:
        host.settings |= demo.own_keys(host.api_url)
        yield host


def run(command: list[str], text: str) -> str:
    """What a program says that gets the text to read; it must not fail, nor get an error from Duck."""
    ended = subprocess.run(command, input=text, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def shown(page: Page, html: str, host: Devhost) -> str:
    with site(html) as port, patch.dict(host.settings, allowed_origins=f"http://shop.localhost:{port}"):
        page.goto(f"http://shop.localhost:{port}")
        page.wait_for_function("() => !document.querySelector('#answer') || document.querySelector('#answer').textContent")
        page.wait_for_load_state("networkidle")
        return "\n".join(
            frame.evaluate("document.querySelector('#answer')?.textContent ?? document.body.innerText") for frame in page.frames
        )


def sent_by_n8n(page: Page, workflow: str) -> str:
    """What the node would get: its parameters are n8n's, and so is what stands between `={{` and `}}`."""
    [node] = json.loads(workflow)["nodes"]
    wanted = node["parameters"]
    expression = wanted["jsonBody"].removeprefix("={{").removesuffix("}}")
    body = page.evaluate(f"($json) => JSON.stringify({expression})", {"text": "Rain is coming."})
    headers = {header["name"]: header["value"] for header in wanted["headerParameters"]["parameters"]}
    headers["Content-Type"] = "application/json"
    assert (wanted["sendHeaders"], wanted["sendBody"], wanted["specifyBody"]) == (True, True, "json")
    return httpx.request(wanted["method"], wanted["url"], headers=headers, content=body, timeout=DEADLINE_S).text


def said_to_a_host(url: str, headers: dict[str, str]) -> str:
    """What the chatbot answers to MCP's client, with a host's URL and headers."""

    async def call() -> str:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=DEADLINE_S) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            assert {tool.name for tool in (await client.list_tools()).tools} >= {"completion"}, "the key has come along"
            [answer, *_] = (await client.call_tool("chatbot", {"query": "What is a duck?"})).content
            assert isinstance(answer, TextContent)
            return answer.text

    with start_blocking_portal() as portal:
        return portal.call(call)


@pytest.mark.parametrize("block", [block for block in [*RECIPES, *CLIENTS] if block.language not in ELSEWHERE], ids=str)
def test_a_recipe_does_what_it_says(demonstration: Devhost, page: Page, block: Block) -> None:
    here = f"127.0.0.1:{demonstration.port}"
    text = block.text.replace(ADDRESS, here)
    with patch.dict(demonstration.settings, block.settings, clear=bool(block.settings)):
        match block.language, block.words:
            case "sh", ():
                said = run(["bash", "-euo", "pipefail"], START.replace(ADDRESS, here) + text)
            case "python", ():
                said = run([sys.executable, "-"], text)
            case "html", ():
                said = shown(page, text, demonstration)
            case "json", ("n8n",):
                said = sent_by_n8n(page, text)
            case _, ("mcp",):
                said = said_to_a_host(*connection(replace(block, text=text), demo.KEY))
                assert "This was turn 1 of our conversation." in said
            case other:
                pytest.fail(f"nobody knows how to run {other}")
    assert block.matches(said), said
    assert block.output or '"code"' not in said


def test_what_readme_asks_for_is_answered(demonstration: Devhost) -> None:
    of_dify, set_up, asking = (block.text for block in blocks("README.md"))
    command = of_dify.replace("https://<your dify>/e/<hook>", demonstration.url).replace("<app_id>", "chatbot")
    assert '"answer":"Hello, there!' in run(["bash", "-euo", "pipefail"], command.replace("<key>", demo.KEY))
    assert re.findall(r"^make (\w+)", set_up, re.MULTILINE) == ["demo", "test"]
    said = run(["bash", "-euo", "pipefail"], asking.replace(ADDRESS, f"127.0.0.1:{demonstration.port}"))
    assert "Here is picture number 1 of this conversation: a red fox" in said


def test_what_devhosts_readme_asks_for_is_answered(demonstration: Devhost) -> None:
    [command] = [block.text for block in DEVHOST if block.text.startswith("curl")]
    said = run(["bash", "-euo", "pipefail"], command.replace(ADDRESS, f"127.0.0.1:{demonstration.port}"))
    assert json.loads(said).keys() == {"data", "has_more", "limit"}


def test_the_apps_and_the_test_of_devhosts_readme_run(tmp_path: Path) -> None:
    of_apps, of_test, _ = (block.text for block in DEVHOST if block.language == "python")
    (tmp_path / "apps.py").write_text(of_apps)
    (tmp_path / "test.py").write_text(of_test.replace("path/to/plugin", str(ROOT)))
    apps = demo.load(tmp_path / "apps.py")
    with Devhost(ROOT, {demo.app_id(name): app for name, app in apps.items()}, demo.settings(apps)) as host:
        answers = [httpx.post(f"{host.url}/chat/{name}", json={"query": "hi"}, auth=("", demo.KEY)) for name in apps]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[0].json()["answer"] == "Hello! You said: hi"
    with patch("httpx.post", wraps=httpx.post) as post:
        runpy.run_path(str(tmp_path / "test.py"), {"httpx": httpx, "app_id": str(uuid.uuid4())})
    assert post.call_count == 1


def test_make_demo_serves_the_demo() -> None:
    with making("demo", PORT="0") as process:
        assert process.stdout
        url = next(line for line in process.stdout if "/e/duck" in line).split()[-1]
        response = httpx.get(url, headers={"X-API-Key": demo.KEY}, timeout=DEADLINE_S)
        assert {app["alias"] for app in response.json()["apps"]} >= set(demo.ALIASES)


def test_make_debug_connects_duck_to_a_dify() -> None:
    with Devhost(ROOT, settings={"api_key": KEY}, runs="remote") as host:
        address = {"REMOTE_INSTALL_URL": f"127.0.0.1:{host.debug_port}", "REMOTE_INSTALL_KEY": host.debug_key}
        with making("debug", **address):
            assert eventually(lambda: httpx.get(host.url + "/", headers=AUTHORIZED).status_code == 200)


def test_make_package_makes_one() -> None:
    (ROOT / "duck.difypkg").unlink(missing_ok=True)
    with making("package") as process:
        assert process.wait(DEADLINE_S) == 0
    assert (ROOT / "duck.difypkg").is_file()


def test_make_knows_what_takes_longer_than_a_test_may() -> None:
    """`make check` and `make test` are what continuous integration runs; the others are for people."""
    assert run([*MAKE, "--dry-run", "test", "check", "format", "fuzz", "bench", "test-sdk-latest", "clean"], "")


@pytest.mark.parametrize("module", ["bench", "bench.speed", "bench.attacks"])
def test_a_command_explains_itself(module: str) -> None:
    assert f"usage: python -m {module}" in run([sys.executable, "-m", module, "--help"], "")


@contextlib.contextmanager
def making(target: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`make` at work on a target."""
    with subprocess.Popen([*MAKE, target], cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def nginx(block: Block, port: int, folder: Path) -> Iterator[str]:
    """The address of nginx with a document's block in its configuration, before the daemon at this port."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:{ROOT}/.nginx/usr/sbin")
    assert program, "nginx is missing: install it"
    own = free_port()
    places = "".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;"
        f"events {{}} http {{ access_log off; {places}"
        # A proxy before Dify's own never gets to see this header.
        f"server {{ listen 127.0.0.1:{own}; proxy_ignore_headers X-Accel-Buffering;"
        f"{block.text.replace(ADDRESS, f'127.0.0.1:{port}')} }} }}"
    )
    with subprocess.Popen([program, "-p", folder, "-e", folder / "log", "-c", folder / "nginx.conf"]) as process:
        try:
            assert eventually(lambda: listens(own)), (folder / "log").read_text()
            yield f"http://127.0.0.1:{own}"
        finally:
            process.terminate()


def test_the_proxy_of_the_recipe_lets_streams_through_and_uploads(local: Duck, tmp_path: Path) -> None:
    [block] = [block for block in RECIPES if block.language == "nginx"]
    events, last_may_come = sample("chat"), threading.Event()

    def script(_: Any) -> Iterator[Any]:
        yield events[0]
        assert last_may_come.wait(DEADLINE_S)
        yield from events[1:]

    app_id = local.add(App(mode="chat", script=script))
    with nginx(block, local.host.port, tmp_path) as address, httpx.Client(headers=AUTHORIZED, timeout=DEADLINE_S) as client:
        url = f"{address}/e/{local.host.hook}"
        with client.stream("POST", f"{url}/chat/{app_id}?format=ndjson", json={"query": "hi"}) as response:
            lines = response.iter_lines()
            assert json.loads(next(lines)) == events[0]
            last_may_come.set()
            assert [json.loads(line) for line in lines] == events[1:]
        assert client.get(f"{url}/").json()["url"] == f"{url}/"
        large = client.post(f"{url}/chat/{app_id}", json={"query": "x" * 5_000_000, "response_mode": "blocking"})
        assert large.status_code == 200, large.text


def test_the_proxy_that_adds_the_key_does_so_for_one_app(demonstration: Devhost, tmp_path: Path) -> None:
    [block] = [block for block in CLIENTS if block.language == "nginx"]
    [path] = re.findall(r"location = (\S+) ", block.text)
    with (
        nginx(block, demonstration.port, tmp_path) as address,
        patch.dict(demonstration.settings, public_apps=""),
        httpx.Client(base_url=address, timeout=DEADLINE_S) as client,
    ):
        assert client.post("/e/duck/mcp").status_code == 404
        listed = client.post(path, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).json()
    assert [tool["name"] for tool in listed["result"]["tools"]] == ["chatbot"]


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
