"""One request, from its first header to its answer: settings, access, request, run, format, response.

The one place where errors become HTTP. Nothing may be raised from here: the SDK would answer a `ValueError` with 404, and put
any other text into the caller's hands.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import GeneratorType
from typing import Any, Concatenate, get_args
from urllib.parse import quote

from werkzeug import Request, Response

import duck
from duck import errors, limits
from duck.callers import access, settings
from duck.callers.access import Caller
from duck.callers.rates import RATES, WRONG_KEYS
from duck.callers.settings import Settings
from duck.dify import events, gateway, guests, service
from duck.dify.gateway import Gateway
from duck.dify.service import ServiceGateway
from duck.errors import DuckError
from duck.faces import page
from duck.faces.api import negotiation, run_request
from duck.faces.api.formats import MIMETYPES, STREAMS
from duck.faces.page import Html
from duck.faces.page.view import View, read_turns, repeated
from duck.journal import Entry
from duck.runs import bodies
from duck.runs.run import Kind, Run, RunRequest, check, upload
from duck.streams import json, pump
from duck.streams.format import Event, StreamFormat
from duck.streams.reader import CLOCK, Reader
from duck.streams.sse import Sse
from duck.texts import Fault, Text

# The methods of each route. The SDK cannot tell: it matches paths and methods together.
METHODS: Mapping[str, tuple[str, ...]] = {
    "/": ("GET",),
    "/duck/<app_id>": ("GET",),
    "/chat/<app_id>": ("GET", "POST"),
    "/workflow/<app_id>": ("GET", "POST"),
    "/completion/<app_id>": ("GET", "POST"),
    "/parameters/<app_id>": ("GET",),
    "/stop/<app_id>": ("POST",),
}

_KINDS = [kind for kind in get_args(Kind) if f"/{kind}/<app_id>" in METHODS]

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept, Accept-Language, Authorization, X-API-Key, Origin, Sec-Fetch-Site, Sec-Fetch-Dest",
}
_ICON = Path(__file__).parents[1] / "_assets" / "icon.svg"
SIGN_IN = "sign-in"  # in the query string of the index
_ASKED_AT_ONCE = 4  # apps, for what they are called
_NOT_BUFFERED = {"X-Accel-Buffering": "no"}  # nginx would hold a stream back
# The headers that are parsed here, as a request's environ calls them.
_PARSED = [
    "CONTENT_TYPE",
    *(f"HTTP_{name}" for name in ("ACCEPT", "ACCEPT_LANGUAGE", "AUTHORIZATION", "X_API_KEY", "ORIGIN", "HOST", "DIFY_HOOK_URL")),
    *(f"HTTP_{name}" for name in ("CONTENT_ENCODING", "ACCESS_CONTROL_REQUEST_HEADERS", "SEC_PURPOSE")),
]


@dataclass(slots=True)
class Exchange:
    """One request, and what is known so far of who has made it. Until that is known it is a guest.

    `owner` are the settings, None while they have not been read; `view` is the app's page, None where none is asked for.
    """

    request: Request
    entry: Entry
    caller: Caller = access.GUEST
    owner: Settings | None = None
    cors: Mapping[str, str] = field(default_factory=dict)
    view: View | None = None
    _counted: bool = False

    def enter(self, values: Mapping[str, Any], name: str | None = None) -> Settings:
        """Reads the settings, and finds out who calls; for a route with an app, whether they may have it.

        Raises `DuckError`: 500 for settings that cannot be read, 401, 404.
        """
        owner = self.owner = settings.parse(values)
        self.cors = access.cors(self.request, owner, public=name is not None and access.is_public(name, owner))
        try:
            self.caller = access.identify(self.request, owner)
        except DuckError:
            WRONG_KEYS.slow_down(self.request.headers.get("Dify-Hook-Id", ""), CLOCK)
            raise
        self.entry.by = "guest" if self.caller.guest else "key"
        if name is not None:
            self.entry.app_id = access.resolve(name, owner, self.caller)
        return owner

    def count(self, owner: Settings, dify: Gateway) -> None:
        """Counts what a guest is about to cost Dify, be it a run or a request that is refused in the end.

        Raises `DuckError` 429 where there has been too much of it.
        """
        if self.caller.guest and not self._counted:
            RATES.take(dify.endpoint_id, owner.public_rate, time.monotonic())
            self._counted = True


def answering[**P](handle: Callable[Concatenate[Exchange, P], Response]) -> Callable[Concatenate[Request, P], Response]:
    """Makes whatever `handle` raises a response, adds the headers that all responses have, and has each request logged."""

    @functools.wraps(handle)
    def answer(request: Request, /, *args: P.args, **kwargs: P.kwargs) -> Response:
        # Each holds the other: so a large body would stay in memory until garbage is collected, which is rare.
        request.environ.pop("werkzeug.request", None)
        entry = Entry(method=request.method, route=_route(request))
        exchange = Exchange(request, entry)
        try:
            _refuse_long_headers(request)
            response = handle(exchange, *args, **kwargs)
        except DuckError as error:
            response = _error(exchange, error)
        except Exception as error:  # noqa: BLE001 - see the module's docstring
            response = _error(exchange, errors.defect(error))
        response.headers.update({**_HEADERS, **exchange.cors})
        entry.status = response.status_code
        if isinstance(response.response, GeneratorType):
            response.response = entry.follow(response.response)
        else:
            entry.whole(response.get_data())
        return response

    return answer


def _refuse_long_headers(request: Request) -> None:
    """Raises `DuckError` 400 for headers that would take long to parse, and takes them away from whatever parses them later."""
    long = [name for name in _PARSED if len(request.environ.get(name, "")) > limits.MAX_HEADER]
    for name in long:
        del request.environ[name]
    if long:
        names = [name.removeprefix("HTTP_").replace("_", "-").title() for name in long]
        message = Text("longer than {count} characters", count=limits.MAX_HEADER)
        raise errors.invalid_fields([Fault(name, message) for name in names])


@answering
def serve(
    exchange: Exchange,
    name: str,
    values: Mapping[str, Any],
    dify: Gateway,
    *,
    kind: Kind,
    default_format: str | None = None,
) -> Response:
    """Runs the app that the route calls `name`, as `kind`; `values` are the endpoint's settings.

    `default_format` is for callers that accept anything; None: json, or ndjson for those who ask for streaming. With one a
    browser's GET runs the app, too; without one it gets the app's page.
    """
    request, entry = exchange.request, exchange.entry
    entry.kind, entry.dify = kind, dify
    owner = exchange.enter(values, name)
    if "Last-Event-ID" in request.headers and request.method in {"GET", "POST"}:
        return _not_resumed(exchange)
    asked = negotiation.asked_format(request)
    if request.method == "HEAD":
        return Response(headers=page.headers(owner.origins))
    if negotiation.only_looks(request, exchange.caller, asked, runs_at_once=bool(default_format)):
        return _form_page(exchange, name, run_request.parse(request, kind, entry.app_id), _way(exchange, owner, dify))
    if "prefetch" in request.headers.get("Sec-Purpose", ""):
        raise DuckError(403, "forbidden", Text("A prefetch does not run an app."))
    access.refuse_other_sites(request, owner, exchange.caller)
    wanted = run_request.parse(request, kind, entry.app_id)
    dify = _way(exchange, owner, dify, wanted.run.user)
    entry.style = style = negotiation.format_of_run(asked, request, wanted.run.mode, default_format)
    if style == "html" and request.method == "GET":  # a link could lead a person into another's conversation
        wanted = replace(wanted, run=replace(wanted.run, conversation_id=""))
    exchange.view = _view(request, name, wanted, dify) if style == "html" else None
    run = _held(wanted, exchange, owner, dify)
    exchange.count(owner, dify)
    if exchange.caller.guest:
        run = replace(run, user="")
    run = upload(run, dify.upload)
    if style == "json":
        response = _document(_fold(dify, run, exchange) if run.mode == "streaming" else _answer(dify, run, exchange))
        response.headers.update(_restarted(dify))
        return response
    return _stream(dify, run, exchange, style)


@answering
def parameters(exchange: Exchange, name: str, values: Mapping[str, Any], dify: Gateway) -> Response:
    """The form of the app that the route calls `name`."""
    owner = exchange.enter(values, name)
    if exchange.request.method == "HEAD":
        return Response(content_type=json.CONTENT_TYPE)
    form = _way(exchange, owner, dify).parameters(exchange.entry.app_id, before=functools.partial(exchange.count, owner, dify))
    return _document(guests.parameters(form) if exchange.caller.guest else form)


@answering
def stop(exchange: Exchange, name: str, values: Mapping[str, Any], dify: Gateway) -> Response:
    """Ends a run of the app that the route calls `name`."""
    owner = exchange.enter(values, name)
    access.refuse_other_sites(exchange.request, owner, exchange.caller)
    task_id, user = run_request.parse_stop(exchange.request)
    exchange.count(owner, dify)
    _way(exchange, owner, dify, user).stop(task_id)
    return _document({"result": "success"})


@answering
def index(exchange: Exchange, values: Mapping[str, Any]) -> Response:
    """What this endpoint offers, for those who may use it: guests get to know of public apps alone.

    A guest who wants to sign in is asked for a password here, since a browser sends it along to all that is below.
    """
    owner = exchange.enter(values)
    seen = owner.public if exchange.caller.guest else owner.public | set(owner.names.values()) | (owner.reachable or frozenset())
    if exchange.caller.guest and (not seen or bodies.query_value(exchange.request, SIGN_IN) is not None):
        raise access.unauthorized(owner)
    names = {name: app_id for name, app_id in owner.names.items() if app_id in seen}
    apps = [*names.items(), *((app_id, app_id) for app_id in sorted(seen - set(names.values())))]
    told = _told(owner, seen)
    document: dict[str, Any] = {
        "name": "duck",
        "version": duck.__version__,
        "url": _public_url(exchange.request),
        "apps": [{"alias": name, "public": app_id in owner.public, **told.get(app_id, {})} for name, app_id in apps],
        "formats": list(MIMETYPES),
    }
    if negotiation.asked_format(exchange.request) == "html":
        language = negotiation.language(exchange.request)
        sign_in = f"?{SIGN_IN}" if exchange.caller.guest else ""
        shown = [{"kind": gateway.seen_kind(app_id), **app} for app, (_, app_id) in zip(document["apps"], apps, strict=True)]
        body = page.landing_page({**document, "apps": shown}, language=language, kinds=_KINDS, sign_in=sign_in)
        return Response(pump.whole(body), headers=_page_headers(exchange))
    return _document(document)


def _told(owner: Settings, seen: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
    """What Dify says of the apps whose own keys are there: by the app's id its name, description and kind."""
    ways = {
        app_id: ServiceGateway(owner.service_url, key, endpoint_id="", user=access.GUEST.user)
        for app_id, key in owner.app_keys.items()
        if app_id in seen
    }
    if not ways:
        return {}
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        told = dict(zip(ways, pool.map(ServiceGateway.info, ways.values()), strict=True))
    return {
        app_id: {
            "name": str(info.get("name") or ""),
            "description": str(info.get("description") or ""),
            "kind": service.kind_in(info),
        }
        for app_id, info in told.items()
        if info
    }


