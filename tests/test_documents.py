"""What the documents say is so: links, tables, translations and commands."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import cmarkgfm
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from duck import limits
from duck.faces.api.formats import MIMETYPES
from tests.documents import DOCUMENTS, FENCED, ROOT, TRANSLATIONS, blocks, dead_anchors, links
from tests.test_package import GROUP, LANGUAGES, MANIFEST, routes

FOR_DEVELOPERS = ["CONTRIBUTING.md", "docs/copy-me.md"]  # they tell of files and of names in them
PARROT = ROOT / "docs/examples/parrot"


def parsed(document: str) -> list[Token]:
    return MarkdownIt().enable("table").parse((ROOT / document).read_text("utf-8"))


def codes(document: str) -> list[str]:
    """All that is code in a document, in its order: the same in every language."""
    found = []
    for token in parsed(document):
        if token.type == "fence":
            found.append(token.content)
        found += [child.content for child in token.children or [] if child.type == "code_inline"]
    return found


def test_readme_is_there_in_every_language() -> None:
    assert {f"readme/README_{language}.md" for language in LANGUAGES - {"en_US"}} == set(TRANSLATIONS)


def test_readme_tells_of_every_setting_and_format() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    words = [*(setting["name"] for setting in GROUP["settings"]), *MIMETYPES]
    assert [word for word in words if f"`{word}`" not in readme] == []


def test_the_console_lists_the_routes_that_readme_and_the_api_tell_of() -> None:
    readme, api = (routes_in(document) for document in ("README.md", "docs/api.md"))
    assert readme <= routes(hidden=False) <= readme | api <= routes(hidden=False) | routes(hidden=True)


def routes_in(document: str) -> set[tuple[str, str]]:
    """The routes in a document's tables: paths and methods."""
    rows = re.findall(r"^`([A-Z`, ]+) (/[^`]*)` \|", (ROOT / document).read_text("utf-8"), re.MULTILINE)
    return {(path, method) for methods, path in rows for method in re.findall("[A-Z]+", methods)}


def test_contributing_tells_of_the_numbers_that_the_environment_may_set() -> None:
    rows = re.findall(r"\| `(\w+)` \| .*?\((\d+)\)", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert rows == [("MAX_RUNS", str(limits.MAX_RUNS)), ("MAX_WORKER", str(limits.MAX_WORKER))]


def test_contributing_tells_how_large_each_part_is() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    lines: Counter[str] = Counter()
    for name in listed:
        top = (
            "duck/faces/" if name.startswith("duck/faces/") else "docs/" if name.endswith(".md") else f"{name.partition('/')[0]}/"
        )
        if Path(name).suffix in {".py", ".js", ".mjs", ".html", ".css", ".toml", ".md"}:
            lines[top] += (ROOT / name).read_text("utf-8").count("\n")
    rows = re.findall(r"^\| `([\w/]+)`[^|]*\| ([\d,]+) \|", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE)
    assert [part for part, _ in rows] == ["duck/", "duck/faces/", "devhost/", "tests/", "bench/", "docs/"]
    assert {part: lines[part] for part, told in rows if abs(lines[part] / int(told.replace(",", "")) - 1) > 0.1} == {}


@pytest.mark.parametrize("document", ["README.md", "docs/copy-me.md", *TRANSLATIONS])
def test_a_document_that_names_the_source_names_it_as_the_manifest_does(document: str) -> None:
    assert MANIFEST["repo"] in (ROOT / document).read_text("utf-8")


def sources(path: str) -> list[Path]:
    """A file or folder that a document tells of: in Duck, or in the example's files."""
    return [folder / path for folder in (ROOT, PARROT) if (folder / path).exists()]


@pytest.mark.parametrize("document", FOR_DEVELOPERS)
def test_every_file_that_is_told_of_is_there(document: str) -> None:
    prose = FENCED.sub("", (ROOT / document).read_text("utf-8"))
    paths = re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:md|yaml|py|toml|txt))`", prose)
    assert len(paths) > 10
    assert [path for path in paths if not sources(path) and path != "langgenius/dify-plugins"] == []


@pytest.mark.parametrize("document", FOR_DEVELOPERS)
def test_every_name_that_is_told_of_is_in_its_file(document: str) -> None:
    prose = " ".join(FENCED.sub("", (ROOT / document).read_text("utf-8")).split())
    found = re.findall(r"((?:`\w+`(?:, | and )?)+) in `([\w/.-]+\.py)`", prose)
    told = [(name, path) for names, path in found for name in re.findall(r"`(\w+)`", names)]
    assert told
    texts = {path: "".join(source.read_text("utf-8") for source in sources(path)) for _, path in told}
    assert [(name, path) for name, path in told if not re.search(rf"\b{name}\b", texts[path])] == []


@pytest.mark.parametrize("document", TRANSLATIONS)
def test_a_translation_has_all_that_readme_has(document: str) -> None:
    assert codes(document) == codes("README.md")
    for kind in ("heading_open", "fence", "table_open", "tr_open", "ordered_list_open", "list_item_open"):
        of_this, of_readme = ([token.tag for token in parsed(name) if token.type == kind] for name in (document, "README.md"))
        assert of_this == of_readme, kind


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_table_is_one_on_github(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    written = re.findall(r"^[ |]*:?-+:?( *\| *:?-+:?)+[ |]*$", text, re.MULTILINE)
    assert cmarkgfm.github_flavored_markdown_to_html(text).count("<table>") == len(written)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    assert [target for target in links(document) if not target.exists()] == []
    assert dead_anchors(document) == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_that_is_told_of_is_there(document: str) -> None:
    told = {word for block in blocks(document) for word in re.findall(r"^make ([\w.-]+)", block.text, re.MULTILINE)}
    told |= set(re.findall(r"`make ([\w-]+)`", (ROOT / document).read_text("utf-8")))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert told - targets - {".venv"} == set()


@pytest.mark.parametrize("path", [*TRANSLATIONS, "manifest.yaml", "group/duck.yaml", "duck/faces/page/words.py"])
def test_chinese_and_japanese_have_punctuation_of_their_own(path: str) -> None:
    prose = re.sub(r"\]\([^)]*\)|`[^`]*`", "]", (ROOT / path).read_text("utf-8"))
    assert re.findall(r"[\u3041-\u30ff\u4e00-\u9fff][,;:?!()]|[,;:?!()][\u3041-\u30ff\u4e00-\u9fff]", prose) == []
