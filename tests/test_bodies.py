"""What clients and languages do to a request: understood where it has one meaning, refused with the cause where it has none.

Nothing that was sent is left out or altered in silence.
"""

import json
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck.errors import DuckError
from duck.runs import bodies, charsets, fields, multipart
from tests.support import Dify, blocking_sample, call, json_of, make_request

FORM_TYPE = "application/x-www-form-urlencoded"
UPLOADS = {"allowed_file_types": ["image", "document"], "allowed_file_upload_methods": ["local_file", "remote_url"]}
FORM = {
    "user_input_form": [
        {"text-input": {"variable": "text", "max_length": 20}},
        {"text-input": {"variable": "title"}},
        {"number": {"variable": "n"}},
        {"select": {"variable": "tone", "options": ["formal", "casual"]}},
        {"json_object": {"variable": "meta"}},
        {"checkbox": {"variable": "flag"}},
        {"file": {"variable": "doc", **UPLOADS}},
        {"file-list": {"variable": "pics", "max_length": 5, **UPLOADS}},
    ],
    "system_parameters": {"image_file_size_limit": 1},
}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 30
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 30


def form(data: bytes | str, charset: str = "") -> dict[str, Any]:
    more = f"; charset={charset}" if charset else ""
    return {"data": data, "headers": {"Content-Type": FORM_TYPE + more}}


def body(data: bytes, content_type: str = "application/json") -> dict[str, Any]:
    return {"data": data, "headers": {"Content-Type": content_type}}


def part(disposition: bytes | str, content: bytes | str, content_type: str = "") -> bytes:
    head = disposition if isinstance(disposition, bytes) else disposition.encode()
    more = f"Content-Type: {content_type}\r\n" if content_type else ""
    text = content if isinstance(content, bytes) else content.encode()
    return b"--x\r\nContent-Disposition: form-data; " + head + f"\r\n{more}\r\n".encode() + text + b"\r\n"


def parts(*written: bytes) -> dict[str, Any]:
    return body(b"".join(written) + b"--x--\r\n", "multipart/form-data; boundary=x")


def ask(options: dict[str, Any], kind: Any = "workflow") -> tuple[int, Any, Dify]:
    """What is answered: the status; and the inputs that the app was run with, or the message."""
    dify = Dify(blocking=blocking_sample(kind), form=FORM)
    response = call(dify, kind, **options)
    if response.status_code != 200:
        assert dify.calls == []
        return response.status_code, json_of(response)["message"], dify
    return 200, dify.calls[0]["inputs"], dify


