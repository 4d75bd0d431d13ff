"""What devhost's commands have in common: how they are called, and the Python that runs the plugin."""

import argparse
import os
import sys
from pathlib import Path


def parser_of(module: str, description: str | None) -> argparse.ArgumentParser:
    """A parser of a command's options, with the plugin's `folder` as the first.

    Its usage names the command as it was called: `devhost` where it is installed, else `python -m devhost`.
    """
    called = Path(sys.argv[0])
    name = f"python -m {module}" if called.suffix == ".py" else called.name
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="the plugin's folder (default: this one)")
    return parser


def add_python(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the Python of the plugin, with all that the plugin requires."""
    what = "runs the plugin; it needs what the plugin's requirements.txt names (default: devhost's own)"
    parser.add_argument("--python", type=_program, default=sys.executable, metavar="FILE", help=what)


def _program(text: str) -> str:
    """A path, made absolute, since the plugin starts in its own folder; a name is left to the PATH."""
    return os.path.abspath(text) if os.sep in text else text  # noqa: PTH100 - Path.resolve would follow links, out of a virtual environment
