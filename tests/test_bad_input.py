"""What no honest client sends: floods, bombs, odd encodings. Each is a clear error, small and soon. More is in test_runs.py and
test_bodies.py.
"""

import gzip
from typing import Any

import pytest

from tests.support import APP, SETTINGS, Dify, blocking_sample, body_of, call, json_of

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}
MEGABYTE = 1_000_000


def part(name: str, value: str = "", more: str = "") -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'


def multipart(*parts: str) -> bytes:
    return "".join(parts).encode("utf-8", "surrogatepass") + b"--b--\r\n"


# What is sent, and what is answered: the status, and words of the message.
CASES: dict[str, tuple[dict[str, Any], int, str]] = {
    "duplicate query in parts": (
        {"data": multipart(part("query", "a"), part("query", "b")), "headers": MULTIPART},
        400,
        "2 times",
    ),
    "too many form fields": ({"data": "a=&" * 1000, "headers": FORM}, 400, "More than 1000 fields"),
    "too many query fields": ({"method": "GET", "path": "/x?format=json" + "&a=" * 1000}, 400, "More than 1000 fields"),
    "too many inputs": ({"json": {"query": "a", "inputs": {f"a{n}": 1 for n in range(1001)}}}, 400, "More than 1000"),
    "too many fields": ({"json": {f"a{n}": 1 for n in range(1001)}}, 400, "More than 1000 fields"),
    "too many inputs in a text": (
        {"data": {"query": "a", "inputs": "{" + ",".join(f'"a{n}":1' for n in range(1001)) + "}"}},
        400,
        "More than 1000",
    ),
    "too many parts": ({"data": multipart(*(part(f"a{n}") for n in range(1001))), "headers": MULTIPART}, 400, "More than 1000"),
    "too many files": (
        {"data": multipart(*(part(f"a{n}", "x", '; filename="f"') for n in range(1001))), "headers": MULTIPART},
        400,
        "More than 1000",
    ),
    "parts without an end": ({"data": part("query", "a"), "headers": MULTIPART}, 400, "broken"),
    "a compressed body": (
        {"data": gzip.compress(b'{"query":"a"}'), "headers": JSON | {"Content-Encoding": "gzip"}},
        415,
        "without a Content-Encoding",
    ),
    "a huge number": ({"data": b'{"query":"a","inputs":{"n":1e999}}', "headers": JSON}, 400, "infinity"),
    "a number of 5,000 digits": ({"data": b'{"query":"a","n":' + b"9" * 5000 + b"}", "headers": JSON}, 400, "infinity"),
    "bottomless JSON": ({"data": b"[" * MEGABYTE, "headers": JSON}, 400, "100,000 values"),
    "a name of a megabyte": ({"json": {"query": "a", "response_mode": 1, "inputs": {"n" * MEGABYTE: 1}}}, 400, "must be a text"),
    "a name of a megabyte twice": ({"data": f"{'n' * MEGABYTE}=1&{'n' * MEGABYTE}=2&query=a", "headers": FORM}, 400, "nnn …"),
    "a megabyte of Accept": ({"headers": {"Accept": "text/html," * 100_000}}, 400, "Accept: longer than 8192"),
}


@pytest.mark.parametrize(("options", "status", "words"), CASES.values(), ids=CASES.keys())
def test_bad_input_is_a_small_clear_error_and_runs_nothing(options: dict[str, Any], status: int, words: str) -> None:
    dify = Dify(blocking=blocking_sample("chat"))
    response = call(dify, key=None, settings={**SETTINGS, "public_apps": APP, "public_rate": "999999"}, **options)
    body = body_of(response)
    assert (response.status_code, dify.calls, len(body) < 10_000) == (status, [], True)
    assert words in json_of(response)["message"]


# What is odd, and harmless: how it is understood.
HARMLESS: dict[str, tuple[dict[str, Any], str]] = {
    "a name twice in JSON: the last counts, as in Dify": ({"data": b'{"query":"a","query":"b"}', "headers": JSON}, "b"),
    "a line separator": ({"json": {"query": "a\u2028\u0085b"}}, "a\u2028\u0085b"),
    "a pair of surrogates": ({"data": rb'{"query":"\ud83e\udd86"}', "headers": JSON}, "🦆"),
    "NUL in a form": ({"data": "query=a%00", "headers": FORM}, "a"),
    "NUL in a part": ({"data": multipart(part("query", "a\0")), "headers": MULTIPART}, "a"),
    "NUL in a query": ({"method": "GET", "path": "/x?format=json&query=a%00"}, "a"),
    "a charset that is none": ({"data": b'{"query":"a"}', "headers": {"Content-Type": "application/json; charset=none"}}, "a"),
    "a vendor's JSON": ({"data": b'{"query":"a"}', "headers": {"Content-Type": "application/vnd.x+json"}}, "a"),
    "another case": ({"data": b'{"query":"a"}', "headers": {"Content-Type": "Application/JSON"}}, "a"),
    "an encoding that is none": ({"data": b'{"query":"a"}', "headers": JSON | {"Content-Encoding": "identity"}}, "a"),
    "999 parts": ({"data": multipart(part("query", "a"), *(part(f"a{n}") for n in range(900))), "headers": MULTIPART}, "a"),
    "a long text": ({"json": {"query": "x" * 5 * MEGABYTE}}, "x" * 5 * MEGABYTE),
    "a long text in a form": ({"data": {"query": "x" * 5 * MEGABYTE}, "headers": FORM}, "x" * 5 * MEGABYTE),
    "a flood of headers": ({"json": {"query": "a"}, "headers": {f"X-{n}": "x" for n in range(10_000)}}, "a"),
    "a flood of cookies": ({"json": {"query": "a"}, "headers": {"Cookie": "a=b;" * 100_000}}, "a"),
}


@pytest.mark.parametrize(("options", "query"), HARMLESS.values(), ids=HARMLESS.keys())
def test_what_is_odd_and_harmless_is_understood(options: dict[str, Any], query: str) -> None:
    dify = Dify(blocking=blocking_sample("chat"))
    assert call(dify, **options).status_code == 200
    assert [made["query"] for made in dify.calls] == [query]
