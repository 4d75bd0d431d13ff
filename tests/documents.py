"""The documents' code blocks, as a reader would copy them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
ANYTHING = "…"  # in what a command says


@dataclass(frozen=True, slots=True)
class Block:
    """A code block. `words` are those after its language; `says` is the block of `text` after it, where there is one.

    `settings` are those that a block of YAML before it, under the same heading, gives the endpoint.
    """

    document: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str
    says: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    def holds(self, said: str) -> bool:
        """Whether a command has said what the document says."""
        pattern = ".*".join(map(re.escape, (self.says or ANYTHING).strip().split(ANYTHING)))
        return re.fullmatch(pattern, said.strip(), re.DOTALL) is not None


def blocks(document: str) -> list[Block]:
    """All code blocks of a document that are more than text."""
    return list(_blocks(document))


def _blocks(document: str) -> Iterator[Block]:
    settings: dict[str, Any] = {}
    found: Block | None = None
    for token in MarkdownIt().parse((ROOT / document).read_text("utf-8")):
        if token.type == "heading_open":
            settings = {}
        if token.type != "fence":
            continue
        language, *words = token.info.split() or [""]
        if language in {"", "text"}:
            if found:
                yield Block(found.document, found.line, found.language, found.words, found.text, token.content, found.settings)
            found = None
            continue
        if found:
            yield found
        found = None
        if words == ["settings"]:
            settings |= yaml.safe_load(token.content)
        else:
            assert token.map
            found = Block(document, token.map[0] + 1, language, tuple(words), token.content, None, settings.copy())
    if found:
        yield found
