"""Which format a request asks for, and whether a GET runs the app."""

import contextlib

from werkzeug import Request
from werkzeug.datastructures import MIMEAccept

from duck import errors
from duck.callers.access import Caller, is_deliberate
from duck.errors import DuckError
from duck.faces.api.formats import MIMETYPES
from duck.runs import bodies
from duck.runs.run import Mode
from duck.texts import Text

_FORMATS = {mimetype: name for name, mimetypes in MIMETYPES.items() for mimetype in mimetypes}


def requested_format(request: Request) -> str | None:
    """The format that the caller asks for, None for a caller that accepts anything. Raises `DuckError` 400 or 406."""
    requested = bodies.query_value(request, "format")
    if requested is not None:
        if requested not in MIMETYPES:
            raise errors.invalid_field("format", Text("must be one of {formats}", formats=", ".join(MIMETYPES)))
        return requested
    return _accepted(request)


def format_of_run(requested: str | None, request: Request, mode: Mode | None, default: str | None) -> str:
    """The format for a run: what was `requested`, or else the route's `default`.

    A request for `streaming` gets a document only if `Accept` prefers JSON to any stream of events, or the URL names it.
    """
    if mode == "streaming" and requested == "json" and bodies.query_value(request, "format") is None:
        return _accepted_stream(request) or requested
    return requested or default or ("ndjson" if mode == "streaming" else "json")


def prefers_async(request: Request) -> bool:
    """Whether a POST prefers to fetch the answer later, as RFC 7240 has it."""
    preferences = [each.partition(";")[0].strip().lower() for each in request.headers.get("Prefer", "").split(",")]
    return request.method == "POST" and "respond-async" in preferences


def takes_page(request: Request) -> bool:
    """Whether an error, or another answer that is not the app's, should be a page. An invalid `?format=` is ignored."""
    try:
        return requested_format(request) == "html"
    except DuckError:
        with contextlib.suppress(DuckError):
            return _accepted(request) == "html"
    return False


def _accepted(request: Request) -> str | None:
    if not request.accept_mimetypes:
        return None
    accept = _without_parameters(request)
    best = accept.best_match([mimetype for mimetype in _FORMATS if accept.quality(mimetype) > 0])
    if best is None:
        raise DuckError(406, "not_acceptable", Text("Accept must allow one of {types}.", types=", ".join(_FORMATS)))
    ranges = {best, best.partition("/")[0] + "/*"}
    return _FORMATS[best] if any(accepted in ranges or q == 0 for accepted, q in accept) else None


def _accepted_stream(request: Request) -> str | None:
    """The stream of events that `Accept` rates at least as high as JSON; of several the one that it names."""
    accept = _without_parameters(request)
    named = {accepted for accepted, _ in accept}
    wanted = [
        (mimetype in named, accept.quality(mimetype), mimetype)
        for name in ("ndjson", "sse")
        for mimetype in MIMETYPES[name]
        if accept.quality(mimetype) >= accept.quality(MIMETYPES["json"][0])
    ]
    return _FORMATS[max(wanted, key=lambda each: each[:2])[2]] if wanted else None


def _without_parameters(request: Request) -> MIMEAccept:
    """`Accept` without the parameters of its types: Werkzeug matches `application/json; charset=utf-8` with no other JSON."""
    return MIMEAccept([(accepted.partition(";")[0].strip().lower(), q) for accepted, q in request.accept_mimetypes])


def only_looks(request: Request, caller: Caller, requested: str | None, *, runs_at_once: bool) -> bool:
    """Whether a GET shows the app's page and runs nothing, as for crawlers, link previews, images and links of other sites.

    `requested` is the format that is asked for. On a route that `runs_at_once` a browser's GET runs the app.
    """
    if request.method != "GET":
        return False
    if requested in {None, "html"} and not is_deliberate(request, caller):
        return True
    return requested == "html" and not runs_at_once and bodies.query_value(request, "format") is None
