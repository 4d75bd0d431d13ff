"""What a page is about, besides the run that it shows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from duck.faces.page.words import ENGLISH
from duck.runs import parsing
from duck.runs.fields import Files, Texts
from duck.runs.forms import Form, Variable
from duck.runs.run import Kind
from duck.streams import json
from duck.texts import Fault

MAX_TURNS = 256 * 1024  # bytes of earlier turns that travel with each new one; the oldest stay behind
MAX_COUNT = 500  # of them
MAX_QUESTION = 64 * 1024  # characters of a question that its page says again, in the conversation and in the form
MAX_FILLED = 128 * 1024  # characters of all inputs that a page fills in again

# A question and its answer, in Markdown.
type Turn = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """An app's page.

    `name` is what the route calls the app, `title` and `description` what Dify does, where that is known; `action` is where its
    form posts to. `form` is None where it cannot be had. `query`, `inputs` and `conversation_id` are what the request says,
    `turns` the conversation so far as the page has kept it: for show, and for nothing else. `faults` are what is wrong with the
    request. Pictures on `origin` are shown; others would tell their host who reads. With
    `takes_files` files may be sent besides the inputs, and with `can_stop` runs can be ended. A page that stays where it is asks
    for the `part` that is new alone.
    """

    language: str = ENGLISH
    kind: Kind = "workflow"
    name: str = ""
    title: str = ""
    description: str = ""
    takes_files: bool = False
    can_stop: bool = False
    action: str = "?"
    form: Form | None = None
    query: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    conversation_id: str = ""
    turns: tuple[Turn, ...] = ()
    faults: tuple[Fault, ...] = ()
    origin: str | None = None
    part: bool = False

    @property
    def is_chat(self) -> bool:
        """Whether there is a message box, and a conversation."""
        return self.kind == "chat"

    @property
    def variables(self) -> Sequence[Variable]:
        """The inputs that the page asks for."""
        return [variable for variable in self.form.variables if not variable.hidden] if self.form else []

    @property
    def files(self) -> Variable | None:
        """What the page asks for besides the inputs, if anything."""
        return self.form.files if self.form and self.takes_files else None

    @property
    def filled(self) -> Mapping[str, str]:
        """What is filled in for inputs that were given."""
        return {name: _text(value) for name, value in self.inputs.items()}

    @property
    def hidden_names(self) -> Sequence[str]:
        """The inputs that the page does not ask for: what was given for them is sent along as it came."""
        return [variable.name for variable in self.form.variables if variable.hidden] if self.form else []

    @property
    def inputs_as_json(self) -> str:
        """All inputs that were given."""
        given = {name: value[0] if isinstance(value, Texts) and len(value) == 1 else value for name, value in self.inputs.items()}
        return json.pretty({name: value for name, value in given.items() if not isinstance(value, Files)}) if given else ""

    @property
    def question(self) -> str:
        """The question as the conversation shows it."""
        if not self.is_chat or len(self.query) <= MAX_QUESTION:
            return self.query if self.is_chat else ""
        return self.query[:MAX_QUESTION] + " …"

    @property
    def question_again(self) -> str:
        """The question as the form has it once more: whole, or not at all."""
        return self.query if len(self.query) <= MAX_QUESTION else ""

    def text_of(self, variable: Variable, filled: Mapping[str, str]) -> str:
        """What is filled in for an input."""
        if variable.name not in self.inputs:
            return "" if variable.default is None else _text(variable.default)
        return filled.get(variable.name, "")

    def faults_of(self, *names: str) -> Sequence[str]:
        """What is wrong with the fields of these names."""
        return [fault.text for fault in self.faults if fault.field in names]

    @property
    def other_faults(self) -> Sequence[Fault]:
        """What is wrong with none of the inputs that the page asks for."""
        shown = {f"inputs.{variable.name}" for variable in self.variables}
        shown |= ({"query"} if self.is_chat else set()) | ({"files"} if self.files else set())
        return [fault for fault in self.faults if fault.field not in shown]

    def turns_with(self, turn: Turn) -> str:
        """The conversation with one more turn, as the form keeps it: as much of it as there is room for, as JSON."""
        kept: list[Turn] = []
        room = MAX_TURNS
        for each in reversed((*self.turns, turn) if any(turn) else self.turns):
            room -= len(json.encode(each)) + 1  # and what stands between them
            if room <= 0 or len(kept) == MAX_COUNT:
                break
            kept.insert(0, each)
        return json.encode(kept).decode()


def repeated(query: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """As much of a request as its page says again: a page keeps what it is made of until garbage is collected.

    What there is no room for has to be typed or chosen anew.
    """
    kept: dict[str, Any] = {}
    room = MAX_FILLED
    for name, value in inputs.items():
        room_after = room - len(_text(value))
        if room_after >= 0:
            room, kept[name] = room_after, value
    return {"query": query[: MAX_QUESTION + 1], "inputs": kept}


def read_turns(text: str) -> tuple[Turn, ...]:
    """The turns that a form has kept; none where it is not as it was."""
    try:
        turns = parsing.json(text or "[]") if len(text) <= MAX_TURNS else None
    except ValueError:
        return ()
    if not isinstance(turns, list) or len(turns) > MAX_COUNT:
        return ()
    sound = all(isinstance(turn, list) and len(turn) == 2 and all(isinstance(text, str) for text in turn) for turn in turns)
    return tuple((query, answer) for query, answer in turns) if sound else ()


def _text(value: Any) -> str:
    """A value as it stands in a form's field."""
    match value:
        case str():
            return value
        case Texts():
            return "\n".join(value)
        case None | Files():  # no page can fill in files
            return ""
        case bool():
            return "true" if value else "false"
    return json.encode(value).decode()
