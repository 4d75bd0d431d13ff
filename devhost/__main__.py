"""`python -m devhost`: serves a plugin on loopback, with the demo apps behind it."""

import argparse
import json
import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from devhost import demo
from devhost.host import RACE_MS, Devhost
from devhost.plugin import Manifest, StartError

EXIT_CANNOT_START = 2


def main() -> int:
    """Runs until Ctrl-C or SIGTERM; gives the exit status."""
    options = _options()
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT, too: a shell starts its background jobs with it ignored
        signal.signal(number, _interrupt)
    try:
        settings = demo.SETTINGS if options.settings is None else _read_settings(options.settings)
        name = Manifest.read(options.folder).name
        host = Devhost(options.folder, demo.apps(), settings, hook=options.hook, port=options.port, race_ms=options.race_ms)
        with host:
            print("\n".join(_welcome(host.url, name, demo_settings=options.settings is None)), flush=True)  # noqa: T201
            threading.Event().wait()
    except StartError as error:
        print(f"devhost: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_CANNOT_START
    except KeyboardInterrupt:
        return 0
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devhost", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="the plugin's folder (default: this one)")
    parser.add_argument("--port", type=int, default=8000, help="on 127.0.0.1 (default: 8000; 0: a free one)")
    parser.add_argument("--hook", default="duck", help="the hook id in the URL (default: duck)")
    parser.add_argument(
        "--race-ms",
        type=float,
        default=RACE_MS,
        metavar="MS",
        help="a stream that ends within this after its first chunk is cut to it (default: %(default)s)",
    )
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="the endpoint's settings, JSON or YAML (default: the demo's)"
    )
    return parser.parse_args()


def _read_settings(path: Path) -> dict[str, Any]:
    """The settings in the file; YAML takes JSON, too. Raises `StartError` if it cannot be read or holds no mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StartError(f"cannot read the settings in {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise StartError(f"{path} holds no mapping of settings")
    return content


def _welcome(url: str, name: str, *, demo_settings: bool) -> list[str]:
    """What to try. Only Duck's routes are known here."""
    lines = ["", f"{name} is served at {url}/", ""]
    if name != "duck" or not demo_settings:
        return lines
    key = f"-H 'Authorization: Bearer {demo.KEY}'"
    body = "-H 'Content-Type: application/json' -d"
    question = json.dumps({"query": "What is a duck?", "inputs": {"name": "Ada"}})
    drawing = json.dumps({"query": "a duck on a pond"})
    text = json.dumps({"inputs": {"text": "The quick brown fox jumps over the lazy dog.", "words": 4}})
    haiku = json.dumps({"inputs": {"topic": "rain"}})
    return [
        *lines,
        f"Apps: {', '.join(demo.IDS)}. Key: {demo.KEY}. To try:",
        "",
        f"  curl {key} {url}/",
        f"  curl -N {key} {body} '{question}' '{url}/chat/chatbot?format=sse'",
        f"  curl -N {key} {body} '{drawing}' '{url}/chat/agent?format=ndjson'",
        f"  curl {key} {body} '{question}' {url}/chat/chatflow",
        f"  curl -N {key} {body} '{text}' '{url}/workflow/workflow?format=text'",
        f"  curl {key} {body} '{haiku}' {url}/completion/completion",
        "",
        "Ctrl-C stops it.",
    ]


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - what `signal` calls it with
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
