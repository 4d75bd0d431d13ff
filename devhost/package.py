"""Packs a plugin as `dify plugin package` does.

A `.difypkg` is a zip of all files that `.difyignore` (without it: `.gitignore`) does not exclude. The same files always give the
same bytes.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from pathspec import GitIgnoreSpec

from devhost.command import parser_of
from devhost.declaration import Declaration, StartError

MAX_SIZE = 52_428_800  # bytes of all files, uncompressed (MAX_PLUGIN_PACKAGE_SIZE)
IGNORES = (".difyignore", ".gitignore")
NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip
MODE = 0o100644 << 16  # a file that is not executable


def files(folder: Path) -> list[str]:
    """The names of the files in the package, sorted. Raises `StartError` if they are too large together."""
    ignore = next((folder / name for name in IGNORES if (folder / name).is_file()), None)
    lines = ignore.read_text("utf-8").splitlines() if ignore else []
    spec = GitIgnoreSpec.from_lines(line for line in lines if not line.startswith("!"))  # Dify's packager ignores it
    found = sorted(name for name in _walk(folder, spec, "") if not spec.match_file(name))
    size = sum((folder / name).stat().st_size for name in found)
    if size > MAX_SIZE:
        raise StartError(f"{folder}: the package would hold {size} bytes, {MAX_SIZE} are allowed")
    return found


def pack(folder: Path, target: Path) -> None:
    """Packs the plugin in the folder. Raises `StartError` if Dify would not install it."""
    Declaration.read(folder)
    names = files(folder)
    with ZipFile(target, "w", ZIP_DEFLATED) as package:
        for name in names:
            entry = ZipInfo(name, NO_TIME)
            entry.compress_type, entry.external_attr = ZIP_DEFLATED, MODE
            package.writestr(entry, (folder / name).read_bytes())


def _walk(folder: Path, spec: GitIgnoreSpec, prefix: str) -> Iterator[str]:
    """All files, following links, without the folders that are ignored as a whole."""
    for path in (folder / prefix).iterdir():
        name = f"{prefix}{path.name}"
        if not path.is_dir():
            yield name
        elif not spec.match_file(f"{name}/"):
            yield from _walk(folder, spec, f"{name}/")


def main() -> int:
    """Packs the plugin that the command line names, and prints the path of the package."""
    parser = parser_of("devhost.package", __doc__)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="(default: NAME.difypkg)")
    options = parser.parse_args()
    try:
        target = options.output or Path(f"{Declaration.read(options.folder).manifest.name}.difypkg")
        pack(options.folder, target)
    except (StartError, OSError) as error:
        print(f"devhost: {error}", file=sys.stderr)
        return 2
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
