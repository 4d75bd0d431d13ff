"""Markdown that nobody vouches for, as HTML that does no harm. Pure.

Raw HTML in it is shown as text, and lines end where they do, as in Dify's own chat. Links go to the web or to a mailbox. Pictures
are links, unless they are on the page's own origin: a picture that an answer makes the browser fetch can carry off what it says.
"""

import functools
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

# What is longer, or holds more lines, cells of tables, and characters that may be markup, stays as it is. To render it would take
# seconds, in which nothing else of the process goes on.
MAX_LENGTH = 400_000
MAX_PIECES = 15_000
_MARKS = "[*_`~<|!&\\"
_STOPS = "$%+-:=>@]^{}#"  # where the parser looks, too: ten of them take as long as a mark
_SCHEMES = ("https://", "http://", "mailto:")


def render(text: str, origin: str | None = None) -> Markup:
    """The text as HTML; pictures whose address begins with `origin` are shown."""
    if is_heavy(text):
        return Markup('<pre tabindex="0">{}</pre>').format(text)
    return Markup(_parser(origin).render(text.replace("\0", "\N{REPLACEMENT CHARACTER}")))  # noqa: S704 - it has been escaped


def is_heavy(text: str) -> bool:
    """Whether it would take too long to render."""
    if len(text) > MAX_LENGTH:
        return True
    marks, stops = (sum(map(text.count, characters)) for characters in (_MARKS, _STOPS))
    return marks + stops // 10 + _lines_and_cells(text) > MAX_PIECES


def _lines_and_cells(text: str) -> int:
    """How many lines there are, and cells at most: each row is as wide as the table's head, however little it holds."""
    cells = below = 0
    lines = text.splitlines()
    for line in reversed(lines):
        first, *columns = line.split("|")  # `first` may also say that it is part of a quotation or a list
        if columns and "-" in line and not "".join(columns).strip("-: \t"):
            cells += (len(columns) + bool(first.strip())) * below
        below = below + 1 if line.strip() else 0
    return len(lines) + cells


def is_link(url: object) -> bool:
    """Whether it is an address that a page may link to."""
    return isinstance(url, str) and url.lower().startswith(_SCHEMES)


def is_own(url: object, origin: str | None) -> bool:
    """Whether it is an address on the page's own origin, and none of an endpoint's: to fetch that would do something there.

    Browsers take a backslash for a slash and leave out line breaks; Dify's proxy decodes the path, and takes two slashes for one.
    """
    if not isinstance(url, str) or origin is None or not url.startswith(f"{origin}/"):
        return False
    path = unquote(re.split("[?#]", url.removeprefix(origin))[0]).replace("\\", "/")
    names = [name for name in re.sub("[\t\r\n]", "", path).split("/") if name]
    return not {".", ".."} & {*names} and names[:1] != ["e"]


class _Renderer(RendererHTML):
    def image(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A picture of the page's own origin, or a link to any other."""
        token = tokens[index]
        url, alt = str(token.attrGet("src") or ""), self.renderInlineAsText(token.children or [], options, env)
        if is_own(url, options["origin"]):
            return Markup('<img src="{}" alt="{}">').format(url, alt)
        return Markup('<a href="{}" rel="noopener noreferrer nofollow">{}</a>').format(url, alt or url)

    def link_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A link that tells its target nothing, and gives it no hold on the page."""
        tokens[index].attrSet("rel", "noopener noreferrer nofollow")
        return self.renderToken(tokens, index, options, env)

    def heading_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A heading below the page's own."""
        return f"<h{_level(tokens[index])}>"

    def heading_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """Its end."""
        return f"</h{_level(tokens[index])}>\n"

    def table_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A table that scrolls by itself where it is wide."""
        return '<div class="wide" tabindex="0"><table>'

    def table_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """Its end."""
        return "</table></div>\n"

    def fence(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """Code, which scrolls by itself, too."""
        return Markup('<pre tabindex="0"><code>{}</code></pre>\n').format(tokens[index].content)

    def code_block(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """The same, by indentation."""
        return self.fence(tokens, index, options, env)


def _level(token: Token) -> int:
    return min(6, int(token.tag.removeprefix("h")) + 2)


@functools.lru_cache(maxsize=16)
def _parser(origin: str | None) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer).enable(["table", "strikethrough"])
    parser.options["origin"] = origin  # the renderer is given the options
    parser.validateLink = is_link  # type: ignore[method-assign] # relative ones would lead into Dify's console
    return parser
