"""Parrot, a face: {"text": …, "inputs": …, "stream": …} in, {"text": …} out, in one piece or line by line."""

from collections.abc import Mapping
from typing import Any, ClassVar

from werkzeug import Response

from duck import errors, invocation
from duck.dify import events
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import Exchange, answering, document
from duck.runs import bodies
from duck.runs.run import Mode, Run, RunRequest
from duck.streams import json
from duck.streams.format import Event, StreamFormat
from duck.texts import Text


class Lines(StreamFormat):
    """Writes each piece of the answer as a line of JSON, and an error as the last line."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "application/x-ndjson"}

    def keep_alive(self) -> bytes:
        """An empty piece."""
        return json.document({"text": ""})

    def event(self, event: Event) -> bytes:
        """A line for a piece of text or an error, nothing for any other event."""
        if event["event"] == "error":
            return json.document({"error": event.get("message")})
        text = events.delta_of(event)
        return json.document({"text": text}) if text else b""


def read(fields: Mapping[str, Any], app_id: str) -> RunRequest:
    """Parses the fields of a request. Raises `DuckError` 400."""
    text, inputs = fields.get("text"), fields.get("inputs") or {}
    if not isinstance(text, str) or not text.strip():
        raise errors.invalid_field("text", Text("required"))
    if not isinstance(inputs, Mapping):
        raise errors.invalid_field("inputs", Text('must be an object, like {"city": "Oslo"}'))
    mode: Mode | None = "streaming" if fields.get("stream") in (True, "true") else None
    return RunRequest(run=Run(kind="chat", app_id=app_id, query=text, inputs=inputs, mode=mode))


def write_error(_: Exchange, error: DuckError) -> Response:
    """Any error before the first chunk."""
    response = document({"error": error.message, "field": error.field}, error.status)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


@answering(errors=write_error)
def ask(exchange: Exchange, name: str, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """Asks the app that the route calls `name`; `settings` are the endpoint's."""
    exchange.admit(settings, name)
    wanted = read(bodies.read(exchange.request, {"text", "stream"}), exchange.entry.app_id)
    call = invocation.prepare(exchange, wanted, dify)
    return call.stream(Lines(), Lines.headers) if wanted.run.mode else document({"text": call.answer()["answer"]})


@answering(errors=write_error)
def unknown(exchange: Exchange, settings: Mapping[str, Any]) -> Response:
    """The answer to any other path or method below /ask/."""
    message = Text(
        "No such route. Apps are run at {routes}, without a slash at the end; GET / lists them.", routes="/ask/<app_id>"
    )
    raise exchange.no_route(settings, message)
