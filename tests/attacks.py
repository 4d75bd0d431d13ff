"""Requests that cost more to parse than to send. A body is up to 10 MiB, headers are up to 1 MB."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

MAX_BODY = 10 * 1024 * 1024 - 1  # bytes; a body that is longer may have been cut by the daemon, so Duck refuses it
MAX_HEADERS = 1_000_000  # bytes, a little less than the limit of Go's server

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One request. `headers` come on top of those of every request; `query` is the query string.

    `path` is that of another route than a chat's, before the app.
    """

    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    method: str = "POST"
    path: str = "/chat/"

    def raw(self, app: str, base: str = "", **headers: str) -> bytes:
        """The request to an app as the daemon hands it to a plugin. `headers` are more headers, with `_` for a hyphen."""
        path = f"{base}{self.path}{app}"
        query = f"?{self.query}" if self.query else ""
        lines = [f"{self.method} {path}{query} HTTP/1.1", "Host: dify.example", "User-Agent: curl/8"]
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        more |= {"Content-Type": self.content_type, **self.headers} if self.body else self.headers
        lines += [f"{name}: {value}" for name, value in more.items()]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""]).encode() + self.body


def filled(unit: bytes, before: bytes = b"", after: bytes = b"", size: int = MAX_BODY) -> bytes:
    """A body of at most `size` bytes: `unit` again and again, between `before` and `after`."""
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def part(disposition: bytes, content: bytes = b"hi", more: bytes = b"") -> bytes:
    """A multipart body of one part."""
    return b"--x\r\nContent-Disposition: form-data" + disposition + b"\r\n" + more + b"\r\n" + content + b"\r\n--x--\r\n"


def _objects() -> bytes:
    names = b",".join(b'"%d":1' % number for number in range(850_000))
    return b'{"query":"hi","inputs":{' + names + b"}}"


def _nested_quotes(levels: int, lines: int) -> bytes:
    turns = b'[["q","' + b">" * levels + b"a\\n" + b"a\\n" * lines + b'"]]'
    return b"query=hi&duck.turns=" + turns.replace(b"%", b"%25").replace(b"+", b"%2B")


def _turn(text: bytes, count: int) -> bytes:
    return b'query=hi&duck.turns=[["q","' + text * count + b'"]]'


_SENT = b'{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":{"messageId":"m","role":"ROLE_USER","parts":['


def _messages(unit: bytes) -> bytes:
    last = b'{"id":"u","role":"user","content":"hi"}]}'
    return filled(unit, b'{"threadId":"t","runId":"r","messages":[', last)


def _page(body: bytes, content_type: str = FORM) -> Attack:
    return Attack(body=body, content_type=content_type, headers={"Accept": "text/html"})


