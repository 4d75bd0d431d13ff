"""Forms that people fill in while a run waits for them. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from duck.dify import events
from duck.errors import invalid_fields
from duck.runs import attachments, files
from duck.runs.fields import Files, Texts
from duck.streams.format import Event
from duck.texts import Fault, Text

FORMS = "forms"  # Duck adds this field to a pause: the forms for which the run waits
_FIELDS = ("form_content", "inputs", "resolved_default_values", "user_actions", "expiration_time")


@dataclass(frozen=True, slots=True, kw_only=True)
class FormInput:
    """One input. `type` is `paragraph`, `select`, `file`, `file-list`, or one that Dify may add later.

    Dify has no labels, so people read the `name`. `limit` is how many files a `file-list` takes, 0 if it is not told.
    """

    name: str
    type: str
    default: str = ""
    options: tuple[str, ...] = ()
    file_types: tuple[str, ...] = ()
    file_extensions: tuple[str, ...] = ()
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One button. `style` is `primary`, `default`, `accent` or `ghost`."""

    id: str
    title: str
    style: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanForm:
    """A form. `content` is Markdown, in which `{{#$output.NAME#}}` is the place of an input.

    `expires_at` is in seconds since the epoch. `document` has all of it as Dify tells it.
    """

    content: str
    inputs: tuple[FormInput, ...]
    actions: tuple[Action, ...]
    expires_at: float | None
    document: Mapping[str, Any]


def read(fields: Mapping[str, Any]) -> HumanForm:
    """A form as Dify's `GET /form/human_input/…` describes it."""
    defaults = _mapping(fields.get("resolved_default_values"))
    actions = [_mapping(each) for each in _list(fields.get("user_actions"))]
    expires_at = fields.get("expiration_time")
    return HumanForm(
        content=str(fields.get("form_content") or ""),
        inputs=tuple(_input(_mapping(each), defaults) for each in _list(fields.get("inputs"))),
        actions=tuple(
            Action(id=str(each.get("id")), title=str(each.get("title") or each.get("id")), style=str(each.get("button_style")))
            for each in actions
        ),
        expires_at=float(expires_at) if isinstance(expires_at, int | float) else None,
        document={name: fields.get(name) for name in _FIELDS},
    )


def _input(fields: Mapping[str, Any], defaults: Mapping[str, Any]) -> FormInput:
    name, limit = str(fields.get("output_variable_name")), fields.get("number_limits")
    default = defaults.get(name, _mapping(fields.get("default")).get("value"))
    return FormInput(
        name=name,
        type=str(fields.get("type")),
        default=str(default or ""),
        options=_texts(_mapping(fields.get("option_source")).get("value")),
        file_types=_texts(fields.get("allowed_file_types")),
        file_extensions=_texts(fields.get("allowed_file_extensions")),
        limit=limit if isinstance(limit, int) else 0,
    )


def fill(form: HumanForm, given: Mapping[str, Any], action: str) -> dict[str, Any]:
    """The inputs as Dify takes them, but with files that still have to be uploaded. A missing input gets its default.

    A file may be a link. Raises `DuckError` 400 with all that does not fit the form.
    """
    faults: list[Fault] = []
    if action not in {each.id for each in form.actions}:
        known = ", ".join(each.id for each in form.actions)
        faults.append(Fault("action", Text("must be one of {options}", options=known)))
    filled: dict[str, Any] = {}
    for each in form.inputs:
        value = _value(each, given.get(each.name))
        if value is None:
            faults.append(Fault(f"inputs.{each.name}", Text("required")))
        elif any(map(attachments.refers_to_upload, value if isinstance(value, list) else [value])):
            faults.append(Fault(f"inputs.{each.name}", attachments.NO_IDS))
        else:
            filled[each.name] = value
    if faults:
        raise invalid_fields(faults)
    return filled


def _value(field: FormInput, given: Any) -> Any:
    """The value of an input, None if a required one is missing."""
    if isinstance(given, Texts | Files):
        given = list(given) if field.type == "file-list" or len(given) > 1 else given[0]
    match field.type:
        case "file-list":
            values = given if isinstance(given, list) else [given]
            return [_file(value) for value in values if value not in (None, "")]
        case "file":
            return _file(given) if given else None
        case "select":
            return given or None
    return field.default if given is None else given


def _file(value: Any) -> Any:
    """A file of a form: a link becomes one that Dify fetches."""
    if isinstance(value, str) and (name := files.name_in(value)) is not None:
        return files.link(value, files.kind_of(name))
    return value


def named(event: Event, link: Callable[[str], str]) -> Event:
    """A pause, or the answer of a run that has paused, with its forms under `forms`. `link` gives the address for a token."""
    found = [_mapping(each) for each in _list(events.data_of(event).get("reasons"))]
    forms = [
        {
            "form_token": token,
            "url": link(token),
            "node_title": str(each.get("node_title") or ""),
            "expiration_time": each.get("expiration_time"),
        }
        for each in found
        if isinstance(token := each.get("form_token"), str) and token
    ]
    return {**event, FORMS: forms} if forms else event


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, _list(value)))
