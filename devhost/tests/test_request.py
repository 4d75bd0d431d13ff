"""The request that a plugin gets, in cases that were not recorded."""

import pytest

from devhost.request import copy_query, copy_request, has_valid_escapes


def copy(method: str = "GET", path: bytes = b"/p", body: bytes = b"", **headers: bytes) -> bytes:
    fields = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return copy_request(method=method, hook="k", path=path, query=b"", headers=fields, body=body)


def test_a_request_is_written_as_in_the_captured_dialogue() -> None:
    text = copy("POST", b"/t/sse", b"{}", content_type=b"application/json", user_agent=b"curl/8", host=b"h", x_forwarded_for=b"1")
    assert text == (
        b"POST /t/sse HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/8\r\nContent-Length: 2\r\nContent-Type: application/json\r\n"
        b"Dify-Hook-Id: k\r\nDify-Hook-Url: http://h/e/k/t/sse\r\n\r\n{}"
    )


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_missing_body_is_an_empty_chunked_body(method: str) -> None:
    text = copy(method)
    assert b"\r\nTransfer-Encoding: chunked\r\n" in text
    assert text.endswith(b"\r\n\r\n0\r\n\r\n")


def test_a_line_break_in_the_path_does_not_break_a_header() -> None:
    text = copy(path=b"/a\nX-Evil: 1", host=b"h")
    assert text.startswith(b"GET /a%0AX-Evil:%201 HTTP/1.1\r\n")
    assert b"\r\nDify-Hook-Url: http://h/e/k/a X-Evil: 1\r\n" in text


@pytest.mark.parametrize(
    ("query", "copied"),
    [
        (b"", b""),
        (b"b=2&a=1&c", b"a=1&b=2&c="),
        (b"a=2&a=1&&", b"a=2&a=1"),
        (b"a=%zz&b=1;c=2&d=%41", b"d=A"),
        (b"q=a+b%20c&n=%2B%C3%A9~*", b"n=%2B%C3%A9~%2A&q=a+b+c"),
    ],
)
def test_a_query_is_parsed_and_written_again(query: bytes, copied: bytes) -> None:
    assert copy_query(query) == copied


@pytest.mark.parametrize(("path", "valid"), [(b"/a%20b", True), (b"/a%2", False), (b"/%zz", False), (b"/%", False)])
def test_a_broken_escape_is_seen(path: bytes, *, valid: bool) -> None:
    assert has_valid_escapes(path) is valid