UNDERSTOOD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a form in Latin-1": (form(b"text=caf\xe9&title=kept", "iso-8859-1"), {"text": "café", "title": "kept"}),
    "a form in GBK": (form("text=报告".encode("gbk"), "gbk"), {"text": "报告"}),
    "a form in GBK, escaped": (form("text=" + quote("报告", encoding="gbk"), "gb2312"), {"text": "报告"}),
    "a form in Shift-JIS": (form("text=表示".encode("shift_jis"), "Shift_JIS"), {"text": "表示"}),
    "a form that tells its charset in a field": (form(b"text=caf\xe9&_charset_=windows-1252"), {"text": "café"}),
    "a form in UTF-8 that says so": (form("text=café", "UTF-8"), {"text": "café"}),
    "a form in a charset that nobody knows": (form("text=café", "x-user-defined"), {"text": "café"}),
    "JSON in Latin-1": (body(b'{"inputs":{"text":"caf\xe9"}}', "application/json; charset=latin1"), {"text": "café"}),
    "JSON in UTF-16": (body('{"inputs":{"text":"é"}}'.encode("utf-16"), "application/json; charset=utf-16"), {"text": "é"}),
    "JSON with a byte order mark": (body(b'\xef\xbb\xbf{"inputs":{"text":"a"}}'), {"text": "a"}),
    "a part in GBK": (parts(part('name="text"', "报告".encode("gbk"), "text/plain; charset=gbk")), {"text": "报告"}),
    "parts that tell their charset in a field": (
        parts(part('name="_charset_"', "gbk"), part('name="text"', "报告".encode("gbk"))),
        {"text": "报告"},
    ),
    "PHP's empty inputs": (body(b'{"inputs":[]}'), {}),
    "empty inputs as a text": (body(b'{"inputs":""}'), {}),
    "empty inputs in a form": (form("inputs=[]&text=hi"), {"text": "hi"}),
    "PHP's empty files": (body(b'{"inputs":{"text":"hi"},"files":{}}'), {"text": "hi"}),
    "a blank for an optional select": (body(b'{"inputs":{"tone":"","n":"","meta":"","flag":" ","doc":""}}'), {}),
    "JSON as a blob": (
        parts(part('name="inputs"; filename="blob"', '{"text":"hi"}', "application/json")),
        {"text": "hi"},
    ),
    "JSON as a part without a file name": (parts(part('name="inputs"', '{"text":"hi"}', "application/json")), {"text": "hi"}),
    "a text as a blob": (parts(part('name="text"; filename="blob"', "hi", "text/plain")), {"text": "hi"}),
    "a json_object as a blob": (
        parts(part('name="meta"; filename="blob"', '{"a":[1]}', "application/json")),
        {"meta": {"a": [1]}},
    ),
    "a number as a blob": (parts(part('name="inputs.n"; filename="blob"', "3", "application/json")), {"n": 3}),
    "names in brackets": (form("inputs[text]=hi&inputs%5Bn%5D=3"), {"text": "hi", "n": 3}),
    "one of several": (form("text[]=hi"), {"text": "hi"}),
    "none of several": (form("pics[]="), {"pics": []}),
    "several": (
        form("pics[]=https://h/a.png&pics[]=https://h/b.png"),
        {
            "pics": [
                {"type": "image", "transfer_method": "remote_url", "url": "https://h/a.png"},
                {"type": "image", "transfer_method": "remote_url", "url": "https://h/b.png"},
            ]
        },
    ),
    "several by number": (
        form("pics[0]=https://h/a.png&inputs[text]=hi"),
        {"pics": [{"type": "image", "transfer_method": "remote_url", "url": "https://h/a.png"}], "text": "hi"},
    ),
    "an object in brackets": (form("meta[a]=1&meta[b][c]=2"), {"meta": {"a": "1", "b": {"c": "2"}}}),
    "a list in an object in brackets": (
        form("inputs[meta][l][]=1&inputs[meta][l][]=2&meta[x]=3"),
        {"meta": {"l": ["1", "2"]}},
    ),
    "what an advertisement has added": (
        {"method": "GET", "path": "/x?format=json&text=hi&utm_source=x&gclid=1&fbclid=2", "data": None},
        {"text": "hi"},
    ),
    "the same in the URL of a POST": ({"path": "/x?utm_source=x&gclid=1", **form("text=hi")}, {"text": "hi"}),
    "escapes of a long text": (form("title=" + quote("鸭a" * 20_000)), {"title": "鸭a" * 20_000}),
    "plus signs and escapes": (form("title=a+%2B+b%20c"), {"title": "a + b c"}),
    "ten characters that take twenty units": (form("text=" + "🦆" * 20), {"text": "🦆" * 20}),
    "a line's end": (form("title=a%0D%0Ab"), {"title": "a\nb"}),
    "NUL characters, which Dify leaves out": (body(b'{"inputs":{"text":"a\\u0000b"}}'), {"text": "ab"}),
    "what looks like an escape": (form("text=100%&title=%zz%4"), {"text": "100%", "title": "%zz%4"}),
}


@pytest.mark.parametrize(("options", "inputs"), UNDERSTOOD.values(), ids=UNDERSTOOD.keys())
def test_what_has_one_meaning_is_understood(options: dict[str, Any], inputs: dict[str, Any]) -> None:
    assert ask(options)[:2] == (200, inputs)


