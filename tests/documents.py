"""The documents: their code blocks, as a reader would copy them, and where they lead."""

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
TRANSLATIONS = [f"readme/README_{language}.md" for language in ("zh_Hans", "ja_JP", "pt_BR")]
FENCED = re.compile(r"```.*?```", re.DOTALL)
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
    found: list[Block] = []
    settings: dict[str, Any] = {}
    is_heard = False  # whether a text would be what the last of them says
    for token in MarkdownIt().parse((ROOT / document).read_text("utf-8")):
        if token.type == "heading_open":
            settings = {}
        if token.type != "fence":
            continue
        language, *words = token.info.split() or [""]
        if language in {"", "text"}:
            if is_heard:
                found[-1] = replace(found[-1], says=token.content)
            is_heard = False
        elif words == ["settings"]:
            settings = settings | yaml.safe_load(token.content)
            is_heard = False
        else:
            assert token.map
            found.append(Block(document, token.map[0] + 1, language, tuple(words), token.content, settings=settings))
            is_heard = True
    return found


def links(document: str) -> list[Path]:
    """The files that a document links to."""
    prose = FENCED.sub("", (ROOT / document).read_text("utf-8"))
    targets = [target for target in re.findall(r"\]\(([^)\s]+)", prose) if not re.match("https?://", target)]
    return [((ROOT / document).parent / target.partition("#")[0]).resolve() for target in targets]
