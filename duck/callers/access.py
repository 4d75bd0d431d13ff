"""Who may call, which app a request is for, and which web pages may send it."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from werkzeug import Request

from duck.callers.settings import DEFAULT, MIN_KEY, NO_KEY, Settings, canonical
from duck.errors import NO_APP, DuckError, setting
from duck.texts import Text

# Response headers that scripts may read.
EXPOSED = "Retry-After, Location, X-Request-Id, Request-Id, X-Should-Retry, Conversation-Restarted"
PREFLIGHT_S = 600  # for which a browser may cache a preflight: Chromium allows at most two hours, Safari ten minutes
CORS_METHODS = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
_NOT_EMBEDDED = {"document", "iframe", "frame", "empty"}  # values of Sec-Fetch-Dest for pages, and for requests of scripts


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A caller: the holder of a key, or a `guest`. A key is `explicit` unless a browser adds it by itself, as it does with Basic.

    `by` is what let the caller in: `guest`, `key`, or what a `sender` of webhooks has, who is called as in `signatures`. `user`
    names the caller's end user in Dify, if Duck can choose it. All holders of one key are one user, and so are all guests.
    """

    guest: bool
    explicit: bool
    user: str
    by: str = "key"
    sender: str = ""


GUEST = Caller(guest=True, explicit=False, user="public", by="guest")


def identify(request: Request, settings: Settings) -> Caller:
    """Identifies the caller by the keys in the headers. One valid key is enough. Keys are never read from the URL.

    The key `public` counts as none, for clients that insist on a key. Raises `DuckError` 401 if there are keys and none is valid.
    """
    headers, authorization = request.headers, request.authorization
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else None  # Werkzeug parses a token with "=" in it as parameters
    password = authorization.password if authorization and authorization.type == "basic" else None
    keys = [(headers.get("X-API-Key"), True), (headers.get("api-key"), True), (bearer, True), (password, False)]
    for given, explicit in keys:
        if given and is_one_of(given, settings.keys):
            user = "key-" + hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            return Caller(guest=False, explicit=explicit, user=user)
    given_keys = {given for given, _ in keys if given}
    if given_keys - {NO_KEY} or (not given_keys and headers.get("Authorization")):
        raise unauthorized(settings)
    return GUEST


def resolve(name: str, settings: Settings, caller: Caller) -> str:
    """The id of the app that a route calls `name`: an alias, `default`, or a UUID in any spelling.

    Raises `DuckError` 404. A guest gets 401 instead, and so cannot tell whether the app exists.
    """
    app_id = id_of(name, settings)
    if caller.guest and app_id not in settings.public:
        raise unauthorized(settings)
    if not app_id and name == DEFAULT:
        message = Text("No app is chosen in the setting {setting}.", setting=setting("default_app"))
        raise DuckError(404, "app_not_found", message)
    if not app_id or (settings.reachable is not None and app_id not in settings.reachable):
        raise DuckError(404, "app_not_found", NO_APP)  # the same for an app that does not exist and for one that is not reachable
    return app_id


def visible_apps(settings: Settings, caller: Caller) -> list[tuple[str, str]]:
    """Names and ids of the apps that the caller may know of: by alias, `default`, and by their ids if they have neither.

    Raises `DuckError` 401 for a guest if no app is public.
    """
    if caller.guest and not settings.public:
        raise unauthorized(settings)
    visible = (
        settings.public if caller.guest else settings.public | {*settings.names.values()} | (settings.reachable or frozenset())
    )
    named = {name: app_id for name, app_id in settings.names.items() if app_id in visible}
    return [*named.items(), *((app_id, app_id) for app_id in sorted(visible - {*named.values()}))]


def is_public(name: str, settings: Settings) -> bool:
    """Whether the app that a route calls `name` needs no key."""
    return id_of(name, settings) in settings.public


def id_of(name: str, settings: Settings) -> str | None:
    """The id of the app that a route calls `name`, even if there is no such app; None if it is neither a name nor a UUID."""
    return settings.names.get(name) or canonical(name)


def is_one_of(given: str, secrets: Iterable[str]) -> bool:
    """Whether a text is one of these secrets. The time that this takes does not tell how much of it was right."""
    text = given.encode("utf-8", "surrogatepass")
    return sum(hmac.compare_digest(text, secret.encode("utf-8", "surrogatepass")) for secret in secrets) > 0