@answering
def favicon(_: Exchange) -> Response:
    """Duck's own picture, for everybody."""
    return Response(_ICON.read_bytes(), content_type="image/svg+xml")


@answering
def preflight(exchange: Exchange, values: Mapping[str, Any]) -> Response:
    """The answer to a CORS preflight: always 204; whether the page may go on, its headers tell."""
    _let_read(exchange, values)
    return Response(status=204)


@answering
def unknown(exchange: Exchange, values: Mapping[str, Any]) -> Response:
    """404 for a path that no route has, 405 for a method that its route has not."""
    _let_read(exchange, values)
    methods = METHODS.get(exchange.entry.route)
    if not methods:
        routes = ", ".join(f"/{kind}/<app_id>" for kind in _KINDS)
        raise DuckError(
            404,
            "not_found",
            Text("No such route. Apps are run at {routes}, without a slash at the end; GET / lists them.", routes=routes),
        )
    allow = ", ".join(
        [*(["GET", "HEAD"] if "GET" in methods else []), "OPTIONS", *(method for method in methods if method != "GET")]
    )
    message = Text("This route takes {methods}.", methods=allow)
    raise DuckError(405, "method_not_allowed", message, headers={"Allow": allow})


def _let_read(exchange: Exchange, values: Mapping[str, Any]) -> None:
    """Lets pages of other origins read the answer, where the settings say so; settings that cannot be read say nothing."""
    with contextlib.suppress(DuckError):
        owner = settings.parse(values)
        name = exchange.request.path.rpartition("/")[2]
        exchange.cors = access.cors(exchange.request, owner, public=access.is_public(name, owner))


