"""The content of an app's page, except for the run. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from duck.dify.site import Site
from duck.faces.page import marks, theme
from duck.faces.page.human import Waiting
from duck.faces.page.marks import Mark
from duck.faces.page.words import ENGLISH
from duck.runs import parsing
from duck.runs.fields import Files, Texts
from duck.runs.forms import Form, Variable
from duck.runs.run import Kind
from duck.streams import json
from duck.texts import Fault

MAX_TURNS_SIZE = 256 * 1024  # bytes of earlier turns that are sent with each question, without the oldest if they are more
MAX_TURNS = 500
MAX_QUESTION = 64 * 1024  # characters of a question that its page repeats, in the conversation and in the form
MAX_FILLED = 128 * 1024  # characters of all inputs that a page fills in again

MAX_ATTACHED = 50  # files whose names a question shows
MAX_FILE_NAME = 200  # characters


class Turn(NamedTuple):
    """A question with the names of its files, and the answer in Markdown."""

    query: str
    answer: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """An app's page.

    `name` is the app's name in the route; `title` and `description` are Dify's, "" if unknown. The page's form is sent to
    `action`. `form` is the app's, None if it cannot be fetched, of which `form_fault` tells holders of a key the reason.
    `query`, `inputs` and `conversation_id` come from the request, `attached` are the names of its files, and `faults` are
    what is wrong with it. `turns` are the conversation so far, as the page's form has sent it: they are only shown. Pictures
    on `origin` are shown; others would tell their host who reads the page. With `takes_files` files can be sent besides the
    inputs, with `can_stop` runs can be stopped. A `part` is for the page's script: it has only what the page lacks. `waiting`
    is a form of a run that has been filled in with faults. `root` leads to the endpoint's first path, whose whole address is
    `url`, in texts to copy: the page's script corrects it, unless `url_is_set` by the owner. `webhook` is the address of the
    app's webhook, which only holders of a key may see, "" for none. `site` is how the app's owner wants it to look.
    """

    language: str = ENGLISH
    kind: Kind = "workflow"
    name: str = ""
    title: str = ""
    description: str = ""
    guest: bool = False
    waiting: Waiting | None = None
    site: Site = Site()  # noqa: RUF009 - it is frozen
    takes_files: bool = False
    can_stop: bool = False
    action: str = "?"
    root: str = "../"
    url: str = ""
    url_is_set: bool = False
    webhook: str = ""
    form: Form | None = None
    form_fault: str = ""
    query: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    attached: tuple[str, ...] = ()
    conversation_id: str = ""
    turns: tuple[Turn, ...] = ()
    faults: tuple[Fault, ...] = ()
    origin: str | None = None
    part: bool = False

    @property
    def can_be_left(self) -> bool:
        """Whether a run goes on without its reader, who can come back to it: a workflow's, of an app with its own key."""
        return self.kind == "workflow" and self.can_stop

    @property
    def is_chat(self) -> bool:
        """Whether the page has a message box and a conversation."""
        return self.kind == "chat"

    @property
    def mark(self) -> Mark | None:
        """The mark of the app, None for a page without an app."""
        return marks.of(self.site, self.title or self.name, self.origin) if self.name else None

    @property
    def sheet(self) -> str:
        """The style sheet for the app's own colour, "" if it has none."""
        return theme.sheet(self.site.colour)

    @property
    def shows_steps(self) -> bool:
        """Whether the page shows the steps of runs."""
        return self.site.shows_steps

    @property
    def placeholder(self) -> str:
        """What the owner wants to be read in an empty message box, "" if nothing."""
        return self.site.placeholder

    @property
    def copyright(self) -> str:
        """The owner's copyright, with its sign."""
        return self.site.copyright if self.site.copyright.startswith("©") else f"© {self.site.copyright}"

    @property
    def privacy_url(self) -> str:
        """The address of the owner's privacy policy, "" if there is none on the web."""
        return self.site.privacy_policy if self.site.privacy_policy.lower().startswith(("https://", "http://")) else ""

    @property
    def variables(self) -> Sequence[Variable]:
        """The inputs that have a field on the page."""
        return [variable for variable in self.form.variables if not variable.hidden] if self.form else []

    @property
    def files(self) -> Variable | None:
        """The field for files besides the inputs, None if there is none."""
        return self.form.files if self.form and self.takes_files else None

    @property
    def filled(self) -> Mapping[str, str]:
        """The texts of the form's fields for the request's inputs, by name."""
        return {name: _text(value) for name, value in self.inputs.items()}

    @property
    def hidden_names(self) -> Sequence[str]:
        """The inputs without a visible field. If the request had values for them, the form sends these again.

        Guests must not learn that there are such inputs.
        """
        return [variable.name for variable in self.form.variables if variable.hidden] if self.form and not self.guest else []

    @property
    def inputs_as_json(self) -> str:
        """The request's inputs without files, "" if there are none."""
        given = {name: value[0] if isinstance(value, Texts) and len(value) == 1 else value for name, value in self.inputs.items()}
        return json.pretty({name: value for name, value in given.items() if not isinstance(value, Files)}) if given else ""

    @property
    def question(self) -> str:
        """The question as the conversation shows it, cut off if it is too long."""
        if not self.is_chat or len(self.query) <= MAX_QUESTION:
            return self.query if self.is_chat else ""
        return self.query[:MAX_QUESTION] + " …"

    @property
    def question_again(self) -> str:
        """The question for the form to repeat: whole, or "" if it is too long."""
        return self.query if len(self.query) <= MAX_QUESTION else ""

    def text_of(self, variable: Variable, filled: Mapping[str, str]) -> str:
        """The text of an input's field: that in `filled`, else the input's default."""
        if variable.name not in self.inputs:
            return "" if variable.default is None else _text(variable.default)
        return filled.get(variable.name, "")

    def faults_of(self, *names: str) -> Sequence[str]:
        """What is wrong with the fields of these names."""
        return [fault.text for fault in self.faults if fault.field in names]

    @property
    def other_faults(self) -> Sequence[Fault]:
        """The faults that belong to no field on the page."""
        shown = {f"inputs.{variable.name}" for variable in self.variables}
        shown |= ({"query"} if self.is_chat else set()) | ({"files"} if self.files else set())
        return [fault for fault in self.faults if fault.field not in shown]

    def turns_with(self, *more: Turn) -> str:
        """The conversation with `more` turns, as JSON for the form. It has as many of the latest turns as the limits allow."""
        latest: list[bytes] = []
        room = MAX_TURNS_SIZE
        for turn in reversed((*self.turns, *more)):
            encoded = json.encode([turn.query, turn.answer, turn.files] if turn.files else [turn.query, turn.answer])
            room -= len(encoded) + 1  # and the comma
            if room <= 0 or len(latest) == MAX_TURNS:
                break
            latest.append(encoded)
        return f"[{b','.join(reversed(latest)).decode()}]"


