"""One HTTP request, from its first header to its answer: settings, caller, app, and the line in the log.

This is the one place where errors become HTTP responses, written by the face that answers. Nothing may be raised from here: the
SDK answers a `ValueError` with 404, and sends the text of any other exception to the caller.
"""

import contextlib
import functools
import uuid
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any, Concatenate
from urllib.parse import quote

from werkzeug import Request, Response

from duck import errors, limits, routes
from duck import state as states
from duck.callers import access
from duck.callers import settings as settings_
from duck.callers.access import Caller
from duck.callers.settings import Settings
from duck.errors import DuckError
from duck.journal import Entry
from duck.runs.forms import Form
from duck.state import State
from duck.streams import json, pump
from duck.texts import Fault, Text

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept, Accept-Language, Authorization, X-API-Key, API-Key, Origin, Sec-Fetch-Site, Sec-Fetch-Dest",
}
BEARER = 'Bearer realm="Duck"'  # how to authenticate, if a face does not say it otherwise
type Identify = Callable[[Request, Settings], Caller]

# The headers that Duck parses, by their names in WSGI's environ.
_PARSED = [
    "CONTENT_TYPE",
    *(
        f"HTTP_{name}"
        for name in ("ACCEPT", "ACCEPT_LANGUAGE", "AUTHORIZATION", "X_API_KEY", "API_KEY", "ORIGIN", "HOST", "DIFY_HOOK_URL")
    ),
    *(f"HTTP_{name}" for name in ("CONTENT_ENCODING", "ACCESS_CONTROL_REQUEST_HEADERS", "SEC_PURPOSE", "PREFER")),
    *(f"HTTP_{name}" for name in ("MCP_PROTOCOL_VERSION", "MCP_METHOD", "MCP_NAME")),
]


@dataclass(slots=True)
class Exchange:
    """One request and its caller, who is a guest until a valid key has been found.

    `parsed` are the endpoint's settings, None until `admit` has read them. `form` is the app's, None while it is not known.
    `context` is whatever a face needs for an error that it may have to write.
    """

    request: Request
    entry: Entry
    state: State
    caller: Caller = access.GUEST
    parsed: Settings | None = None
    cors: Mapping[str, str] = field(default_factory=dict)
    form: Form | None = None
    context: Any = None
    _counted: bool = False

    @property
    def settings(self) -> Settings:
        """The endpoint's settings, once `admit` has read them."""
        assert self.parsed is not None, "admit() comes first"  # noqa: S101 - a defect, not a fault of the request
        return self.parsed

    def admit(self, settings: Mapping[str, Any], name: str | None = None, identify: Identify = access.identify) -> Settings:
        """Reads the settings and identifies the caller. For a route with an app, `name` is what the route calls it.

        `identify` is another way to do so, from `callers`. A face whose body names the app calls `reach` once it has read the
        body. Raises `DuckError`: 500 for invalid settings, 401 for a caller without access, 404 for an unreachable app.
        """
        parsed = self.parsed = settings_.parse(settings)
        self.cors = access.cors(self.request, parsed, public=name is not None and access.is_public(name, parsed))
        try:
            self.caller = identify(self.request, parsed)
        except DuckError:
            self.state.wrong_keys.slow_down(self.request.headers.get("Dify-Hook-Id", ""), self.state.clock)
            raise
        self.entry.by, self.entry.sender = self.caller.by, self.caller.sender
        if name is not None:
            self.reach(name)
        return parsed

    def reach(self, name: str) -> str:
        """The id of the app that the caller names. Raises `DuckError`: 401 for a caller without access to it, 404."""
        self.cors = access.cors(self.request, self.settings, public=access.is_public(name, self.settings))
        self.entry.app_id = access.resolve(name, self.settings, self.caller)
        return self.entry.app_id

    def allow_origin(self, settings: Mapping[str, Any]) -> None:
        """Lets pages of other origins read the answer, if the settings allow it. Invalid settings allow nothing."""
        with contextlib.suppress(DuckError):
            parsed = settings_.parse(settings)
            if routes.names_app(self.entry.route):
                name = routes.app_in(self.request.path) or self.request.path.rpartition("/")[2]
                public = access.is_public(name, parsed)
            else:
                public = bool(parsed.public)  # the body names the app
            self.cors = access.cors(self.request, parsed, public=public)

    def no_route(self, settings: Mapping[str, Any], message: str) -> DuckError:
        """The error for a request that no route takes: 405 for a wrong method, else 404 with this message."""
        self.allow_origin(settings)
        methods = routes.METHODS.get(self.entry.route)
        if not methods:
            return DuckError(404, "not_found", message)
        read = ["GET", "HEAD"] if "GET" in methods else []
        allow = ", ".join([*read, "OPTIONS", *(method for method in methods if method != "GET")])
        message = Text("This route takes {methods}.", methods=allow)
        return DuckError(405, "method_not_allowed", message, headers={"Allow": allow})

    def refuse_other_sites(self) -> None:
        """Refuses a request that another site's page makes without a key of its own. Raises `DuckError` 403."""
        access.refuse_other_sites(self.request, self.settings, self.caller)

    def refuse_other_origins(self) -> None:
        """Refuses a page of another origin without a key of its own, whatever its host name leads to. Raises `DuckError` 403."""
        access.refuse_other_origins(self.request, self.settings, self.caller)

    def count(self, endpoint_id: str) -> None:
        """Counts a guest's request against the guests' rate, once, before it costs Dify anything.

        Raises `DuckError` 429 when the rate is used up.
        """
        if self.caller.guest and not self._counted:
            self.state.rates.take(endpoint_id, self.settings.public_rate, self.state.clock.now())
            self._counted = True

    def forget(self, delivery: Hashable) -> None:
        """Forgets a delivery that was accepted and has come to nothing, so that it can be sent again."""
        self.state.deliveries.forget(self._key(delivery))

    def once[T](self, delivery: Hashable, accept: Callable[[], T], pending: T) -> T:
        """Calls `accept` once for each delivery to the app, and returns its result to each repeat. Raises `DuckError`.

        A repeat gets `pending` if the first one takes long.
        """
        accepted, is_repeat = self.state.deliveries.once(self._key(delivery), accept, pending, self.state.clock)
        if is_repeat:
            self.entry.ended = "repeated"
        return accepted

    def _key(self, delivery: Hashable) -> Hashable:
        return self.request.headers.get("Dify-Hook-Id", ""), self.entry.app_id, self.caller.user, delivery

    def link(self, *path: str) -> str:
        """The address of another route: of the endpoint's URL if the owner has set it, else relative to this request's.

        Dify's own header may lack the port.
        """
        base = self.settings.public_url or "../" * self.request.path.strip("/").count("/")
        return base + "/".join(quote(part, safe="") for part in path)

    @property
    def public_url(self) -> str | None:
        """The endpoint's address as callers know it, as the owner has set it or Dify tells it; None if neither is known.

        It is for display only: without a proxy in front of Dify, callers can make it up.
        """
        if self.parsed and self.parsed.public_url:
            return self.parsed.public_url
        hook, url = self.request.headers.get("Dify-Hook-Id", ""), self.request.headers.get("Dify-Hook-Url", "")
        base, found, _ = url.partition(f"/e/{hook}")
        return f"{base}{found}/" if hook and found and base.startswith(("https://", "http://")) else None


