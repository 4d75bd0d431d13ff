"""Calls of Anthropic's routes."""

import json
from collections.abc import Mapping
from typing import Any

from anthropic._streaming import SSEDecoder
from werkzeug import Response

from duck.faces.anthropic import serve
from tests.openai_calls import SETTINGS, call, user
from tests.support import KEY, Dify, body_of, json_of

PATH = "/v1/messages"
VERSION = {"anthropic-version": "2026-10-21"}  # the header that Anthropic's clients send


def ask(dify: Dify, *messages: Any, key: str | None = KEY, settings: Mapping[str, Any] = SETTINGS, **body: Any) -> Response:
    """A message that answers these, "Hi" if there are none."""
    whole = {"model": "talk", "max_tokens": 1024, "messages": [*messages] or [user("Hi")], **body}
    return call(serve.messages, dify, whole, key=key, settings=settings, path=PATH, headers=VERSION)


def events_of(response: Response | bytes, *, cut: int | None = None) -> list[dict[str, Any]]:
    """The events of a stream as Anthropic's client reads them. The stream comes in pieces of `cut` bytes."""
    body = response if isinstance(response, bytes) else body_of(response)
    pieces = [body[at : at + (cut or len(body))] for at in range(0, len(body), cut or len(body))]
    found = [(event.event, json.loads(event.data)) for event in SSEDecoder().iter_bytes(iter(pieces))]
    assert [name for name, _ in found] == [data["type"] for _, data in found]
    return [data for _, data in found]


def text_of(response: Response) -> str:
    """The text of a whole answer."""
    [block] = json_of(response)["content"]
    return str(block["text"])


def streamed(events: list[dict[str, Any]]) -> str:
    """The text of a stream."""
    return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")


def fault(response: Response) -> tuple[int, Any, Any]:
    """Status, type and Duck's code of an answer; the last two are None if it is no error."""
    error = json_of(response).get("error") or {}
    return response.status_code, error.get("type"), error.get("details", {}).get("error_code")


def place(response: Response) -> tuple[int, str]:
    """Status of an answer, and the field at the beginning of its error's message, "" if it is no error."""
    whole = json_of(response)
    return response.status_code, whole["error"]["message"].partition(": ")[0] if "error" in whole else ""
