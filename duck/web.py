"""One request, from its first header to its answer: settings, access, request, run, format, response.

The one place where errors become HTTP. Nothing may be raised from here: the SDK would answer a `ValueError` with 404, and put
any other text into the caller's hands.
"""

import functools
from collections.abc import Callable, Generator, Mapping
from types import GeneratorType
from typing import Any, Concatenate

from werkzeug import Request, Response
from werkzeug.datastructures import MIMEAccept

import duck
from duck import access, errors, events, runs, settings, stream
from duck.errors import DuckError
from duck.events import Event, Kind
from duck.formats import MIMETYPES, STREAMS, html, json
from duck.gateway import Gateway
from duck.journal import Entry
from duck.runs import Asked, Run
from duck.settings import Settings

# The methods of each route. The SDK cannot tell: it matches paths and methods together.
METHODS: Mapping[str, tuple[str, ...]] = {
    "/": ("GET",),
    "/duck/<app_id>": ("GET",),
    "/chat/<app_id>": ("GET", "POST"),
    "/workflow/<app_id>": ("GET", "POST"),
    "/completion/<app_id>": ("GET", "POST"),
    "/parameters/<app_id>": ("GET",),
}

_FORMATS = {mimetype: name for name, mimetypes in MIMETYPES.items() for mimetype in mimetypes}
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept, Accept-Language, Authorization, X-API-Key, Origin, Sec-Fetch-Site",
}
_NOT_BUFFERED = {"X-Accel-Buffering": "no"}  # nginx would hold a stream back


def _answering[**P](handle: Callable[Concatenate[Request, Entry, P], Response]) -> Callable[Concatenate[Request, P], Response]:
    """Makes whatever `handle` raises a response, adds the headers that all responses have, and has each request logged."""

    @functools.wraps(handle)
    def answering(request: Request, /, *args: P.args, **kwargs: P.kwargs) -> Response:
        entry = Entry(method=request.method, route=_route(request))
        try:
            response = handle(request, entry, *args, **kwargs)
        except DuckError as error:
            response = _error(request, entry, error)
        except Exception as error:  # noqa: BLE001 - see the module's docstring
            response = _error(request, entry, errors.defect(error))
        finally:
            request.close()  # the temporary files of a form
        response.headers.update(_HEADERS)
        entry.status = response.status_code
        if isinstance(response.response, GeneratorType):
            response.response = entry.follow(response.response)
        else:
            entry.whole(response.get_data())
        return response

    return answering


@_answering
def serve(
    request: Request,
    entry: Entry,
    name: str,
    values: Mapping[str, Any],
    dify: Gateway,
    *,
    kind: Kind,
    default_format: str | None = None,
) -> Response:
    """Runs the app that the route calls `name`, as `kind`; `values` are the endpoint's settings.

    `default_format` is for callers that accept anything; None: json, or ndjson for those who ask for streaming.
    """
    entry.kind, entry.dify = kind, dify
    asked = _negotiate(request)
    owner = settings.parse(values)
    access.admit(request, owner, to_run=True)
    entry.app_id = access.resolve(name, owner)
    wanted = runs.parse(request, kind, entry.app_id)
    entry.style = style = asked or default_format or ("ndjson" if wanted.mode == "streaming" else "json")
    if request.method == "HEAD":
        return Response(content_type=json.CONTENT_TYPE if style == "json" else STREAMS[style].headers["Content-Type"])
    if "prefetch" in request.headers.get("Sec-Purpose", ""):
        raise DuckError(403, "forbidden", "A run is not started in advance.")
    run = runs.upload(_held(wanted, owner, dify), dify.upload)
    if style == "json":
        return _document(_fold(dify, run, entry) if run.mode == "streaming" else _answer(dify, run, entry))
    blocking = run.mode == "blocking"
    source = _closing_events(dify, run) if blocking else dify.stream(run)
    body = stream.relay(source, STREAMS[style](), entry, blocking=blocking)
    return Response(body, headers={**STREAMS[style].headers, **_NOT_BUFFERED})


@_answering
def parameters(request: Request, entry: Entry, name: str, values: Mapping[str, Any], dify: Gateway) -> Response:
    """The form of the app that the route calls `name`."""
    owner = settings.parse(values)
    access.admit(request, owner)
    entry.app_id = access.resolve(name, owner)
    return _document(dify.parameters(entry.app_id))


@_answering
def index(request: Request, _entry: Entry, values: Mapping[str, Any]) -> Response:
    """What this endpoint offers, for those who may use it."""
    owner = settings.parse(values)
    access.admit(request, owner)
    named = set(owner.names.values())
    apps = [*owner.names, *sorted((owner.reachable or frozenset()) - named)]
    return _document(
        {
            "name": "duck",
            "version": duck.__version__,
            "url": _public_url(request),
            "apps": [{"alias": app, "public": False} for app in apps],
            "formats": list(MIMETYPES),
        }
    )


