"""The HTTP request as the daemon rewrites it for the plugin. Pure: no I/O.

The daemon copies the request with Go's net/http and writes it as HTTP/1.1 text, so the plugin gets it in Go's form: canonical
header names in alphabetical order, a sorted query, and an empty chunked body for a POST without a body.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from urllib.parse import quote_from_bytes, quote_plus, unquote_to_bytes

BODY_LIMIT = 10_485_760  # bytes: the daemon silently cuts longer bodies
NO_BODY = b"0\r\n\r\n"  # an empty chunked body, which Go writes for a POST or PUT without a body
GO_AGENT = b"Go-http-client/1.1"  # Go's User-Agent, if the client sent none
BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
PATH_SAFE = "$&+,/:;=@"  # not escaped by Go in a path, besides letters, digits and -_.~

REMOVED_HEADERS = frozenset(
    ("X-Forwarded-For", "X-Real-Ip", "X-Forwarded", "X-Original-Forwarded-For", "X-Original-Url", "X-Original-Host")
)
WRITTEN_APART = frozenset({"Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer"})


def has_valid_escapes(raw_path: bytes) -> bool:
    """Whether every percent sign begins an escape. If not, Go's server answers 400."""
    return not BROKEN_ESCAPE.search(raw_path)


def copy_request(
    *, method: str, hook: str, path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> bytes:
    """The HTTP/1.1 text that the plugin gets.

    `path` is the decoded path after the hook, `query` is unchanged, `body` is without transfer encoding.
    """
    fields: dict[str, list[bytes]] = defaultdict(list)
    for field, value in headers:
        fields[canonical_name(field.decode("latin-1"))].append(value)
    # A client's X-Original-Host replaces its Host.
    host = _first(fields, "X-Original-Host") or _first(fields, "Host")
    if not _first(fields, "Dify-Hook-Url"):
        scheme = b"https" if _first(fields, "X-Forwarded-Proto") == b"https" else b"http"
        fields["Dify-Hook-Url"] = [b"%s://%s/e/%s%s" % (scheme, host, hook.encode(), path)]
    fields["Dify-Hook-Id"] = [hook.encode()]

    target = quote_from_bytes(path, safe=PATH_SAFE).encode()
    if query := copy_query(query):
        target += b"?" + query
    lines = [b"%s %s HTTP/1.1" % (method.encode(), target), b"Host: " + host]
    if agent := _first(fields, "User-Agent") if "User-Agent" in fields else GO_AGENT:
        lines.append(b"User-Agent: " + agent)
    body = body[:BODY_LIMIT]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    elif method in {"POST", "PUT"}:
        lines.append(b"Transfer-Encoding: chunked")
        body = NO_BODY
    for name in sorted(fields.keys() - WRITTEN_APART - REMOVED_HEADERS):
        lines += [b"%s: %s" % (name.encode("latin-1"), _one_line(value)) for value in fields[name]]
    return b"\r\n".join((*lines, b"", body))


def copy_query(query: bytes) -> bytes:
    """The query as Go writes it: sorted by key, `a` as `a=`, without pairs that have an invalid escape or a `;`."""
    pairs = []
    for pair in query.split(b"&"):
        if not pair or b";" in pair or not has_valid_escapes(pair):
            continue
        key, _, value = pair.replace(b"+", b" ").partition(b"=")
        pairs.append((unquote_to_bytes(key), unquote_to_bytes(value)))
    pairs.sort(key=lambda pair: pair[0])
    return "&".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in pairs).encode()


def canonical_name(name: str) -> str:
    """A header name as Go spells it: `x-one` is `X-One`, `WWW-Authenticate` is `Www-Authenticate`."""
    return "-".join(part.capitalize() for part in name.split("-"))


def _first(fields: Mapping[str, list[bytes]], name: str) -> bytes:
    return fields[name][0] if name in fields else b""


def _one_line(value: bytes) -> bytes:
    """Go replaces line breaks in a header value by spaces; a decoded path may have them."""
    return value.replace(b"\r", b" ").replace(b"\n", b" ").strip()