def _route(request: Request) -> str:
    """The pattern of the route that a request is for, `/?` if there is none."""
    first, *rest = request.path.removeprefix("/").split("/")
    route = f"/{first}{'/<app_id>' * len(rest)}"
    return route if route in METHODS and all(rest) else "/?"


def _way(exchange: Exchange, owner: Settings, dify: Gateway, user: str = "") -> Gateway:
    """The way to the app: by its own key, for the caller's `user`, where the owner has given one; else the plugin's session."""
    key = owner.app_keys.get(exchange.entry.app_id)
    if not key:
        return dify
    caller = exchange.caller
    user = caller.user if caller.guest else user or caller.user
    exchange.entry.dify = own = ServiceGateway(owner.service_url, key, endpoint_id=dify.endpoint_id, user=user)
    return own


def _held(wanted: RunRequest, exchange: Exchange, owner: Settings, dify: Gateway) -> Run:
    """The run that is asked for, if it fits the app's form. Raises `DuckError` 400 that lists all that does not."""
    presets = owner.presets if wanted.run.app_id == owner.names.get(settings.DEFAULT) else {}
    count = functools.partial(exchange.count, owner, dify)
    form, is_new = dify.form(wanted.run.app_id, before=count)
    guest = exchange.caller.guest
    run, faults = check(wanted, form, presets, guest=guest, takes_files=dify.takes_files)
    if form and not is_new and len(faults) > len(wanted.faults):
        form, _ = dify.form(wanted.run.app_id, anew=True, before=count)
        run, faults = check(wanted, form, presets, guest=guest, takes_files=dify.takes_files)
    if exchange.view:
        exchange.view = replace(exchange.view, form=form, faults=tuple(faults))
    if faults:
        _check_kind(dify, wanted.run.kind)
        raise errors.invalid_fields(faults)
    return run


