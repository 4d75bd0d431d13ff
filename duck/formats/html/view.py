"""What a page is about, besides the run that it shows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from duck import parsing
from duck.events import Kind
from duck.formats import json
from duck.formats.html.words import ENGLISH
from duck.forms import Form, Variable
from duck.inputs import Files, Texts

MAX_TURNS = 256 * 1024  # bytes of earlier turns that travel with each new one; the oldest stay behind
MAX_COUNT = 500  # of them

# A question and its answer, in Markdown.
type Turn = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """An app's page.

    `name` is what the route calls the app, `title` and `description` what Dify does, where that is known; `action` is where its
    form posts to. `form` is None where it cannot be had. `query`, `inputs` and `conversation_id` are what the request says,
    `turns` the conversation so far as the page has kept it: for show, and for nothing else. `faults` are what is wrong with the
    request, by the names of its fields. Pictures on `origin` are shown; others would tell their host who reads. With
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
    faults: Mapping[str, str] = field(default_factory=dict)
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
    def unasked(self) -> Mapping[str, str]:
        """What was given for inputs that the page does not ask for, since they are hidden: it is sent along as it came."""
        hidden = {variable.name for variable in self.form.variables if variable.hidden} if self.form else set()
        return {name: _text(value) for name, value in self.inputs.items() if name in hidden and _text(value)}

    @property
    def inputs_as_json(self) -> str:
        """All inputs that were given."""
        given = {name: value[0] if isinstance(value, Texts) and len(value) == 1 else value for name, value in self.inputs.items()}
        return json.pretty({name: value for name, value in given.items() if not isinstance(value, Files)}) if given else ""

    def text_of(self, variable: Variable) -> str:
        """What is filled in for an input."""
        if variable.name not in self.inputs:
            return "" if variable.default is None else _text(variable.default)
        return _text(self.inputs[variable.name])

    def fault_of(self, variable: Variable) -> str | None:
        """What is wrong with an input."""
        return self.faults.get(f"inputs.{variable.name}")

    @property
    def other_faults(self) -> Sequence[str]:
        """What is wrong with none of the inputs that the page asks for."""
        shown = {f"inputs.{variable.name}" for variable in self.variables}
        shown |= ({"query"} if self.is_chat else set()) | ({"files"} if self.files else set())
        return [f"{name}: {fault}" if name else fault for name, fault in self.faults.items() if name not in shown]

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


def by_field(faults: Sequence[str]) -> dict[str, str]:
    """What is wrong with each field, of "field: what is wrong"; what names no field is there under ""."""
    found: dict[str, str] = {}
    for fault in faults:
        name, colon, what = fault.partition(": ")
        name, what = (name, what) if colon and " " not in name else ("", fault)
        found[name] = f"{found[name]}; {what}" if name in found else what
    return found


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
