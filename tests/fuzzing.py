"""Generated requests and settings, many of them malformed, and the checks of Duck's answers to them.

What the checks expect follows from the `Case` alone, and from none of Duck's own code.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import html5lib
from hypothesis import strategies as st

from tests.support import basic, http_error, recorded, sample

KEYS = ("a-right-key", "a-second-key")
APPS = {
    "listed": "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43",
    "public": "3d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a44",
    "default": "4d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a45",
    "unlisted": "5d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a46",
}
SHOP = "https://shop.example"
NEEDLE = "needle-in-what-guests-do-not-see"
STATUSES = {200, 204, 400, 401, 403, 404, 405, 406, 413, 415, 429, 500, 502, 503, 504}

NASTY = st.sampled_from(
    ["", "\0", "\r\n", "🦆", "\u2028", "é", "%", "%ff", "../", "<script>", '"', "\\", "{", "[[", "null", "9" * 400]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | NASTY
# Header values that an HTTP parser accepts. The SDK decodes them as UTF-8.
HEADER_TEXTS = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=20).map(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["query", "inputs", "inputs.city", "city", "n", "doc", "docs", "user", "files", "conversation_id", "response_mode", "format"]
) | st.sampled_from(["inputs[city]", "docs[]", "docs[0]", "city[a]", "meta[a][]", "inputs[meta][a]", "_charset_", "utm_source"])
ID = "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901"
VALUES = st.sampled_from(
    [
        "hi",
        "",
        "1",
        "true",
        "blocking",
        "streaming",
        ID,
        "https://x.example/a.pdf",
        "data:text/plain;base64,aGk=",
        "data:,",
        "data:",
    ]
) | st.sampled_from(["gbk", "[]", "{}", '[["a","b"]]', "a" * 30])


@dataclass(frozen=True, slots=True)
class Case:
    """One request, with the settings of its endpoint, and what is known of both.

    `app` is the key in `APPS` of the app that `name` names in the path, None if it names none. `keys` were sent in headers;
    `explicit_keys` are those of them that no browser sends by itself.
    """

    method: str
    route: str
    app: str | None
    name: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    settings: dict[str, Any]
    keys: list[str]
    explicit_keys: list[str]

    @property
    def path(self) -> str:
        return "/" if self.route == "/" else f"{self.route}/{quote(self.name, safe='')}"

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def raw(self) -> bytes:
        """The request as the daemon sends it."""
        target = self.path + (f"?{self.query}" if self.query else "")
        lines = [f"{self.method} {target} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""]).encode() + self.body


# Settings


@st.composite
def settings(draw: st.DrawFn, *, wild: bool) -> dict[str, Any]:
    """An endpoint's settings: valid ones, or with `wild` any."""
    values: dict[str, Any] = {
        "api_key": draw(st.sampled_from([KEYS[0], f"{KEYS[0]}, {KEYS[1]}"])),
        "default_app": {"app_id": APPS["default"], "inputs": {"city": "Oslo", "n": "7"}},
        "apps": f"listed={APPS['listed']}, public={APPS['public']}",
        "public_apps": draw(st.sampled_from([APPS["public"], APPS["public"].upper(), "public"])),
        "public_rate": draw(st.sampled_from([None, "", "1", "999999"])),
        "allowed_origins": draw(st.sampled_from(["", SHOP, f"*, {SHOP}", "*"])),
    }
    if wild:
        for name in draw(st.sets(st.sampled_from([*values]), min_size=1, max_size=3)):
            values[name] = draw(st.sampled_from([None, "", " ", ",", "1", "*", {"app_id": ""}, [], 0]) | JSON)
        for name in draw(st.sets(st.sampled_from([*values]), max_size=2)):
            del values[name]
    return values


def words(values: Mapping[str, Any], name: str) -> set[str]:
    """The words of a setting."""
    value = values.get(name)
    return set(re.split(r"[\s,]+", value)) - {""} if isinstance(value, str) else set()


# Requests


def encoded(text: str) -> bytes:
    """The text as UTF-8; lone surrogates are encoded like other characters."""
    return text.encode("utf-8", "surrogatepass")


def urlencoded(pairs: list[tuple[str, str]]) -> str:
    """A form with every byte percent-encoded."""

    def quoted(text: str) -> str:
        return "".join(f"%{byte:02X}" for byte in encoded(text))

    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs)


