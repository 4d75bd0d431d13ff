"""Scripted apps: what Dify answers in a test or in the demo. No I/O, no threads.

    App(mode="chat", script=say("Hello! You asked: {query}"))

is a complete app. The blocking answer is derived from the script, if the script ends as Dify's streams do.
"""

import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from devhost.asking import Ask, Filled
from devhost.files import Files

type Event = dict[str, Any]
type Mode = Literal["chat", "agent-chat", "advanced-chat", "workflow", "completion"]

CHAT_MODES = frozenset({"chat", "agent-chat", "advanced-chat"})  # they need a query and have conversations
FLOW_MODES = frozenset({"advanced-chat", "workflow"})  # they run a workflow
TOKEN_S = 0.03  # between two tokens, as with a fast model

# What `fetch_app` returns for an app without any configuration.
MINIMAL_FORM: Event = json.loads("""{
    "opening_statement": "", "suggested_questions": [], "suggested_questions_after_answer": {"enabled": false},
    "speech_to_text": {"enabled": false}, "text_to_speech": {"enabled": false, "voice": "", "language": ""},
    "retriever_resource": {"enabled": true}, "annotation_reply": {"enabled": false}, "more_like_this": {"enabled": false},
    "user_input_form": [], "sensitive_word_avoidance": {"enabled": false},
    "file_upload": {"image": {"enabled": false, "number_limits": 3, "detail": "high",
                              "transfer_methods": ["remote_url", "local_file"]}},
    "system_parameters": {"image_file_size_limit": 10, "video_file_size_limit": 100, "audio_file_size_limit": 50,
                          "file_size_limit": 15, "workflow_file_upload_limit": 10}
}""")
# The usage of a free model. Prices are strings in Dify.
USAGE: Event = json.loads("""{
    "prompt_tokens": 0, "prompt_unit_price": "0", "prompt_price_unit": "0", "prompt_price": "0", "completion_tokens": 0,
    "completion_unit_price": "0", "completion_price_unit": "0", "completion_price": "0", "total_tokens": 0, "total_price": "0",
    "currency": "USD", "latency": 0
}""")
# The fields of a workflow's run in a blocking answer; its events have more.
RUN_RESULT = ["id", "workflow_id", "status", "outputs", "error", "elapsed_time", "total_tokens", "total_steps", "created_at"]


@dataclass(frozen=True, slots=True)
class Pause:
    """A step of a script: waits for this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A step of a script, or a blocking answer: ends the call, and the plugin gets an exception with this text."""

    text: str

    @classmethod
    def http(cls, status: int, code: str, message: str) -> Self:
        """An HTTP error of Dify as it reaches a plugin: a text with Dify's JSON body, which ends in a newline."""
        body = json.dumps({"code": code, "message": message, "status": status}) + "\n"
        return cls(f"invoke app failed: request failed with status code: {status} and respond with: {body}")