def _check_kind(dify: Gateway, kind: Kind) -> None:
    """Raises `DuckError` 400 for an app that is known to be of another kind: what else is wrong follows from that."""
    if other := service.other_kind(dify.info(), kind):
        raise errors.wrong_route(kind, other)


def _answer(dify: Gateway, run: Run, exchange: Exchange) -> Mapping[str, Any]:
    """The answer of a blocking run."""
    [answer] = pump.collect(_reader(_asking(dify, run), exchange, dify, blocking=True))
    return guests.answer(answer) if exchange.caller.guest else answer


def _asking(dify: Gateway, run: Run) -> Generator[Mapping[str, Any]]:
    yield dify.answer(run)


def _fold(dify: Gateway, run: Run, exchange: Exchange) -> Mapping[str, Any]:
    """The same from a streaming run."""
    source = dify.stream(run)
    seen = guests.events(source) if exchange.caller.guest else source
    return events.fold(pump.collect(_reader(seen, exchange, dify, blocking=False)), run.kind)


def _reader(source: Generator[Event | None], exchange: Exchange, dify: Gateway, *, blocking: bool) -> Reader:
    """What reads a run's events for this request."""
    return Reader(
        source,
        exchange.entry,
        blocking=blocking,
        guest=exchange.caller.guest,
        silence_s=dify.silence_s,
        reads_on=dify.reads_on,
    )


def _stream(dify: Gateway, run: Run, exchange: Exchange, style: str) -> Response:
    """A run as it comes, or a blocking one as the end of a stream."""
    blocking = run.mode == "blocking"
    source = _closing_events(dify, run) if blocking else dify.stream(run)
    writer: StreamFormat = Html(exchange.view) if style == "html" else STREAMS[style]()
    seen = guests.events(source) if exchange.caller.guest else source
    body = pump.relay(_reader(seen, exchange, dify, blocking=blocking), writer, exchange.entry)
    headers = _page_headers(exchange) if style == "html" else STREAMS[style].headers
    return Response(body, headers={**headers, **_NOT_BUFFERED, **_restarted(dify)})


def _restarted(dify: Gateway) -> Mapping[str, str]:
    """Says that the answer is in another conversation than that which was asked for, as far as that is known by now."""
    return {"Conversation-Restarted": "true"} if dify.has_restarted else {}


def _closing_events(dify: Gateway, run: Run) -> Generator[Event]:
    """A blocking run as the end of a stream, so that keep-alives can go out while it works."""
    yield from events.unfold(dify.answer(run), run.kind)


