"""Scripted apps: what a test, or the demo, lets Dify answer. Pure: no I/O, no threads."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

type Event = dict[str, Any]
type Mode = Literal["chat", "agent-chat", "advanced-chat", "workflow", "completion"]

CHAT_MODES = frozenset({"chat", "agent-chat", "advanced-chat"})  # those that need a query and hold conversations

# What Dify tells of the form of an app for which nothing was ever configured.
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


@dataclass(frozen=True, slots=True)
class Pause:
    """A step of a script: nothing happens for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A step of a script, or a blocking answer: the call ends, and the plugin gets an exception with this text."""

    text: str

    @classmethod
    def http(cls, status: int, code: str, message: str) -> Self:
        """How an HTTP error of Dify's reaches a plugin: as text, with Dify's JSON body and its newline at the end."""
        body = json.dumps({"code": code, "message": message, "status": status}) + "\n"
        return cls(f"invoke app failed: request failed with status code: {status} and respond with: {body}")


# What Dify says when it has nothing to say: database errors and the completion defect among others.
UNKNOWN_ERROR = Failure.http(500, "unknown", "Internal Server Error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One invocation of an app as it reaches Dify; what the plugin left out or sent as null is "" or {}."""

    app_id: str
    query: str
    inputs: dict[str, Any]
    response_mode: str
    conversation_id: str
    user: str


type Step = Event | Pause | Failure
type Script = Sequence[Step] | Callable[[Call], Iterable[Step]]
type Blocking = Event | Failure | Callable[[Call], Event | Failure]
type Form = Event | Failure | Callable[[], Event | Failure]


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One app of the workspace.

    `script` gives the steps of a streaming run: events (sent as they are), `Pause` and `Failure`. It is stepped lazily
    in a thread of its own, so it may block, and it is closed when the client leaves. `blocking` gives the answer of a
    blocking run; without one such a run is an "Internal Server Error", since the answer cannot be told from the
    script. `form` is what `fetch_app` gives; without one it is that of an app with no variables. Functions given for
    `blocking` and `form` may block, too.
    """

    mode: Mode
    script: Script = ()
    blocking: Blocking = UNKNOWN_ERROR
    form: Form | None = None

    def steps(self, call: Call) -> Iterable[Step]:
        """The steps of a streaming run."""
        return self.script(call) if callable(self.script) else self.script

    def answer(self, call: Call) -> Event | Failure:
        """The answer of a blocking run."""
        return self.blocking(call) if callable(self.blocking) else self.blocking

    def fetch(self) -> Event | Failure:
        """What `fetch_app` gives."""
        if self.form is None:
            return MINIMAL_FORM
        return self.form() if callable(self.form) else self.form
