"""What the documents say is so: links, tables, translations and commands."""

import re

import cmarkgfm
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.documents import DOCUMENTS, ROOT, TRANSLATIONS, blocks, links


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