def repeated(query: str, inputs: Mapping[str, Any], files: object = None) -> dict[str, Any]:
    """The `query`, `inputs` and names of files that a page repeats. Those that exceed the limits have to be entered anew.

    There are limits because the memory of a page is not freed before the next garbage collection.
    """
    filled: dict[str, Any] = {}
    room = MAX_FILLED
    for name, value in inputs.items():
        room_after = room - len(_text(value))
        if room_after >= 0:
            room, filled[name] = room_after, value
    sent = [file for value in (files, *inputs.values()) if isinstance(value, Files) for file in value]
    attached = tuple(file.name[:MAX_FILE_NAME] for file in sent[:MAX_ATTACHED])
    return {"query": query[: MAX_QUESTION + 1], "inputs": filled, "attached": attached}


def read_turns(text: str) -> tuple[Turn, ...]:
    """The turns that a form has sent; none if they are not as `turns_with` makes them."""
    try:
        turns = parsing.json(text or "[]") if len(text) <= MAX_TURNS_SIZE else None
    except ValueError:
        return ()
    if not isinstance(turns, list) or len(turns) > MAX_TURNS:
        return ()
    read = [_turn(turn) for turn in turns]
    return tuple(filter(None, read)) if all(read) else ()


def _turn(value: object) -> Turn | None:
    match value:
        case [str(query), str(answer)]:
            return Turn(query, answer)
        case [str(query), str(answer), [*files]] if len(files) <= MAX_ATTACHED:
            names = tuple(name for name in files if isinstance(name, str))
            return Turn(query, answer, names) if len(names) == len(files) else None
    return None


def _text(value: Any) -> str:
    """A value as text in a field of the page."""
    match value:
        case str():
            return value
        case Texts():
            return "\n".join(value)
        case None | Files():  # a page cannot fill in files
            return ""
        case bool():
            return "true" if value else "false"
    return json.encode(value).decode()
