"""The Markdown that is read: CommonMark, GitHub's tables, tasks and strikethrough, and what models write beyond that. Pure."""

import functools
import re
from collections.abc import Callable
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

from duck.faces.page.markdown import formulas, inline, notes
from duck.faces.page.markdown.addresses import absolute, is_link
from duck.faces.page.markdown.formulas import BUDGET
from duck.faces.page.markdown.renderer import Renderer

_RULES_TRIED = 5  # of fifteen at each place in a line, on average
_OPTIONS = {"html": False, "breaks": True, "tasklists": True}
_ENDS = ["paragraph", "reference", "blockquote", "list"]  # what a note or a formula in lines of its own can end


@functools.lru_cache(maxsize=16)
def parser(origin: str | None) -> MarkdownIt:
    """The parser for pages on this origin. Its environment needs a budget."""
    made = MarkdownIt("commonmark", renderer_cls=Renderer)
    made.inline = inline.Inline()
    made.configure("commonmark", {**_OPTIONS, "origin": origin})  # the renderer gets the options
    made.enable(["table", "strikethrough"]).disable("normalize")
    made.inline.terminator_re = re.compile(f"{made.inline.terminator_re.pattern}|www")  # a bare link may begin there
    made.inline.ruler.after("text", "bare_link", inline.bare_link)
    made.inline.ruler.before("escape", "formula", formulas.formula)
    made.inline.ruler.before("autolink", "line_break", inline.line_break)
    made.block.ruler.before("table", "note", notes.note, {"alt": _ENDS})
    made.block.ruler.before("fence", "formula_block", formulas.formula_block, {"alt": _ENDS})
    for ruler in (made.block.ruler, made.inline.ruler2):
        for rule in ruler.__rules__:
            rule.fn = _counted(rule.fn)  # type: ignore[assignment] # the union of all rulers' rules
    # At each place in a line the parser tries this rule first. To count the calls of all others would take as long as they do.
    first = made.inline.ruler.__rules__[0]
    first.fn = _counted(first.fn, _RULES_TRIED)
    made.validateLink = lambda url: is_link(absolute(url, origin))  # type: ignore[method-assign] # others lead into Dify's console
    return made


def _counted[T](rule: Callable[..., T], steps: int = 1) -> Callable[..., T]:
    """A rule of the parser's that spends some steps with each call."""

    def counted(state: StateBlock | StateInline, *args: Any) -> T:
        state.env[BUDGET].spend(steps)
        return rule(state, *args)

    return counted
