"""The parts of a run, as faces show them: its text, steps, tools, files, usage and end. Pure: no I/O, no session.

`parser` makes them from Dify's events, so that faces need not know these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from duck.dify import events
from duck.dify.human_forms import HumanForm


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The run has begun. An id is "" if the app's kind does not have it.

    `is_restarted` tells that the answer is in another conversation than the requested one.
    """

    conversation_id: str = ""
    message_id: str = ""
    workflow_run_id: str = ""
    task_id: str = ""
    is_restarted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text that continues the answer. After a tool was used it begins with a blank line."""

    delta: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """All text so far is replaced by `text`. `reason` is Dify's word, such as `output_moderation`, and often ""."""

    text: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """Text that continues a model's reasoning. `is_final` tells that the reasoning is complete."""

    delta: str
    node_id: str = ""
    is_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A node, an iteration or a loop has started, begun its next round, ended, or will be tried again.

    `state` is `running`, `retry`, or Dify's word for how the step ended: `succeeded`, `failed`, `exception` (failed and handled).
    `id` is the same in all parts of one execution. `parent_id` is the `node_id` of the iteration or loop around the step, or "".
    `round` and `retry` count from 1, and are 0 if they do not apply.
    """

    id: str
    node_id: str = ""
    node_type: str = ""
    title: str = ""
    state: str = "running"
    parent_id: str = ""
    round: int = 0
    retry: int = 0
    seconds: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """An agent uses a tool. Each use gives two parts with the same `id`: one without an `output`, then one with it.

    `name` joins the names of several tools with `;`. `input` and `output` are text, mostly JSON with a field for each tool.
    `thought` repeats text of the answer.
    """

    id: str
    name: str
    thought: str = ""
    input: str = ""
    output: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A round, a thought or a call of an agent node in a workflow. `state` is `start`, `success` or `error`."""

    id: str
    label: str
    state: str
    parent_id: str = ""
    data: Any = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the answer. `url` may be relative to Dify's origin; `type` is Dify's word, such as `image` or `document`."""

    url: str
    name: str = ""
    type: str = ""
    mime_type: str = ""
    size: int | None = None  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document that the answer quotes. Guests get no `content`."""

    title: str
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All documents that the answer quotes, in their order."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The tokens that the run has used. `price` is a decimal number as text, "" if Dify gives none.

    For a workflow Dify gives the total only, which is counted as `completion_tokens`.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int
    price: str = ""
    currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """The outputs of a workflow that has succeeded, and the files among them."""

    values: Mapping[str, Any]
    files: tuple[File, ...] = ()

    def text(self) -> str:
        """The outputs as text, for a workflow that has streamed no text."""
        return events.text_of_outputs(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedForm:
    """A form for which the run waits. `url` is absolute, or relative to the request's."""

    token: str
    url: str
    title: str = ""
    form: HumanForm


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The run has ended without a failure. A run gives this at most once. `message` says why it was stopped.

    `forms` are those for which a `paused` run waits, if callers can fill them in. Guests get none.
    """

    state: Literal["succeeded", "partial-succeeded", "stopped", "paused"]
    message: str = ""
    seconds: float | None = None
    forms: tuple[PausedForm, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The run has failed. `message` is for people, and can be translated if it is a `duck.texts.Text`."""

    code: str
    message: str


type Part = Begun | Text | Replaced | Reasoning | Step | Tool | Log | File | Sources | Usage | Outputs | Ended | Failed