MUST_BE = "must be UTF-8, or in the charset that the Content-Type names"
REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "a form in Latin-1": (form(b"text=caf\xe9&title=kept"), 400, f"text: {MUST_BE}"),
    "a form in GBK": (form("title=报告".encode("gbk")), 400, f"title: {MUST_BE}"),
    "an escape that is no UTF-8": (form("text=Perch%E9"), 400, f"text: {MUST_BE}"),
    "a name that is no UTF-8": (form("caf%E9=1"), 400, f"the name of a field: {MUST_BE}"),
    "a form in another charset than it says": (form(b"text=\xff", "shift_jis"), 400, "text: is not in the charset that"),
    "a query string": ({"method": "GET", "path": "/x?format=json&text=Perch%E9", "data": None}, 400, "text: must be UTF-8"),
    "a part": (parts(part('name="text"', b"\xc4\xe3")), 400, f"text: {MUST_BE}"),
    "a part's name": (parts(part(b'name="caf\xe9"', "x")), 400, f"the name of a field: {MUST_BE}"),
    "a blob": (parts(part('name="text"; filename="blob"', b"\xff")), 400, "inputs.text: must be UTF-8"),
    "JSON": (body(b'{"inputs":{"text":"caf\xe9"}}'), 400, f"the body: JSON {MUST_BE}"),
    "JSON in another charset than it says": (body(b"{\xff", "application/json; charset=ascii"), 400, "the body: is not in the"),
    "an input in the URL of a POST": (
        {"path": "/x?text=y", **form("title=hi")},
        400,
        "text: goes into the body, not into the URL",
    ),
    "one of several in the URL of a POST": ({"path": "/x?pics[]=y", **form("title=hi")}, 400, "pics: goes into the body"),
    "quotes of cmd.exe": (form("'{query:hi}'"), 400, "begins with a single quote. The Windows command line"),
    "quotes of cmd.exe as JSON": (body(b"'{query:hi}'"), 400, "begins with a single quote. The Windows command line"),
    "JSON as text": (body(b'{"inputs":{}}', "text/plain"), 415, "looks like JSON, but its content type is text/plain"),
    "text": (body(b"hi", "text/plain"), 415, "The content type is text/plain. Send application/json, "),
    "a text and a file": (
        parts(part('name="doc"', "x"), part('name="doc"; filename="a.pdf"', "x")),
        400,
        "doc: given as a text and as a file",
    ),
    "a text and an object": (form("meta=1&meta[a]=2"), 400, "meta: given as a text and as an object"),
    "an object and a text": (form("meta[a][b]=2&meta[a]=1"), 400, "meta: given as a text and as an object"),
    "an object for a text": (form("text[a]=2"), 400, "inputs.text: must be a text"),
    "a text twice": (form("text[]=2&text[]=3"), 400, "inputs.text: given 2 times"),
    "a mode of several": (form("response_mode=blocking&response_mode[]=blocking"), 400, "response_mode: given 2 times"),
    "marketing as JSON": (body(b'{"inputs":{"utm_source":"x"}}'), 400, "inputs.utm_source: no such input"),
    "a broken data URL": (body(b'{"inputs":{"doc":"data:image/png;base64"}}'), 400, "there is no comma before its data"),
    "a data URL that is no base64": (body(b'{"inputs":{"doc":"data:image/png;base64,!!!"}}'), 400, "its data is not base64"),
    "an empty data URL": (body(b'{"inputs":{"doc":"data:image/png,"}}'), 400, "file.png is empty"),
    "a data URL of another type": (body(b'{"inputs":{"doc":"data:video/mp4;base64,AAAA"}}'), 400, "takes files of these kinds"),
    "base64 of nobody knows what": (body(b'{"inputs":{"doc":"' + b"QUJD" * 9 + b'"}}'), 400, "a data: URL"),
    "a long head of a part": (parts(part('name="text"; x="' + "x" * 9000 + '"', "x")), 400, "multipart body is broken"),
    "a long boundary": (body(b"--x", "multipart/form-data; boundary=" + "x" * 300), 400, "is broken"),
    "a boundary that is no ASCII": (body(b"--x", "multipart/form-data; boundary=\xfc"), 400, "is broken"),
}


