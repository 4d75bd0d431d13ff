"""Recordings of a real Dify, and functions that wait, for several tests."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
ROOT = HERE.parents[1]  # the folder in which `python -m devhost` runs
SAMPLES = ROOT / "tests/samples"  # Duck's tests read them, too
PLUGINS = HERE / "plugins"
DEADLINE_S = 30

# `httpx.get` would load certificates for each request. No connection is kept, since servers end.
HTTP = httpx.Client(timeout=DEADLINE_S, limits=httpx.Limits(max_keepalive_connections=0))


def sample(name: str) -> list[dict[str, Any]]:
    """The events of a recorded stream."""
    return [json.loads(line) for line in (SAMPLES / f"{name}.ndjson").read_text("utf-8").splitlines()]


def say(word: str, folder: Path) -> None:
    """Makes the plugin `bare` in the folder answer with another word."""
    (folder / "main.py").write_text((HERE / "bare.py").read_text().replace('"hello"', f'"{word}"'))


def is_running(pid: int) -> bool:
    """Whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it becomes true before the deadline."""
    waiting = threading.Event()
    return any(true() or waiting.wait(0.05) for _ in range(DEADLINE_S * 20))
