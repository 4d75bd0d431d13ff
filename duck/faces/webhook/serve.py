"""The handlers of webhooks: deliveries, the handshakes before them, and what a payload would fill in."""

import functools
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from werkzeug import Request, Response

from duck import apps, long_runs
from duck.callers import access, senders, signatures
from duck.callers.signatures import Sender
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import Exchange, answering, document
from duck.faces import asking
from duck.faces.api import negotiation
from duck.faces.api.serve import write_error
from duck.faces.page import answers
from duck.faces.webhook import feishu, handshakes, payloads, placing, previews, samples
from duck.faces.webhook.payloads import Payload
from duck.faces.webhook.placing import Delivery
from duck.long_runs import Accepted
from duck.offload import offload
from duck.runs import bodies
from duck.runs.fields import Texts
from duck.runs.forms import Form
from duck.runs.run import Kind, RunRequest
from duck.texts import Text

CAPABILITY = "capability"  # the part of an address that opens the webhook by itself


@answering(errors=write_error)
def deliver(exchange: Exchange, values: Mapping[str, str], settings: Mapping[str, Any], dify: Gateway) -> Response:
    """Runs the app for what a sender has sent, or answers its handshake. `values` are those that the path has."""
    request = exchange.request
    payload = _admit(exchange, values, settings)
    if request.method in {"GET", "HEAD"}:
        return _look(exchange, values, dify)
    exchange.refuse_other_sites()
    if challenge := handshakes.of_post(payload.value, request.headers, lambda: _zoom_secret(exchange, payload)):
        return document(challenge)
    sender = signatures.BY_NAME.get(exchange.caller.sender)
    id_ = _large(payload, lambda: _id(exchange, payload, sender))
    exchange.count(dify.endpoint_id)

    def run(kind: Kind) -> Accepted:
        wanted = _wanted(exchange, request, payload, kind, dify)
        return long_runs.accept(exchange, wanted, dify, lambda: exchange.forget(id_))

    def accept() -> Accepted:
        return asking.by_kind(exchange, dify, run)

    accepted = exchange.once(id_, accept, _PENDING) if id_ else accept()
    if sender and sender.name == "slack" and payload.mimetype in payloads.FORMS:
        return Response(content_type="text/plain")  # a command takes no other status, and shows the body to its user
    ids = {} if exchange.caller.guest else accepted.ids
    return document({"accepted": True, "status": accepted.status, **ids}, 200 if sender and sender.needs_200 else 202)


@answering(errors=write_error)
def preview(exchange: Exchange, values: Mapping[str, str], settings: Mapping[str, Any], dify: Gateway) -> Response:
    """Tells a holder of a key what of a payload would reach which input of the app. Nothing runs.

    The webhook's page has the payload in a field of its form, and gets the answer as a page.
    """
    request, name = exchange.request, values["app_id"]
    exchange.admit(settings, name)
    if exchange.caller.guest:
        raise access.unauthorized(exchange.settings)
    exchange.refuse_other_sites()  # before the body is read
    sample = samples.given(request) if negotiation.takes_page(request) else None
    delivered = request if sample is None else samples.as_request(sample)
    payload = _opened(exchange, payloads.read(delivered))
    kind = apps.kind_of(exchange, dify)
    run, faults = previews.rehearsed(exchange, _wanted(exchange, delivered, payload, kind or "chat", dify), dify)
    if sample is None:
        return document(previews.document(kind, run, faults))
    preview = previews.for_page(kind, run, faults, exchange.form or Form(variables=()), delivered)
    return answers.webhook(exchange, name, dify, sample, preview)


@answering(errors=write_error)
def permit(exchange: Exchange, values: Mapping[str, str], settings: Mapping[str, Any]) -> Response:
    """Answers a sender of CloudEvents who asks whether it may send, and the preflights of browsers."""
    exchange.allow_origin(settings)
    granted = handshakes.of_options(exchange.request.headers)
    if granted is None:
        return Response(status=204)
    _admit(exchange, values, settings)
    return Response(headers=granted)


