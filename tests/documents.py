"""The documents: their code blocks, as a reader would copy them, and their links."""

import json
import re
import shlex
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


def connection(block: Block, key: str) -> tuple[str, dict[str, str]]:
    """The URL and headers in the configuration or command of a host for MCP. `key` is what a person enters where it asks."""
    if block.language == "sh":
        return _in_command(shlex.split(block.text), {})
    config = json.loads(block.text.replace("${input:dify-key}", key))
    [server] = (config.get("mcpServers") or config["servers"]).values()
    if "command" in server:
        return _in_command(server["args"], server["env"])
    return server.get("url") or server["serverUrl"], server["headers"]


def _in_command(words: list[str], environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    [url] = [word for word in words if word.startswith("http://")]
    name, _, value = words[words.index("--header") + 1].partition(":")
    for variable, text in environment.items():
        value = value.replace(f"${{{variable}}}", text)
    return url, {name: value.strip()}


def links(document: str) -> list[Path]:
    """The files that a document links to."""
    prose = FENCED.sub("", (ROOT / document).read_text("utf-8"))
    targets = [target for target in re.findall(r"\]\(([^)\s]+)", prose) if not re.match("https?://|#", target)]
    return [((ROOT / document).parent / target.partition("#")[0]).resolve() for target in targets]


def dead_anchors(document: str) -> set[str]:
    """The links within a document that lead to none of its headings, as GitHub names them."""
    prose = FENCED.sub("", (ROOT / document).read_text("utf-8"))
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return set(re.findall(r"\]\(#([^)\s]+)", prose)) - anchors
