"""Serves a plugin on loopback, with the demo apps behind it."""

# ruff: noqa: T201 - a command prints

import argparse
import logging
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from devhost import demo
from devhost.addresses import DEBUG_PORT, LOOPBACK, PORT
from devhost.command import add_python, parser_of
from devhost.declaration import StartError, read_mapping
from devhost.host import Devhost
from devhost.installing import install
from devhost.limits import Limits
from devhost.settings import BAD_SETTINGS
from devhost.trace import describe

EXIT_CANNOT_START = 2
MAX_PORT = 65_535


def main() -> int:
    """Serves until Ctrl-C or SIGTERM; returns the exit status."""
    options = read_options()
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    try:
        with _installed(options):
            _serve(options)
    except StartError as error:
        print(f"devhost: {error}", file=sys.stderr)
        if not options.settings and str(error).startswith(BAD_SETTINGS):
            print("Write the settings of this plugin's endpoint into a YAML file, and name it: --settings FILE", file=sys.stderr)
        return EXIT_CANNOT_START
    except CancelledError:
        pass
    return 0


@contextmanager
def _installed(options: argparse.Namespace) -> Iterator[None]:
    """Installs the plugin if the options name its package; they name its folder and its Python then."""
    options.is_package = options.folder.is_file()
    if not options.is_package:
        yield
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))  # unlike `os._exit` it leaves no folder behind
    print(f"Installing {options.folder} ...", flush=True)
    with TemporaryDirectory(prefix="devhost-") as folder:
        options.python, options.folder = install(options.folder, Path(folder)), Path(folder)
        yield


def _serve(options: argparse.Namespace) -> None:
    host = _devhost(options)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: host.stop())  # an exception could break off any statement
    with host:
        is_demo = not (options.settings or options.apps or options.is_package)
        if is_demo:
            host.settings |= demo.own_keys(host.api_url)
        print("\n".join(_welcome(host, demo_settings=is_demo)), flush=True)
        host.wait()


def read_options() -> argparse.Namespace:
    """The options of the command line. Ends the process for an option that does not exist, or has an invalid value."""
    parser = parser_of("devhost", __doc__, takes="the plugin's folder, or its package, NAME.difypkg")
    parser.add_argument("--port", type=_port, default=PORT, help=f"on {LOOPBACK} (default: {PORT}; 0: a free port)")
    parser.add_argument("--hook", type=_hook, help="the hook id in the URL (default: the plugin's name)")
    for name, default, text in (
        ("--race-ms", Limits().race_s * 1000, "a stream that ends within this after its first chunk is cut to it"),
        ("--absolute-timeout", Limits().absolute_s, "seconds after which a streaming run of an app is cut"),
        ("--execution-timeout", Limits().execution_s, "seconds from its first chunk after which an answer is cut"),
    ):
        parser.add_argument(name, type=float, default=default, metavar="N", help=f"{text} (default: %(default)g)")
    runs = parser.add_mutually_exclusive_group()
    runs.add_argument("--remote", action="store_true", help="remote debugging: wait for a plugin to connect")
    runs.add_argument("--serverless", action="store_true", help="run the plugin as serverless functions")
    add_python(parser)
    parser.add_argument("--debug-port", type=_port, default=DEBUG_PORT, metavar="N", help=f"for --remote (default: {DEBUG_PORT})")
    parser.add_argument("--debug-key", default="devhost", metavar="KEY", help="for --remote (default: devhost)")
    parser.add_argument("--trace", action="store_true", help="show every message between daemon and plugin")
    settings, apps = "the endpoint's settings, JSON or YAML", "a Python file with APPS, by alias"
    parser.add_argument("--settings", type=Path, metavar="FILE", help=f"{settings} (default: the demo's)")
    parser.add_argument("--apps", type=Path, metavar="FILE", help=f"{apps} (default: the demo's)")
    return parser.parse_args()


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"a number up to {MAX_PORT} is needed")
    return int(text)


def _hook(text: str) -> str:
    if not re.fullmatch(r"[\w-]+", text, re.ASCII):
        raise argparse.ArgumentTypeError("letters and digits are needed")
    return text


def _devhost(options: argparse.Namespace) -> Devhost:
    aliases = demo.load(options.apps) if options.apps else None
    return Devhost(
        options.folder,
        demo.apps() if aliases is None else {demo.app_id(alias): app for alias, app in aliases.items()},
        _settings(options, aliases),
        hook=options.hook or "",
        port=options.port,
        runs="remote" if options.remote else "serverless" if options.serverless else "local",
        python=options.python,
        debug_port=options.debug_port,
        debug_key=options.debug_key,
        limits=Limits(race_s=options.race_ms / 1000, absolute_s=options.absolute_timeout, execution_s=options.execution_timeout),
        reload=True,
        trace=_trace if options.trace else None,
        app_keys={} if options.apps else demo.app_keys(),
    )


def _settings(options: argparse.Namespace, aliases: Iterable[str] | None) -> dict[str, Any]:
    """Those of the file, else those for the apps. A package has none, as after its installation in Dify."""
    if options.settings:
        return read_mapping(options.settings, "a file of settings")
    return {} if options.is_package else demo.settings(aliases)


def _trace(message: Mapping[str, Any]) -> None:
    if line := describe(message):
        print(line, file=sys.stderr, flush=True)


def _welcome(host: Devhost, *, demo_settings: bool) -> list[str]:
    """The lines to print at the start. There are examples for Duck's routes only."""
    url, declaration = host.url, host.runtime.declaration
    name = declaration.manifest.name if declaration else "The plugin that connects"
    lines = ["", f"{name} is served at {url}/", f"Settings, apps and routes: {url.partition('/e/')[0]}/", ""]
    if host.runs == "remote":
        lines += [f"REMOTE_INSTALL_URL=127.0.0.1:{host.debug_port}", f"REMOTE_INSTALL_KEY={host.debug_key}", ""]
    has_examples = demo_settings and (name == "duck" or host.runs == "remote")
    return [*lines, *demo.hints(url), "Ctrl-C stops it."] if has_examples else lines
