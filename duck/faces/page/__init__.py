"""Pages for people: an app's form, its answer as it grows, a list of apps, errors. They need no script. Pure.

    view.py      what a page is about
    live.py      a run's parts as fragments of a page
    markdown.py  Markdown without harm
    words.py     the page's own words, in four languages
    templates/   the pages; duck.css and duck.js are part of each

Pages lie on Dify's own origin, where a script that got in would take over the console: all that apps and people write is
escaped, and the policy lets nothing run but `duck.js`.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from duck.errors import DuckError
from duck.faces.page import live, markdown
from duck.faces.page.view import View
from duck.faces.page.words import ENGLISH, WORDS, say
from duck.runs.forms import Variable
from duck.streams.format import Event, StreamFormat

_HERE = Path(__file__).parent
_CSS, _JS = ((_HERE / name).read_text("utf-8") for name in ("duck.css", "duck.js"))
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
)
# WebKit shows nothing of a page before about 200 characters of it.
_LEAD = f'<p class="lead" aria-hidden="true">{"&#8203;" * 200}</p>\n'
_ICON = "favicon.ico"  # beside the index
_ACCEPT = {"image": "image/*", "audio": "audio/*", "video": "video/*"}


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_POLICY = (
    f"default-src 'none'; style-src {_hash(_CSS)}; script-src {_hash(_JS)}; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors "
)


def headers(ancestors: Iterable[str] = ()) -> dict[str, str]:
    """The headers of a page. Pages of the origins that are its `ancestors` may embed it."""
    policy = _POLICY + (" ".join(sorted(ancestors)) or "'none'")
    return {**Html.headers, "Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}


class Html(StreamFormat):
    """Writes a page that a browser shows while it comes."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/html; charset=utf-8"}

    def __init__(self, view: View | None = None) -> None:
        self._view = view or View()
        self._live = live.Live(self._view.language, origin=self._view.origin)
        self._is_begun = False  # whether the page's script knows which run it is, so that it can stop it and ask on

    def head(self) -> bytes:
        """The page up to the answer's first word."""
        view = self._view
        turn = _render("turn.html", view, query=view.question)
        return _encoded(_top(view) + ("" if view.part else _LEAD) + _turns(view) + turn)

    def keep_alive(self) -> bytes:
        """A comment."""
        return b"<!---->"

    def event(self, event: Event) -> bytes:
        """The fragments that the event adds to the page, often none."""
        fragments, begun = self._live.fragments(event), self._live.begun
        if self._view.part and not self._is_begun and begun.task_id:
            self._is_begun = True
            about = Markup('<x-run data-task="{}" data-conversation="{}"></x-run>').format(begun.task_id, self._conversation)
            fragments = f"{about}{fragments}"
        return _encoded(fragments)

    @property
    def _conversation(self) -> str:
        """The conversation of the answer: Dify begins another one where a chatflow does not know the one asked for."""
        return self._live.begun.conversation_id or self._view.conversation_id

    def tail(self) -> bytes:
        """The end of the page, with its form: for a conversation, for the next question, or for this one once more."""
        view, live_ = self._view, self._live
        end = live_.end() + "</div>\n</article>\n"
        if view.is_chat:
            turns = view.turns_with(("", "") if live_.failed else (view.question, live_.answer))
            end += _form(view, turns=turns, conversation=self._conversation, query=view.question_again if live_.failed else "")
        elif not view.part:
            end += _form(view)
        return _encoded(end + _bottom(view))


def form_page(view: View) -> bytes:
    """An app's page, from which a person runs it."""
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
    """A page that tells of an error: where the request was for an app's run, the app's page with all that was filled in.

    Without one, `home` leads to the list of apps, if it is not empty; or there is no more of it than a `part`. With `can_sign_in`
    it tells a person whose browser has asked for a password in vain how to get in.
    """
    if view is None:
        page, words = View(language=language, part=part), WORDS[language]
        message, way_out = error.message, ""
        if can_sign_in:
            message, way_out = words["locked"], Markup('<p><a href="">{}</a></p>').format(words["try_again"])
        icon = f"{home}{_ICON}" if home else ""
        return _encoded(_top(page, home=home, icon=icon) + live.failure(language, error.code, message, way_out) + _bottom(page))
    if view.faults:
        return form_page(view)
    turn = _render("turn.html", view, query=view.question)
    words = WORDS[view.language]
    link = Markup('<p><a href="../{0}/{1}">{2}: {1}</a></p>')
    way_out = link.format(error.right_kind, view.name, words[error.right_kind]) if error.right_kind else ""
    code = "other_kind" if error.right_kind else error.code
    turn += live.failure(view.language, code, error.message, way_out) + live.done(words["failed"]) + "</div>\n</article>\n"
    return _encoded(_top(view) + _turns(view) + turn + _form(view, query=view.question_again) + _bottom(view))


def landing_page(index: Mapping[str, Any], *, language: str, kinds: Sequence[str], sign_in: str = "") -> bytes:
    """A list of apps, and how programs call them; `index` is what programs get.

    `kinds` are those that there are routes for, and `sign_in` is where a guest can become more, if anywhere.
    """
    view, url = View(language=language), index["url"] or "https://<dify>/e/<hook>/"
    names = [app["alias"] for app in index["apps"]]
    curl = """curl -N -H 'Authorization: Bearer <key>' -H 'Content-Type: application/json' -d '{"query": "Hello"}'"""
    body = _render(
        "landing.html",
        view,
        apps=index["apps"],
        kinds=kinds,
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
        say=lambda text: say(text, view.language),
        markdown=_markdown(view),
        accept=_accept,
        **more,
    )


def _markdown(view: View) -> Callable[[str], Markup]:
    budget = markdown.Budget()  # for all turns together: a page sends them, and could send anything
    return lambda text: markdown.render_or_show(text, view.origin, budget)


def _top(view: View, *, home: str = "../", icon: str = f"../{_ICON}", title: str = "") -> str:
    if view.part:
        return ""
    title = title or view.title or view.name or "Duck"
    return _render("top.html", view, title=title, home=home, icon=icon, css=Markup(_CSS))  # noqa: S704 - the page's own


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
    return "" if view.part else _render("bottom.html", view, js=Markup(_JS))  # noqa: S704 - the page's own


def _encoded(page: str) -> bytes:
    return page.replace("\0", "\N{REPLACEMENT CHARACTER}").encode()


def _accept(variable: Variable) -> str:
    """What a browser offers for choosing a file; "" for all, since of documents Dify alone knows what they are."""
    kinds = [kind for kind in variable.file_types if kind != "custom"]
    if not set(kinds) <= _ACCEPT.keys():
        return ""
    endings = [f".{ending}" for ending in variable.file_extensions] if "custom" in variable.file_types else []
    return ",".join([*(_ACCEPT[kind] for kind in kinds), *endings])
