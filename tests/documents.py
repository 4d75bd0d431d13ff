"""The documents: their code blocks, as a reader would copy them, and their links."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.md") if not re.search(r"/\.", f"/{path.relative_to(ROOT)}")
)
TRANSLATIONS = [name for name in DOCUMENTS if name.startswith("readme/")]
FENCED = re.compile(r"```.*?```", re.DOTALL)
ANYTHING = "…"  # stands for any text in the output of a command


@dataclass(frozen=True, slots=True)
class Block:
    """A code block. `words` are those after its language. `output` is the next block if that is `text`, else None.

    `settings` are the endpoint's, from blocks of YAML before this one, under the same heading.
    """

    document: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str
    output: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    def matches(self, printed: str) -> bool:
        """Whether a command has printed what the document says."""
        pattern = ".*".join(map(re.escape, (self.output or ANYTHING).strip().split(ANYTHING)))
        return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def blocks(document: str) -> list[Block]:
    """All code blocks of a document, without those of text and of settings."""
    found: list[Block] = []
    settings: dict[str, Any] = {}
    takes_output = False  # whether a block of text would be the output of the last block
    for token in MarkdownIt().parse((ROOT / document).read_text("utf-8")):
        if token.type == "heading_open":
            settings = {}
        if token.type != "fence":
            continue
        language, *words = token.info.split() or [""]
        if language in {"", "text"}:
            if takes_output:
                found[-1] = replace(found[-1], output=token.content)
            takes_output = False
        elif words == ["settings"]:
            settings = settings | yaml.safe_load(token.content)
            takes_output = False
        else:
            assert token.map
            found.append(Block(document, token.map[0] + 1, language, tuple(words), token.content, settings=settings))
            takes_output = True
    return found


def links(document: str) -> list[Path]:
    """The files that a document links to."""
    prose = FENCED.sub("", (ROOT / document).read_text("utf-8"))
    targets = [target for target in re.findall(r"\]\(([^)\s]+)", prose) if not re.match("https?://", target)]
    return [((ROOT / document).parent / target.partition("#")[0]).resolve() for target in targets]
