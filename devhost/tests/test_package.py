"""The files in a package, and its bytes."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from devhost import StartError, package
from devhost.package import files, pack
from devhost.tests.support import ROOT

IGNORE = """
# Python's own
__pycache__/
*.log
/top.txt
docs/**/draft.md
!kept.log
"""


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def test_files_that_are_not_ignored_are_packed_in_order(tmp_path: Path) -> None:
    names = ("main.py", "duck/__pycache__/a.pyc", "duck/a.py", "a.log", "kept.log", "top.txt", "duck/top.txt", ".env")
    folder = tree(tmp_path, *names, "docs/a/draft.md", "docs/draft.md", "docs/final.md")
    (folder / ".difyignore").write_text(IGNORE)
    assert files(folder) == [".difyignore", ".env", "docs/final.md", "duck/a.py", "duck/top.txt", "main.py"]


def test_gitignore_counts_only_where_there_is_no_difyignore(tmp_path: Path) -> None:
    folder = tree(tmp_path, "a.log", "b.txt")
    (folder / ".gitignore").write_text("*.log\n")
    assert files(folder) == [".gitignore", "b.txt"]
    (folder / ".difyignore").write_text("")
    assert files(folder) == [".difyignore", ".gitignore", "a.log", "b.txt"]


def test_links_are_followed(tmp_path: Path) -> None:
    folder = tree(tmp_path, "plugin/main.py", "shared/lib.py") / "plugin"
    (folder / "linked").symlink_to(tmp_path / "shared")
    assert files(folder) == ["linked/lib.py", "main.py"]


def test_the_size_of_a_package_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "MAX_SIZE", 10)
    with pytest.raises(StartError, match="would hold 11 bytes, 10 are allowed"):
        files(tree(tmp_path, "eleven-char"))


def test_packing_twice_gives_the_same_bytes_whatever_the_files_times_and_modes(witness: Path, tmp_path: Path) -> None:
    pack(witness, tmp_path / "one.difypkg")
    before = (witness / "main.py").stat()
    os.utime(witness / "main.py", (0, 10**9))
    os.chmod(witness / "main.py", 0o755)  # noqa: S103, PTH101 - the mode must not matter
    try:
        pack(witness, tmp_path / "two.difypkg")
    finally:
        os.utime(witness / "main.py", (before.st_atime, before.st_mtime))
        os.chmod(witness / "main.py", before.st_mode)  # noqa: PTH101 - restored
    assert (tmp_path / "one.difypkg").read_bytes() == (tmp_path / "two.difypkg").read_bytes()
    with ZipFile(tmp_path / "one.difypkg") as packed:
        assert packed.testzip() is None
        assert packed.read("main.py") == (witness / "main.py").read_bytes()
        assert {(entry.date_time, entry.external_attr >> 16 & 0o777) for entry in packed.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), 0o644)
        }


def test_a_plugin_that_dify_would_not_install_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"it has no manifest\.yaml"):
        pack(tmp_path, tmp_path / "x.difypkg")
    assert not (tmp_path / "x.difypkg").exists()


def test_the_command_prints_the_path_of_the_package(witness: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "devhost.package"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def run(*arguments: Path) -> tuple[int, str, str]:
        ended = subprocess.run([*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout, ended.stderr

    assert run(witness) == (0, "witness.difypkg\n", "")
    assert (tmp_path / "witness.difypkg").is_file()
    assert run(tmp_path / "none") == (2, "", f"devhost: there is no folder {tmp_path}/none\n")
