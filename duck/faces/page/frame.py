"""What all pages have in common: their top and bottom, the rendering of templates, the headers."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from duck.faces.page import markdown
from duck.faces.page.marks import Mark
from duck.faces.page.view import View
from duck.faces.page.words import SCRIPT, WORDS, translate
from duck.runs.forms import Variable

CONTENT_TYPE: Mapping[str, str] = {"Content-Type": "text/html; charset=utf-8"}
GUEST_STEPS = markdown.MAX_STEPS // 4  # for earlier turns on a guest's page
FAVICON = "favicon.ico"  # relative to the index

_HERE = Path(__file__).parent
_SPARE = re.compile(r"^(\s+|//.*\n|/\*.*\*/\n)", re.MULTILINE)  # indentation and whole lines of comment
_CSS, _JS = (
    "".join(_SPARE.sub("", (_HERE / name).read_text("utf-8")) for name in names)
    for names in (["styles/base.css", "styles/text.css", "styles/chat.css", "styles/index.css", "styles/hook.css"], ["duck.js"])
)
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
)
_ACCEPT = {"image": "image/*", "audio": "audio/*", "video": "video/*"}


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_STYLES = f"default-src 'none'; style-src {_hash(_CSS)}"
_REST = f"; script-src {_hash(_JS)}; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors "
# The headers of a mark: whoever opens it as a page gets a picture that can do nothing.
MARK_HEADERS: Mapping[str, str] = {
    "Content-Type": "image/svg+xml",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def headers(ancestors: Iterable[str] = (), sheet: str = "") -> dict[str, str]:
    """The headers of a page. Pages of the origins in `ancestors` may embed it. `sheet` is the page's own, see `View`."""
    styles = f"{_STYLES} {_hash(sheet)}" if sheet else _STYLES
    policy = styles + _REST + (" ".join(sorted(ancestors)) or "'none'")
    return {**CONTENT_TYPE, "Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}


def render(template: str, view: View, **more: Any) -> str:
    """A template with the view, the page's words and `more`."""
    return _TEMPLATES.get_template(template).render(
        view=view,
        words=WORDS[view.language],
        translate=lambda text: translate(text, view.language),
        markdown=_markdown(view),
        accept=_accept,
        **more,
    )


def top(view: View, *, home: str | None = None, icon: str | None = None, title: str = "") -> str:
    """The page down to the content; "" for a part.

    `home` is the address of the list of apps, "" for no link; without it, it is the view's. `icon` is the address of the icon
    for the browser's tab, "" for none; without it, it is the app's.
    """
    if view.part:
        return ""
    if icon is None:
        icon = _icon(view.mark, view.root) if view.mark else f"{view.root}{FAVICON}"
    home = view.root if home is None else home
    title = title or view.title or view.name or "Duck"
    script_words = {f"data-{name}": word for name, word in SCRIPT[view.language].items()}
    css, sheet = Markup(_CSS), Markup(view.sheet)  # noqa: S704 - from Duck's own file; two colours of `theme`
    return render("top.html", view, title=title, home=home, icon=icon, css=css, sheet=sheet, script_words=script_words)


def bottom(view: View) -> str:
    """The page after the content; "" for a part."""
    return "" if view.part else render("bottom.html", view, js=Markup(_JS))  # noqa: S704 - from Duck's own file


def drawn(mark: Mark) -> bytes:
    """The mark as a picture of its own. It cannot be one at an address."""
    macros: Any = _TEMPLATES.get_template("marks.html").module
    return encoded(macros.mark(mark, standalone=True).strip())


def encoded(page: str) -> bytes:
    """The page in UTF-8, without U+0000, which HTML does not allow."""
    return page.replace("\0", "\N{REPLACEMENT CHARACTER}").encode()


def _icon(mark: Mark, root: str) -> str:
    """The address of an app's mark, relative to the app's page."""
    return mark.url or f"{root}{FAVICON}?{mark.query}"


def _markdown(view: View) -> Callable[[str], Markup]:
    """Renders Markdown, all turns of the page together within a budget: they come from the request, which may contain anything.

    What a guest's request that is refused has in it costs nothing, since no rate limits such requests.
    """
    steps = markdown.MAX_STEPS if not view.guest else 0 if view.faults else GUEST_STEPS
    budget = markdown.Budget(steps)
    reasoning = WORDS[view.language]["reasoning"]
    return lambda text: markdown.render_or_show(text, view.origin, budget, reasoning=reasoning)


def _accept(variable: Variable) -> str:
    """The `accept` attribute of a field for files; "" for all files, because only Dify knows which types are documents."""
    kinds = [kind for kind in variable.file_types if kind != "custom"]
    if not set(kinds) <= _ACCEPT.keys():
        return ""
    extensions = [f".{extension}" for extension in variable.file_extensions] if "custom" in variable.file_types else []
    return ",".join([*(_ACCEPT[kind] for kind in kinds), *extensions])
