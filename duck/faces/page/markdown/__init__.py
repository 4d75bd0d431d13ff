"""Untrusted Markdown as safe HTML. Pure.

    dialect.py    which Markdown is read
    inline.py     emphasis beside Chinese, Japanese and Korean text, bare links, line breaks
    formulas.py   LaTeX as MathML
    notes.py      what can be folded: `<think>` and `<details>`
    renderer.py   the HTML
    colours.py    code with colours
    addresses.py  what may be linked and shown
    budget.py     how long all this may take
    growing.py    a text that is rendered while it grows

Other raw HTML is shown as text, and line breaks are kept, as in Dify's own chat. Links may go to the web or to a mailbox.
Pictures become links, unless they are on the page's own origin: the address of a picture can carry the answer's text to another
host.
"""

from markupsafe import Markup

from duck.faces.page.markdown.addresses import is_link, is_own
from duck.faces.page.markdown.budget import MAX_STEPS, Budget, OverBudget
from duck.faces.page.markdown.growing import MAX_LENGTH, End, Growing, Grown, rendered

__all__ = ["MAX_LENGTH", "MAX_STEPS", "Budget", "End", "Growing", "Grown", "is_link", "is_own", "render", "render_or_show"]


def render(text: str, origin: str | None = None, budget: Budget | None = None, *, reasoning: str = "Reasoning") -> Markup | None:
    """The text as HTML, with the pictures on `origin`. None if the text would take too long.

    `reasoning` is the title of a model's thoughts.
    """
    try:
        return rendered(text, origin, budget or Budget(), reasoning)
    except OverBudget:
        return None


def render_or_show(text: str, origin: str | None, budget: Budget, *, reasoning: str = "Reasoning") -> Markup:
    """The text as HTML, or as it is if that would take too long."""
    html = render(text, origin, budget, reasoning=reasoning)
    return Markup('<pre tabindex="0">{}</pre>').format(text) if html is None else html
