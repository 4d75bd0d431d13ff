"""The handlers of A2A's routes, with apps as agents."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from werkzeug import Response

from duck import apps, errors
from duck.callers import access
from duck.callers.settings import DEFAULT
from duck.dify.gateway import Gateway
from duck.dify.parts import Begun
from duck.errors import DuckError
from duck.exchange import Exchange, answering, document
from duck.faces import asking, jsonrpc
from duck.faces.a2a import failures, legacy, messages, tasks
from duck.faces.a2a.card import Agent
from duck.faces.a2a.messages import Message
from duck.faces.a2a.tasks import Task, Updates
from duck.faces.asking import Prompt, Request
from duck.faces.jsonrpc import Identifier, RpcError
from duck.faces.reply import Reply
from duck.invocation import NOT_BUFFERED
from duck.runs import bodies

_FACE = "ctx"  # of tokens
_CURRENT = re.compile(r"1\.0(\.\d{1,9})?")
_OLD = re.compile(r"(0\.3(\.\d{1,9})?)?")  # a request without a version is one of 0.3
_METHODS = {"ListTasks", *legacy.METHODS.values()}
# Errors with these statuses are HTTP errors. All others are the protocol's, or tasks that have failed.
_STATUSES = {401, 403, 404, 405, 413, 415, 429, 503}
_STATUSES_OF_RUNS = {400, 404, 413, 503}  # of errors before a run has begun, which are none of its task

type Envelope = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a message is answered: with a `task`, streamed or whole, in documents that `envelope` makes."""

    task: Task
    envelope: Envelope
    streams: bool

    def failed(self, error: DuckError) -> Response:
        """The answer for a run that has failed before its first event."""
        event = error.as_event()
        if not self.streams:
            return self.whole(Reply().whole([event]))
        updates = Updates(self.task, self.envelope)
        return Response(updates.event(event) + updates.tail(), headers={**Updates.headers, **NOT_BUFFERED})

    def whole(self, reply: Reply) -> Response:
        """The answer with the whole reply."""
        return document(self.envelope(self.task.ended(reply)))


@dataclass(slots=True)
class Context:
    """What an error needs: the request's `id`, whether its body is JSON, and how it is answered, once its message is read."""

    id: Identifier | None = None
    is_read: bool = False
    answer: Answer | None = None
    has_begun: bool = False

    def is_task(self, error: DuckError) -> bool:
        """Whether an error is the failure of a task."""
        return error.status not in (_STATUSES_OF_RUNS if self.has_begun else {400, *_STATUSES})


def write_error(exchange: Exchange, error: DuckError) -> Response:
    """An error before the first chunk: a status, an error of the protocol, or a task that has failed."""
    context = exchange.context or Context()
    if context.answer and context.is_task(error):
        return context.answer.failed(error)
    if error.status in _STATUSES:
        return document(error.as_dict(), error.status)
    number = jsonrpc.INTERNAL_ERROR
    if isinstance(error, RpcError):
        number = error.number
    elif error.status == 400 and exchange.context:
        number = jsonrpc.INVALID_PARAMS if context.is_read else jsonrpc.PARSE_ERROR
    elif error.status == 400:  # headers that are too long
        number = jsonrpc.INVALID_REQUEST
    return document(failures.document(context.id, number, error))


def write_status(_: Exchange, error: DuckError) -> Response:
    """An error of a card."""
    return document(error.as_dict(), error.status)


