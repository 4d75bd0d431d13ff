"""Markdown that nobody vouches for, as HTML that does no harm. Pure.

Raw HTML in it is shown as text, and lines end where they do, as in Dify's own chat. Links go to the web or to a mailbox. Pictures
are links, unless they are on the page's own origin: a picture that an answer makes the browser fetch can carry off what it says.
"""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markupsafe import Markup

from duck.offload import offload

_BUDGET = "duck.budget"  # in the parser's environment
MAX_STEPS = 200_000  # for one page: about a second, in a thread of its own; a long answer takes 10,000
MAX_LENGTH = 400_000  # characters: what is longer is not even looked at
SMALL = 2_000  # characters that take no longer than 20 ms
_DELIMITERS = "*_~"  # each is a token of its own, for which no rule is called
_SCHEMES = ("https://", "http://", "mailto:")


class Budget:
    """How much work the texts of one page may be: a step is a rule of the parser's being tried at some place of a text.

    Texts of the same length can differ by a factor of thousands, and nothing that is said of them beforehand tells.
    """

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.steps = steps

    def spend(self, steps: int = 1) -> None:
        """Takes some. Raises `TooMuch` where there are none left."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuch


class TooMuch(Exception):  # noqa: N818 - no fault of anybody's
    """A text would take too long to render."""


def render(text: str, origin: str | None = None, budget: Budget | None = None) -> Markup | None:
    """The text as HTML; pictures whose address begins with `origin` are shown. None for one that would take too long."""
    if len(text) > MAX_LENGTH:
        return None
    budget = budget or Budget()

    def work() -> str:
        budget.spend(sum(map(text.count, _DELIMITERS)))
        rendered: str = _parser(origin).render(text.replace("\0", "\N{REPLACEMENT CHARACTER}"), {_BUDGET: budget})
        return rendered

    try:
        return Markup(offload(len(text), work, small=SMALL))  # noqa: S704 - it has been escaped
    except TooMuch:
        return None


def render_or_show(text: str, origin: str | None, budget: Budget) -> Markup:
    """The text as HTML, or as it is where that would take too long."""
    rendered = render(text, origin, budget)
    return Markup('<pre tabindex="0">{}</pre>').format(text) if rendered is None else rendered


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


def _counted[T](rule: Callable[..., T]) -> Callable[..., T]:
    """The parser's rule, each call of which is a step."""

    def counted(state: StateBlock | StateInline, *args: Any) -> T:
        state.env[_BUDGET].spend()
        return rule(state, *args)

    return counted


@functools.lru_cache(maxsize=16)
def _parser(origin: str | None) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer).enable(["table", "strikethrough"])
    parser.options["origin"] = origin  # the renderer is given the options
    for ruler in (parser.block.ruler, parser.inline.ruler, parser.inline.ruler2):
        for rule in ruler.__rules__:
            rule.fn = _counted(rule.fn)  # type: ignore[assignment] # the union of all rulers' rules
    parser.validateLink = is_link  # type: ignore[method-assign] # relative ones would lead into Dify's console
    return parser