def _not_resumed(exchange: Exchange) -> Response:
    """The answer to who reads a stream that has ended or broken off once more, and would run and pay for the app again.

    To a GET it ends an `EventSource`'s calling. Libraries that read a POST's take that for a failure, after which they try again.
    """
    exchange.entry.ended = _NOT_RESUMABLE.code
    if exchange.request.method == "GET":
        return Response(status=204)
    return Response(Sse().event(_NOT_RESUMABLE.as_event()), headers={**Sse.headers, **_NOT_BUFFERED})


_NOT_RESUMABLE = DuckError(
    409,
    "not_resumable",
    Text("This stream has been read before and cannot be resumed. The app has not run again: for that, send the request anew."),
)


def _form_page(exchange: Exchange, name: str, wanted: RunRequest, dify: Gateway) -> Response:
    """The app's page, from which a person runs it."""
    form, _ = dify.form(wanted.run.app_id)
    exchange.view = view = replace(_view(exchange.request, name, wanted, dify), form=form)
    _check_kind(dify, wanted.run.kind)
    return Response(pump.whole(page.form_page(view)), headers=_page_headers(exchange))


def _view(request: Request, name: str, wanted: RunRequest, dify: Gateway) -> View:
    """What the app's page is about. What is wrong with the request, and the app's form, are still to be found out."""
    address, info = _public_url(request), dify.info()
    return View(
        language=negotiation.language(request),
        kind=wanted.run.kind,
        name=name,
        title=str(info.get("name") or ""),
        description=str(info.get("description") or ""),
        takes_files=dify.takes_files and wanted.run.kind != "workflow",
        can_stop=dify.can_stop,
        action=f"../workflow/{quote(name, safe='')}" if _route(request) == "/duck/<app_id>" else "?",
        **repeated(wanted.run.query, wanted.run.inputs),
        conversation_id=wanted.run.conversation_id if request.method == "POST" else "",  # as above
        turns=read_turns(wanted.turns),
        origin=address and address.partition("/e/")[0],
        part=_wants_part(request),
    )


def _wants_part(request: Request) -> bool:
    """Whether the page's script asks, for what it is to add to the page."""
    return "X-Duck-Part" in request.headers


def _page_headers(exchange: Exchange) -> Mapping[str, str]:
    return page.headers(exchange.owner.origins if exchange.owner else ())


def _error_page(exchange: Exchange, error: DuckError) -> bytes:
    depth = exchange.request.path.count("/") - 1
    has_list = exchange.owner is not None and (exchange.owner.public or not exchange.caller.guest)
    home = ("../" * depth or "./") if error.code == "not_found" else "../" * depth if has_list else ""
    language, part = negotiation.language(exchange.request), _wants_part(exchange.request)
    can_sign_in = error.status == 401 and exchange.owner is not None and bool(exchange.owner.keys)
    return page.error_page(error, exchange.view, language=language, home=home, part=part, can_sign_in=can_sign_in)


def _document(value: Any, status: int = 200) -> Response:
    return Response(pump.whole(json.document(value)), status, content_type=json.CONTENT_TYPE)


def _error(exchange: Exchange, error: DuckError) -> Response:
    """An error before the first chunk: a page where HTML is asked for, else JSON."""
    exchange.entry.ended = error.code
    if exchange.caller.guest:
        error = error.for_guest()
    as_page = negotiation.takes_page(exchange.request)
    response = (
        Response(pump.whole(_error_page(exchange, error)), error.status, _page_headers(exchange))
        if as_page
        else _document(error.as_dict(), error.status)
    )
    if error.status == 401:
        bearer = 'Bearer realm="Duck"'
        # One header, and Basic first in it: Chromium ignores a Basic challenge behind another.
        response.headers["WWW-Authenticate"] = f'Basic realm="Duck", charset="UTF-8", {bearer}' if as_page else bearer
    response.headers.update(error.headers)
    return response


def _public_url(request: Request) -> str | None:
    """The endpoint's own address as callers know it. Without a proxy in front a caller can invent it: for display only."""
    hook, url = request.headers.get("Dify-Hook-Id", ""), request.headers.get("Dify-Hook-Url", "")
    base, found, _ = url.partition(f"/e/{hook}")
    return f"{base}{found}/" if hook and found and base.startswith(("https://", "http://")) else None
