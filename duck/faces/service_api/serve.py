"""The handlers of Dify's own paths: runs, what an app is, and what Dify keeps, which is passed on."""

from collections.abc import Mapping
from typing import Any

from werkzeug import Response

from duck import apps, invocation
from duck.callers.settings import DEFAULT
from duck.dify import forwarding
from duck.dify.forwarding import Passage, Passed
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import Exchange, answering, document
from duck.faces.service_api import api_request
from duck.faces.service_api.stream import Stream
from duck.runs.run import Kind
from duck.streams import json

_RUNS: Mapping[str, Kind] = {
    "chat-messages": "chat",
    "completion-messages": "completion",
    "workflows/run": "workflow",
    "workflows/<workflow_id>/run": "workflow",
}
_PATHS = {"chat": "chat-messages", "completion": "completion-messages", "workflow": "workflows/run"}
_EVENTS = "workflow/<workflow_run_id>/events"
# What Dify has and Duck has not, by the beginning of its path, and why.
_REFUSED = {
    "app/": "Feedback of all users is for the app's owner: it is in Dify's console.",
    "apps/": "Annotations belong to the app's owner: they are made in Dify's console.",
    "datasets": "Datasets have an API of their own in Dify, with keys of their own.",
}
# What is passed on may be a page that somebody has uploaded, and this is Dify's own origin: it must not run.
_SANDBOX = {"Content-Security-Policy": "default-src 'none'; sandbox"}


def write_error(_: Exchange, error: DuckError) -> Response:
    """An error before the first event."""
    answer = error.as_dict()
    if error.right_kind:
        answer["message"] = f"This app is of another kind: it runs at POST {_PATHS[error.right_kind]}."
    return document(answer, error.status)


@answering(errors=write_error)
def run(exchange: Exchange, values: Mapping[str, str], settings: Mapping[str, Any], dify: Gateway) -> Response:
    """Runs the app. `values` are those that the path has, `app_id` among them unless it is the default app."""
    ids = _admit(exchange, values, settings)
    exchange.refuse_other_sites()  # before the body is read
    kind = exchange.entry.kind = _RUNS[_pattern(exchange)]
    version = ids.get("workflow_id", "")
    if version and not _has_own_key(exchange):
        raise forwarding.no_own_key()
    wanted = api_request.run(exchange.request, kind, exchange.entry.app_id, version)
    is_streaming = wanted.run.mode == "streaming"
    exchange.entry.format = "sse" if is_streaming else "json"
    call = invocation.prepare(exchange, wanted, dify)
    if is_streaming:
        return call.stream(Stream(), Stream.headers)
    return call.document()


@answering(errors=write_error)
def stop(exchange: Exchange, values: Mapping[str, str], settings: Mapping[str, Any], dify: Gateway) -> Response:
    """Stops a run of the app."""
    ids = _admit(exchange, values, settings)
    exchange.refuse_other_sites()
    invocation.stop(exchange, dify, ids["task_id"], api_request.user(exchange.request))
    return document({"result": "success"})


@answering(errors=write_error)
def about(exchange: Exchange, values: Mapping[str, str], settings: Mapping[str, Any], dify: Gateway) -> Response:
    """What the app is: its form, its name, its looks, and the icons of its tools."""
    _admit(exchange, values, settings)
    if exchange.request.method == "HEAD":
        return Response(content_type=json.CONTENT_TYPE)
    name = values.get("app_id", DEFAULT)
    match _pattern(exchange):
        case "parameters":
            return document(apps.parameters(exchange, dify))
        case "info":
            return document(apps.info(exchange, dify, name))
        case "site":
            return document(apps.site_document(exchange, dify, name))
    if not _has_own_key(exchange):
        return document({"tool_icons": {}})
    return _passed(invocation.forward(exchange, dify, lambda: api_request.passage(exchange.request, "meta", {})))


@answering(errors=write_error)
def kept(exchange: Exchange, values: Mapping[str, str], settings: Mapping[str, Any], dify: Gateway) -> Response:
    """What Dify keeps of the app and its user, or takes from them: the request is passed on."""
    ids = _admit(exchange, values, settings)
    pattern = _pattern(exchange)
    if exchange.request.method == "HEAD":
        return Response(status=200 if _has_own_key(exchange) else 404)

    def read() -> Passage:
        return api_request.passage(exchange.request, pattern, ids)

    if pattern == _EVENTS:
        return invocation.forward_events(exchange, dify, read, Stream())
    return _passed(invocation.forward(exchange, dify, read))


@answering(errors=write_error)
def unknown(exchange: Exchange, settings: Mapping[str, Any]) -> Response:
    """The answer to any other path or method below /dify/."""
    path = _below_base(exchange.request.path)
    message = next((reason for start, reason in _REFUSED.items() if path.startswith(start)), "")
    raise exchange.no_route(
        settings, message or "No such route. Dify's paths are below /dify/<app_id>/v1, as POST chat-messages."
    )


def _admit(exchange: Exchange, values: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, str]:
    """The ids in the path, without the app's, of a caller who may use the app. Raises `DuckError`."""
    exchange.admit(settings, values.get("app_id", DEFAULT))
    ids = {name: value for name, value in values.items() if name != "app_id"}
    api_request.check_ids(ids)
    return ids


def _below_base(path: str) -> str:
    """A path, or a route's pattern, as it stands in the description of Dify's API, without the slash at its beginning."""
    return path.partition("/v1/")[2]


def _pattern(exchange: Exchange) -> str:
    return _below_base(exchange.entry.route)


def _has_own_key(exchange: Exchange) -> bool:
    """Whether the caller may use all that the app's own key gives."""
    return not exchange.caller.guest and exchange.entry.app_id in exchange.settings.app_keys


def _passed(answer: Passed) -> Response:
    return Response(answer.content, answer.status, {**answer.headers, **_SANDBOX})
