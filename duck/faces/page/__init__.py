"""Pages for browsers: an app's form, its answer as it grows, the list of apps, errors. They work without scripts. Pure.

    view.py      the content of an app's page
    live.py      a run as fragments of a page
    markdown.py  untrusted Markdown as safe HTML
    words.py     the page's own words, in four languages
    templates/   the pages; each contains duck.css and duck.js

Pages are on Dify's own origin, so an injected script could take over Dify's console. Therefore all texts of apps and users are
escaped, and the Content-Security-Policy allows no script but `duck.js`.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from duck.errors import DuckError
from duck.faces.page import live, markdown
from duck.faces.page.view import View
from duck.faces.page.words import ENGLISH, WORDS, translate
from duck.runs.forms import Variable
from duck.streams.format import Event, StreamFormat

_HERE = Path(__file__).parent
_CSS, _JS = ((_HERE / name).read_text("utf-8") for name in ("duck.css", "duck.js"))
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
)
# WebKit shows nothing of a page until it has about 200 characters of it.
_PADDING = f'<p class="lead" aria-hidden="true">{"&#8203;" * 200}</p>\n'
_ICON = "favicon.ico"  # relative to the index
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
    return {**Html.headers, "Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}


class Html(StreamFormat):
    """Streams a run as a page, which a browser shows while it arrives."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/html; charset=utf-8"}

    def __init__(self, view: View | None = None) -> None:
        self._view = view or View()
        self._live = live.Live(self._view.language, origin=self._view.origin)
        self._has_sent_ids = False  # the page's script needs them to stop the run and to continue the conversation

    def head(self) -> bytes:
        """The page up to the answer."""
        view = self._view
        turn = _render("turn.html", view, query=view.question)
        return _encoded(_top(view) + ("" if view.part else _PADDING) + _turns(view) + turn)

    def keep_alive(self) -> bytes:
        """An HTML comment."""
        return b"<!---->"

    def event(self, event: Event) -> bytes:
        """The fragments that the event adds to the page, often b""."""
        fragments, begun = self._live.fragments(event), self._live.begun
        if self._view.part and not self._has_sent_ids and begun.task_id:
            self._has_sent_ids = True
            ids = Markup('<x-run data-task="{}" data-conversation="{}"></x-run>').format(begun.task_id, self._conversation_id)
            fragments = f"{ids}{fragments}"
        return _encoded(fragments)

    @property
    def _conversation_id(self) -> str:
        """The answer's conversation. Dify begins another than the requested one if a chatflow does not know that."""
        return self._live.begun.conversation_id or self._view.conversation_id

    def tail(self) -> bytes:
        """The end of the page, with the form. A chat's form is for the next question, or has this one again if the run failed."""
        view, live_ = self._view, self._live
        end = live_.end() + "</div>\n</article>\n"
        if view.is_chat:
            turns = view.turns_with(("", "") if live_.failed else (view.question, live_.answer))
            end += _form(view, turns=turns, conversation=self._conversation_id, query=view.question_again if live_.failed else "")
        elif not view.part:
            end += _form(view)
        return _encoded(end + _bottom(view))


def form_page(view: View) -> bytes:
    """An app's page, with the form that runs the app."""
    return _encoded(_top(view) + _turns(view) + _form(view, query=view.question_again) + _bottom(view))


def error_page(
    error: DuckError,
    view: View | None = None,
    *,
    language: str = ENGLISH,
    home: str = "",
    part: bool = False,
    can_sign_in: bool = False,
) -> bytes:
    """A page that shows an error. With a `view` it is the app's page, and its form has what the request had.

    The other parameters are for a page without a view: `home` is the address of the list of apps, "" for no link; a `part` has
    no top and no bottom; `can_sign_in` shows how to sign in, because the browser's password prompt was in vain.
    """
    if view is None:
        page, words = View(language=language, part=part), WORDS[language]
        message, link = error.message, ""
        if can_sign_in:
            message, link = words["locked"], Markup('<p><a href="">{}</a></p>').format(words["try_again"])
        icon = f"{home}{_ICON}" if home else ""
        return _encoded(_top(page, home=home, icon=icon) + live.failure(language, error.code, message, link) + _bottom(page))
    if view.faults:
        return form_page(view)
    turn = _render("turn.html", view, query=view.question)
    words = WORDS[view.language]
    to_kind = Markup('<p><a href="../{0}/{1}">{2}: {1}</a></p>')
    link = to_kind.format(error.right_kind, view.name, words[error.right_kind]) if error.right_kind else ""
    code = "other_kind" if error.right_kind else error.code
    turn += live.failure(view.language, code, error.message, link) + live.done(words["failed"]) + "</div>\n</article>\n"
    return _encoded(_top(view) + _turns(view) + turn + _form(view, query=view.question_again) + _bottom(view))


def landing_page(index: Mapping[str, Any], *, language: str, sign_in: str = "") -> bytes:
    """The list of apps, and how programs call them. `index` is the JSON document that programs get.

    `sign_in` is the address where a guest can sign in, "" for none.
    """
    view, url = View(language=language), index["url"] or "https://<dify>/e/<hook>/"
    names = [app["alias"] for app in index["apps"]]
    curl = """curl -N -H 'Authorization: Bearer <key>' -H 'Content-Type: application/json' -d '{"query": "Hello"}'"""
    body = _render(
        "landing.html",
        view,
        apps=index["apps"],
        sign_in=sign_in,
        named=[name for name in names if name != "default"],
        formats=index["formats"],
        url=url,
        curl=curl,
        example=names[0] if names else "<app_id>",
    )
    return _encoded(_top(view, home="", icon=_ICON, title=WORDS[language]["title"]) + body + _bottom(view))


def _render(template: str, view: View, **more: Any) -> str:
    return _TEMPLATES.get_template(template).render(
        view=view,
        words=WORDS[view.language],
        translate=lambda text: translate(text, view.language),
        markdown=_markdown(view),
        accept=_accept,
        **more,
    )


def _markdown(view: View) -> Callable[[str], Markup]:
    budget = markdown.Budget()  # for all turns together: they come from the request, which may contain anything
    return lambda text: markdown.render_or_show(text, view.origin, budget)


def _top(view: View, *, home: str = "../", icon: str = f"../{_ICON}", title: str = "") -> str:
    if view.part:
        return ""
    title = title or view.title or view.name or "Duck"
    return _render("top.html", view, title=title, home=home, icon=icon, css=Markup(_CSS))  # noqa: S704 - from Duck's own file


def _turns(view: View) -> str:
    if view.part:
        return ""
    return _render("turns.html", view, turns=view.turns)


def _form(view: View, *, turns: str = "", conversation: str = "", query: str = "") -> str:
    turns = turns or view.turns_with(("", ""))
    return _render(
        "form.html", view, turns=turns, conversation=conversation or view.conversation_id, query=query, filled=view.filled
    )


def _bottom(view: View) -> str:
    return "" if view.part else _render("bottom.html", view, js=Markup(_JS))  # noqa: S704 - from Duck's own file


def _encoded(page: str) -> bytes:
    return page.replace("\0", "\N{REPLACEMENT CHARACTER}").encode()


def _accept(variable: Variable) -> str:
    """The `accept` attribute of a field for files; "" for all files, because only Dify knows which types are documents."""
    kinds = [kind for kind in variable.file_types if kind != "custom"]
    if not set(kinds) <= _ACCEPT.keys():
        return ""
    extensions = [f".{extension}" for extension in variable.file_extensions] if "custom" in variable.file_types else []
    return ",".join([*(_ACCEPT[kind] for kind in kinds), *extensions])