def document(value: Any, status: int = 200) -> Response:
    """A response with a JSON document."""
    return Response(json.document(value), status, content_type=json.CONTENT_TYPE)


type Handler[**P] = Callable[Concatenate[Exchange, P], Response]
type WriteError = Callable[[Exchange, DuckError], Response]


def answering[**P](
    errors: WriteError, *, request_id: str = ""
) -> Callable[[Handler[P]], Callable[Concatenate[Request, P], Response]]:
    """Turns a handler into a function from request to response.

    `errors` writes the response to whatever the handler raises. Every response gets the common headers and a line in the log.
    If `request_id` names a header, the response and its line get an id of the request, too.
    """

    def decorate(handle: Handler[P]) -> Callable[Concatenate[Request, P], Response]:
        @functools.wraps(handle)
        def answer(request: Request, /, *args: P.args, **kwargs: P.kwargs) -> Response:
            # Request and environ refer to each other, so a large body would stay in memory until the next garbage collection.
            request.environ.pop("werkzeug.request", None)
            entry = Entry(method=request.method, route=routes.pattern_of(request.path))
            if request_id:
                entry.request_id = f"req_{uuid.uuid4().hex}"
            exchange = Exchange(request, entry, states.current())
            response = _answered(exchange, functools.partial(handle, exchange, *args, **kwargs), errors)
            response.headers.update({**_HEADERS, **_kept(response), **exchange.cors})
            if request_id:
                response.headers[request_id] = entry.request_id
            return _sent(exchange, response)

        return answer

    return decorate


def _kept(response: Response) -> Mapping[str, str]:
    """The `Cache-Control` that a handler has set. A response that is alike for all callers may be cached."""
    return {name: value for name, value in response.headers.items() if name == "Cache-Control"}


def _answered(exchange: Exchange, handle: Callable[[], Response], write: WriteError) -> Response:
    try:
        _refuse_long_headers(exchange.request)
        return handle()
    except DuckError as error:  # must not be kept: its traceback refers to all frames, and so to a large body
        return _failed(exchange, error, write)
    except Exception as error:  # noqa: BLE001 - see the module's docstring
        return _failed(exchange, errors.defect(error), write)


def _sent(exchange: Exchange, response: Response) -> Response:
    """The response, with its line in the log. A large body is cut into pieces, because the daemon cannot take it in one."""
    exchange.entry.status = response.status_code
    if not isinstance(response.response, GeneratorType):
        body = pump.in_pieces(response.get_data(), exchange.state.slots, exchange.state.clock)
        if isinstance(body, bytes):
            exchange.entry.whole(body)
            return response
        del response.headers["Content-Length"]
        response.response = body
    response.response = exchange.entry.follow(response.response)
    return response


def _failed(exchange: Exchange, failure: DuckError, write: WriteError) -> Response:
    exchange.entry.ended = failure.code
    response = write(exchange, failure.for_guest() if exchange.caller.guest else failure)
    response.headers.update(failure.headers)
    if response.status_code == 401:
        response.headers.setdefault("WWW-Authenticate", BEARER)
    return response


def _refuse_long_headers(request: Request) -> None:
    """Raises `DuckError` 400 for headers that would take long to parse, and removes them so that nothing parses them later."""
    long = [name for name in _PARSED if len(request.environ.get(name, "")) > limits.MAX_HEADER]
    for name in long:
        del request.environ[name]
    if long:
        names = [name.removeprefix("HTTP_").replace("_", "-").title() for name in long]
        message = Text("longer than {count} characters", count=limits.MAX_HEADER)
        raise errors.invalid_fields([Fault(name, message) for name in names])
