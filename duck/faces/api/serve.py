"""The handlers of Duck's own API, one for each endpoint. A browser that asks for HTML gets the page."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from werkzeug import Response

import duck
from duck import apps, invocation, long_runs, routes
from duck.callers import access
from duck.callers.settings import DEFAULT
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import BEARER, Exchange, answering, document
from duck.faces.api import negotiation, pending, run_request
from duck.faces.api.formats import MIMETYPES, STREAMS
from duck.faces.page import answers
from duck.runs import bodies
from duck.runs.run import Kind
from duck.streams import json
from duck.streams.sse import Sse
from duck.texts import Text

KINDS = [kind for kind in get_args(Kind) if f"/{kind}/<app_id>" in routes.METHODS]
SIGN_IN = "sign-in"  # in the query string of the index: the guest wants to be asked for a password


def write_error(exchange: Exchange, error: DuckError) -> Response:
    """An error before the first chunk: a page if HTML is requested, else JSON."""
    as_page = negotiation.takes_page(exchange.request)
    response = answers.error(exchange, error) if as_page else document(error.as_dict(), error.status)
    if error.status == 401 and as_page and exchange.settings.keys:  # without a key there is no password to ask for
        # One header with Basic first: Chromium ignores a Basic challenge after another one.
        response.headers["WWW-Authenticate"] = f'Basic realm="Duck", charset="UTF-8", {BEARER}'
    return response


@answering(errors=write_error)
def serve(
    exchange: Exchange,
    name: str,
    settings: Mapping[str, Any],
    dify: Gateway,
    *,
    kind: Kind,
    default_format: str | None = None,
) -> Response:
    """Runs the app that the route calls `name`, as `kind`; `settings` are the endpoint's.

    `default_format` is for callers that accept anything. Without it they get json, or ndjson if they ask for streaming, and a
    browser's GET gets the app's page; with it, a browser's GET runs the app.
    """
    request, entry = exchange.request, exchange.entry
    entry.kind = kind
    exchange.admit(settings, name)
    if "Last-Event-ID" in request.headers and request.method in {"GET", "POST"}:
        return _not_resumed(exchange)
    requested = negotiation.requested_format(request)
    if request.method == "HEAD":
        return Response(headers=answers.headers(exchange))
    if negotiation.only_looks(request, exchange.caller, requested, runs_at_once=bool(default_format)):
        wanted, _ = run_request.parse(request, kind, entry.app_id)
        return answers.form(exchange, name, wanted, dify)
    if "prefetch" in request.headers.get("Sec-Purpose", ""):
        raise DuckError(403, "forbidden", Text("A prefetch does not run an app."))
    exchange.refuse_other_sites()  # before the body is read
    wanted, of_page = run_request.parse(request, kind, entry.app_id)
    entry.format = format_name = negotiation.format_of_run(requested, request, wanted.run.mode, default_format)
    if format_name == "html":
        return answers.run(exchange, name, wanted, of_page, dify)
    if negotiation.prefers_async(request):
        return pending.accepted(long_runs.start(exchange, wanted, dify))
    call = invocation.prepare(exchange, wanted, dify)
    if format_name != "json":
        return call.stream(STREAMS[format_name](), STREAMS[format_name].headers)
    return call.document()


@answering(errors=write_error)
def parameters(exchange: Exchange, name: str, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """The form of the app that the route calls `name`."""
    exchange.admit(settings, name)
    if exchange.request.method == "HEAD":
        return Response(content_type=json.CONTENT_TYPE)
    return document(apps.parameters(exchange, dify))


@answering(errors=write_error)
def stop(exchange: Exchange, name: str, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """Stops a run of the app that the route calls `name`."""
    exchange.admit(settings, name)
    exchange.refuse_other_sites()
    task_id, user = run_request.parse_stop(exchange.request)
    invocation.stop(exchange, dify, task_id, user)
    return document({"result": "success"})


@answering(errors=write_error)
def run(exchange: Exchange, name: str, run_id: str, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """A run that was begun before: its answer, how it stands, or its further events as a stream."""
    request = exchange.request
    exchange.admit(settings, name)
    if request.method == "HEAD":
        return Response(content_type=json.CONTENT_TYPE)
    user, format_name = bodies.query_value(request, "user") or "", negotiation.requested_format(request) or "json"
    if format_name != "json":
        exchange.entry.format = format_name
    if format_name == "html":
        return answers.resumed(exchange, name, run_id, user, dify)
    if format_name != "json":
        return long_runs.resumed(exchange, dify, run_id, user).stream(STREAMS[format_name](), STREAMS[format_name].headers)
    found = long_runs.fetch(exchange, dify, run_id, user)
    return pending.goes_on(found) if isinstance(found, long_runs.Pending) else document(found)


@answering(errors=write_error)
def form(exchange: Exchange, name: str, token: str, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """A form for which a run waits: a GET shows it, a POST fills it in."""
    request = exchange.request
    exchange.admit(settings, name)
    if request.method == "HEAD":
        return Response(content_type=json.CONTENT_TYPE)
    if request.method == "GET":
        return document(long_runs.fetch_form(exchange, dify, token, bodies.query_value(request, "user") or "").document)
    exchange.refuse_other_sites()  # before the body is read
    inputs, action, user = run_request.parse_form(request)
    long_runs.answer_form(exchange, dify, token, inputs, action, user)
    return document({"result": "success"})


@answering(errors=write_error)
def index(exchange: Exchange, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """The list of apps that the caller may use, for guests the public ones.

    A guest signs in here, because a browser sends the password along to all paths below.
    """
    parsed, is_guest = exchange.admit(settings), exchange.caller.guest
    if is_guest and bodies.query_value(exchange.request, SIGN_IN) is not None:
        raise access.unauthorized(parsed)
    visible = access.visible_apps(parsed, exchange.caller)
    as_page = negotiation.requested_format(exchange.request) == "html"
    if as_page:
        visible = _without_second_names(visible)
    chosen = answers.chosen(exchange, [name for name, _ in visible]) if as_page else None
    explained = [app_id for name, app_id in visible if name == chosen]
    infos = apps.infos(exchange, dify, [app_id for _, app_id in visible], forms_of=explained, with_sites=as_page)
    offer: dict[str, Any] = {
        "name": "duck",
        "version": duck.__version__,
        "url": exchange.public_url,
        "apps": [{"alias": name, "public": app_id in parsed.public, **infos.get(app_id, {})} for name, app_id in visible],
        "formats": list(MIMETYPES),
    }
    if not as_page:
        return document(offer)
    return answers.index(exchange, offer, chosen, f"?{SIGN_IN}" if is_guest else "")


def _without_second_names(visible: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names and ids of apps without the name `default`, if that app has a name of its own."""
    named = {app_id for name, app_id in visible if name != DEFAULT}
    return [(name, app_id) for name, app_id in visible if name != DEFAULT or app_id not in named]


