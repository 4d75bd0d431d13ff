"""The rules of Dify's marketplace: what its reviewers and their checks look for in a package.

https://docs.dify.ai/en/develop-plugin/publishing/marketplace-listing/submit-plugin-to-marketplace
"""

import re
import struct
from pathlib import Path
from zipfile import ZipFile

from devhost.declaration import Declaration
from devhost.package import MAX_SIZE, files, pack
from tests.documents import DOCUMENTS, FENCED, ROOT, links
from tests.test_package import LANGUAGES, MANIFEST

# What whoever publishes Duck puts in their place.
PLACEHOLDERS = {"author": "example", "repo": "https://github.com/example/duck", "contact": "duck@example.com"}
CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
# Keys of known makers, a private key, and a long literal that is given a secret's name.
SECRETS = re.compile(
    r"sk-[A-Za-z0-9_-]{20}|gh[pousr]_\w{20}|xox[baprs]-[A-Za-z0-9-]{10}|AKIA[0-9A-Z]{16}|eyJ[\w-]{8,}\.[\w-]{8,}\."
    r"|PRIVATE KEY-----"
    r"|(?i:key|token|secret|password)\w*[\"']?\s*[:=]\s*[\"'][A-Za-z0-9+/_-]{20,}[\"']"
)
EXECUTABLES = (b"\x7fELF", b"MZ", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"#!")
PACKAGED = files(ROOT)


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


# The manifest


def test_author_and_name_are_what_dify_and_the_marketplace_take() -> None:
    manifest = Declaration.read(ROOT).manifest  # which checks the patterns
    assert not re.search("dify|langgenius", manifest.author), "these stand for Dify itself"


def test_where_it_is_from_and_who_answers_for_it() -> None:
    assert re.fullmatch(r"https://(github\.com|gitlab\.com|codeberg\.org)/[\w.-]+/[\w.-]+", MANIFEST["repo"])
    assert re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", MANIFEST["contact"])


def test_placeholders_are_all_there_or_none_and_contributing_says_where() -> None:
    left = {field for field, value in PLACEHOLDERS.items() if MANIFEST[field] == value}
    assert left in (set(), set(PLACEHOLDERS)), "some have been put in place, and some have not"
    _, _, section = text("CONTRIBUTING.md").partition("\n## Before the first release\n")
    assert [field for field in PLACEHOLDERS if f"`{field}`" not in section.partition("\n## ")[0]] == []


def test_the_documents_name_the_source_as_the_manifest_does() -> None:
    leading = {link for name in DOCUMENTS for link in re.findall(r"https://github\.com/[^\s)]+", text(name))}
    assert {link.removesuffix("/releases") for link in leading} <= {MANIFEST["repo"]}


def test_it_introduces_itself_in_four_languages() -> None:
    for field in ("label", "description"):
        assert MANIFEST[field].keys() == LANGUAGES
        assert all(MANIFEST[field].values())


def test_the_hosts_that_it_calls_are_declared() -> None:
    found = {
        host
        for name in PACKAGED
        if name.endswith((".py", ".yaml"))
        for host in re.findall(r"https?://([\w-]+\.[\w.-]+)", text(name))
    }
    outside = {host for host in found if not re.search(r"(^|\.)(example\.(com|org)|w3\.org|github\.com|whatwg\.org)$", host)}
    assert outside - {"docs.dify.ai", "127.0.0.1"} <= set(MANIFEST["network"]["domains"])


def test_the_oldest_dify_that_it_is_for_is_named_with_the_reason() -> None:
    [line] = [line for line in text("manifest.yaml").splitlines() if "minimum_dify_version" in line]
    assert re.fullmatch(r"  minimum_dify_version: \d+\.\d+\.\d+ # .{20,}", line)


def test_the_icon_is_its_own() -> None:
    icon = text(f"_assets/{MANIFEST['icon']}")
    assert icon.startswith("<svg")
    assert "DIFY_MARKETPLACE_TEMPLATE_ICON_DO_NOT_USE" not in icon


# What explains it


def test_readme_is_short_and_in_english_and_says_how_to_set_it_up_and_how_to_use_it() -> None:
    readme = text("README.md")
    assert len(readme.replace("|", " ").split()) < 500
    assert CJK.findall(FENCED.sub("", readme)) == []
    assert [heading for heading in ("Set up", "Use", "Settings") if f"\n## {heading}\n" not in readme] == []


def test_privacy_is_told() -> None:
    policy = " ".join(text(MANIFEST["privacy"]).split())
    for subject in ("stores no user data", "sends none to", "**Where it goes**", "**In memory**", "**In the plugin's log**"):
        assert subject in policy


def test_the_code_keeps_nothing_as_privacy_says() -> None:
    """No files, cookies or storage, of the browser's or of Dify's; and no HTTP but by the one client that the Service API has."""
    ways = (
        r"(?<![\w.])(?<!def )open\(|write_text|set_cookie|document\.cookie|localStorage|session\.storage|urlopen|import requests"
    )
    code = {name: text(name) for name in PACKAGED if name.endswith((".py", ".js", ".html"))}
    assert [(name, way) for name in code for way in re.findall(ways, code[name])] == []
    assert {name for name in code if "httpx" in code[name]} == {
        "duck/sdk/start.py",
        "duck/sdk/patches.py",
        "duck/dify/service.py",
        "duck/dify/memory.py",
    }


def test_no_link_in_the_package_is_dead() -> None:
    leading = [(name, link.relative_to(ROOT).as_posix()) for name in PACKAGED if name.endswith(".md") for link in links(name)]
    assert [(name, target) for name, target in leading if target not in PACKAGED] == []


# What is in it


def test_dependencies_are_bound_on_both_sides_and_come_from_the_index() -> None:
    for line in text("requirements.txt").splitlines():
        assert re.fullmatch(r"[a-z][a-z0-9_-]+>=[0-9.]+,<[0-9.]+", line), line
    assert re.search(r"^dify_plugin>=0\.(9|1\d)", text("requirements.txt"), re.MULTILINE), "the marketplace takes no older one"


def test_there_is_nothing_like_a_secret_in_it() -> None:
    texts = [name for name in PACKAGED if not name.endswith(".png")]
    assert [(name, found) for name in texts for found in SECRETS.findall(text(name))] == []


def test_there_is_nothing_in_it_that_runs_by_itself_and_it_is_small(tmp_path: Path) -> None:
    pack(ROOT, tmp_path / "duck.difypkg")
    with ZipFile(tmp_path / "duck.difypkg") as package:
        entries = package.infolist()
        assert [entry.filename for entry in entries if entry.external_attr >> 16 & 0o111] == []
        assert [entry.filename for entry in entries if package.read(entry).startswith(EXECUTABLES)] == []
        assert sum(entry.file_size for entry in entries) < MAX_SIZE / 25


def test_no_file_of_it_can_be_executed() -> None:
    assert [name for name in PACKAGED if (ROOT / name).stat().st_mode & 0o111] == []


def test_the_picture_in_the_readme_is_of_a_size_to_be_read() -> None:
    width, height = struct.unpack(">II", (ROOT / "_assets/page.png").read_bytes()[16:24])
    assert 600 <= width <= 1600
    assert 300 <= height <= 1600