@pytest.mark.parametrize(("options", "status", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_meaning_is_refused_with_its_cause(options: dict[str, Any], status: int, words: str) -> None:
    given_status, message, _ = ask(options)
    assert (given_status, words in message) == (status, True), message


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (b'filename="a.pdf"', "a.pdf"),
        ('filename="报告.docx"'.encode(), "报告.docx"),
        ('filename="报告.docx"'.encode("gbk"), "报告.docx"),
        ('filename="Übung.pdf"'.encode("latin-1"), "Übung.pdf"),
        (b'filename="=?utf-8?B?5oql5ZGKLmRvY3g=?="', "报告.docx"),
        (b'filename="=?gb2312?Q?=B1=A8=B8=E6.docx?="', "报告.docx"),
        (b"filename=\"a.pdf\"; filename*=UTF-8''%E6%8A%A5.docx", "报.docx"),
        (b"filename*=UTF-8''caf%C3%A9.pdf", "café.pdf"),
        (b'filename="=?nonsense?=.pdf"', "=_nonsense_=.pdf"),
        (b'filename="=?utf-8?B?a?="', "=_utf-8_B_a_="),
        (b'filename="=?utf-8?Q?=FF.pdf?="', "=_utf-8_Q_=FF.pdf_="),
        (b'filename="C:\\\\dir\\\\a.pdf"', "a.pdf"),
        (b'filename="a\x81.pdf"', "a\x81.pdf"),
    ],
)
def test_a_file_name_is_repaired_and_no_reason_to_refuse(written: bytes, name: str) -> None:
    status, _, dify = ask(parts(part(b'name="doc"; ' + written, "x", "application/pdf")))
    assert (status, [sent[0] for sent in dify.uploaded]) == (200, [name])


@pytest.mark.parametrize(
    ("written", "mimetype"),
    [
        ("application/pdf", "application/pdf"),
        ("Application/PDF; x=y", "application/pdf"),
        ("", "application/pdf"),
        ("x" * 500 + "/y", "application/pdf"),
        ("no type", "application/pdf"),
    ],
)
def test_the_type_of_a_file_is_one(written: str, mimetype: str) -> None:
    dify = ask(parts(part('name="doc"; filename="a.pdf"', "x", written)))[2]
    assert dify.uploaded == [("a.pdf", b"x", mimetype)]


def data_url(content: bytes, about: str = "image/png;base64") -> str:
    return f"data:{about},{b64encode(content).decode()}"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (data_url(PNG), ("file.png", PNG, "image/png")),
        (data_url(PNG).replace("data:image/png", "DATA:IMAGE/PNG"), ("file.png", PNG, "image/png")),
        (data_url(PNG, "image/png;name=my%20cat.png;base64"), ("my cat.png", PNG, "image/png")),
        (
            data_url(b"%PDF-1.7 and so on", "application/pdf;base64").rstrip("="),
            ("file.pdf", b"%PDF-1.7 and so on", "application/pdf"),
        ),
        (data_url(PNG).replace("A", "A\n"), ("file.png", PNG, "image/png")),
        (quote(data_url(PNG), safe=":;,/"), ("file.png", PNG, "image/png")),
        ("data:,hello%20there", ("file.txt", b"hello there", "text/plain")),
        (b64encode(PNG).decode(), ("file.png", PNG, "image/png")),
        (b64encode(JPEG).decode(), ("file.jpg", JPEG, "image/jpeg")),
        (b64encode(b"%PDF-1.7 and much more").decode(), ("file.pdf", b"%PDF-1.7 and much more", "application/pdf")),
    ],
)
def test_a_file_may_stand_in_the_json(value: str, sent: tuple[str, bytes, str]) -> None:
    for inputs in ({"doc": value}, {"pics": [value]}, {"doc": {"type": "image", "transfer_method": "remote_url", "url": value}}):
        status, given_inputs, dify = ask({"json": {"inputs": inputs}})
        assert (status, dify.uploaded) == (200, [sent])
        assert "tool_file_id" in json.dumps(given_inputs)
    assert ask(form("doc=" + quote(value, safe="+")))[2].uploaded == [sent], "a plus sign that was not escaped is none"