@_answering
def preflight(_request: Request, _entry: Entry) -> Response:
    """The answer to a CORS preflight: no other origin is let in."""
    return Response(status=204)


@_answering
def unknown(_request: Request, entry: Entry) -> Response:
    """404 for a path that no route has, 405 for a method that its route has not."""
    methods = METHODS.get(entry.route)
    if not methods:
        raise DuckError(
            404,
            "not_found",
            "No such route. Apps are run at /chat/<app_id>, /workflow/<app_id> and /completion/<app_id>; GET / lists them.",
        )
    allow = ", ".join(["GET", "HEAD", "OPTIONS", *methods[1:]])
    raise DuckError(405, "method_not_allowed", f"This route takes {allow}.", headers={"Allow": allow})


def _route(request: Request) -> str:
    """The pattern of the route that a request is for, `/?` if there is none."""
    first, *rest = request.path.strip("/").split("/")
    route = f"/{first}{'/<app_id>' * len(rest)}"
    return route if route in METHODS else "/?"


def _negotiate(request: Request) -> str | None:
    """The format that the caller asks for, None for one that takes anything. Raises `DuckError` 400 or 406."""
    asked = request.args.get("format")
    if asked is not None:
        if asked not in MIMETYPES:
            raise errors.invalid(f"format: must be one of {', '.join(MIMETYPES)}")
        return asked
    if not request.accept_mimetypes:
        return None
    # Without parameters: `application/json; charset=utf-8` means JSON, but Werkzeug finds it equal to nothing that lacks them.
    accept = MIMEAccept([(accepted.partition(";")[0].strip().lower(), q) for accepted, q in request.accept_mimetypes])
    best = accept.best_match([mimetype for mimetype in _FORMATS if accept.quality(mimetype) > 0])
    if best is None:
        raise DuckError(406, "not_acceptable", f"Accept must allow one of {', '.join(_FORMATS)}.")
    ranges = {best, best.partition("/")[0] + "/*"}
    return _FORMATS[best] if any(accepted in ranges or q == 0 for accepted, q in accept) else None


def _held(wanted: Asked, owner: Settings, dify: Gateway) -> Run:
    """The run that is asked for, if it fits the app's form. Raises `DuckError` 400 that lists all that does not."""
    presets = owner.presets if wanted.app_id == owner.names.get(settings.DEFAULT) else {}
    form, is_new = dify.form(wanted.app_id)
    run, faults = runs.hold(wanted, form, presets)
    if form and not is_new and len(faults) > len(wanted.faults):
        form, _ = dify.form(wanted.app_id, anew=True)
        run, faults = runs.hold(wanted, form, presets)
    if faults:
        raise errors.invalid("; ".join(faults))
    return run


def _answer(dify: Gateway, run: Run, entry: Entry) -> Mapping[str, Any]:
    """The answer of a blocking run."""
    [answer] = stream.gather(_asking(dify, run), entry, blocking=True)
    return answer


def _asking(dify: Gateway, run: Run) -> Generator[Mapping[str, Any]]:
    yield dify.answer(run)


def _fold(dify: Gateway, run: Run, entry: Entry) -> Mapping[str, Any]:
    """The same from a streaming run."""
    return events.fold(stream.gather(dify.stream(run), entry, blocking=False), run.kind)


def _closing_events(dify: Gateway, run: Run) -> Generator[Event]:
    """A blocking run as the end of a stream, so that keep-alives can go out while it works."""
    yield from events.unfold(dify.answer(run), run.kind)


def _document(value: Any, status: int = 200) -> Response:
    return Response(stream.whole(json.document(value)), status, content_type=json.CONTENT_TYPE)


def _error(request: Request, entry: Entry, error: DuckError) -> Response:
    """An error before the first chunk: a page where HTML is asked for, else JSON."""
    entry.ended = error.code
    as_page = _wants_page(request)
    response = (
        Response(stream.whole(html.error_page(error)), error.status, html.Html.headers)
        if as_page
        else _document(error.as_dict(), error.status)
    )
    if error.status == 401:
        bearer = 'Bearer realm="Duck"'
        # One header, and Basic first in it: Chromium ignores a Basic challenge behind another.
        response.headers["WWW-Authenticate"] = f'Basic realm="Duck", charset="UTF-8", {bearer}' if as_page else bearer
    response.headers.update(error.headers)
    return response


def _wants_page(request: Request) -> bool:
    try:
        return _negotiate(request) == "html"
    except DuckError:
        return False


def _public_url(request: Request) -> str | None:
    """The endpoint's own address as callers know it. Without a proxy in front a caller can invent it: for display only."""
    hook, url = request.headers.get("Dify-Hook-Id", ""), request.headers.get("Dify-Hook-Url", "")
    base, found, _ = url.partition(f"/e/{hook}")
    return f"{base}{found}/" if hook and found and base.startswith(("https://", "http://")) else None
