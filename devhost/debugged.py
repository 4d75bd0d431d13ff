"""Runs the plugin in this folder as Dify's remote debugging has it, and says in one line each what the SDK says in tracebacks.

The plugin connects under another name than the manifest's. If a package with the same author and name is installed, Dify 1.16
does not show the plugin that is debugged, and deletes the package when that plugin disconnects.

Run by its path and never imported, in a process of its own: the SDK has to be the first to be imported there.
"""

import logging
import math
import os
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

GAVE_UP = 3  # the exit status of a plugin that found no server, or none that takes its key
SDK = "dify_plugin.core.server"
AT_ONCE_S = 2  # a connection that ends sooner was refused, whether the server's reason came through or not
PARENT_S = 0.5  # between two looks at whether it is still there
TRIES = 3  # as many as the SDK makes where there is no server; where there is one, it would try for ever
DEBUG_NAME = "DEBUG_NAME"  # the variable that names the plugin, in the environment or in .env
PYTHON = "Name the Python where the plugin's requirements.txt is installed: --python path/to/plugin/.venv/bin/python"
KEY = "A key is valid for two hours: copy a new one from Dify, under Plugins, behind the bug icon."

# What the SDK says about its connection, by what the message begins with (after its colours), and what it means.
LINES = {
    "Failed to connect to": "there is no debugging server at {0}:{1}",
    "Failed to read data from": "the debugging server at {0}:{1} is gone; connecting again",
    "Failed to write data": "the debugging server is gone; connecting again",
    "Connected to": "connected to {0}:{1}",
}


class Plain(logging.Handler):
    """Writes the SDK's messages about its connection plainly, and ends the process where the SDK would try for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._connected = -math.inf
        self._refused = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one message."""
        message = str(record.msg)
        text = message.partition("m")[2] if message.startswith("\x1b") else message
        arguments = record.args if isinstance(record.args, tuple) else ()
        if text.startswith("An error occurred while parsing") and arguments:
            said = arguments[0]
            _end(f"the debugging server says: {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}. {KEY}")
        if text.startswith("Error in event loop"):
            _end("the debugging server did not come back")
        if text.startswith(("Failed to read data", "Failed to write data")) and time.monotonic() - self._connected < AT_ONCE_S:
            self._refused += 1
            if self._refused == TRIES:
                _end(f"the debugging server hangs up at once. {KEY}")
        if text.startswith("Connected to"):
            self._connected = time.monotonic()
        if line := next((line for begin, line in LINES.items() if text.startswith(begin)), None):
            _say(line.format(*arguments))


def main() -> None:
    """Runs `main.py` of the plugin in the current folder."""
    log = logging.getLogger(SDK)
    log.addHandler(Plain())
    log.setLevel(logging.INFO)
    log.propagate = False
    sys.path.insert(0, str(Path.cwd()))  # as `python -m main` has it
    try:
        from dify_plugin.config.logger_format import plugin_logger_handler  # noqa: PLC0415 - see the module's docstring
    except ModuleNotFoundError as error:
        _end(f"{sys.executable}: {error}. {PYTHON}")

    _rename()
    threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()
    plugin_logger_handler.setFormatter(logging.Formatter("%(message)s"))
    try:
        runpy.run_module("main", run_name="__main__", alter_sys=True)
    except OSError as error:
        _end(f"gave up: {error.strerror or error}")
    except ValueError as error:
        if "remote install key" not in str(error):
            raise
        _end(f"there is no key in .env: copy .env.example to .env and fill it in. {KEY}")


def _rename() -> None:
    """Makes the SDK report another name than the manifest's."""
    from dify_plugin.core.plugin_registration import PluginRegistration  # noqa: PLC0415 - see the module's docstring
    from dotenv import dotenv_values  # noqa: PLC0415 - it comes with the SDK

    name = os.environ.get(DEBUG_NAME) or dotenv_values(".env").get(DEBUG_NAME)
    read = PluginRegistration._load_plugin_configuration  # noqa: SLF001 - the name is read here and nowhere else

    def renamed(registration: Any) -> None:
        read(registration)
        manifest = registration.configuration
        installed, manifest.name = manifest.name, name or f"{manifest.name}-debug"
        _say(f"the plugin connects as {manifest.author}/{manifest.name}")
        if manifest.name == installed:
            _say("if a package of that name is installed in this workspace, Dify deletes it when the plugin disconnects")

    PluginRegistration._load_plugin_configuration = renamed  # noqa: SLF001 - as above


def _watch_parent(parent: int) -> None:
    """Ends the process with the one that started it, however that ends."""
    while os.getppid() == parent:
        time.sleep(PARENT_S)
    os._exit(GAVE_UP)


def _say(line: str) -> None:
    print(f"devhost.debug: {line}", file=sys.stderr, flush=True)


def _end(line: str) -> NoReturn:
    _say(line)
    os._exit(GAVE_UP)  # the SDK's threads would go on


if __name__ == "__main__":
    main()