# Dify's answer to unexpected errors, such as database errors and the defect of completion apps.
UNKNOWN_ERROR = Failure.http(500, "unknown", "Internal Server Error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One invocation of an app as it reaches Dify. A field that the plugin left out or sent as null is "" or {}.

    A script gets the inputs as the app's form prepares them. `by_key` is true for a call with the app's own key, false for a
    plugin's call. `attached` are files besides the inputs; only calls by key have them. `end_user` is the id of the app's end
    user, who owns the conversation; of plugins' calls only chats have one. `files` stores the files that the script creates.
    """

    app_id: str
    query: str
    inputs: dict[str, Any]
    response_mode: str
    conversation_id: str
    user: str
    by_key: bool = False
    attached: Sequence[Event] = ()
    end_user: str = ""
    files: Files = field(default_factory=Files, repr=False, compare=False)


type Step = Event | Pause | Failure | Ask
type Steps = Generator[Step, Filled, None]  # of a script that asks
type Script = Sequence[Step] | Callable[[Call], Iterable[Step]]
type Blocking = Event | Failure | Callable[[Call], Event | Failure]
type Form = Event | Failure | Callable[[], Event | Failure]


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One app of the workspace.

    `script` yields the steps of a streaming run: events (sent unchanged), `Pause`, `Failure` and `Ask`. It runs lazily in a
    thread of its own, so it may block. When its client leaves, the script of a workflow or chatflow goes on, and so does each
    blocking run; other scripts are closed. `blocking` is the answer of a blocking run; without it the script runs, and its events
    are folded into the answer. `form` is what `fetch_app` returns; without it the app has no variables. A form that is a dict
    with a `user_input_form` also validates the inputs of each run, as in Dify; with another form the script gets the inputs
    unchecked. Functions for `blocking` and `form` may block, too.

    A chatflow or workflow that is not `published` cannot run. Without `api_enabled` the Service API refuses the app's key.
    `site` changes fields of what the Service API says of the app's web page; None is an app without one.
    `max_active_requests` limits the runs by key at a time; None is no limit. With `for_plugins` a completion app answers
    plugins; in Dify up to 1.16 none does. `variables` are those of a chatflow's conversations, with their first values.
    `follow_ups` are the questions that Dify suggests after each answer; without them it suggests none.
    """

    mode: Mode
    script: Script = ()
    blocking: Blocking | None = None
    form: Form | None = None
    name: str = ""
    description: str = ""
    published: bool = True
    api_enabled: bool = True
    site: Event | None = field(default_factory=dict)
    max_active_requests: int | None = None
    for_plugins: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)
    follow_ups: Sequence[str] = ()

    def steps(self, call: Call) -> Iterator[Step]:
        """The steps of a streaming run. `proceed` gets the next one."""
        return iter(self.script(call) if callable(self.script) else self.script)

    def answer(self, call: Call) -> Event | Failure:
        """The answer of a blocking run, if it is not folded from the steps."""
        return self.blocking(call) if callable(self.blocking) else self.blocking or UNKNOWN_ERROR

    def fetch(self) -> Event | Failure:
        """What `fetch_app` returns."""
        if self.form is None:
            return MINIMAL_FORM
        return self.form() if callable(self.form) else self.form


def workflow_id(app_id: str) -> str:
    """The id of the published version of the app's workflow."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, app_id))


def proceed(steps: Iterator[Step], filled: Filled | None) -> Step:
    """The next step; a step before it that was an `Ask` gets the value `filled`. Raises `StopIteration` at the end."""
    return steps.send(filled) if filled is not None and isinstance(steps, Generator) else next(steps)


@dataclass(frozen=True, slots=True)
class Message:
    """Makes the events of one answer, with the fields of Dify 1.16. Without a conversation it is a completion app's answer."""

    call: Call
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: float = field(default_factory=time.time)

    def event(self, name: str, **fields: Any) -> Event:
        """An event of a chat or completion app."""
        conversation = {"conversation_id": self.call.conversation_id} if self.call.conversation_id else {}
        common = {"message_id": self.id, "created_at": int(self.began), "task_id": self.task_id}
        return {"event": name, **conversation, **common, **fields}

    def say(
        self,
        text: str,
        *,
        pace: float = TOKEN_S,
        name: str = "message",
        selector: Iterable[str] = (),
        breaks_off: bool = False,
    ) -> Iterator[Step]:
        """The text as deltas of a word, `pace` seconds apart; `name` is `message` or `agent_message`.

        As in Dify 1.16, an empty delta ends the text, or two if the model runs in a workflow's node (then `selector` names its
        output). A model that `breaks_off` sends no empty delta.
        """
        more = {} if name == "agent_message" else {"from_variable_selector": list(selector)}
        for token in tokens(text):
            yield self.event(name, id=self.id, answer=token, **more)
            yield Pause(pace)
        if not breaks_off:
            yield from [self.event(name, id=self.id, answer="", **more)] * (2 if selector else 1)

    def end(self, answer: str, *, files: Iterable[Event] = (), resources: Iterable[Event] = (), **more: Any) -> Event:
        """The `message_end`; `more` goes into its metadata."""
        metadata = {**more, "retriever_resources": list(resources), "usage": self.usage(answer), "reasoning": {}}
        return self.event("message_end", id=self.id, metadata=metadata, files=list(files))

    def error(self, code: str, status: int, message: str) -> Event:
        """The `error` event that ends an answer. It has no task id."""
        error = self.event("error", code=code, status=status, message=message)
        return {key: value for key, value in error.items() if key != "task_id"}

    def usage(self, answer: str) -> Event:
        """The usage that the events report for this answer."""
        count = len(tokens(answer))
        latency = round(time.time() - self.began, 4)
        return USAGE | {"completion_tokens": count, "total_tokens": count, "latency": latency}


