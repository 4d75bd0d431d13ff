"""devhost in a process of its own, with a copy of Duck that can have other limits and that reports what it holds."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEY = "your-key"
PARTS = ("manifest.yaml", "main.py", "requirements.txt", "group", "endpoints", "duck", "_assets")
PROBE_S = 30  # in which the plugin must answer the probe
# Goes into the copy's main.py: on SIGUSR1 it writes to a file what the process holds.
PROBE = """
def _probe():
    import gc, json, os, pathlib, gevent
    from duck import state
    greenlets = sum(isinstance(held, gevent.Greenlet) and not held.dead for held in gc.get_objects())
    held = {"slots": len(state.current().slots), "readers": len(plugin.request_reader.readers) - 1}
    held["greenlets"] = greenlets - len(plugin.executer._threads)
    held["cpu_s"], held["memory_kb"] = sum(os.times()[:2]), int(open("/proc/self/statm").read().split()[1]) * 4
    pathlib.Path("probe.new").write_text(json.dumps(held))
    os.replace("probe.new", "probe.json")

import os, pathlib, signal, gevent
gevent.signal_handler(signal.SIGUSR1, _probe)
pathlib.Path("probe.pid").write_text(str(os.getpid()))

if __name__ =="""


@dataclass(frozen=True, slots=True)
class Host:
    """A running devhost: the endpoint's `url`, and the `folder` of the copy of Duck behind it."""

    url: str
    folder: Path

    def probe(self) -> dict[str, Any]:
        """What the plugin process holds: `slots`, `readers` of Dify's events, running `greenlets`, `cpu_s` and `memory_kb`.

        Raises `TimeoutError` if the plugin does not answer.
        """
        answer = self.folder / "probe.json"
        answer.unlink(missing_ok=True)
        os.kill(int((self.folder / "probe.pid").read_text()), signal.SIGUSR1)
        give_up_at = time.monotonic() + PROBE_S
        while not answer.exists():
            if time.monotonic() > give_up_at:
                raise TimeoutError("the plugin did not answer the probe")
            time.sleep(0.01)  # another process writes the file, and nothing tells when
        held: dict[str, Any] = json.loads(answer.read_text())
        return held


def copy_duck(folder: Path, **limits: float) -> Path:
    """Copies Duck into the folder, with a probe and with these `limits` in place of its own. Returns the folder."""
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    main = folder / "main.py"
    main.write_text(main.read_text().replace("\nif __name__ ==", PROBE))
    with (folder / "duck/limits.py").open("a") as file:
        file.writelines(f"{name} = {value}\n" for name, value in limits.items())
    return folder


@contextlib.contextmanager
def serving(folder: Path, **environment: str) -> Iterator[Host]:
    """Runs devhost with the plugin in the folder and the app of the benchmarks, while the context lasts."""
    command = [sys.executable, "-m", "devhost", str(folder), "--port", "0", "--race-ms", "20"]
    command += ["--apps", str(Path(__file__).with_name("apps.py"))]
    with (
        (folder / "devhost.log").open("wb") as log,
        subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            url = next((line.split()[-1] for line in process.stdout if "/e/" in line), None)
            if url is None:
                raise RuntimeError((folder / "devhost.log").read_text())
            yield Host(url.rstrip("/"), folder)
        finally:
            process.terminate()
