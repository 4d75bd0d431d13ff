"""`python -m devhost` as a person uses it, with Duck."""

import subprocess
import sys
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]

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