def multipart(parts: list[tuple[str, str | None, bytes]]) -> bytes:
    """A multipart body. Each part is a name, a file name and the content."""
    written = b""
    for name, filename, content in parts:
        more = "" if filename is None else f'; filename="{filename}"'
        written += b"--x\r\n" + encoded(f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n') + content + b"\r\n"
    return written + b"--x--\r\n"


FIELDS = st.fixed_dictionaries(
    {"query": st.just("hi") | TEXTS},
    optional={
        "inputs": st.dictionaries(NAMES | TEXTS, VALUES | JSON, max_size=4) | JSON,
        "response_mode": VALUES | JSON,
        "conversation_id": VALUES | JSON,
        "user": TEXTS | JSON,
        "files": st.just([]) | JSON,
        "city": JSON,
    },
)
PAIRS = st.lists(st.tuples(NAMES | TEXTS, VALUES | TEXTS), max_size=5)
PARTS = st.lists(
    st.tuples(NAMES | TEXTS, st.none() | st.just("blob") | TEXTS, TEXTS.map(encoded) | st.binary(max_size=30)), max_size=4
)
PIECES = {
    "application/json": rb'{"query":|"hi"|,"inputs":|{|}|[|"\ud800"|1e999'.split(b"|"),
    "application/x-www-form-urlencoded": b'query=hi|&|=|inputs|.|city=%ff|%00|%ED%A0%80|+|{"a":|inputs={}|;'.split(b"|"),
    "multipart/form-data; boundary=x": (
        b'--x\r\n|--x--|--|\r\n|\n|Content-Disposition: form-data|; name="query"|; name="inputs.a"|; name="\xff"|; name*=utf-8'
        b'\'\'%ff|; filename=""|; filename="../a.png"|Content-Type: text/plain|; charset=x|X|\r\n\r\n|hi|{"a": 1}'
    ).split(b"|"),
}
TYPES = st.sampled_from(
    ["", "text/plain", "application/json; charset=utf-16", "multipart/form-data", "a/b+json", "application/x-www-form-urlencoded"]
)


@st.composite
def bodies(draw: st.DrawFn, *, wild: bool) -> tuple[bytes, str]:
    """A body and its content type: one that an app takes, or with `wild` any."""
    if not wild:
        fields = {
            "query": "hi",
            **draw(st.sampled_from([{}, {"inputs": {"city": "Oslo", "n": 7}}, {"response_mode": "streaming"}])),
        }
        return json.dumps(fields).encode(), "application/json"
    match draw(st.sampled_from(["fields", "json", "form", "multipart", "code page", "pieces", "empty"])):
        case "fields":
            body, kind = json.dumps(draw(FIELDS)).encode(), "application/json"
        case "json":
            body, kind = json.dumps(draw(JSON)).encode(), "application/json"
        case "form":
            body, kind = urlencoded(draw(PAIRS)).encode(), "application/x-www-form-urlencoded"
        case "multipart":
            body, kind = multipart(draw(PARTS)), "multipart/form-data; boundary=x"
        case "code page":
            pairs = [f"{name}={value}" for name, value in draw(PAIRS)]
            charset = draw(st.sampled_from(["gbk", "shift_jis", "latin-1", "utf-16", "utf-7", "idna", "unicode_escape", "x"]))
            known = charset if charset in {"gbk", "shift_jis", "latin-1"} else "utf-8"
            body = "&".join(pairs).encode(known, "replace")
            kind = draw(st.sampled_from(["application/x-www-form-urlencoded", "application/json"])) + f"; charset={charset}"
        case "empty":
            body, kind = draw(st.sampled_from([b"", b"0\r\n\r\n"])), "application/json"
        case _:
            kind = draw(st.sampled_from([*PIECES]))
            body = b"".join(draw(st.lists(st.sampled_from(PIECES[kind]) | st.binary(max_size=6), max_size=12)))
    if draw(st.integers(0, 9)) == 0:
        body = body[: draw(st.integers(0, len(body)))]
    if draw(st.integers(0, 9)) == 0:
        kind = draw(HEADER_TEXTS | TYPES)
    return body, kind


HEADERS: dict[str, st.SearchStrategy[str]] = {
    "Accept": st.sampled_from(["*/*", "application/json", "text/html", "text/event-stream, */*;q=0.1", "image/png"])
    | HEADER_TEXTS,
    "Origin": st.sampled_from([SHOP, "https://evil.example", "null", "https://[", "http://localhost"]) | HEADER_TEXTS,
    "Sec-Fetch-Site": st.sampled_from(["none", "same-origin", "same-site", "cross-site"]) | HEADER_TEXTS,
    "Sec-Purpose": st.just("prefetch"),
    "Last-Event-ID": st.just("7"),
    "Content-Encoding": st.sampled_from(["gzip", "identity"]),
    "Access-Control-Request-Headers": st.just("authorization") | HEADER_TEXTS,
    "Dify-Hook-Url": HEADER_TEXTS,
    "Range": st.just("bytes=0-1"),
}
ASPECTS = ["method", "route", "app", "credentials", "headers", "headers", "body", "body", "query", "settings"]
ROUTES = {"chat": "/chat", "agent-chat": "/chat", "workflow": "/workflow", "completion": "/completion"}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A request that runs an app, except that up to three of its aspects may be anything."""
    wild = draw(st.sets(st.sampled_from(ASPECTS), max_size=3))
    method = draw(st.sampled_from(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])) if "method" in wild else "POST"
    route = draw(
        st.sampled_from(
            ["/duck", "/parameters", "/", "/nothing"] if "route" in wild else ["/chat", "/chat", "/workflow", "/completion"]
        )
    )
    app, name = draw(names(wild="app" in wild))
    headers: list[tuple[str, str]] = []
    keys, explicit = draw(credentials(headers, wild="credentials" in wild))
    body, content_type = draw(bodies(wild="body" in wild)) if method == "POST" else (b"", "")
    if content_type:
        headers.append(("Content-Type", content_type))
    if "headers" in wild:
        sent = draw(st.sets(st.sampled_from([*HEADERS]), min_size=1, max_size=3))
        headers += [(header, draw(HEADERS[header])) for header in sorted(sent)]
    pairs = [("query", "hi")] if method == "GET" and route == "/chat" else []
    if draw(st.booleans()):
        pairs.append(("format", draw(st.sampled_from(["json", "ndjson", "sse", "html", "text"]))))
    query = urlencoded(pairs)
    if "query" in wild:
        query = draw(PAIRS.map(urlencoded) | st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#")))
    return Case(method, route, app, name, query, headers, body, draw(settings(wild="settings" in wild)), keys, explicit)


@st.composite
def names(draw: st.DrawFn, *, wild: bool) -> tuple[str | None, str]:
    """A key in `APPS`, and one of that app's names; or None and a name that no app has."""
    app = draw(st.sampled_from(["default", "unlisted", None] if wild else ["listed", "public"]))
    if app is None:
        return None, draw(TEXTS).replace("/", "") or "x"
    app_id = APPS[app]
    return app, draw(st.sampled_from([app_id, app_id.upper(), app_id.replace("-", ""), *([app] if app != "unlisted" else [])]))


@st.composite
def credentials(draw: st.DrawFn, headers: list[tuple[str, str]], *, wild: bool) -> tuple[list[str], list[str]]:
    """Adds credentials to `headers`. Returns all keys, and those of them that no browser sends by itself."""
    key = st.sampled_from([*KEYS, "wrong", ""]) | HEADER_TEXTS if wild else st.just(KEYS[0])
    how = draw(st.sampled_from([None, "bearer", "Basic", "junk", "X-API-Key", "two"] if wild else [None, "Bearer", "X-API-Key"]))
    if how is None:
        return [], []
    sent = draw(key)
    match how:
        case "Basic":
            headers += basic(sent).items()
            return [sent, "a header"], []
        case "junk":
            headers.append(("Authorization", draw(st.sampled_from(["Basic", "Basic !", "Bearer", "Digest a=b", "junk"]))))
            return ["a header"], []
        case "X-API-Key":
            headers.append(("X-API-Key", sent))
            return [sent], [sent]
        case "two":
            second = draw(key)
            headers += [("X-API-Key", sent), ("Authorization", f"Bearer {second}".strip())]
            return [sent, second, "a header"], [sent, second]
    headers.append(("Authorization", f"{how} {sent}".strip()))
    return [sent, "a header"], [sent]


# What Dify does, by name. The needle is in all texts that guests must not see.

_SECRET = {"event": "node_finished", "data": {"title": "x", "inputs": {"prompt": NEEDLE}, "outputs": {"text": NEEDLE}}}
_FAILURES = {
    "model failed": http_error(400, "completion_request_error", NEEDLE),
    "bare 500": http_error(500, "unknown", ""),
    "no app": http_error(400, "invalid_param", "app not found"),
    "exception in Dify": Exception("read app failed: request failed: " + NEEDLE),
    "silence": Exception("invocation exited without response after 250 seconds"),
    "unknown failure": Exception(NEEDLE),
    "failure without a word": Exception(""),
}
STREAMS: dict[str, list[Any]] = {
    **{name: [_SECRET, *sample(name)] for name in ("chat", "workflow", "completion", "agent-chat")},
    "error event": [_SECRET, {"event": "error", "code": "x", "status": 400, "message": NEEDLE}],
    "junk": [_SECRET, {"answer": NEEDLE}, [NEEDLE], None, {"event": "tomorrow", "data": NEEDLE}],
    "nothing": [],
    **{name: [failure] for name, failure in _FAILURES.items()},
    **{f"{name} after a while": [_SECRET, failure] for name, failure in _FAILURES.items()},
}
ANSWERS: dict[str, Any] = {
    **{name: recorded(f"{name}.blocking") | {"secret": NEEDLE} for name in ("chat", "workflow", "completion")},
    "empty": {},
    **_FAILURES,
}
_FILES = {"label": "F", "max_length": 2, "allowed_file_types": ["document"]}
_FORM = {
    "user_input_form": [
        {"text-input": {"variable": "city", "label": "City", "max_length": 5}},
        {"number": {"variable": "n", "label": "N"}},
        {"json_object": {"variable": "meta", "label": "M"}},
        {"select": {"variable": "hidden", "hide": True, "options": [NEEDLE]}},
        {"file": {"variable": "doc", "type": "file", **_FILES}},
        {"file-list": {"variable": "docs", "type": "file-list", **_FILES}},
    ],
    "pre_prompt": NEEDLE,
}
FORMS: dict[str, Any] = {
    "form": _FORM,
    "none": None,
    "empty": {},
    "odd": {"user_input_form": NEEDLE},
    "failure": Exception(NEEDLE),
}


# The checks


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer, and the apps that Dify was asked to run (`asked`) or to describe (`fetched`)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked: list[str]
    fetched: list[str]


def check(case: Case, outcome: Outcome) -> None:
    """Checks an answer. Raises `AssertionError`."""
    text = outcome.body.decode()
    assert outcome.status in STATUSES
    assert "Traceback" not in text
    assert all(ord(char) >= 32 for value in outcome.headers.values() for char in value)
    error = _error_in(outcome) if outcome.body else None
    if outcome.status >= 400:
        assert outcome.status != 500 or "invalid_settings" in text or "settings need their owner" in text
        assert error
    has_key = bool(words(case.settings, "api_key") & {key for key in case.keys if key})
    if not has_key:
        assert NEEDLE not in text
    for app_id in {*outcome.asked, *outcome.fetched}:
        assert app_id == APPS[str(case.app)], "another app than the one that was named"
        assert case.app != "unlisted" or not words(case.settings, "apps")
        assert has_key or (case.app == "public" and not any(case.keys)), "no access"
    if outcome.asked:
        assert len(outcome.asked) == 1 or outcome.asked == [outcome.asked[0]] * 2, "one run; an agent's is asked for twice"
        assert case.method in {"GET", "POST"}
        _check_that_the_caller_meant_it(case)


def _check_that_the_caller_meant_it(case: Case) -> None:
    if case.method == "GET":
        assert case.header("Last-Event-ID") is None
        assert "prefetch" not in (case.header("Sec-Purpose") or "")
    has_explicit_key = bool(words(case.settings, "api_key") & {key for key in case.explicit_keys if key})
    if not has_explicit_key and case.header("Sec-Fetch-Site") not in {None, "none", "same-origin"}:
        allowed = words(case.settings, "allowed_origins")
        assert case.header("Origin") in allowed or "*" in allowed, "another site's page"


def _error_in(outcome: Outcome) -> Any:
    """The error in the answer, from a JSON document or a page. Falsy if there is none."""
    if outcome.headers["Content-Type"].startswith("text/html"):
        parser = html5lib.HTMLParser(namespaceHTMLElements=False)
        page = parser.parse(outcome.body.decode())
        assert {code for _, code, _ in parser.errors} <= {"invalid-codepoint"}, "characters that nothing shows"
        assert len(list(page.iter("script"))) == 1, "the page's own"
        return page.find(".//*[@role='alert']") is not None
    if outcome.status < 400:
        return None
    document = json.loads(outcome.body)
    assert document.keys() == {"code", "message", "status"}
    assert document["status"] == outcome.status
    assert len(outcome.body) < 10_000
    return document
