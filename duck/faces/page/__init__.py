"""Pages for browsers: an app's form, its answer as it grows, the list of apps, errors. They work without scripts. Pure.

    frame.py     what all pages have in common
    view.py      the content of an app's page
    live.py      a run as fragments of a page, which fragments.py makes
    index.py     the list of apps
    curl.py      how a program calls an app
    marks.py     what stands for an app
    theme.py     an app's own colour
    markdown/    untrusted Markdown as safe HTML
    words.py     the page's own words, in four languages
    templates/   the pages; each contains styles/ and duck.js

Pages are on Dify's own origin, so an injected script could take over Dify's console. Therefore all texts of apps and users are
escaped, and the Content-Security-Policy allows no script but `duck.js`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar
from urllib.parse import quote

from markupsafe import Markup

from duck.errors import DuckError
from duck.faces.page import fragments, frame, live
from duck.faces.page.human import Waiting
from duck.faces.page.view import Turn, View
from duck.faces.page.words import ENGLISH, WORDS, translate
from duck.streams.format import Event, StreamFormat

# WebKit shows nothing of a page until it has about 200 characters of it.
_PADDING = f'<p class="lead" aria-hidden="true">{"&#8203;" * 200}</p>\n'


class Html(StreamFormat):
    """Streams a run as a page, which a browser shows while it arrives."""

    headers: ClassVar[Mapping[str, str]] = frame.CONTENT_TYPE

    def __init__(self, view: View | None = None) -> None:
        self._view = view or View()
        self._live = live.Live(
            self._view.language, origin=self._view.origin, shows_steps=self._view.shows_steps, lasting=self._lasting()
        )
        self._has_sent_ids = False  # the page's script needs them to stop the run and to continue the conversation

    def _lasting(self) -> str:
        """The address, but for its end, at which the run can be read later; "" if it cannot."""
        return f"{self._view.root}runs/{quote(self._view.name, safe='')}/" if self._view.can_be_left else ""

    def head(self) -> bytes:
        """The page up to the answer."""
        view = self._view
        return frame.encoded(frame.top(view) + ("" if view.part else _PADDING) + _turns(view) + _turn(view))

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
        waiting = self._live.take_waiting()
        return frame.encoded(fragments + "".join(_human(self._view, each, self._turns_so_far()) for each in waiting))

    def _turns_so_far(self) -> str:
        turn = Turn(self._view.question, self._live.answer, self._view.attached)
        return self._view.turns_with(*([turn] if self._view.is_chat and any(turn) else []))

    @property
    def _conversation_id(self) -> str:
        """The answer's conversation. Dify begins another than the requested one if a chatflow does not know that."""
        return self._live.begun.conversation_id or self._view.conversation_id

    def tail(self) -> bytes:
        """The end of the page, with the form. A chat's form is for the next question, or has this one again if the run failed."""
        view, live_ = self._view, self._live
        end = live_.end() + "</div>\n</article>\n"
        if view.is_chat:
            turns, again = self._turns_so_far(), ""
            if live_.failed:
                turns, again = view.turns_with(), view.question_again
            end += _form(view, turns=turns, conversation=self._conversation_id, query=again)
        elif not view.part:
            end += _form(view)
        return frame.encoded(end + frame.bottom(view))


class Resumed(Html):
    """Streams a run that was begun before. Its next event may take long, and its reader wants to see a page meanwhile."""

    keep_alive_s: ClassVar[float] = 3.0

    def _lasting(self) -> str:
        return ""  # it is read there


def form_page(view: View) -> bytes:
    """An app's page, with the form that runs the app."""
    return frame.encoded(frame.top(view) + _turns(view) + _form(view, query=view.question_again) + frame.bottom(view))


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
        icon = f"{home}{frame.FAVICON}" if home else ""
        return frame.encoded(
            frame.top(page, home=home, icon=icon) + fragments.failure(language, error.code, message, link) + frame.bottom(page)
        )
    if view.waiting:
        faults = "; ".join(f"{fault.field}: {translate(fault.text, view.language)}" for fault in view.faults)
        turn = _turn(view) + _human(view, view.waiting, view.turns_with(), faults) + "</div>\n</article>\n"
        return frame.encoded(frame.top(view) + _turns(view) + turn + _form(replace(view, faults=())) + frame.bottom(view))
    if view.faults:
        return form_page(view)
    turn = _turn(view)
    words = WORDS[view.language]
    to_kind = Markup('<p><a href="{3}{0}/{1}">{2}: {1}</a></p>')
    link = to_kind.format(error.right_kind, view.name, words[error.right_kind], view.root) if error.right_kind else ""
    code = "other_kind" if error.right_kind else error.code
    turn += fragments.failure(view.language, code, error.message, link) + fragments.done(words["failed"]) + "</div>\n</article>\n"
    return frame.encoded(frame.top(view) + _turns(view) + turn + _form(view, query=view.question_again) + frame.bottom(view))


def _turns(view: View) -> str:
    if view.part:
        return ""
    return frame.render("turns.html", view, turns=view.turns, name=_name(view))


def _turn(view: View) -> str:
    return frame.render("turn.html", view, query=view.question, files=view.attached if view.is_chat else (), name=_name(view))


def _human(view: View, waiting: Waiting, turns: str, fault: str = "") -> str:
    return frame.render("human.html", view, waiting=waiting, turns=turns, fault=fault)


def _name(view: View) -> str:
    """Who answers: a chat. A workflow's result is nobody's words."""
    return view.title or view.name if view.is_chat else ""


def _form(view: View, *, turns: str = "", conversation: str = "", query: str = "") -> str:
    turns = turns or view.turns_with()
    return frame.render(
        "form.html", view, turns=turns, conversation=conversation or view.conversation_id, query=query, filled=view.filled
    )
