"""Who may call, which app they mean, and from which pages."""

import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from werkzeug import Request

from duck.callers.settings import DEFAULT, Settings, canonical
from duck.errors import NO_APP, DuckError, setting
from duck.texts import Text

# Response headers that scripts may read.
EXPOSED = "Retry-After, Location, X-Request-Id, Request-Id, X-Should-Retry, Conversation-Restarted"
PREFLIGHT_S = 600  # for which a browser may believe a preflight: Chromium takes no more than two hours, Safari ten minutes
CORS_METHODS = "GET, HEAD, POST, OPTIONS"
_NOT_EMBEDDED = {"document", "iframe", "frame", "empty"}  # of Sec-Fetch-Dest: a person, or a script


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls: a holder of a key, or a `guest`. A key is `explicit` unless a browser sends it along by itself, as Basic is.

    `user` is what Dify knows the caller by, where it can: all holders of one key are one, and so are all guests.
    """

    guest: bool
    explicit: bool
    user: str


GUEST = Caller(guest=True, explicit=False, user="public")


def identify(request: Request, settings: Settings) -> Caller:
    """Who the caller is, by the keys that came along: one right key is enough. Keys are never read from the URL.

    Raises `DuckError` 401 for one who brings none but wrong ones.
    """
    key, authorization = request.headers.get("X-API-Key"), request.authorization
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else None  # Werkzeug would read one with "=" in it as parameters
    password = authorization.password if authorization and authorization.type == "basic" else None
    for given, explicit in ((key, True), (bearer, True), (password, False)):
        if given and _right(given, settings):
            user = "key-" + hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            return Caller(guest=False, explicit=explicit, user=user)
    if key or request.headers.get("Authorization"):
        raise unauthorized(settings)
    return GUEST


def resolve(name: str, settings: Settings, caller: Caller) -> str:
    """The id of the app that a route calls `name`: an alias, `default`, or a UUID in any spelling.

    Raises `DuckError` 404; for guests 401, whether the app is there or not.
    """
    app_id = _named(name, settings)
    if caller.guest and app_id not in settings.public:
        raise unauthorized(settings)
    if not app_id and name == DEFAULT:
        message = Text("No app is chosen in the setting {setting}.", setting=setting("default_app"))
        raise DuckError(404, "app_not_found", message)
    if not app_id or (settings.reachable is not None and app_id not in settings.reachable):
        raise DuckError(404, "app_not_found", NO_APP)  # an app that is not there and one that is not reachable look alike
    return app_id


def is_public(name: str, settings: Settings) -> bool:
    """Whether the app that a route calls `name` needs no key."""
    return _named(name, settings) in settings.public


def refuse_other_sites(request: Request, settings: Settings, caller: Caller) -> None:
    """Refuses a run that a page of another site has asked for, where that page has no key of its own to show.

    Browsers send a stored Basic password along with other sites' form posts and links, and to a public app anything.
    `Sec-Fetch-Site` tells; over plain http there is none, and `Origin` on POST alone.

    Nor does one run that a page embeds, of whatever site. Raises `DuckError` 403.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if caller.explicit:
        return
    if _is_embedded(request):
        raise DuckError(403, "forbidden", Text("Embedded content, such as an image, cannot run an app without a key of its own."))
    if settings.lists(origin) or (caller.guest and settings.any_origin and origin is not None):
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


def asks_from_here(request: Request, caller: Caller) -> bool:
    """Whether a GET comes from somebody who means it: with a key to show, from the address bar, or from a page of this origin.

    What such a page embeds means nothing: an app's answer may hold the address of a picture.
    """
    is_from_here = request.headers.get("Sec-Fetch-Site") in {"same-origin", "none"}
    return caller.explicit or (is_from_here and not _is_embedded(request))


def cors(request: Request, settings: Settings, *, public: bool) -> dict[str, str]:
    """The headers by which a browser lets a page of another origin read the answer, none where it may not.

    A preflight also gets to know that its page may send whatever headers it wants to: SDKs add their own.
    """
    origin = request.headers.get("Origin")
    if origin and settings.lists(origin):
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
    """Who has no right key, where one is needed."""
    return DuckError(401, "unauthorized", _NO_RIGHT_KEY if settings.keys else _NO_KEY_AT_ALL)


_NO_KEY_AT_ALL = Text("No API key is set, so nobody can call. The endpoint's owner can set one in Dify, in its settings.")
_NO_RIGHT_KEY = Text("Send a valid API key: as Authorization: Bearer, as X-API-Key, or as the password of Basic authentication.")


def _is_embedded(request: Request) -> bool:
    """Whether a browser asks for something to put into a page: a picture, a script, a font, ..."""
    return request.headers.get("Sec-Fetch-Dest", "empty") not in _NOT_EMBEDDED


def _named(name: str, settings: Settings) -> str | None:
    """The id of the app that a route calls `name`, whether or not there is such an app."""
    return settings.names.get(name) or canonical(name)


def _right(key: str, settings: Settings) -> bool:
    """Whether `key` is one of the keys, in a time that does not tell how much of it was right."""
    given = key.encode("utf-8", "surrogatepass")
    return sum(hmac.compare_digest(given, right.encode("utf-8", "surrogatepass")) for right in settings.keys) > 0


def _hostname(url: str) -> str | None:
    """The host that a URL names, without its port: behind a proxy, the port is not the one the browser sees."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