@answering(errors=write_error)
def favicon(exchange: Exchange) -> Response:
    """The icon that browsers show in their tabs."""
    return answers.icon(exchange)


@answering(errors=write_error)
def embed(_: Exchange) -> Response:
    """The script for other websites."""
    return answers.script()


@answering(errors=write_error)
def preflight(exchange: Exchange, settings: Mapping[str, Any]) -> Response:
    """The answer to a CORS preflight: always 204. Its headers tell whether the page may send the request."""
    exchange.allow_origin(settings)
    return Response(status=204)


@answering(errors=write_error)
def unknown(exchange: Exchange, settings: Mapping[str, Any]) -> Response:
    """The answer to a path that no route has, or a method that its route does not have."""
    patterns = ", ".join(f"/{kind}/<app_id>" for kind in KINDS)
    message = Text("No such route. Apps are run at {routes}, without a slash at the end; GET / lists them.", routes=patterns)
    raise exchange.no_route(settings, message)


def _not_resumed(exchange: Exchange) -> Response:
    """The answer to a client that reconnects to a stream, which would run the app and cost the owner again.

    204 makes an `EventSource` stop reconnecting. Libraries that stream a POST take 204 for a failure and retry, so these get an
    error event.
    """
    exchange.entry.ended = _NOT_RESUMABLE.code
    if exchange.request.method == "GET":
        return Response(status=204)
    return Response(Sse().event(_NOT_RESUMABLE.as_event()), headers={**Sse.headers, **invocation.NOT_BUFFERED})


_NOT_RESUMABLE = DuckError(
    409,
    "not_resumable",
    Text("This stream has been read before and cannot be resumed. The app has not run again: for that, send the request anew."),
)