def test_a_file_that_stands_in_the_json_has_the_limits_of_any_other() -> None:
    status, message, _ = ask({"json": {"inputs": {"doc": data_url(PNG + b"x" * 1_100_000)}}})
    assert (status, message) == (400, "inputs.doc: file.png has 1.0 MB, at most 1 are allowed")


def test_a_query_may_be_a_blob_of_json_or_of_text() -> None:
    for content, content_type in (('"hi"', "application/json"), ("hi", "text/plain"), ("hi", "application/json")):
        dify = Dify(blocking=blocking_sample("chat"))
        assert call(dify, "chat", **parts(part('name="query"; filename="blob"', content, content_type))).status_code == 200
        assert dify.calls[0]["query"] == "hi"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a", ("a",)),
        ("inputs.a", ("inputs", "a")),
        ("inputs[a]", ("inputs", "a")),
        ("inputs.a[b][]", ("inputs", "a", "b", "")),
        ("a[", ("a[",)),
        ("[a]", ("[a]",)),
        ("a[b]c", ("a[b]c",)),
        ("inputs.", ("inputs.",)),
        ("a" * 2000 + "[b]", ("a" * 2000 + "[b]",)),
    ],
)
def test_a_name_is_taken_apart(name: str, path: tuple[str, ...]) -> None:
    assert fields.path(name) == path


@given(
    st.lists(st.tuples(st.sampled_from(["a", "a[]", "a[0]", "a[b]", "a[b][]", "a[b][c]", "inputs.a", "inputs[a][b]"]), st.text()))
)
def test_no_text_of_a_form_gets_lost(pairs: list[tuple[str, str]]) -> None:
    try:
        _, plain, prefixed = fields.split(pairs, set())
    except DuckError as error:
        assert "as a text and as an object" in error.message or "given 2 times" in error.message  # noqa: PT017 - or it is read
    else:
        found = json.dumps([plain, prefixed], ensure_ascii=False)
        assert all(json.dumps(value, ensure_ascii=False) in found for _, value in pairs)


@given(st.binary())
def test_a_file_name_is_a_text_whatever_it_is_written_in(name: bytes) -> None:
    assert isinstance(charsets.file_name(name), str)


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.none() | st.just(b"f"), st.binary()), max_size=5))
def test_parts_are_what_was_sent(sent: list[tuple[bytes, bytes | None, bytes]]) -> None:
    written = b"".join(
        part(b'name="' + name + b'"' + (b"" if filename is None else b'; filename="' + filename + b'"'), content)
        for name, filename, content in sent
        if b"\r\n--x" not in content
    )
    read = multipart.parts(written + b"--x--\r\n", "x")
    assert [(each.name, each.filename, each.content) for each in read] == [each for each in sent if b"\r\n--x" not in each[2]]


# JSON, whatever the content type


@pytest.mark.parametrize("written", ["{}", "[]", "null", "5", '"a"', '[{"a":[1,null]}]', "\ufeff{}"])
def test_a_json_value_may_be_of_any_type(written: str) -> None:
    request = make_request(**body(written.encode(), "text/plain"))
    assert bodies.read_json_value(request) == json.loads(written.removeprefix("\ufeff"))


@pytest.mark.parametrize("written", [b"", b"0\r\n\r\n", b"{", b"\xff", b"[" * 200 + b"]" * 200])
def test_what_is_no_json_is_no_json_value(written: bytes) -> None:
    with pytest.raises(DuckError, match="the body: ") as caught:
        bodies.read_json_value(make_request(**body(written)))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("written", "found"), [(b"", {}), (b"0\r\n\r\n", {}), (b"{}", {}), (b'{"a":1}', {"a": 1}), (b"[]", None), (b"null", None)]
)
def test_the_fields_of_a_body_are_those_of_an_object(written: bytes, found: Any) -> None:
    request = make_request(**body(written))
    if found is None:
        with pytest.raises(DuckError, match="The body must be a JSON object"):
            bodies.read_json(request)
    else:
        assert bodies.read_json(request) == found