# Attacks that were found, and similar ones. Each is made when it is needed, because together they are some 300 MB.
ATTACKS: Mapping[str, Callable[[], Attack]] = {
    "10 MB of a question": lambda: Attack(body=filled(b"a", b'{"query":"', b'"}')),
    "5.3 MB of a question": lambda: Attack(body=b"query=" + b"a" * 5_300_000, content_type=FORM),
    "control characters in JSON": lambda: Attack(body=filled(b"\\u0001", b'{"query":"', b'"}', 5_300_000)),
    "escapes of a form": lambda: Attack(body=filled(b"%ff", b"zz="), content_type=FORM),
    "percent signs of a form": lambda: Attack(body=filled(b"%", b"zz="), content_type=FORM),
    "escapes and letters of a form": lambda: Attack(body=filled(b"%61a", b"query="), content_type=FORM),
    "plus signs of a form": lambda: Attack(body=filled(b"+", b"query="), content_type=FORM),
    "ampersands of a form": lambda: Attack(body=filled(b"&"), content_type=FORM),
    "brackets of a name": lambda: Attack(body=filled(b"[a]", b"query=hi&name", b"=1"), content_type=FORM),
    "a form in a code page": lambda: Attack(body=filled(b"\x83\x41", b"query="), content_type=FORM + "; charset=shift_jis"),
    "less-than signs as a page": lambda: _page(filled(b"<", b"query=&name=")),
    "parameters of a part": lambda: Attack(body=part(filled(b'; a="b"', size=9_900_000)), content_type=MULTIPART),
    "a part's content type": lambda: Attack(
        body=part(b'; name="query"', more=b"Content-Type: text/" + b"x" * 5_000_000 + b"\r\n"), content_type=MULTIPART
    ),
    "parameters of a part's content type": lambda: Attack(
        body=part(b'; name="query"', more=filled(b"; a=b", b"Content-Type: text/plain", b"\r\n", 9_900_000)),
        content_type=MULTIPART,
    ),
    "a file name of 9 MB": lambda: Attack(
        body=part(b'; name="doc"; filename="' + b"a" * 9_000_000 + b'"'), content_type=MULTIPART
    ),
    "headers of a part": lambda: Attack(
        body=part(b'; name="query"', more=filled(b"A: b\r\n", size=9_900_000)), content_type=MULTIPART
    ),
    "parts": lambda: Attack(body=filled(b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'), content_type=MULTIPART),
    "boundaries that are none": lambda: Attack(
        body=part(b'; name="query"', filled(b"\r\n--xy", size=9_900_000)), content_type=MULTIPART
    ),
    "line ends of a part": lambda: Attack(body=part(b'; name="query"', filled(b"\r", size=9_900_000)), content_type=MULTIPART),
    "a boundary of a megabyte": lambda: Attack(
        body=part(b'; name="query"'), content_type="multipart/form-data; boundary=" + "x" * MAX_HEADERS
    ),
    "objects in JSON": lambda: Attack(body=filled(b"{},", b'{"query":"hi","inputs":{"a":[', b"{}]}}")),
    "strings in JSON": lambda: Attack(body=filled(b'"",', b'{"query":"hi","inputs":{"a":[', b'""]}}')),
    "names in JSON": lambda: Attack(body=_objects()),
    "depth of JSON": lambda: Attack(body=filled(b"[", b'{"query":"hi","inputs":{"a":')),
    "a number of 10 MB in JSON": lambda: Attack(body=filled(b"9", b'{"query":"hi","inputs":{"a":', b"}}")),
    "backslashes in JSON": lambda: Attack(body=filled(b"\\\\", b'{"query":"\\u0000', b'"}')),
    "quotes in JSON": lambda: Attack(body=filled(b'\\"', b'{"query":"', b'"}')),
    "objects in JSON in a form": lambda: Attack(body=filled(b"{},", b'query=hi&inputs={"a":[', b"{}]}"), content_type=FORM),
    "JSON that is not UTF-8": lambda: Attack(body=filled(b"\xff", b'{"query":"', b'"}')),
    "a picture as text": lambda: Attack(body=filled(b"A", b'{"query":"hi","inputs":{"a":"data:image/png;base64,', b'"}}')),
    "nested quotations of a page": lambda: _page(_nested_quotes(19, 12_900)),
    "nested lists of a page": lambda: _page(b'query=hi&duck.turns=[["q","' + b"- " * 40 + b"a\\n" + b"- a\\n" * 30_000 + b'"]]'),
    "brackets of a page": lambda: _page(b'query=hi&duck.turns=[["q","' + b"[" * 200_000 + b'"]]'),
    "formulas of a page": lambda: _page(_turn(b"$$" + b"[" * 1_990 + b"$$\\n\\n", 100)),
    "code of a page": lambda: _page(_turn(b"```csharp\\n" + b"a\\n" * 4_900 + b"```\\n", 16)),
    "URLs of a page": lambda: _page(_turn(b"https://a.example/" + b"a)" * 900 + b" ", 100)),
    "notes of a page": lambda: _page(_turn(b"<think>\\n", 20_000)),
    "a webhook of 5 MB that is signed": lambda: Attack(
        path="/webhook/", body=b"{" + b" " * 5_000_000 + b"}", headers={"X-Hub-Signature-256": "sha256=00"}
    ),
    "a webhook of 5 MB that is encrypted": lambda: Attack(path="/webhook/", body=b'{"encrypt":"' + b"AAAA" * 1_250_000 + b'"}'),
    "fields of a webhook": lambda: Attack(path="/webhook/", body=_objects()[:5_000_000]),
    "ids of messages": lambda: Attack(path="/agui/", body=_messages(b'{"id":"msg_' + b"A" * 59 + b'","role":"assistant"},')),
    "a file name of an agent's": lambda: Attack(
        path="/a2a/",
        body=filled(b"?", _SENT + b'{"raw":"AAAA","filename":"', b'"}]}}}'),
        headers={"A2A-Version": "1.0"},
    ),
    "base64 that is none of an agent's": lambda: Attack(
        path="/a2a/", body=filled("é".encode(), _SENT + b'{"raw":"', b'"}]}}}'), headers={"A2A-Version": "1.0"}
    ),
    "accepted types": lambda: Attack(headers={"Accept": "a/b," * (MAX_HEADERS // 4)}, body=b"{}"),
    "accepted languages of a page": lambda: Attack(
        headers={"Accept": "text/html", "Accept-Language": "a," * (MAX_HEADERS // 2)}, method="GET"
    ),
    "a digest": lambda: Attack(headers={"Authorization": "Digest " + "a=b," * (MAX_HEADERS // 4)}, body=b"{}"),
    "a password": lambda: Attack(headers={"Authorization": "Basic " + "YTpi" * (MAX_HEADERS // 4)}, body=b"{}"),
    "an origin": lambda: Attack(headers={"Origin": "https://" + "ü" * (MAX_HEADERS // 2)}, body=b'{"query":"hi"}'),
    "parameters of a content type": lambda: Attack(body=b"{}", content_type="application/json" + "; a=b" * (MAX_HEADERS // 5)),
    "headers that a preflight asks for": lambda: Attack(
        headers={"Origin": "https://a.example", "Access-Control-Request-Headers": "a," * (MAX_HEADERS // 2)}, method="OPTIONS"
    ),
    "a query string": lambda: Attack(query="query=" + "%ff" * (MAX_HEADERS // 3), method="GET"),
    "names in a query string": lambda: Attack(query="a&" * (MAX_HEADERS // 2), method="GET"),
}
# The attacks that were found first. Each stopped all other requests for seconds, or ended the process.
WORST = [
    "5.3 MB of a question",
    "escapes of a form",
    "parameters of a part",
    "accepted languages of a page",
    "nested quotations of a page",
]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a request for repeated text: `make` puts up to `size` bytes there."""

    size: int
    make: Callable[[bytes], Attack]


def _in_form(before: bytes, after: bytes = b"") -> Callable[[bytes], Attack]:
    return lambda text: Attack(body=before + text + after, content_type=FORM, headers={"Accept": "text/html"})


def _in_json(before: bytes, after: bytes) -> Callable[[bytes], Attack]:
    return lambda text: Attack(body=before + text + after)


def _in_header(name: str) -> Callable[[bytes], Attack]:
    """Only characters that a header can have: no line ends, and nothing but UTF-8, because the SDK reads nothing else."""

    def make(text: bytes) -> Attack:
        value = "".join(char for char in text.decode("utf-8", "replace") if char.isprintable())
        return Attack(body=b"{}", headers={"Accept": "text/html", name: value.strip()})

    return make


_LARGE = MAX_BODY - 1000
PLACES: Mapping[str, Place] = {
    "a body": Place(_LARGE, lambda text: Attack(body=text)),
    "a form": Place(_LARGE, _in_form(b"")),
    "a value of a form": Place(_LARGE, _in_form(b"query=")),
    "a name of a form": Place(_LARGE, _in_form(b"query=hi&", b"=1")),
    "inputs of a form": Place(_LARGE, _in_form(b"query=hi&inputs=")),
    "turns of a page": Place(_LARGE, _in_form(b'query=hi&duck.turns=[["a","', b'"]]')),
    "a text of JSON": Place(_LARGE, _in_json(b'{"query":"', b'"}')),
    "a value of JSON": Place(_LARGE, _in_json(b'{"query":"hi","inputs":{"a":', b"}}")),
    "a list of JSON": Place(_LARGE, _in_json(b'{"query":"hi","inputs":{"a":[', b"0]}}")),
    "a part": Place(_LARGE, lambda text: Attack(body=part(b'; name="query"', text), content_type=MULTIPART)),
    "a part's name": Place(_LARGE, lambda text: Attack(body=part(b'; name="' + text + b'"'), content_type=MULTIPART)),
    "a part's head": Place(_LARGE, lambda text: Attack(body=part(b"; name=a", more=b"A: " + text), content_type=MULTIPART)),
    **{
        f"the header {name}": Place(MAX_HEADERS, _in_header(name))
        for name in ("Accept", "Accept-Language", "Authorization", "Origin")
    },
    "a content type": Place(
        MAX_HEADERS,
        lambda text: Attack(body=b"{}", content_type="a/b" + "".join(filter(str.isprintable, text.decode("latin-1"))).strip()),
    ),
}
UNITS = [bytes([byte]) for byte in b'a%+&=[]{}"\\,:;/ \n\r\0<>*_`|-#!(1\xff']
UNITS += [b"%ff", b"e3", b"\xe4\xb8\xad", b"--x", b'""', b"a=b", b"\\u0000"]
