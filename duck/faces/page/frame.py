"""What all pages have in common: their top and bottom, the rendering of templates, the headers."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from duck.faces.page import markdown
from duck.faces.page.view import View
from duck.faces.page.words import WORDS, translate
from duck.runs.forms import Variable

CONTENT_TYPE: Mapping[str, str] = {"Content-Type": "text/html; charset=utf-8"}
FAVICON = "favicon.ico"  # relative to the index

_HERE = Path(__file__).parent
_CSS = "".join((_HERE / "styles" / f"{name}.css").read_text("utf-8") for name in ("base", "text", "chat", "index"))
_JS = (_HERE / "duck.js").read_text("utf-8")
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
)
_ACCEPT = {"image": "image/*", "audio": "audio/*", "video": "video/*"}


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_POLICY = (
    f"default-src 'none'; style-src {_hash(_CSS)}; script-src {_hash(_JS)}; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors "
)


def headers(ancestors: Iterable[str] = ()) -> dict[str, str]:
    """The headers of a page. Pages of the origins in `ancestors` may embed it."""
    policy = _POLICY + (" ".join(sorted(ancestors)) or "'none'")
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


def top(view: View, *, home: str = "../", icon: str = f"../{FAVICON}", title: str = "") -> str:
    """The page down to the content; "" for a part. `home` is the address of the list of apps, "" for no link."""
    if view.part:
        return ""
    title = title or view.title or view.name or "Duck"
    return render("top.html", view, title=title, home=home, icon=icon, css=Markup(_CSS))  # noqa: S704 - from Duck's own file


def bottom(view: View) -> str:
    """The page after the content; "" for a part."""
    return "" if view.part else render("bottom.html", view, js=Markup(_JS))  # noqa: S704 - from Duck's own file


def encoded(page: str) -> bytes:
    """The page in UTF-8, without U+0000, which HTML does not allow."""
    return page.replace("\0", "\N{REPLACEMENT CHARACTER}").encode()


def _markdown(view: View) -> Callable[[str], Markup]:
    budget = markdown.Budget()  # for all turns together: they come from the request, which may contain anything
    return lambda text: markdown.render_or_show(text, view.origin, budget)


def _accept(variable: Variable) -> str:
    """The `accept` attribute of a field for files; "" for all files, because only Dify knows which types are documents."""
    kinds = [kind for kind in variable.file_types if kind != "custom"]
    if not set(kinds) <= _ACCEPT.keys():
        return ""
    extensions = [f".{extension}" for extension in variable.file_extensions] if "custom" in variable.file_types else []
    return ",".join([*(_ACCEPT[kind] for kind in kinds), *extensions])
