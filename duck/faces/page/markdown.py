"""Untrusted Markdown as safe HTML. Pure.

Raw HTML is shown as text, and line breaks are kept, as in Dify's own chat. Links may go to the web or to a mailbox. Pictures
become links, unless they are on the page's own origin: the address of a picture can carry the answer's text to another host.
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

_BUDGET = "duck.budget"  # the key in the parser's environment
MAX_STEPS = 200_000  # for one page: about a second, in a thread of its own; a long answer takes 10,000
MAX_LENGTH = 400_000  # characters; longer texts are not parsed at all
SMALL = 2_000  # characters, which take 20 ms at most
_RULES_TRIED = 5  # of twelve at each place in a line, on average
_DELIMITERS = "*_~"  # each is a token of its own, for which the parser calls no rule
_SCHEMES = ("https://", "http://", "mailto:")


class Budget:
    """How many steps all texts of one page may take together. A step is about one call of one of the parser's rules.

    The cost of texts of the same length can differ by a factor of thousands, and cannot be estimated in advance.
    """

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.steps = steps

    def spend(self, steps: int = 1) -> None:
        """Uses up some steps. Raises `OverBudget` if none are left."""
        self.steps -= steps
        if self.steps < 0:
            raise OverBudget


class OverBudget(Exception):  # noqa: N818 - not an error: the text is shown as it is
    """A text would take too long to render."""


def render(text: str, origin: str | None = None, budget: Budget | None = None) -> Markup | None:
    """The text as HTML, with the pictures on `origin`. None if the text would take too long."""
    if len(text) > MAX_LENGTH:
        return None
    budget = budget or Budget()

    def convert() -> str:
        budget.spend(sum(map(text.count, _DELIMITERS)))
        rendered: str = _parser(origin).render(text.replace("\0", "\N{REPLACEMENT CHARACTER}"), {_BUDGET: budget})
        return rendered

    try:
        return Markup(offload(len(text), convert, small=SMALL))  # noqa: S704 - the parser has escaped it
    except OverBudget:
        return None


def render_or_show(text: str, origin: str | None, budget: Budget) -> Markup:
    """The text as HTML, or as it is if that would take too long."""
    rendered = render(text, origin, budget)
    return Markup('<pre tabindex="0">{}</pre>').format(text) if rendered is None else rendered


def is_link(url: object) -> bool:
    """Whether a page may link to this URL."""
    return isinstance(url, str) and url.lower().startswith(_SCHEMES)


def is_own(url: object, origin: str | None) -> bool:
    """Whether a URL is on the page's own origin and not an endpoint's, because fetching an endpoint may change something.

    Browsers read a backslash as a slash and drop line breaks. Dify's proxy decodes the path and reads two slashes as one.
    """
    if not isinstance(url, str) or origin is None or not url.startswith(f"{origin}/"):
        return False
    path = unquote(re.split("[?#]", url.removeprefix(origin))[0]).replace("\\", "/")
    names = [name for name in re.sub("[\t\r\n]", "", path).split("/") if name]
    return not {".", ".."} & {*names} and names[:1] != ["e"]


class _Renderer(RendererHTML):
    def image(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A picture on the page's own origin; a link to any other."""
        token = tokens[index]
        url, alt = str(token.attrGet("src") or ""), self.renderInlineAsText(token.children or [], options, env)
        if is_own(url, options["origin"]):
            return Markup('<img src="{}" alt="{}">').format(url, alt)
        return Markup('<a href="{}" rel="noopener noreferrer nofollow">{}</a>').format(url, alt or url)

    def link_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A link whose target learns no referrer and cannot reach the page."""
        tokens[index].attrSet("rel", "noopener noreferrer nofollow")
        return self.renderToken(tokens, index, options, env)

    def heading_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A heading, at a level below the page's own."""
        return f"<h{_level(tokens[index])}>"

    def heading_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """The end of a heading."""
        return f"</h{_level(tokens[index])}>\n"

    def table_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A table, in an element that scrolls if the table is wide."""
        return '<div class="wide" tabindex="0"><table>'

    def table_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """The end of a table."""
        return "</table></div>\n"

    def fence(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A fenced code block."""
        return Markup('<pre tabindex="0"><code>{}</code></pre>\n').format(tokens[index].content)

    def code_block(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """An indented code block."""
        return self.fence(tokens, index, options, env)


def _level(token: Token) -> int:
    return min(6, int(token.tag.removeprefix("h")) + 2)


def _counted[T](rule: Callable[..., T], steps: int = 1) -> Callable[..., T]:
    """A rule of the parser's that spends some steps with each call."""

    def counted(state: StateBlock | StateInline, *args: Any) -> T:
        state.env[_BUDGET].spend(steps)
        return rule(state, *args)

    return counted


@functools.lru_cache(maxsize=16)
def _parser(origin: str | None) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer).enable(["table", "strikethrough"])
    parser.options["origin"] = origin  # the renderer gets the options
    for ruler in (parser.block.ruler, parser.inline.ruler2):
        for rule in ruler.__rules__:
            rule.fn = _counted(rule.fn)  # type: ignore[assignment] # the union of all rulers' rules
    # At each place in a line the parser tries this rule first. To count the calls of all others would take as long as they do.
    first = parser.inline.ruler.__rules__[0]
    first.fn = _counted(first.fn, _RULES_TRIED)
    parser.validateLink = is_link  # type: ignore[method-assign] # relative links would lead into Dify's console
    return parser
