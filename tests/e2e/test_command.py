"""`python -m devhost` as a person uses it, with Duck."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from devhost.package import pack
from tests.e2e.conftest import DEADLINE_S, ROOT, WITH_UV

APPS = """
from devhost import App, say

APPS = {"hello": App(mode="chat", script=say("Hello! You said: {query}", pace=0))}
"""


def test_apps_of_ones_own_are_served_by_their_aliases(tmp_path: Path) -> None:
    apps = tmp_path / "apps.py"
    apps.write_text(APPS)
    command = [sys.executable, "-m", "devhost", "--port", "0", "--apps", str(apps)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            url = next(line for line in process.stdout if "/e/" in line).split()[-1]
            answer = httpx.post(url + "chat/hello", json={"query": "hi"}, headers={"X-API-Key": "your-key"}, timeout=60)
            assert answer.json()["answer"] == "Hello! You said: hi"
            assert {app["alias"] for app in httpx.get(url, headers={"X-API-Key": "your-key"}).json()["apps"]} == {
                "hello",
                "default",
            }
        finally:
            process.terminate()


def test_a_package_is_installed_and_set_up_with_nothing_but_the_console(page: Page, tmp_path: Path) -> None:
    """Its form has the labels, the help texts and the placeholders that Dify shows."""
    pack(ROOT, tmp_path / "duck.difypkg")
    command: list[str | Path] = [sys.executable, "-m", "devhost", "--port", "0", tmp_path / "duck.difypkg"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | WITH_UV, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url = next(line for line in process.stdout if "/e/duck/" in line).split()[-1]
            page.goto(url)
            expect(page.get_by_role("alert")).to_contain_text("under API key (api_key)")
            page.goto(url.partition("/e/")[0])
            expect(page.get_by_text("An app's id is in its address in Dify, after /app/")).to_be_visible()
            row = page.get_by_role("row").filter(has_text="Chatbot")
            app_id, key = row.locator("code").all_text_contents()
            page.get_by_label("API key").fill("a-key-of-my-own")
            page.get_by_label("Apps", exact=False).first.fill(f"support={app_id}")
            page.get_by_label("App keys").fill(f"support={key}")
            page.get_by_label("Service API URL").fill(page.locator("p code", has_text="/v1").inner_text())
            page.get_by_role("button", name="Save").click()
            listed = httpx.get(url, headers={"X-API-Key": "a-key-of-my-own"}, timeout=DEADLINE_S).json()
            assert [(app["alias"], app["kind"]) for app in listed["apps"]] == [("support", "chat")]
            asked = {"query": "What is a duck?"}
            answer = httpx.post(f"{url}chat/support", json=asked, headers={"X-API-Key": "a-key-of-my-own"}, timeout=DEADLINE_S)
            assert "What is a duck?" in answer.json()["answer"]
        finally:
            process.terminate()
