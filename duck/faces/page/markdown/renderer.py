"""The parser's tokens as HTML. Pure."""

from collections.abc import Sequence
from typing import Any

from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from duck.faces.page.markdown import colours, formulas
from duck.faces.page.markdown.addresses import absolute, is_own
from duck.faces.page.markdown.formulas import BUDGET

REASONING = "duck.reasoning"  # the key of the title of a model's thoughts in the parser's environment
_ALIGNS = ("left", "center", "right")


class Renderer(RendererHTML):
    """Never writes a `style`: the Content-Security-Policy forbids it."""

    def image(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A picture on the page's own origin; a link to any other."""
        token = tokens[index]
        url = absolute(str(token.attrGet("src") or ""), options["origin"])
        alt = self.renderInlineAsText(token.children or [], options, env)
        if is_own(url, options["origin"]):
            return Markup('<img src="{}" alt="{}">').format(url, alt)
        return Markup('<a href="{}" rel="noopener noreferrer nofollow" target="_blank">{}</a>').format(url, alt or url)

    def link_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A link whose target learns no referrer and cannot reach the page."""
        token = tokens[index]
        token.attrSet("href", absolute(str(token.attrGet("href")), options["origin"]))
        token.attrs |= {"rel": "noopener noreferrer nofollow", "target": "_blank"}
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

    def th_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A cell, aligned by its class."""
        token = tokens[index]
        align = str(token.attrs.pop("style", "")).removeprefix("text-align:")
        if align in _ALIGNS:
            token.attrSet("class", align)
        return self.renderToken(tokens, index, options, env)

    def td_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A cell, aligned by its class."""
        return self.th_open(tokens, index, options, env)

    def bullet_list_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A list or a quotation, whose direction is that of its text."""
        tokens[index].attrSet("dir", "auto")
        return self.renderToken(tokens, index, options, env)

    def ordered_list_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A numbered list."""
        return self.bullet_list_open(tokens, index, options, env)

    def blockquote_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A quotation."""
        return self.bullet_list_open(tokens, index, options, env)

    def list_item_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """An item of a list. A task's box is a character, which needs no name to be read aloud."""
        token = tokens[index]
        if "checked" not in token.meta:
            return self.renderToken(tokens, index, options, env)
        token.attrSet("class", "task")
        box = "☑" if token.meta["checked"] else "☐"
        return f'{self.renderToken(tokens, index, options, env)}<span class="todo">{box}</span> '

    def fence(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A fenced code block."""
        return colours.render(tokens[index].content, tokens[index].info, env[BUDGET])

    def code_block(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """An indented code block."""
        return colours.render(tokens[index].content, "", env[BUDGET])

    def formula(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A formula in a line."""
        latex, opening = tokens[index].content, tokens[index].markup
        return formulas.render(latex, opening, env[BUDGET]) or formulas.source(latex, opening)

    def formula_block(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A formula in lines of its own."""
        latex, opening = tokens[index].content, tokens[index].markup
        if mathml := formulas.render(latex, opening, env[BUDGET]):
            return Markup('<div class="wide formula" tabindex="0">{}</div>\n').format(mathml)
        return Markup("<p>{}</p>\n").format(formulas.source(latex, opening))

    def note_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A note that can be folded. A note without a title has the browser's own."""
        token = tokens[index]
        start = f'<details class="note {token.info}"{" open" if token.meta["open"] else ""}>\n'
        if token.info == "think":
            start += str(
                Markup("<summary>{}</summary>\n").format(env[REASONING])
            )  # a plain string: a Markup would escape the start
        return start


def _level(token: Token) -> int:
    return min(6, int(token.tag.removeprefix("h")) + 2)
