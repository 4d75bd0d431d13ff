"""URLs that an owner enters. Pure."""

import re
from urllib.parse import urlsplit

HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")

_CHARACTERS = re.compile(r"[!-~]+")
_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def origin(text: str) -> str:
    """An origin as browsers write it: in lower case, in punycode, and without the default port of its scheme.

    Its host may begin with `*.`, for all below a domain. Raises `ValueError`.
    """
    scheme, _, rest = text.removesuffix("/").lower().partition("://")
    port = urlsplit(f"//{rest}").port
    wildcard, domain = ("*.", rest.removeprefix("*.")) if rest.startswith("*.") else ("", rest)
    host = domain.removesuffix(f":{port}")
    host = host if host.isascii() else host.encode("idna").decode()
    if not _SCHEME.fullmatch(scheme) or not HOST.fullmatch(host):
        raise ValueError(f"no origin: {text}")
    return f"{scheme}://{wildcard}{host}" + ("" if port in {None, _PORTS.get(scheme)} else f":{port}")


def base(text: str, *, path: str = "") -> str:
    """An http(s) URL of a host, a port and a path, without a slash at its end. `path` is the default for a URL without one.

    Raises `ValueError` for a URL that has more.
    """
    parts = urlsplit(text)
    host, _ = parts.hostname, parts.port
    (host or "").encode("idna")  # as a lookup of the host does
    has_more = parts.query or parts.fragment or "@" in parts.netloc
    if not host or parts.scheme not in _PORTS or has_more or not _CHARACTERS.fullmatch(text):
        raise ValueError(f"no http(s) URL of a host, a port and a path: {text}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or path}"