def _admit(exchange: Exchange, values: Mapping[str, str], settings: Mapping[str, Any]) -> Payload:
    """Identifies the sender and returns its payload, decrypted and without the secret in it. Raises `DuckError`."""
    request, name = exchange.request, values["app_id"]
    read = functools.cache(lambda: payloads.read(request))

    def repeated(secrets: Sequence[str]) -> str:
        query = dict(bodies.query(request)) if request.method == "GET" else {}
        return handshakes.repeated(read().value, query, secrets)

    identify = functools.partial(
        senders.identify, name=name, capability=values.get(CAPABILITY), body=payloads.body_of(request), repeated=repeated
    )
    exchange.admit(settings, name, identify)
    return _opened(exchange, read())


def _opened(exchange: Exchange, payload: Payload) -> Payload:
    """The payload decrypted, and without the secret that its sender repeats in it."""
    secrets = _secrets(exchange)

    def opened() -> Payload:
        value, _ = feishu.decrypted(payload.value, secrets)
        return payload.with_value(feishu.without_token(value) if feishu.token_of(value) in secrets else value)

    return _large(payload, opened)


def _large[T](payload: Payload, work: Callable[[], T]) -> T:
    """What `work` returns, which takes long for a large payload."""
    return offload(len(payload.body), work, small=bodies.SMALL)


def _look(exchange: Exchange, values: Mapping[str, str], dify: Gateway) -> Response:
    """The answer to a GET: of a handshake, or the webhook's page, for browsers of people with a key."""
    if exchange.request.method == "HEAD":
        return Response(content_type="text/plain")
    if (challenge := handshakes.of_get(dict(bodies.query(exchange.request)))) is None:
        if negotiation.takes_page(exchange.request) and exchange.caller.by == "key":
            return answers.webhook(exchange, values["app_id"], dify)
        if negotiation.takes_page(exchange.request) and exchange.caller.guest:
            raise access.unauthorized(exchange.settings)
        raise DuckError(405, "method_not_allowed", _POST_ONLY, headers={"Allow": "POST, OPTIONS"})
    return Response(challenge, content_type="text/plain; charset=utf-8")


def _wanted(exchange: Exchange, request: Request, payload: Payload, kind: Kind, dify: Gateway) -> RunRequest:
    """The run that the delivery in a request asks for.

    Raises `DuckError` if the app's form cannot be fetched: then nothing says what the app takes.
    """
    settings, exchange.entry.kind = exchange.settings, kind
    if (form := apps.form(exchange, dify)) is None:
        apps.parameters(exchange, dify)
        raise DuckError(502, "app_unavailable", _NO_FORM)
    secrets = (*settings.keys, *_secrets(exchange), *senders.capabilities(settings, exchange.entry.app_id))
    query: dict[str, Texts] = {}
    for name, value in bodies.query(request):
        if not any(secret in value for secret in secrets):
            query[name] = Texts((*query.get(name, ()), value))
    delivery = Delivery(payload=payload, headers=placing.public_headers(request.headers, secrets), query=query)
    return placing.place(delivery, form, kind, exchange.entry.app_id, guest=exchange.caller.guest)


def _secrets(exchange: Exchange) -> Sequence[str]:
    return exchange.settings.webhook_secrets.get(exchange.entry.app_id, ())


def _id(exchange: Exchange, payload: Payload, sender: Sender | None) -> str:
    """The delivery's id, "" if it has none.

    Without a signature the id includes a hash of the content, so that a guessed id does not fetch another sender's answer.
    """
    request = exchange.request
    id_ = signatures.delivery_id(sender, request.headers, payload.body, payload.value)
    if not id_ or exchange.caller.by in {"signature", "secret"}:
        return id_
    return id_ + hashlib.sha256(request.query_string + b"\0" + payload.body).hexdigest()


def _zoom_secret(exchange: Exchange, payload: Payload) -> str:
    """The app's secret that Zoom has signed with, "" for a request that Zoom has not signed."""
    zoom, headers, now = signatures.BY_NAME["zoom"], exchange.request.headers, time.time()
    if (exchange.caller.by, exchange.caller.sender) != ("signature", zoom.name):
        return ""
    signed = (each for each in _secrets(exchange) if zoom.fault(headers, payload.body, [each], now) is None)
    return _large(payload, lambda: next(signed, ""))


_PENDING = Accepted(status="running", ids={})
_POST_ONLY = Text("A webhook takes POST.")
_NO_FORM = Text("Dify tells nothing of this app's inputs that could be understood, so a delivery would reach none of them.")
