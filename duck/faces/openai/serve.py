"""The handlers of OpenAI's routes, with apps in place of models."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from werkzeug import Response

from duck import errors, routes
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import Exchange, answering, document
from duck.faces import asking
from duck.faces import models as models_
from duck.faces.asking import Prompt, Request
from duck.faces.openai import chunks, failures, messages, output
from duck.faces.openai import input as input_
from duck.faces.openai.chunks import Chunks, Model
from duck.faces.openai.input import Creation
from duck.texts import Fault

REQUEST_ID = "X-Request-Id"
# What tokens are for: conversations in Chat Completions, and responses, whose ids begin so.
_CHAT, _RESPONSE = "chat", output.RESPONSE


def write_error(_: Exchange, error: DuckError) -> Response:
    """An error before the first chunk."""
    response = document(failures.of(error), error.status)
    response.headers.update(models_.no_retry(error))
    return response


@answering(errors=write_error, request_id=REQUEST_ID)
def completions(exchange: Exchange, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """Chat Completions: the app that is named as the model answers the messages."""
    body = models_.body(exchange, settings)
    wanted = asking.read(exchange, lambda: messages.read(body))
    prompt = replace(wanted.prompt, conversation_id=models_.conversation(exchange, wanted.conversation_id, dify, _CHAT))

    def answer(request: Request) -> Response:
        model = Model(model=body["model"], created=int(time.time()), conversation_id=lambda begun: models_.shown(begun, request))
        if prompt.streams:
            return request.call.stream(
                Chunks(model, includes_usage=wanted.includes_usage, ended=request.remember), Chunks.headers
            )
        return document(chunks.completion(model, request.reply()))

    return asking.respond(exchange, prompt, dify, _CHAT, answer)


@answering(errors=write_error, request_id=REQUEST_ID)
def responses(exchange: Exchange, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """Responses: the app that is named as the model answers the input."""
    body = models_.body(exchange, settings)
    wanted = asking.read(exchange, lambda: input_.read(body))
    prompt = _continued(exchange, wanted, dify)

    def answer(request: Request) -> Response:
        response = output.Response(
            model=body["model"],
            created=int(time.time()),
            token=lambda begun: request.signer.sign(begun.conversation_id, begun.message_id or begun.task_id),
            instructions=wanted.instructions,
            previous_response_id=wanted.previous_response_id,
            metadata=wanted.metadata,
        )
        if prompt.streams:
            return request.call.stream(output.Events(response, ended=request.remember), output.Events.headers)
        return document(output.completed(response, request.reply()))

    return asking.respond(exchange, prompt, dify, _RESPONSE, answer)


@answering(errors=write_error, request_id=REQUEST_ID)
def models(exchange: Exchange, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """The list of the apps that the caller may use."""
    found = models_.listed(exchange, settings, dify)
    return document({"object": "list", "data": [_described(each) for each in found]})


@answering(errors=write_error, request_id=REQUEST_ID)
def model(exchange: Exchange, name: str, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """One app."""
    return document(_described(models_.named(exchange, name, settings, dify)))


@answering(errors=write_error, request_id=REQUEST_ID)
def unknown(exchange: Exchange, settings: Mapping[str, Any]) -> Response:
    """The answer to any other path or method below /v1/. It names the base URL, even if the settings cannot be read."""
    if models_.is_difys_own(exchange.entry.route):
        exchange.entry.route = routes.NOWHERE
    base = models_.base_url(exchange, settings)
    raise exchange.no_route(
        settings, f"No such route. The base URL for OpenAI's clients is {base}/v1, without a slash at its end."
    )


def _continued(exchange: Exchange, wanted: Creation, dify: Gateway) -> Prompt:
    """The prompt, in the conversation of the response or the item that the client continues from. Raises `DuckError` 400."""
    signer = asking.signer(exchange, dify, _RESPONSE)
    if wanted.previous_response_id is not None:
        found = signer.verify_id(output.RESPONSE, wanted.previous_response_id)
        if found is None:
            fault = Fault("previous_response_id", "no such response. Leave it out to start a conversation")
            raise DuckError(400, "previous_response_not_found", str(fault), faults=[fault])
    elif wanted.reference is not None:
        found = signer.verify_id(output.ITEM, wanted.reference.id)
        if found is None:
            raise errors.invalid_field(wanted.reference.place, "no such item. Send the text of the answer in place of its id")
    else:
        return wanted.prompt
    return replace(wanted.prompt, conversation_id=found)


def _described(model: models_.Listed) -> dict[str, Any]:
    """A model with the fields that OpenAI's have. An app with a key of its own has name and description as Dify has them."""
    about = {name: value for name, value in (("name", model.name), ("description", model.description)) if value}
    return {"id": model.id, "object": "model", "created": 0, "owned_by": "dify", **about}
