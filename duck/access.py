"""Who may call, and which app they mean."""

import hmac
from urllib.parse import urlsplit

from werkzeug import Request

from duck.errors import DuckError, app_not_found
from duck.settings import Settings, canonical


def admit(request: Request, settings: Settings, *, to_run: bool = False) -> None:
    """Lets a caller with one right key pass. Keys are never read from the URL.

    Raises `DuckError` 401 without a right key; for one who is going `to_run` an app also 403, where a browser sent the key by
    itself on behalf of another site.
    """
    explicit = [request.headers.get("X-API-Key")]
    basic = None
    if authorization := request.authorization:
        if authorization.type == "bearer":
            explicit.append(authorization.token)
        elif authorization.type == "basic":
            basic = authorization.password
    if any(_right(key, settings) for key in explicit):
        return
    if not _right(basic, settings):
        raise _unauthorized(settings)
    if to_run:
        _refuse_other_sites(request)


def resolve(name: str, settings: Settings) -> str:
    """The id of the app that a route calls `name`: an alias, `default`, or a UUID in any spelling. Raises `DuckError` 404."""
    app_id = settings.names.get(name) or canonical(name)
    if not app_id or (settings.reachable is not None and app_id not in settings.reachable):
        raise app_not_found()
    return app_id


def _right(key: str | None, settings: Settings) -> bool:
    """Whether `key` is one of the keys, in a time that does not tell how much of it was right."""
    given = (key or "").encode("utf-8", "surrogatepass")
    return sum(hmac.compare_digest(given, right.encode("utf-8", "surrogatepass")) for right in settings.keys) > 0


def _unauthorized(settings: Settings) -> DuckError:
    if not settings.keys:
        return DuckError(
            401,
            "unauthorized",
            "No API key is set, so nobody may call. The endpoint's owner can set one in its settings.",
        )
    return DuckError(
        401,
        "unauthorized",
        "Send a right API key: as Authorization: Bearer, as X-API-Key, or as the password of Basic authentication.",
    )


def _refuse_other_sites(request: Request) -> None:
    """Refuses a request that a browser added the stored Basic password to, unless it comes from the endpoint's own pages.

    Browsers send Basic credentials along with other sites' form posts and links. `Sec-Fetch-Site` tells; over plain http there
    is none, and `Origin` on POST alone.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        allowed = site in {"same-origin", "none"}
    elif request.method == "POST":
        origin = request.headers.get("Origin")
        allowed = origin is None or (_hostname(origin) or "null") == _hostname(f"//{request.headers.get('Host', '')}")
    else:
        allowed = False
    if not allowed:
        raise DuckError(
            403,
            "forbidden",
            "A browser sent its stored password for another site. Send the key as Authorization: Bearer instead.",
        )


def _hostname(url: str) -> str | None:
    """The host that a URL names, without its port: behind a proxy, the port is not the one the browser sees."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
