"""`make conformance`: MCP's own conformance kit, with the real plugin, in both eras of the protocol.

Prints what does not pass and a line for each era. Exit status 1 for what `baseline.yaml` does not name, and for what it names and
passes. The command line may name one scenario of the kit, of which everything is shown.
"""

import logging
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from devhost import Devhost, demo
from tests.conformance.apps import APPS

ROOT = Path(__file__).parents[2]
NODE = ROOT / ".venv/conformance/node_modules/.bin"
VERSIONS = ("2026-07-28", "2025-11-25")
LEAST = {"2026-07-28": 87, "2025-11-25": 38}  # checks that pass; the kit leaves checks out for which it finds no ground
DEADLINE_S = 120  # of one era


def main() -> int:
    """Runs the kit once for each era."""
    logging.disable(logging.WARNING)  # of the plugin: a run fails on purpose
    apps = {demo.app_id(alias): app for alias, app in APPS.items()}
    settings = demo.settings(APPS) | {"public_apps": ", ".join(APPS), "public_rate": "10000"}
    with Devhost(ROOT, apps, settings) as host:
        passed = [_passes(version, f"{host.url}/mcp", sys.argv[1:]) for version in VERSIONS]
    return 0 if all(passed) else 1


def _passes(version: str, url: str, scenarios: list[str]) -> bool:
    which = ["--scenario", *scenarios] if scenarios else ["--suite", "all"]
    command: list[str | Path] = [NODE / "node", NODE / "conformance", "server", "--url", url, "--spec-version", version, *which]
    command += ["--expected-failures", ROOT / "tests/conformance/baseline.yaml"]
    with tempfile.TemporaryDirectory() as folder:
        command += ["--output-dir", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    told = done.stdout + done.stderr
    total = re.search(r"^Total: (\d+) passed", told, re.MULTILINE)
    count = int(total[1]) if total else 0
    is_whole = bool(scenarios) or count >= LEAST[version]
    is_right = done.returncode == 0 and is_whole
    if scenarios or not is_right:
        print(told)
    print(f"{'ok     ' if is_right else 'FAILED '} MCP {version}: {count} checks pass", flush=True)
    return is_right


if __name__ == "__main__":
    sys.exit(main())
