"""The options that devhost's commands share."""

import argparse
import os
import sys
from pathlib import Path


def parser_of(module: str, description: str | None, takes: str = "the plugin's folder") -> argparse.ArgumentParser:
    """An argument parser whose first argument, `folder`, is what the command takes.

    Its usage shows the command as the user typed it: `devhost` if it is installed, else `python -m devhost`.
    """
    called = Path(sys.argv[0])
    name = f"python -m {module}" if called.suffix == ".py" else called.name
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help=f"{takes} (default: the current folder)")
    return parser


def add_python(parser: argparse.ArgumentParser) -> None:
    """Adds the option for the Python that runs the plugin."""
    text = "runs the plugin; needs the packages of the plugin's requirements.txt (default: devhost's own Python)"
    parser.add_argument("--python", type=_program, default=sys.executable, metavar="FILE", help=text)


def _program(text: str) -> str:
    """A path made absolute, since the plugin starts in its own folder; a mere name is looked up in PATH."""
    return os.path.abspath(text) if os.sep in text else text  # noqa: PTH100 - Path.resolve would follow the link out of a virtual environment
