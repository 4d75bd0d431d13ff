"""The handlers of Anthropic's routes, with apps in place of models."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from werkzeug import Request as HttpRequest
from werkzeug import Response

from duck import routes
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import Exchange, answering, document
from duck.faces import asking
from duck.faces import models as models_
from duck.faces.anthropic import events, failures
from duck.faces.anthropic import messages as messages_
from duck.faces.anthropic.events import Events, Message
from duck.faces.asking import Request
from duck.texts import Text

REQUEST_ID = "Request-Id"
_MESSAGES = "messages"  # what tokens are for: conversations of this face
_ROUTE = "/v1/messages"
_NO_DATE = "1970-01-01T00:00:00Z"  # what Anthropic's API gives for a model whose date is not known


def is_anthropic_client(request: HttpRequest) -> bool:
    """Whether a request to a path that others use, too, is from a client of Anthropic's API, which names its version."""
    return "Anthropic-Version" in request.headers


def write_error(exchange: Exchange, error: DuckError) -> Response:
    """An error before the first event."""
    response = document(failures.of(error, exchange.entry.request_id), error.status)
    response.headers.update(models_.no_retry(error))
    return response


@answering(errors=write_error, request_id=REQUEST_ID)
def messages(exchange: Exchange, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """Messages: the app that is named as the model answers the messages."""
    body = models_.body(exchange, settings)
    wanted = asking.read(exchange, lambda: messages_.read(body))
    prompt = replace(wanted.prompt, conversation_id=models_.conversation(exchange, wanted.conversation_id, dify, _MESSAGES))

    def answer(request: Request) -> Response:
        message = Message(
            model=body["model"],
            request_id=exchange.entry.request_id,
            conversation_id=lambda begun: models_.shown(begun, request),
        )
        if prompt.streams:
            return request.call.stream(Events(message, ended=request.remember), Events.headers)
        return document(events.whole(message, request.reply()))

    return asking.respond(exchange, prompt, dify, _MESSAGES, answer)


@answering(errors=write_error, request_id=REQUEST_ID)
def models(exchange: Exchange, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """The list of the apps that the caller may use. It is never longer than a page."""
    found = [_described(each) for each in models_.listed(exchange, settings, dify)]
    ends = {"first_id": found[0]["id"], "last_id": found[-1]["id"]} if found else {"first_id": None, "last_id": None}
    return document({"data": found, "has_more": False, **ends})


@answering(errors=write_error, request_id=REQUEST_ID)
def model(exchange: Exchange, name: str, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """One app."""
    return document(_described(models_.named(exchange, name, settings, dify)))


@answering(errors=write_error, request_id=REQUEST_ID)
def unknown(exchange: Exchange, settings: Mapping[str, Any]) -> Response:
    """The answer to any other path or method below /v1/. It names the base URL, even if the settings cannot be read."""
    base = models_.base_url(exchange, settings)
    if exchange.entry.route == _ROUTE:  # it has other methods, which are Dify's
        exchange.allow_origin(settings)
        allow = "OPTIONS, POST"
        raise DuckError(405, "method_not_allowed", Text("This route takes {methods}.", methods=allow), headers={"Allow": allow})
    if models_.is_difys_own(exchange.entry.route):
        exchange.entry.route = routes.NOWHERE
    raise exchange.no_route(settings, f"No such route. The base URL for Anthropic's clients is {base}, without /v1 at its end.")


def _described(model: models_.Listed) -> dict[str, Any]:
    """A model with the fields that Anthropic's have."""
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name or model.id,
        "created_at": _NO_DATE,
        "lifecycle": "active",
    }