def say(text: str, pace: float = TOKEN_S) -> Callable[[Call], Iterator[Step]]:
    """The script of a chat or completion app that answers with this text, a word every `pace` seconds.

    `{query}` and the names of inputs (`{city}`) are replaced by their values; other braces stay unchanged.
    """

    def script(call: Call) -> Iterator[Step]:
        if call.query and not call.conversation_id:  # only chats have a query
            call = replace(call, conversation_id=str(uuid.uuid4()))
        values = {**call.inputs, "query": call.query}
        answer = re.sub(r"\{(\w+)\}", lambda match: str(values.get(match[1], match[0])), text)
        message = Message(call)
        yield from message.say(answer, pace=pace)
        yield message.end(answer)

    return script


def fold(mode: Mode, events: Iterable[Event], *, by_key: bool = False) -> Event | Failure:
    """The blocking answer of a run that streams these events: an "Internal Server Error" if the final event is missing.

    Dify answers a failed chat with 400, but a failed workflow, and a paused workflow or chatflow, with a dict.
    """
    text, ends = "", dict[str, Event]()
    for event in events:
        match event:
            case {"event": "error", "code": code, "message": message}:
                return _error_answer(code, message, by_key=by_key)
            case {"event": "message" | "message_file", "answer": delta}:
                text += delta
            case {"event": "message_replace", "answer": whole}:
                text = whole
            case {"event": "message_end" | "workflow_started" | "workflow_paused" | "workflow_finished" as name}:
                ends[name] = event
    if mode == "workflow" and (end := ends.get("workflow_finished") or ends.get("workflow_paused")):
        return _run_answer({**ends["workflow_started"]["data"], **end["data"]}, end)
    if pause := ends.get("workflow_paused"):
        return _paused_answer(pause, text)
    return _message_answer(ends["message_end"], mode, text) if "message_end" in ends else UNKNOWN_ERROR


def _error_answer(code: str, message: str, *, by_key: bool) -> Failure:
    """The blocking answer to an `error` event: `invalid_param` for plugins, the event's code for callers by key.

    A rate limit has no code of its own there, nor has an error that the model's plugin does not name.
    """
    if code == "internal_server_error":
        return UNKNOWN_ERROR
    if message.startswith("{") and '"error_type"' in message:  # the model's plugin does not name its errors
        code, message = "completion_request_error", f"req_id: {secrets.token_hex(5)} PluginInvokeError: {message}"
    if code == "rate_limit_error":
        code = "completion_request_error"
    return Failure.http(400, code if by_key else "invalid_param", message)


def _run_answer(data: Event, end: Event) -> Event:
    waits = {name: data[name] for name in ("paused_nodes", "reasons") if name in data}
    result = {name: data.get(name) for name in (*RUN_RESULT, "finished_at")} | waits
    return {"task_id": end["task_id"], "workflow_run_id": end["workflow_run_id"], "data": result}


def _paused_answer(pause: Event, text: str) -> Event:
    """The answer of a chatflow that waits for a person."""
    metadata: Event = {"annotation_reply": None, "retriever_resources": [], "usage": None, "reasoning": {}}
    ids = {"id": pause["message_id"], "message_id": pause["message_id"], "conversation_id": pause["conversation_id"]}
    message = {**ids, "mode": "advanced-chat", "answer": text, "metadata": metadata, "created_at": pause["created_at"]}
    data = {**message, **{name: value for name, value in pause["data"].items() if name not in {"outputs", "created_at"}}}
    run: Event = {"workflow_run_id": pause["workflow_run_id"], "data": data}
    return {"event": "workflow_paused", "task_id": pause["task_id"], **message, **run}


def _message_answer(end: Event, mode: Mode, text: str) -> Event:
    nulls = {"page": None, "title": None, "files": None, "summary": None}  # the streams of basic apps lack them
    resources = [nulls | resource for resource in end["metadata"]["retriever_resources"]]
    usage = {"time_to_first_token": None, "time_to_generate": None} | end["metadata"].get("usage", {})
    metadata = {"annotation_reply": None, **end["metadata"], "retriever_resources": resources, "usage": usage}
    common = {key: value for key, value in end.items() if key != "files"}
    return common | {"event": "message", "mode": mode, "answer": text, "metadata": metadata}


def tokens(text: str) -> list[str]:
    """The words of the text, each with the whitespace before it."""
    return re.findall(r"\s*\S+", text)
