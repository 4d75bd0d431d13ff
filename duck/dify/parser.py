"""Parses a run's events into parts. Pure: no I/O, no session.

The fields of Dify's events differ between kinds of apps and versions, and guests' events have fewer. An unknown event gives no
parts, and a field of an unexpected type counts as missing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from duck.dify import events, failures, human_forms
from duck.dify.parts import (
    Begun,
    Ended,
    Failed,
    File,
    Log,
    Outputs,
    Part,
    PausedForm,
    Reasoning,
    Replaced,
    Source,
    Sources,
    Step,
    Text,
    Tool,
    Usage,
)
from duck.streams.format import Event

MAX_NUMBER = 10**15  # larger numbers cannot be seconds, bytes or tokens, and Python may refuse to print them
# The state of a step by the name of its event; "" stands for the event's `status`.
_STEP_STATES: Mapping[str, str] = {
    **dict.fromkeys(("node_started", "iteration_started", "loop_started", "iteration_next", "loop_next"), "running"),
    "node_retry": "retry",
    **dict.fromkeys(("node_finished", "iteration_completed", "loop_completed"), ""),
}
_TEXT_EVENTS = frozenset({"message", "agent_message", "text_chunk"})  # most of all events: they have text and no other part
_IDS = ("conversation_id", "message_id", "workflow_run_id", "task_id")


class Parser:
    """Parses the events of one run, one at a time."""

    def __init__(self) -> None:
        self._answer = events.Answer()
        self._has_begun = self._is_over = False
        self._tools: set[tuple[str, bool]] = set()  # uses of tools that were returned: ids, and whether with the output
        self._files: set[str] = set()  # ids and addresses of the files that were returned

    @property
    def text(self) -> str:
        """All text so far."""
        return str(self._answer)

    def parse(self, event: Event) -> list[Part]:
        """The parts of the next event, often none."""
        found: list[Part] = []
        if not self._has_begun and (begun := _begun(event)):
            self._has_begun = True
            found.append(begun)
        name = event["event"]
        if delta := self._answer.add(event):
            found.append(Text(delta=delta))
        elif name in events.REPLACE_EVENTS and (text := events.replacement_of(event)) is not None:
            found.append(Replaced(text=text, reason=_text(event, "reason")))
        if name not in _TEXT_EVENTS:
            found.extend(self._other_parts(event))
        return found

    def _other_parts(self, event: Event) -> Iterator[Part]:
        """The parts of an event that are not text."""
        match event["event"]:
            case "message_file" if event.get("belongs_to") != "user":
                yield from self._file(event)
            case "agent_thought":
                yield from self._tool(event)
            case name if name in _STEP_STATES:
                yield from _step(event, _STEP_STATES[name])
            case "agent_log":
                yield _log(event)
            case "reasoning_chunk":
                yield from _reasoning(event)
            case "message_end":
                yield from self._message_end(event)
            case "workflow_finished":
                yield from self._workflow_end(event)
            case "workflow_paused":
                seconds = _number(events.data_of(event).get("elapsed_time"))
                forms = tuple(_forms(event))
                yield from self._end(Ended(state="paused", seconds=seconds, forms=forms))
            case "error":
                yield self._error(event)

    def _tool(self, event: Event) -> Iterator[Tool]:
        """Dify sends each thought several times, each time with more of its fields filled."""
        id_, name, output = _text(event, "id"), _text(event, "tool"), _text(event, "observation")
        thought, input_ = _text(event, "thought"), _text(event, "tool_input")
        if (name or output) and (id_, False) not in self._tools:
            self._tools.add((id_, False))
            yield Tool(id=id_, name=name, thought=thought, input=input_)
        if output and (id_, True) not in self._tools:
            self._tools.add((id_, True))
            yield Tool(id=id_, name=name, thought=thought, input=input_, output=output)

    def _file(self, value: object) -> Iterator[File]:
        """Dify sends a file again at the end, with another id and another signature in its address."""
        if file := file_of(value):
            fields = _mapping(value)
            keys = {file.url.partition("?")[0], _text(fields, "id"), _text(fields, "related_id")} - {""}
            if self._files.isdisjoint(keys):
                yield file
            self._files |= keys

    def _message_end(self, event: Event) -> Iterator[Part]:
        metadata = _mapping(event.get("metadata"))
        usage = _mapping(metadata.get("usage"))
        for file in _list(event.get("files")):
            yield from self._file(file)
        if sources := tuple(map(_source, filter(_mapping, _list(metadata.get("retriever_resources"))))):
            yield Sources(sources=sources)
        if (total := _integer(usage.get("total_tokens"))) is not None:
            yield Usage(
                prompt_tokens=_integer(usage.get("prompt_tokens")) or 0,
                completion_tokens=_integer(usage.get("completion_tokens")) or 0,
                total_tokens=total,
                price=_text(usage, "total_price"),
                currency=_text(usage, "currency"),
            )
        yield from self._end(Ended(state="succeeded", seconds=_number(usage.get("latency"))))

    def _workflow_end(self, event: Event) -> Iterator[Part]:
        data = events.data_of(event)
        status, seconds = _text(data, "status"), _number(data.get("elapsed_time"))
        reason = failures.readable(_text(data, "error") or status)
        if events.was_stopped(event):
            yield from self._end(Ended(state="stopped", message=reason, seconds=seconds))
        elif events.kind_of(event) == "chat":
            return  # such a run ends with a `message_end` or an `error`
        elif status == "failed":
            yield self._failure("workflow_failed", reason)
        else:
            if (total := _integer(data.get("total_tokens"))) is not None:
                yield Usage(completion_tokens=total, total_tokens=total)
            outputs = _mapping(data.get("outputs"))
            # A blocking answer has no list of the files.
            files = _list(data["files"]) if "files" in data else events.files_of_outputs(outputs)
            yield Outputs(values=outputs, files=tuple(filter(None, map(file_of, files))))
            is_partial = status == "partial-succeeded"
            yield from self._end(Ended(state="partial-succeeded" if is_partial else "succeeded", seconds=seconds))

    def _error(self, event: Event) -> Failed:
        error = failures.from_event(event, kind="")
        code = error.code if error.status == 429 else _text(event, "code")  # for a model's rate limit Dify may use another code
        return self._failure(code, failures.readable(_text(event, "message") or code or error.message))

    def _end(self, end: Ended) -> Iterator[Ended]:
        """A chatflow that was stopped may end twice, as a workflow and as a message; the first end counts."""
        if not self._is_over:
            self._is_over = True
            yield end

    def _failure(self, code: str, message: str) -> Failed:
        self._is_over = True
        return Failed(code=code, message=message)


def file_of(value: object) -> File | None:
    """A file as Dify describes it in events and outputs; None for a value without an address."""
    fields = _mapping(value)
    if not (url := _text(fields, "url", "remote_url")):
        return None
    type_ = _text(fields, "type")
    name = _text(fields, "filename") or url.partition("?")[0].rpartition("/")[2] or type_
    return File(url=url, name=name, type=type_, mime_type=_text(fields, "mime_type"), size=_integer(fields.get("size")))


def _begun(event: Event) -> Begun | None:
    ids = {name: _text(event, name) for name in _IDS}
    return Begun(**ids, is_restarted=event.get(events.RESTARTED) is True) if any(ids.values()) else None


def _step(event: Event, state: str) -> Iterator[Step]:
    data = events.data_of(event)
    index, is_next = _integer(data.get("index")), event["event"].endswith("_next")
    if is_next and index is None:
        return
    yield Step(
        id=_text(data, "id"),
        node_id=_text(data, "node_id"),
        node_type=_text(data, "node_type"),
        title=_text(data, "title", "node_type"),
        state=state or _text(data, "status") or "succeeded",
        parent_id=_text(data, "iteration_id", "loop_id"),
        round=(index or 0) + 1 if is_next else 0,
        retry=_integer(data.get("retry_index")) or 0,
        seconds=_number(data.get("elapsed_time")),
        error=failures.readable(_text(data, "error")),
    )


def _log(event: Event) -> Log:
    data = events.data_of(event)
    return Log(
        id=_text(data, "id"),
        parent_id=_text(data, "parent_id"),
        label=_text(data, "label"),
        state=_text(data, "status"),
        data=data.get("data"),
        error=_text(data, "error"),
    )


def _reasoning(event: Event) -> Iterator[Reasoning]:
    data = events.data_of(event)
    delta, is_final = _text(data, "reasoning"), data.get("is_final") is True
    if delta or is_final:
        yield Reasoning(delta=delta, node_id=_text(data, "node_id"), is_final=is_final)


def _forms(event: Event) -> Iterator[PausedForm]:
    reasons = {_text(each, "form_token"): each for each in map(_mapping, _list(events.data_of(event).get("reasons")))}
    for fields in map(_mapping, _list(event.get(human_forms.FORMS))):
        token = _text(fields, "form_token")
        reason = reasons.get(token, {})
        yield PausedForm(
            token=token,
            url=_text(fields, "url"),
            title=_text(fields, "node_title"),
            form=human_forms.read({**reason, "user_actions": reason.get("actions")}),
        )


def _source(fields: Mapping[str, Any]) -> Source:
    return Source(title=_text(fields, "title", "document_name"), content=_text(fields, "content"))


def _text(fields: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that is a text and not empty, else "". A `duck.texts.Text` stays one."""
    return next((value for name in names if isinstance(value := fields.get(name), str) and value), "")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value < MAX_NUMBER else None


def _integer(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
