"""Which format a request asks for, and whether a GET is to run anything at all."""

from werkzeug import Request
from werkzeug.datastructures import MIMEAccept

from duck import bodies, errors
from duck.access import Caller, asks_from_here
from duck.errors import DuckError
from duck.formats import MIMETYPES
from duck.formats.html.words import ENGLISH, WORDS

MAX_ACCEPT = 4096  # characters, of which browsers need 150; a megabyte of them takes seconds to weigh up

_FORMATS = {mimetype: name for name, mimetypes in MIMETYPES.items() for mimetype in mimetypes}


def asked_format(request: Request) -> str | None:
    """The format that the caller asks for, None for one that takes anything. Raises `DuckError` 400 or 406."""
    asked = bodies.query(request).get("format")
    if asked is not None:
        if asked not in MIMETYPES:
            raise errors.invalid(f"format: must be one of {', '.join(MIMETYPES)}")
        return asked
    if len(request.headers.get("Accept", "")) > MAX_ACCEPT:
        raise errors.invalid(f"Accept: longer than {MAX_ACCEPT} characters")
    if not request.accept_mimetypes:
        return None
    # Without parameters: `application/json; charset=utf-8` means JSON, but Werkzeug finds it equal to nothing that lacks them.
    accept = MIMEAccept([(accepted.partition(";")[0].strip().lower(), q) for accepted, q in request.accept_mimetypes])
    best = accept.best_match([mimetype for mimetype in _FORMATS if accept.quality(mimetype) > 0])
    if best is None:
        raise DuckError(406, "not_acceptable", f"Accept must allow one of {', '.join(_FORMATS)}.")
    ranges = {best, best.partition("/")[0] + "/*"}
    return _FORMATS[best] if any(accepted in ranges or q == 0 for accepted, q in accept) else None


def takes_page(request: Request) -> bool:
    """Whether an answer that is none of the app's own is to be a page."""
    try:
        return asked_format(request) == "html"
    except DuckError:
        return False


def language(request: Request) -> str:
    """The language of the page's own words that the caller likes best."""
    return request.accept_languages.best_match(WORDS, ENGLISH) or ENGLISH


def only_looks(request: Request, caller: Caller, asked: str | None, *, runs_at_once: bool) -> bool:
    """Whether a GET gets the app's page, and runs nothing: crawlers, link previews, images and other sites' links do not mean it.

    `asked` is the format that is asked for. A route that `runs_at_once` runs in a browser, too.
    """
    if request.method != "GET":
        return False
    if asked in {None, "html"} and not asks_from_here(request, caller):
        return True
    return asked == "html" and not runs_at_once and "format" not in request.args
