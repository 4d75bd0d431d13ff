"""`make clients`: other clients than the tests use, unchanged, with the real plugin and the demo's apps.

Prints a line for each check. Exit status 1 if one has failed.
"""

import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from devhost import Devhost, demo
from devhost.limits import Limits

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".venv/clients"  # Python and its packages; in `node`, Node and its packages
DEADLINE_S = 300  # of one client
FAILS = demo.IDS["fails-early"]  # the app whose runs are counted: each check of a failing run must start one


@dataclass(frozen=True, slots=True)
class Client:
    """A client: its `command`, how many of its checks run the app `FAILS`, and where its package is if not beside the others."""

    command: list[str | Path]
    failing: int = 1
    path: Path | None = None


BIN = CLIENTS / "node/node_modules/.bin"
PYTHON, NODE = CLIENTS / "bin/python", BIN / "node"
ALL = {
    "langchain-openai": Client([PYTHON, "-m", "tests.clients.langchain"]),
    "litellm": Client([PYTHON, "-m", "tests.clients.litellm"]),
    "openai for JavaScript": Client([NODE, CLIENTS / "node/openai.mjs"]),
    "Anthropic's client for JavaScript": Client([NODE, CLIENTS / "node/anthropic.mjs"]),
    "AI SDK": Client([NODE, CLIENTS / "node/ai.mjs"], failing=4),
    "AG-UI's client for JavaScript": Client([NODE, CLIENTS / "node/agui.mjs"]),
    "MCP's client for JavaScript, 2026": Client([NODE, CLIENTS / "node/mcp-client.mjs", "auto"]),
    "MCP's client for JavaScript, 2025": Client([NODE, CLIENTS / "node/mcp-client.mjs", "legacy"]),
    "MCP's older SDK for JavaScript": Client([NODE, CLIENTS / "node/mcp-sdk.mjs"]),
    "MCP's Inspector": Client([NODE, CLIENTS / "node/inspector.mjs"], failing=2),
    "fastmcp": Client([PYTHON, "-m", "tests.clients.fastmcp"], failing=2),
    "dify-client-python": Client([PYTHON, "-m", "tests.clients.dify"]),
    "dify-api-client": Client([PYTHON, "-m", "tests.clients.dify"], path=CLIENTS / "dify-api-client"),
    "dify-client for JavaScript": Client([NODE, CLIENTS / "node/dify.mjs"]),
    "A2A's SDK for JavaScript, 1.0": Client([NODE, CLIENTS / "node/a2a.mjs", "1.0"], failing=2),
    "A2A's SDK for JavaScript, 0.3": Client([NODE, CLIENTS / "node/a2a.mjs", "0.3"], failing=2),
    "docs/clients.md": Client([sys.executable, "-m", "tests.clients.documents"], failing=0),
}
SETTINGS = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "CRITICAL", "LANGSMITH_TRACING": "false"}


def main() -> int:
    """Runs the clients that the command line names, all without any."""
    logging.disable(logging.WARNING)  # of the plugin: runs fail on purpose
    apps, keys = demo.apps(pace=0), demo.app_keys()
    with Devhost(ROOT, apps, demo.settings(), limits=Limits(race_s=0.02), app_keys=keys) as host:
        host.settings |= demo.own_keys(host.api_url)
        passed = [_passes(name, ALL[name], host) for name in sys.argv[1:] or ALL]
    return 0 if all(passed) else 1


def _passes(name: str, client: Client, host: Devhost) -> bool:
    print(f"{name}:", flush=True)
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    addresses = {"DUCK_URL": host.url, "OPENAI_BASE_URL": f"{host.url}/v1", "OPENAI_API_KEY": demo.KEY}
    environment = os.environ | SETTINGS | addresses | {"PATH": path}
    if client.path:
        environment["PYTHONPATH"] = str(client.path)
    before = len(host.calls)
    done = subprocess.run(client.command, cwd=ROOT, env=environment, timeout=DEADLINE_S, check=False)
    runs = sum(call.app_id == FAILS for call in host.calls[before:])
    is_once = runs == client.failing
    print("ok      starts each run that fails once" if is_once else f"FAILED  starts {client.failing} failing runs {runs} times")
    return done.returncode == 0 and is_once


if __name__ == "__main__":
    sys.exit(main())