@answering(errors=write_status)
def card(exchange: Exchange, name: str, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """The card of the app that the route calls `name`. Guests get those of public apps."""
    parsed = exchange.admit(settings, name)
    app_id = exchange.entry.app_id
    if exchange.public_url is None:
        message = f"Dify does not tell the address of this endpoint. Set {errors.setting('public_url')}."
        raise DuckError(500, "no_public_url", message)
    info = apps.infos(exchange, dify, [app_id], forms_of=[app_id]).get(app_id, {})
    presets = parsed.presets if app_id == parsed.names.get(DEFAULT) else {}
    agent = Agent(
        name=name,
        url=f"{exchange.public_url}a2a/{quote(name, safe='')}",
        public=access.is_public(name, parsed),
        title=info.get("name", ""),
        description=info.get("description", ""),
        form=info.get("form"),
        presets=frozenset(name for name, value in presets.items() if value not in ("", None)),
    )
    return document(legacy.card(agent.card()))


@answering(errors=write_error)
def serve(exchange: Exchange, name: str, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """One request to the app that the route calls `name`."""
    context = exchange.context = Context()
    exchange.admit(settings, name)
    body = bodies.read_json_value(exchange.request)
    context.id, context.is_read = jsonrpc.id_of(body), True
    method, params = messages.read_call(body)
    is_legacy = _is_legacy(method, exchange.request.headers.get("A2A-Version", ""))
    if is_legacy:
        method, params = legacy.METHODS.get(method, ""), legacy.params(params)
    match method:
        case "SendMessage" | "SendStreamingMessage":
            message = asking.read(exchange, lambda: messages.read(params))
            return _send(exchange, message, dify, streams=method == "SendStreamingMessage", is_legacy=is_legacy)
        case "ListTasks":
            return document(jsonrpc.result(context.id, tasks.NONE))
        case "GetTask" | "CancelTask" | "SubscribeToTask":
            raise failures.no_task()
        case "GetExtendedAgentCard":
            raise failures.error(failures.NO_EXTENDED_CARD, "This agent has one card for everybody.")
        case _ if method in _METHODS:
            raise failures.no_push()
    raise failures.error(jsonrpc.METHOD_NOT_FOUND, "This method is not supported.")


def _is_legacy(method: str, version: str) -> bool:
    """Whether a request is one of A2A 0.3. Raises `RpcError` for other versions than that and 1.0."""
    version = version.strip()
    if _CURRENT.fullmatch(version):
        return False
    if not _OLD.fullmatch(version) or method in _METHODS:
        raise failures.error(failures.VERSION_NOT_SUPPORTED, "A2A-Version must be 1.0, or 0.3 with the methods of that version.")
    return True


def _send(exchange: Exchange, message: Message, dify: Gateway, *, streams: bool, is_legacy: bool) -> Response:
    signer, given, id_ = asking.signer(exchange, dify, _FACE), message.context_id, exchange.context.id
    conversation_id = None if given is None else signer.verify(given)
    if given is not None and conversation_id is None:
        raise errors.invalid_field("message.contextId", "no such context. Leave it out to start one")
    spare_id = str(uuid.uuid4())

    def context_id(begun: Begun) -> str:
        if given is not None and begun.conversation_id in {"", conversation_id}:
            return given
        return signer.sign(begun.conversation_id, "" if begun.conversation_id else spare_id)

    def envelope(result: Mapping[str, Any]) -> Mapping[str, Any]:
        return jsonrpc.result(id_, legacy.result(result) if is_legacy else result)

    task = Task(spare_id=spare_id, context_id=context_id, now=_now)
    answer = exchange.context.answer = Answer(task=task, envelope=envelope, streams=streams)

    def respond(request: Request) -> Response:
        # A context cannot be continued in another conversation than its own.
        call = replace(request.call, run=replace(request.call.run, strict=True))
        if call.run.kind == "chat" and not message.text:
            raise errors.invalid_field("message.parts", "must have a text")
        exchange.context.has_begun = True
        if streams:
            return call.stream(Updates(task, envelope), Updates.headers)
        reply = Reply().whole(call.events())
        if reply.failed:
            exchange.entry.ended = reply.failed.code
        return answer.whole(reply)

    prompt = Prompt(
        text=message.text,
        attachments=message.attachments,
        inputs=message.inputs,
        conversation_id=conversation_id,
        streams=streams,
    )
    return asking.respond(exchange, prompt, dify, _FACE, respond)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
