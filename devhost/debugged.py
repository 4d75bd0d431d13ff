"""Runs the plugin in the current folder for remote debugging, and replaces the SDK's tracebacks by single lines.

The plugin connects under a name that differs from the manifest's. If a package of the same author and name is installed, Dify
1.16 does not show the debugged plugin, and deletes the package when the plugin disconnects.

This file runs by its path, in a process of its own, and is never imported: the SDK must be imported first in that process.
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

GAVE_UP = 3  # the exit status if there is no server, or if it refuses the key
SDK = "dify_plugin.core.server"
AT_ONCE_S = 2  # a connection that ends sooner was refused, even if the server's reason was not received
PARENT_S = 0.5  # between two checks whether the parent process is alive
TRIES = 3  # the SDK tries as often without a server; with a server it would try for ever
DEBUG_NAME = "DEBUG_NAME"  # variable with the plugin's name, in the environment or in .env
PYTHON = "Use the Python with the plugin's requirements.txt installed: --python path/to/plugin/.venv/bin/python"
KEY = "A key is valid for two hours. Copy a new key from Dify: Plugins, bug icon."

# What is printed for the SDK's messages about its connection, by the beginning of a message after its colour codes.
LINES = {
    "Failed to connect to": "there is no debugging server at {0}:{1}",
    "Failed to read data from": "the debugging server at {0}:{1} is gone; connecting again",
    "Failed to write data": "the debugging server is gone; connecting again",
    "Connected to": "connected to {0}:{1}",
}


class Plain(logging.Handler):
    """Prints the SDK's messages about its connection as plain lines, and ends the process where the SDK would try for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._connected = -math.inf
        self._refused = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one message."""
        message = str(record.msg)
        text = message.partition("m")[2] if message.startswith("\x1b") else message
        arguments = record.args if isinstance(record.args, tuple) else ()
        if text.startswith("An error occurred while parsing") and arguments:
            reason = arguments[0]
            _end(
                f"the debugging server says: {reason.decode('utf-8', 'replace') if isinstance(reason, bytes) else reason}. {KEY}"
            )
        if text.startswith("Error in event loop"):
            _end("the debugging server did not come back")
        if text.startswith(("Failed to read data", "Failed to write data")) and time.monotonic() - self._connected < AT_ONCE_S:
            self._refused += 1
            if self._refused == TRIES:
                _end(f"the debugging server closes the connection at once. {KEY}")
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
    sys.path.insert(0, str(Path.cwd()))  # as with `python -m main`
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
    read = PluginRegistration._load_plugin_configuration  # noqa: SLF001 - the SDK reads the name only here

    def renamed(registration: Any) -> None:
        read(registration)
        manifest = registration.configuration
        installed, manifest.name = manifest.name, name or f"{manifest.name}-debug"
        _say(f"the plugin connects as {manifest.author}/{manifest.name}")
        if manifest.name == installed:
            _say("if a package with this name is installed in the workspace, Dify deletes it when the plugin disconnects")

    PluginRegistration._load_plugin_configuration = renamed  # noqa: SLF001 - as above


def _watch_parent(parent: int) -> None:
    """Ends this process when its parent process has ended, even by SIGKILL."""
    while os.getppid() == parent:
        time.sleep(PARENT_S)
    os._exit(GAVE_UP)


def _say(line: str) -> None:
    print(f"devhost.debug: {line}", file=sys.stderr, flush=True)


def _end(line: str) -> NoReturn:
    _say(line)
    os._exit(GAVE_UP)  # the SDK's threads would keep the process running


if __name__ == "__main__":
    main()
