"""Which format a request asks for, and whether a GET is to run anything at all."""

import contextlib

from werkzeug import Request
from werkzeug.datastructures import MIMEAccept

from duck import errors
from duck.callers.access import Caller, asks_from_here
from duck.errors import DuckError
from duck.faces.api.formats import MIMETYPES
from duck.runs import bodies
from duck.runs.run import Mode
from duck.texts import Text

_FORMATS = {mimetype: name for name, mimetypes in MIMETYPES.items() for mimetype in mimetypes}


def asked_format(request: Request) -> str | None:
    """The format that the caller asks for, None for one that takes anything. Raises `DuckError` 400 or 406."""
    asked = bodies.query_value(request, "format")
    if asked is not None:
        if asked not in MIMETYPES:
            raise errors.invalid_field("format", Text("must be one of {formats}", formats=", ".join(MIMETYPES)))
        return asked
    return _accepted(request)


def format_of_run(asked: str | None, request: Request, mode: Mode | None, default: str | None) -> str:
    """The format for a run: what was `asked`, or else the route's `default`.

    Who asks for `streaming` wants no document, unless `Accept` rates it higher than any stream of events, or the URL names it.
    """
    if mode == "streaming" and asked == "json" and bodies.query_value(request, "format") is None:
        return _accepted_stream(request) or asked
    return asked or default or ("ndjson" if mode == "streaming" else "json")


def takes_page(request: Request) -> bool:
    """Whether an answer that is none of the app's own is to be a page. Where `?format=` means nothing, `Accept` tells."""
    try:
        return asked_format(request) == "html"
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
    """The stream of events that `Accept` rates at least as high as JSON: rather one that it names than one that it allows."""
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
    """`application/json; charset=utf-8` means JSON, but Werkzeug finds it equal to nothing that lacks the parameter."""
    return MIMEAccept([(accepted.partition(";")[0].strip().lower(), q) for accepted, q in request.accept_mimetypes])


def only_looks(request: Request, caller: Caller, asked: str | None, *, runs_at_once: bool) -> bool:
    """Whether a GET gets the app's page, and runs nothing: crawlers, link previews, images and other sites' links do not mean it.

    `asked` is the format that is asked for. A route that `runs_at_once` runs in a browser, too.
    """
    if request.method != "GET":
        return False
    if asked in {None, "html"} and not asks_from_here(request, caller):
        return True
    return asked == "html" and not runs_at_once and bodies.query_value(request, "format") is None
