"""Installs a package as Dify does when it is uploaded: its files, and a virtual environment with what it requires."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from devhost.declaration import Declaration, StartError
from devhost.package import MAX_SIZE

ENVIRONMENT = ".venv"
INSTALL_S = 600  # in all
# The daemon makes an environment with Python 3.12, whatever the manifest says.
PYTHON = sys.executable if sys.version_info[:2] == (3, 12) else "3.12"


def install(package: Path, folder: Path) -> Path:
    """Unpacks the package into the folder, and makes the Python that runs it, whose path is returned.

    Raises `StartError` if Dify would not install the package, or if uv, which makes the environment, is missing.
    """
    try:
        with ZipFile(package) as files:
            size = sum(entry.file_size for entry in files.infolist())
            if size > MAX_SIZE:
                raise StartError(f"{package} holds {size} bytes, {MAX_SIZE} are allowed")
            files.extractall(folder)
    except (OSError, BadZipFile) as error:
        raise StartError(f"{package} is no package of a plugin: {error}") from error
    Declaration.read(folder)
    if (folder / "pyproject.toml").is_file():
        _uv(folder, "sync", "--no-dev", "--quiet", "--python", PYTHON)
    else:
        _uv(folder, "venv", "--quiet", "--python", PYTHON, ENVIRONMENT)
        _uv(folder, "pip", "install", "--quiet", "--requirements", "requirements.txt")
    return folder / ENVIRONMENT / "bin/python"


def _uv(folder: Path, *arguments: str) -> None:
    # A virtual environment in which devhost runs must not be taken for the plugin's.
    try:
        ended = subprocess.run(
            ["uv", *arguments],
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise StartError("uv is missing: it installs what the plugin requires. See https://docs.astral.sh/uv/") from error
    except subprocess.TimeoutExpired as error:
        raise StartError(f"what the plugin requires was not installed within {INSTALL_S} s") from error
    if ended.returncode:
        raise StartError(f"what the plugin requires cannot be installed:\n{ended.stderr.strip()}")