def refuse_other_sites(request: Request, settings: Settings, caller: Caller) -> None:
    """Refuses a run that a page of another site requests without an explicit key, or that any page embeds.

    Browsers add a stored Basic password to form posts and links of other sites, and a public app needs no password at all.
    `Sec-Fetch-Site` tells which site a request comes from. Over plain http it is missing, and only a POST has `Origin`.

    Raises `DuckError` 403.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if caller.explicit:
        return
    if _is_embedded(request):
        raise DuckError(403, "forbidden", Text("Embedded content, such as an image, cannot run an app without a key of its own."))
    if settings.lists_origin(origin) or (caller.guest and settings.any_origin and origin is not None):
        return
    if site is not None:
        allowed = site in {"same-origin", "none"}
    elif not caller.guest and request.method != "POST":
        message = Text(
            "A GET with a password runs nothing, unless the browser says where it comes from. Send the key as X-API-Key or "
            "Authorization: Bearer, or use POST."
        )
        raise DuckError(403, "forbidden", message)
    else:
        host = _hostname(f"//{request.headers.get('Host', '')}")
        allowed = origin is None or (_hostname(origin) or "null") == host
    if not allowed:
        message = Text(
            "Pages of other websites may not run this app, unless their origin is in the setting {setting}, or they send a key "
            "as Authorization: Bearer or X-API-Key.",
            setting=setting("allowed_origins"),
        )
        raise DuckError(403, "forbidden", message, for_guests=Text("Pages of other websites may not run this app."))


def refuse_other_origins(request: Request, settings: Settings, caller: Caller) -> None:
    """Refuses a page of another origin that has no key of its own, also one whose host name leads to this machine by DNS.

    The names of origin and host may be equal then, so both must be local, or the origin listed. Raises `DuckError` 403.
    """
    origin, host = request.headers.get("Origin"), _hostname(f"//{request.headers.get('Host', '')}")
    if origin is None or caller.explicit or settings.lists_origin(origin) or (caller.guest and settings.any_origin):
        return
    if not (_is_local(_hostname(origin)) and _is_local(host)):
        raise DuckError(403, "forbidden", Text("Pages of other websites may not run this app."))


def _is_local(host: str | None) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"} or (host is not None and host.endswith(".localhost"))


def is_deliberate(request: Request, caller: Caller) -> bool:
    """Whether a GET is deliberate: it has an explicit key, or comes from the address bar or from a page of this origin.

    A request for embedded content is not, because an app's answer may contain the address of an image.
    """
    is_from_here = request.headers.get("Sec-Fetch-Site") in {"same-origin", "none"}
    return caller.explicit or (is_from_here and not _is_embedded(request))


def cors(request: Request, settings: Settings, *, public: bool) -> dict[str, str]:
    """The headers that let a page of another origin read the answer; none if it may not.

    A preflight is allowed all headers that it asks for, because SDKs add their own.
    """
    origin = request.headers.get("Origin")
    if origin and settings.lists_origin(origin):
        headers = {"Access-Control-Allow-Origin": origin}
    elif origin and settings.any_origin and public:
        headers = {"Access-Control-Allow-Origin": "*"}
    else:
        return {}
    if request.method != "OPTIONS":
        return {**headers, "Access-Control-Expose-Headers": EXPOSED}
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    names = [name.strip() for name in wanted.split(",")]
    allowed = ", ".join(name for name in names if name and name.replace("-", "").isalnum() and name.isascii())
    return {
        **headers,
        "Access-Control-Allow-Methods": CORS_METHODS,
        "Access-Control-Max-Age": str(PREFLIGHT_S),
        **({"Access-Control-Allow-Headers": allowed} if allowed else {}),
    }


def unauthorized(settings: Settings) -> DuckError:
    """The error 401 for a request that needs a valid key and has none."""
    return DuckError(401, "unauthorized", _NO_VALID_KEY if settings.keys else _NO_KEYS_SET)


_NO_KEYS_SET = Text(
    "No API key is set, so only public apps can be called. Its owner sets one in Dify, in this endpoint's settings: a random "
    "word of {count} characters or more, under {setting}.",
    count=MIN_KEY,
    setting=setting("api_key"),
)
_NO_VALID_KEY = Text("Send a valid API key: as Authorization: Bearer, as X-API-Key, or as the password of Basic authentication.")


def _is_embedded(request: Request) -> bool:
    """Whether a browser requests content to embed in a page: an image, a script, a font, ..."""
    return request.headers.get("Sec-Fetch-Dest", "empty") not in _NOT_EMBEDDED


def _hostname(url: str) -> str | None:
    """The host of a URL, None without one. The port is left out: behind a proxy it is not the one that the browser sees."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
