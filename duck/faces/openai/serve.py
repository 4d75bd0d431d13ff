"""The handlers of OpenAI's routes, with apps in place of models."""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from werkzeug import Response

from duck import apps, errors, routes
from duck.callers import access
from duck.callers import settings as settings_
from duck.dify.gateway import Gateway
from duck.dify.parts import Begun
from duck.errors import DuckError
from duck.exchange import Exchange, answering, document
from duck.faces import asking
from duck.faces.asking import Prompt, Request
from duck.faces.openai import chunks, failures, fields, messages, output
from duck.faces.openai import input as input_
from duck.faces.openai.chunks import Chunks, Model
from duck.faces.openai.input import Creation
from duck.offload import offload
from duck.runs import bodies
from duck.texts import Fault

REQUEST_ID = "X-Request-Id"
# What tokens are for: conversations in Chat Completions, and responses, whose ids begin so.
_CHAT, _RESPONSE = "chat", output.RESPONSE


def write_error(_: Exchange, error: DuckError) -> Response:
    """An error before the first chunk."""
    response = document(failures.of(error), error.status)
    response.headers.update(failures.headers(error))
    return response


@answering(errors=write_error, request_id=REQUEST_ID)
def completions(exchange: Exchange, values: Mapping[str, Any], dify: Gateway) -> Response:
    """Chat Completions: the app that is named as the model answers the messages."""
    body = _body(exchange, values)
    wanted = _read(exchange, lambda: messages.read(body))
    prompt = replace(wanted.prompt, conversation_id=_conversation(exchange, wanted.conversation_id, dify))

    def answer(request: Request) -> Response:
        model = Model(model=body["model"], created=int(time.time()), conversation_id=lambda begun: _shown(begun, request))
        if prompt.streams:
            return request.call.stream(
                Chunks(model, includes_usage=wanted.includes_usage, ended=request.remember), Chunks.headers
            )
        return document(chunks.completion(model, request.reply()))

    return asking.respond(exchange, prompt, dify, _CHAT, answer)


@answering(errors=write_error, request_id=REQUEST_ID)
def responses(exchange: Exchange, values: Mapping[str, Any], dify: Gateway) -> Response:
    """Responses: the app that is named as the model answers the input."""
    body = _body(exchange, values)
    wanted = _read(exchange, lambda: input_.read(body))
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
def models(exchange: Exchange, values: Mapping[str, Any], dify: Gateway) -> Response:
    """The list of the apps that the caller may use."""
    settings = exchange.admit(values)
    visible = access.visible_apps(settings, exchange.caller)
    return document({"object": "list", "data": _models(exchange, dify, visible)})


@answering(errors=write_error, request_id=REQUEST_ID)
def model(exchange: Exchange, name: str, values: Mapping[str, Any], dify: Gateway) -> Response:
    """One app."""
    settings = exchange.admit(values, name)
    app_id = exchange.entry.app_id
    is_listed = app_id in {app_id for _, app_id in access.visible_apps(settings, exchange.caller)}
    if not is_listed and apps.form(exchange, dify) is None:
        raise DuckError(404, "app_not_found", errors.NO_APP)
    return document(_models(exchange, dify, [(name, app_id)])[0])


@answering(errors=write_error, request_id=REQUEST_ID)
def unknown(exchange: Exchange, values: Mapping[str, Any]) -> Response:
    """The answer to any other path or method below /v1/. It names the base URL, even if the settings cannot be read."""
    if f"/dify/<app_id>{exchange.entry.route}" in routes.METHODS:
        exchange.entry.route = routes.NOWHERE  # Dify's own path: with another method it is none of OpenAI's or Anthropic's
    with contextlib.suppress(DuckError):
        exchange.parsed = settings_.parse(values)
    base = (exchange.public_url or "https://…/").rstrip("/")
    raise exchange.no_route(values, f"No such route. The base URL for OpenAI's clients is {base}/v1, without a slash at its end.")


def _body(exchange: Exchange, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body of a request from a caller who may use the model that it names. Raises `DuckError`."""
    exchange.admit(values)
    body = bodies.read_json(exchange.request)
    exchange.reach(fields.text(body, "model", required=True))
    return body


def _read[T](exchange: Exchange, read: Callable[[], T]) -> T:
    """What a request says: a large one is read in a thread of its own."""
    return offload(len(exchange.request.get_data()), read, small=bodies.SMALL)


def _conversation(exchange: Exchange, given: str | None, dify: Gateway) -> str | None:
    if given is None:
        return None
    found = asking.conversation(given, asking.signer(exchange, dify, _CHAT))
    if found is None:
        raise errors.invalid_field("conversation_id", "no such conversation. Leave it out to start one")
    return found


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


def _shown(begun: Begun, request: Request) -> str | None:
    """The id by which the client can continue the conversation. Dify's own is for holders of a key only."""
    if not begun.conversation_id:
        return None
    signer = request.signer
    return signer.sign(begun.conversation_id, begun.message_id) if signer.guest else begun.conversation_id


def _models(exchange: Exchange, dify: Gateway, visible: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Apps, given by name and id, as models. Those with a key of their own have name and description as Dify has them."""
    infos = apps.infos(exchange, dify, [app_id for _, app_id in visible if app_id in exchange.settings.app_keys])

    def about(app_id: str) -> dict[str, str]:
        info = infos.get(app_id, {})
        return {key: info[key] for key in ("name", "description") if info.get(key)}

    return [{"id": name, "object": "model", "created": 0, "owned_by": "dify", **about(app_id)} for name, app_id in visible]
