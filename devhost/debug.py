"""Runs a plugin with Dify's debugging server, or with devhost's, and restarts it when a file changes.

Address and key come from the plugin's `.env`. Without that file the plugin connects to `python -m devhost --remote`.
It connects as `<name>-debug`: when a plugin disconnects, Dify deletes the installed package of the same name. `DEBUG_NAME`, in
the environment or in `.env`, sets another name.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from watchfiles import watch

from devhost.addresses import DEBUG_PORT, LOOPBACK
from devhost.command import add_python, parser_of
from devhost.debugged import GAVE_UP
from devhost.watching import SOURCES

DEFAULTS = {"REMOTE_INSTALL_URL": f"{LOOPBACK}:{DEBUG_PORT}", "REMOTE_INSTALL_KEY": "devhost"}
RUNNER = Path(__file__).with_name("debugged.py")
POLL_MS = 300  # between two checks whether the plugin has ended
STOP_GRACE_S = 2


def main() -> int:
    """Runs until Ctrl-C or SIGTERM, or until no server can be reached; returns the exit status."""
    parser = parser_of("devhost.debug", __doc__)
    add_python(parser)
    options = parser.parse_args()
    folder: Path = options.folder
    if not (folder / "manifest.yaml").is_file():
        print(f"devhost.debug: {folder} holds no plugin: it has no manifest.yaml", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT: a shell starts background jobs with it ignored
        signal.signal(number, lambda *_: sys.exit(0))
    process = _start(options.python, folder)
    try:
        for changes in watch(folder, watch_filter=SOURCES, yield_on_timeout=True, rust_timeout=POLL_MS, raise_interrupt=False):
            if changes:
                names = ", ".join(sorted({Path(path).name for _, path in changes}))
                print(f"devhost.debug: changed: {names}; the plugin restarts", file=sys.stderr, flush=True)
                _stop(process)
                process = _start(options.python, folder)
            elif process.poll() == GAVE_UP:
                return 2
    finally:
        _stop(process)
    return 0


def _start(python: str, folder: Path) -> subprocess.Popen[bytes]:
    environment = {} if (folder / ".env").is_file() else DEFAULTS
    command = [python, "-P", str(RUNNER)]  # -P: no imports from the runner's own folder
    return subprocess.Popen(
        command, cwd=folder, env=environment | os.environ | {"INSTALL_METHOD": "remote"}, start_new_session=True
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
