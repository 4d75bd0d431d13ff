"""Calls of OpenAI's routes, with a Dify that refuses calls for another kind of app as Dify 1.16 does."""

import functools
import json
import uuid
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from openai._streaming import SSEDecoder
from werkzeug import Response

from duck.dify.session import SessionGateway
from duck.faces.openai import serve
from duck.runs.run import Kind
from tests.support import APP, KEY, Dify, body_of, http_error, json_of, make_request

OTHER_KEY, OTHER = "another-right-key", "3d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a44"
SETTINGS: Mapping[str, Any] = {
    "api_key": f"{KEY} {OTHER_KEY}",
    "default_app": {"app_id": APP},
    "apps": f"talk={APP}, other={OTHER}",
    "public_apps": "talk other",
}
CITY = {"user_input_form": [{"text-input": {"variable": "city"}}]}
MISSING_QUERY = http_error(400, "invalid_param", "missing query")
WRONG_INPUT = http_error(400, "invalid_param", "(type 'text-input') city in input form must be a string")
NO_REASON = http_error(500, "unknown", "Internal Server Error")


class App(Dify):
    """An app of one kind. What it runs is in `calls`, what it refuses before a run is in `refused`."""

    def __init__(self, kind: Kind = "chat", *, form: Any = None, **script: Any) -> None:
        super().__init__(form=CITY if form is None else form, **script)
        self.kind = kind
        self.refused: list[dict[str, Any]] = []
        kinds: tuple[Kind, ...] = ("chat", "workflow", "completion")
        self.app.__dict__.update({name: SimpleNamespace(invoke=functools.partial(self._invoked, name)) for name in kinds})

    def _invoked(self, kind: Kind, **call: Any) -> Any:
        refusal = None
        if self.kind == "chat" and "query" not in call:
            refusal = MISSING_QUERY
        elif self.kind == "completion":
            refusal = NO_REASON
        elif any(value in (5, "x") for value in call["inputs"].values()):
            refusal = WRONG_INPUT
        if refusal:
            self.refused.append({"kind": kind, **call})
            raise refusal
        return self.invoke(**call, kind=kind)


class Talk(App):
    """A chat that answers "No. <n>" to the n-th message of a conversation, by `answers` once these are given."""

    def __init__(self, *answers: Any, **script: Any) -> None:
        super().__init__(**script)
        self.answers = [*answers]
        self.said: dict[str, list[str]] = {}  # the queries of each conversation

    def invoke(self, **call: Any) -> Any:
        self.calls.append(call)
        conversation_id = call["conversation_id"] or str(uuid.uuid4())
        if self.answers and isinstance(answer := self.answers.pop(0), Exception):
            raise answer
        said = self.said.setdefault(conversation_id, [])
        said.append(call["query"])
        ids = {"conversation_id": conversation_id, "message_id": str(uuid.uuid4()), "task_id": "t"}
        text = f"No. {len(said)}"
        if call["response_mode"] == "streaming":
            events: list[dict[str, Any]] = [{"event": "message", "answer": text}, {"event": "message_end", "metadata": {}}]
            return ({**event, **ids} for event in events)
        return {"event": "message", **ids, "mode": "chat", "answer": text, "metadata": {}}

    @property
    def conversations(self) -> list[list[str]]:
        """What was said in each conversation, in the order of their beginnings."""
        return [*self.said.values()]


type Handler = Callable[..., Response]


def call(handler: Handler, dify: Dify, body: Any, *, settings: Mapping[str, Any] = SETTINGS, **options: Any) -> Response:
    """One POST; `options` are those of `make_request`."""
    content = {"data": body} if isinstance(body, bytes) else {"json": body}
    return handler(
        make_request(path=options.pop("path", "/v1/chat/completions"), **content, **options), settings, SessionGateway(dify)
    )


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def chat(dify: Dify, *messages: Any, key: str | None = KEY, settings: Mapping[str, Any] = SETTINGS, **body: Any) -> Response:
    """A Chat Completion of these messages, "Hi" if there are none."""
    whole = {"model": "talk", "messages": [*messages] or [user("Hi")], **body}
    return call(serve.completions, dify, whole, key=key, settings=settings)


def respond(
    dify: Dify, given: Any = "Hi", *, key: str | None = KEY, settings: Mapping[str, Any] = SETTINGS, **body: Any
) -> Response:
    """A response to this input."""
    return call(
        serve.responses, dify, {"model": "talk", "input": given, **body}, key=key, settings=settings, path="/v1/responses"
    )


def events_of(response: Response | bytes, *, cut: int | None = None) -> list[Any]:
    """The events of a stream as OpenAI's client reads them, [DONE] as a text. The stream comes in pieces of `cut` bytes."""
    body = response if isinstance(response, bytes) else body_of(response)
    pieces = [body[at : at + (cut or len(body))] for at in range(0, len(body), cut or len(body))]
    found = [*SSEDecoder().iter_bytes(iter(pieces))]
    return [event.data if event.data == "[DONE]" else json.loads(event.data) for event in found]


def fault(response: Response) -> tuple[int, Any, Any]:
    """Status, code and param of an answer; the last two are None if it is no error."""
    error = json_of(response).get("error") or {}
    return response.status_code, error.get("code"), error.get("param")
