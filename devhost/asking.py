"""Forms for which a run waits: a step of a script, the form as Dify keeps it, and its events. No I/O."""

import re
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from devhost.timeline import Timeline

type Event = dict[str, Any]

EXPIRES_S = 259_200  # Dify's default: three days
FIELDS = ("form_id", "node_id", "node_title", "form_content", "inputs", "actions", "form_token", "approval_channels")


@dataclass(frozen=True, slots=True)
class Filled:
    """What a person has answered: the id of an action, and the inputs by name. The action is "" if the form has expired."""

    action: str
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """A step of a workflow's or chatflow's script: the run pauses until a person fills in a form. Its value is `Filled`.

        answer = yield Ask("Please check: {{#$output.comment#}}", inputs=[paragraph("comment")], actions={"ok": "Fine"})

    devhost sends the events of the pause, and later those of the answer, with the ids of the script's first event. `content` is
    Markdown, in which `{{#$output.NAME#}}` is the place of an input. `paragraph`, `select`, `file` and `file_list` make
    `inputs`. `actions` maps the ids of buttons to their labels. `defaults` are values that the workflow has computed.
    """

    content: str
    _: KW_ONLY
    inputs: Sequence[Event] = ()
    actions: Mapping[str, str] = field(default_factory=lambda: {"submit": "Submit"})
    defaults: Mapping[str, str] = field(default_factory=dict)
    node_id: str = "human-input"
    title: str = "Human input"
    expires_s: float = EXPIRES_S


def paragraph(name: str, default: str = "") -> Event:
    """A text of several lines."""
    return {"output_variable_name": name, "type": "paragraph", "default": {"type": "constant", "selector": [], "value": default}}


def select(name: str, options: Sequence[str]) -> Event:
    """One of several options."""
    source = {"type": "constant", "selector": [], "value": list(options)}
    return {"output_variable_name": name, "type": "select", "option_source": source}


def file(name: str, types: Sequence[str] = ("image", "document")) -> Event:
    """A file of one of these types."""
    allowed = {"allowed_file_types": list(types), "allowed_file_extensions": []}
    return {"output_variable_name": name, "type": "file", **allowed, "allowed_file_upload_methods": ["local_file", "remote_url"]}


def file_list(name: str, types: Sequence[str] = ("image", "document"), limit: int = 5) -> Event:
    """Files of these types."""
    return {**file(name, types), "type": "file-list", "number_limits": limit}


class InvalidFormError(ValueError):
    """What was submitted does not fit the form."""


class WaitingForm:
    """A form that a run has opened. `common` are the ids of the run's events, `now` is in seconds."""

    def __init__(self, ask: Ask, app_id: str, common: Event, timeline: Timeline) -> None:
        self.ask = ask
        self.app_id = app_id
        self.common = common
        self.id, self.token = str(uuid.uuid4()), secrets.token_urlsafe(16)
        self.opened_at = timeline.now()
        self.expires_at = self.opened_at + ask.expires_s
        self.filled: Filled | None = None
        self._timeline = timeline
        self._lock = threading.Lock()

    @property
    def is_submitted(self) -> bool:
        """Whether a person has filled it in."""
        return self.filled is not None and bool(self.filled.action)

    @property
    def is_expired(self) -> bool:
        """Whether nobody has filled it in in time."""
        return not self.is_submitted and self._timeline.now() >= self.expires_at

    def definition(self) -> Event:
        """The fields that the event and the reason of the pause share."""
        styles = ["primary", *["default"] * len(self.ask.actions)]
        actions = [
            {"id": name, "title": title, "button_style": style}
            for (name, title), style in zip(self.ask.actions.items(), styles, strict=False)
        ]
        values: tuple[Any, ...] = (
            self.id,
            self.ask.node_id,
            self.ask.title,
            self.ask.content,
            list(self.ask.inputs),
            actions,
            self.token,
            [],
        )
        more: Event = {"resolved_default_values": dict(self.ask.defaults), "expiration_time": int(self.expires_at)}
        return dict(zip(FIELDS, values, strict=True)) | more

    def opening(self, paused: Event) -> Iterator[Event]:
        """The events of the pause. `paused` has what the second one tells of the run."""
        definition = self.definition()
        yield {**self.common, "event": "human_input_required", "data": {**definition, "display_in_ui": True}}
        reasons = [{"TYPE": "human_input_required", **definition}]
        data: Event = {"paused_nodes": [self.ask.node_id], "outputs": {}, "reasons": reasons, "status": "paused"}
        yield {**self.common, "event": "workflow_paused", "data": {**data, **paused}}

    def closing(self) -> Event:
        """The event that tells of the answer, or that the form has expired."""
        node: Event = {"node_id": self.ask.node_id, "node_title": self.ask.title}
        if self.filled is None or not self.filled.action:
            data = {**node, "expiration_time": int(self.expires_at)}
            return {**self.common, "event": "human_input_form_timeout", "data": data}
        data = {**self.submission(), "submitted_data": dict(self.filled.inputs)}
        return {**self.common, "event": "human_input_form_filled", "data": data}

    def submission(self) -> Event:
        """What was submitted, as text."""
        filled = self.filled or Filled("")
        node: Event = {"node_id": self.ask.node_id, "node_title": self.ask.title}
        node |= {"rendered_content": self._rendered(filled.inputs), "action_id": filled.action}
        return node | {"action_text": self.ask.actions.get(filled.action, "")}

    def check(self, action: str, inputs: Mapping[str, Any]) -> None:
        """Raises `InvalidFormError` if this cannot be submitted."""
        if action not in self.ask.actions:
            raise InvalidFormError(f"Invalid action: {action}")
        if missing := [name for about in self.ask.inputs if (name := about["output_variable_name"]) not in inputs]:
            raise InvalidFormError(f"Missing required inputs: {', '.join(missing)}")
        for about in self.ask.inputs:
            name = about["output_variable_name"]
            if not _fits(about, inputs[name]):
                raise InvalidFormError(f"Invalid value for {about['type']} input: {name}")

    def settle(self, filled: Filled) -> bool:
        """Takes the first outcome, and returns whether this is the first."""
        with self._lock:
            is_first = self.filled is None
            self.filled = self.filled or filled
        self._timeline.wake()
        return is_first

    def wait(self, is_cancelled: Callable[[], bool]) -> None:
        """Blocks until the form is filled in or has expired, or the run `is_cancelled`."""

        def is_over() -> bool:
            return self.filled is not None or self.is_expired or is_cancelled()

        while not is_over():
            self._timeline.sleep(max(0.0, self.expires_at - self._timeline.now()), is_over)
        if not is_cancelled():
            self.settle(Filled(""))

    def _rendered(self, inputs: Mapping[str, Any]) -> str:
        return re.sub(r"\{\{#\$output\.(\w+)#\}\}", lambda place: str(inputs.get(place[1], "")), self.ask.content)


@dataclass(frozen=True, slots=True)
class Awaiting:
    """A run's answer ends here, and the run waits for the form. It goes on without its caller."""

    form: WaitingForm


def _fits(about: Event, value: Any) -> bool:
    match about["type"]:
        case "select":
            return value in about["option_source"]["value"]
        case "file":
            return isinstance(value, dict)
        case "file-list":
            is_list = isinstance(value, list) and all(isinstance(item, dict) for item in value)
            return is_list and len(value) <= about["number_limits"]
    return isinstance(value, str)
