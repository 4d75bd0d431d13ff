"""What a caller asks for, in every form that a request can have."""

import json
import threading
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from werkzeug import Request

from duck.errors import DuckError, invalid_fields
from duck.faces.api import run_request
from duck.runs import forms
from duck.runs.files import File, Upload
from duck.runs.forms import Form
from duck.runs.run import Kind, Run, check, upload
from tests.support import APP, make_request, sentences

CONVERSATION = "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901"
FORM = "application/x-www-form-urlencoded"
BOUNDARY = "b0undary"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
JSON = "application/json"
TEN_MIB = 10 * 1024 * 1024


def request(data: bytes | str, content_type: str | None = JSON) -> Request:
    return make_request(data=data, content_type=content_type)


def run(given_: Request, kind: Kind = "workflow", form: Form | None = None) -> Run:
    with given_:  # closes what was uploaded
        made, faults = check(run_request.parse(given_, kind, APP)[0], form, {})
    if faults:
        raise invalid_fields(faults)
    return made


def refusal(given_: Request, kind: Kind = "workflow", form: Form | None = None) -> DuckError:
    with pytest.raises(DuckError) as caught:
        run(given_, kind, form)
    return caught.value


def form(*pairs: tuple[str, str]) -> Request:
    return request(urlencode(pairs), FORM)


def multipart(*parts: tuple[str, str] | tuple[str, str, str]) -> Request:
    """A multipart request of (name, value) or (name, value, file name)."""
    lines = []
    for name, value, *filename in parts:
        file = f'; filename="{filename[0]}"' if filename else ""
        lines.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n{value}\r\n')
    return request("".join(lines) + f"--{BOUNDARY}--\r\n", MULTIPART)


def query_string(*pairs: tuple[str, str]) -> Request:
    return make_request("GET", query_string=urlencode(pairs))


def post(body: Any) -> Request:
    return request(json.dumps(body))


WAYS = [
    pytest.param(form, id="form"),
    pytest.param(multipart, id="multipart"),
    pytest.param(query_string, id="query string"),
]


def test_a_json_body_says_all_there_is_to_say() -> None:
    body = {
        "query": "What does Pro cost?",
        "conversation_id": CONVERSATION,
        "inputs": {"tone": "formal", "count": 3, "deep": {"list": [1, None, True]}},
        "response_mode": "streaming",
        "user": "ann",
        "files": [],
    }

    assert run(post(body), "chat") == Run(
        kind="chat",
        app_id=APP,
        query="What does Pro cost?",
        conversation_id=CONVERSATION,
        inputs={"tone": "formal", "count": 3, "deep": {"list": [1, None, True]}},
        mode="streaming",
        user="ann",
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_form_and_a_query_string_say_the_same(way: Any) -> None:
    given_ = way(
        ("query", "What does Größe mean?\n"),
        ("conversation_id", CONVERSATION),
        ("response_mode", "blocking"),
        ("user", "ann"),
        ("files", ""),
        ("tone", "formal"),
        ("inputs.city", "東京"),
        ("inputs", '{"count": 3}'),
    )

    assert run(given_, "chat") == Run(
        kind="chat",
        app_id=APP,
        query="What does Größe mean?\n",
        conversation_id=CONVERSATION,
        inputs={"tone": "formal", "city": "東京", "count": 3},
        mode="blocking",
        user="ann",
    )


NOTHING = {
    "no body": make_request(),
    "empty JSON": request(b""),
    "empty without a type": request(b"", None),
    "empty form": request(b"", FORM),
    "the daemon's empty JSON": request(b"0\r\n\r\n"),
    "the daemon's empty body without a type": request(b"0\r\n\r\n", None),
    "the daemon's empty form": request(b"0\r\n\r\n", FORM),
    "the daemon's empty multipart": request(b"0\r\n\r\n", MULTIPART),
    "the daemon's empty text": request(b"0\r\n\r\n", "text/plain"),
    "empty object": request(b"{}"),
    "empty object and white space": request(b" {} \n"),
    "empty inputs": request(b'{"inputs": {}}'),
    "charset": request(b"{}", "application/json; charset=utf-8"),
    "GET": make_request("GET"),
    "HEAD": make_request("HEAD"),
}


@pytest.mark.parametrize("kind", ["workflow", "completion"])
@pytest.mark.parametrize("given_", NOTHING.values(), ids=NOTHING.keys())
def test_where_nothing_is_asked_nothing_is_set(given_: Request, kind: Kind) -> None:
    assert run(given_, kind) == Run(kind=kind, app_id=APP, inputs={}, query="", conversation_id="", mode=None, user="")


@pytest.mark.parametrize("given_", [make_request(), request(b"0\r\n\r\n"), make_request("GET")], ids=["none", "daemon's", "GET"])
def test_a_chat_without_a_body_lacks_its_query(given_: Request) -> None:
    error = refusal(given_, "chat")

    assert (error.status, error.code) == (400, "invalid_param")
    assert "query" in error.message


def test_an_empty_conversation_id_starts_a_conversation() -> None:
    assert run(post({"query": "hi", "conversation_id": ""}), "chat") == Run(kind="chat", app_id=APP, query="hi", inputs={})


def test_a_conversation_id_may_be_written_in_capitals() -> None:
    given_ = post({"query": "hi", "conversation_id": CONVERSATION.upper()})

    assert run(given_, "chat").conversation_id.lower() == CONVERSATION


def test_fields_that_duck_does_not_know_are_ignored_in_json() -> None:
    given_ = post({"query": "hi", "auto_generate_name": True, "workflow_id": 5, "inputs": {"a": 1}})

    assert run(given_, "chat") == Run(kind="chat", app_id=APP, query="hi", inputs={"a": 1})


@pytest.mark.parametrize("kind", ["workflow", "completion"])
def test_fields_of_a_chat_are_ignored_in_json_elsewhere(kind: Kind) -> None:
    given_ = post({"query": 5, "conversation_id": "junk"})

    assert run(given_, kind) == Run(kind=kind, app_id=APP, inputs={})


@pytest.mark.parametrize("kind", ["workflow", "completion"])
@pytest.mark.parametrize("way", WAYS)
def test_fields_of_a_chat_are_ordinary_inputs_in_forms_elsewhere(way: Any, kind: Kind) -> None:
    given_ = way(("query", "rain"), ("conversation_id", "mine"))

    assert run(given_, kind).inputs == {"query": "rain", "conversation_id": "mine"}


CITIES = {
    "plain": ([("city", "plain")], "plain"),
    "dotted beats plain": ([("inputs.city", "dotted"), ("city", "plain")], "dotted"),
    "text beats both": ([("inputs", '{"city": "text"}'), ("inputs.city", "dotted"), ("city", "plain")], "text"),
    "text beats plain": ([("inputs", '{"city": "text"}'), ("city", "plain")], "text"),
    "empty object": ([("inputs", "{}"), ("inputs.city", "dotted")], "dotted"),
    "empty text": ([("inputs", ""), ("city", "plain")], "plain"),
    "empty": ([("city", "")], ""),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("pairs", "city"), CITIES.values(), ids=CITIES.keys())
def test_of_several_ways_to_give_an_input_the_more_explicit_wins(way: Any, pairs: list[tuple[str, str]], city: str) -> None:
    assert run(way(*pairs)).inputs == {"city": city}


@pytest.mark.parametrize("way", WAYS)
def test_an_input_called_like_a_field_is_given_with_its_prefix(way: Any) -> None:
    given_ = way(("query", "hi"), ("inputs.query", "a"), ("inputs.user", "b"), ("inputs.format", "c"), ("inputs.inputs", "d"))

    assert run(given_, "chat").inputs == {"query": "a", "user": "b", "format": "c", "inputs": "d"}


def test_the_format_in_a_query_string_is_no_input() -> None:
    assert run(query_string(("format", "sse"), ("city", "Oslo"))).inputs == {"city": "Oslo"}


def test_the_query_string_of_a_post_is_no_part_of_its_request() -> None:
    given_ = make_request(query_string="format=sse&city=Oslo", json={"inputs": {"tone": "formal"}})

    assert run(given_).inputs == {"tone": "formal"}


def test_a_form_with_one_field_that_only_resembles_json_inside_is_a_form() -> None:
    assert run(form(("text", '{"a": 1}'))).inputs == {"text": '{"a": 1}'}


def test_a_file_input_left_empty_in_a_browser_is_no_upload() -> None:
    assert run(multipart(("city", "Oslo"), ("doc", "", ""))).inputs == {"city": "Oslo"}


def nested(levels: int, innermost: str = "") -> bytes:
    """A body of `levels` objects and arrays inside each other."""
    arrays = levels - 2
    return f'{{"inputs": {{"a": {"[" * arrays}{innermost}{"]" * arrays}}}}}'.encode()


@pytest.mark.parametrize("innermost", ["", "1", '"x"'], ids=["nothing", "a number", "a text"])
def test_a_body_of_a_hundred_levels_passes(innermost: str) -> None:
    assert run(request(nested(100, innermost))).inputs == json.loads(nested(100, innermost))["inputs"]


def test_a_body_that_fills_what_the_daemon_passes_on_is_read() -> None:
    text = "x" * (TEN_MIB - 1 - len('{"inputs":{"a":""}}'))

    assert run(request(f'{{"inputs":{{"a":"{text}"}}}}')).inputs == {"a": text}


def test_a_form_that_fills_what_the_daemon_passes_on_is_read() -> None:
    text = "x" * (TEN_MIB - 1 - len("a="))

    assert run(request(f"a={text}", FORM)).inputs == {"a": text}


def test_a_multipart_body_with_a_long_text_is_read() -> None:
    assert run(multipart(("a", "x" * 5_000_000))).inputs == {"a": "x" * 5_000_000}


@pytest.mark.parametrize("content_type", [JSON, FORM, MULTIPART, "text/plain", None])
def test_a_body_that_the_daemon_may_have_cut_is_refused(content_type: str | None) -> None:
    error = refusal(request(b'{"inputs":{"a":"' + b"x" * (TEN_MIB - 16), content_type))

    assert (error.status, error.code) == (413, "file_too_large")
    assert "10 MiB" in error.message


CHAT = {"query": "hi"}
JSON_BODIES = {
    "broken": (b'{"query": "hi"', "JSON"),
    "words": (b"hi", "JSON"),
    "two documents": (b'{"query": "hi"} {}', "JSON"),
    "NaN": (b'{"query": "hi", "inputs": {"a": NaN}}', "JSON"),
    "invalid UTF-8": (b'{"query": "\xff"}', "UTF-8"),
    "UTF-16": ('{"query": "hi"}'.encode("utf-16"), "must be UTF-8"),
    "array": (b"[]", "object"),
    "text": (b'"hi"', "object"),
    "null": (b"null", "object"),
    "lone surrogate": (b'{"query": "\\ud800"}', "surrogate"),
    "lone surrogate in an input": (b'{"query": "hi", "inputs": {"a": "\\udc00"}}', "surrogate"),
    "101 levels": (nested(101), "100"),
    "far too deep": (b"[" * 100_000, ""),
    "query missing": (b"{}", "query"),
    "query null": (b'{"query": null}', "query"),
    "query empty": (b'{"query": ""}', "query"),
    "query blank": (b'{"query": " \\n\\t"}', "query"),
    "query a number": (b'{"query": 5}', "query"),
    "conversation_id no UUID": (json.dumps(CHAT | {"conversation_id": "1234"}).encode(), "conversation_id"),
    "conversation_id blank": (json.dumps(CHAT | {"conversation_id": " "}).encode(), "conversation_id"),
    "conversation_id with more": (json.dumps(CHAT | {"conversation_id": CONVERSATION + "\n"}).encode(), "conversation_id"),
    "conversation_id a number": (json.dumps(CHAT | {"conversation_id": 5}).encode(), "conversation_id"),
    "inputs a text": (json.dumps(CHAT | {"inputs": "x"}).encode(), "inputs"),
    "inputs a number": (json.dumps(CHAT | {"inputs": 0}).encode(), "inputs"),
    "response_mode unknown": (json.dumps(CHAT | {"response_mode": "fast"}).encode(), "response_mode"),
    "response_mode in capitals": (json.dumps(CHAT | {"response_mode": "Blocking"}).encode(), "response_mode"),
    "response_mode a boolean": (json.dumps(CHAT | {"response_mode": True}).encode(), "response_mode"),
    "user a number": (json.dumps(CHAT | {"user": 5}).encode(), "user"),
    "files": (json.dumps(CHAT | {"files": [{"type": "image"}]}).encode(), "files"),
    "files an object": (json.dumps(CHAT | {"files": {"a": 1}}).encode(), "files"),
}


@pytest.mark.parametrize(("body", "needle"), JSON_BODIES.values(), ids=JSON_BODIES.keys())
def test_a_bad_json_body_is_refused_with_its_fault(body: bytes, needle: str) -> None:
    error = refusal(request(body), "chat")

    assert (error.status, error.code) == (400, "invalid_param")
    assert needle in error.message


BAD_FORMS = {
    "query empty": ([("query", "")], "query"),
    "query blank": ([("query", " ")], "query"),
    "query missing": ([("city", "Oslo")], "query"),
    "conversation_id no UUID": ([("query", "hi"), ("conversation_id", "1234")], "conversation_id"),
    "response_mode unknown": ([("query", "hi"), ("response_mode", "fast")], "response_mode"),
    "inputs broken": ([("query", "hi"), ("inputs", "{")], "inputs"),
    "inputs an array": ([("query", "hi"), ("inputs", "[1]")], "inputs"),
    "inputs a text": ([("query", "hi"), ("inputs", '"x"')], "inputs"),
    "inputs too deep": ([("query", "hi"), ("inputs", '{"a": ' + "[" * 101 + "]" * 101 + "}")], "inputs"),
    "files": ([("query", "hi"), ("files", "x")], "files"),
    "a name twice": ([("query", "hi"), ("city", "Oslo"), ("city", "Rome")], "city"),
    "a field twice": ([("query", "hi"), ("query", "hi")], "query"),
    "a dotted name twice": ([("query", "hi"), ("inputs.city", "Oslo"), ("inputs.city", "Oslo")], "city"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("pairs", "needle"), BAD_FORMS.values(), ids=BAD_FORMS.keys())
def test_a_bad_form_is_refused_with_the_name_of_the_field(way: Any, pairs: list[tuple[str, str]], needle: str) -> None:
    error = refusal(way(*pairs), "chat")

    assert (error.status, error.code) == (400, "invalid_param")
    assert needle in error.message


def test_several_faults_are_told_at_once() -> None:
    given_ = post({"query": " ", "conversation_id": 5, "inputs": [1], "response_mode": "fast", "user": {}, "files": ["x"]})

    message = refusal(given_, "chat").message

    assert not [
        name for name in ("query", "conversation_id", "inputs", "response_mode", "user", "files") if f"{name}:" not in message
    ]


def test_a_wrong_type_is_one_fault_and_not_two() -> None:
    assert refusal(post({"query": 5}), "chat").message.count("query") == 1


@pytest.mark.parametrize(
    "body",
    ['{"query": "hi"}', '{"query":"1+1=2"}', ' {"query": "hi"}', "{}", quote('{"query": "hi"}')],
    ids=["plain", "an equals sign", "leading space", "empty", "escaped"],
)
def test_json_that_curl_sent_as_a_form_is_told_which_header_to_add(body: str) -> None:
    error = refusal(request(body, FORM))

    assert error.status == 400
    assert "-H 'Content-Type: application/json'" in error.message


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/octet-stream", "text/html", "x", "image/png", "", None]
)
def test_any_other_content_type_is_refused_with_the_three_that_are_not(content_type: str | None) -> None:
    error = refusal(request(b"hi", content_type), "chat")

    assert (error.status, error.code) == (415, "unsupported_media_type")
    assert not [
        accepted
        for accepted in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
        if accepted not in error.message
    ]


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=other"]
)
def test_multipart_without_its_boundary_is_refused(content_type: str) -> None:
    error = refusal(request(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--{BOUNDARY}--', content_type))

    assert (error.status, error.code) == (400, "invalid_param")
    assert "boundary" in error.message


@pytest.mark.parametrize("rest", ["", '; filename="a.png"'], ids=["text", "file"])
def test_a_multipart_part_without_a_name_is_refused(rest: str) -> None:
    error = refusal(request(f"--{BOUNDARY}\r\nContent-Disposition: form-data{rest}\r\n\r\nx\r\n--{BOUNDARY}--", MULTIPART))

    assert (error.status, error.code) == (400, "invalid_param")
    assert "None" not in error.message


FORM_OF = {
    "user_input_form": [
        {"text-input": {"variable": "city", "required": True}},
        {"number": {"variable": "days"}},
        {"select": {"variable": "tone", "options": ["formal", "casual"]}},
        {"file": {"variable": "doc"}},
        {"file-list": {"variable": "pics", "max_length": 3}},
    ]
}
READ = forms.read(FORM_OF)


def test_a_request_is_held_against_the_form() -> None:
    assert run(post({"inputs": {"city": "Oslo", "days": 3}}), form=READ).inputs == {"city": "Oslo", "days": 3}
    message = refusal(post({"inputs": {"citty": "Oslo", "days": "x"}}), form=READ).message
    assert message == (
        "inputs.citty: no such input; this app takes city, days, tone, doc, pics; "
        "inputs.days: must be a number; inputs.city: required"
    )


def test_faults_of_the_request_and_of_its_inputs_are_told_together() -> None:
    message = refusal(post({"query": " ", "user": 5, "inputs": {"days": "x"}}), "chat", READ).message
    assert message == "user: must be a text; query: required; inputs.days: must be a number; inputs.city: required"


@pytest.mark.parametrize("way", WAYS)
def test_texts_become_what_the_form_says(way: Any) -> None:
    given_ = way(("city", "5"), ("inputs.days", "5"), ("tone", ""), ("pics", "https://h/a.png"), ("pics", "https://h/b.png"))
    made = run(given_, form=READ)
    links = [{"type": "image", "transfer_method": "remote_url", "url": f"https://h/{name}.png"} for name in "ab"]
    assert made.inputs == {"city": "5", "days": 5, "pics": links}


@pytest.mark.parametrize("way", WAYS)
def test_a_name_twice_is_refused_but_for_a_list_of_files(way: Any) -> None:
    assert refusal(way(("city", "a"), ("city", "b")), form=READ).message == "inputs.city: given 2 times"


def test_a_field_of_json_that_is_called_like_an_input_belongs_under_inputs() -> None:
    message = refusal(post({"city": "Oslo", "tone": "formal", "unknown": 1, "inputs": {}}), form=READ).message
    assert message == "inputs.city: required; city: put it under inputs; tone: put it under inputs"
    assert run(post({"unknown": 1, "inputs": {"city": "Oslo"}}), form=READ).inputs == {"city": "Oslo"}


def test_files_beside_the_inputs_are_refused_with_where_they_go() -> None:
    body = post({"files": [{"type": "image"}], "inputs": {"city": "Oslo"}})
    assert refusal(body, form=READ).message == "files: Dify takes none from plugins; this app takes them as inputs doc, pics"
    none = forms.read({"user_input_form": []})
    assert refusal(post({"files": [1]}), form=none).message == (
        "files: Dify takes none from plugins, and this app has no variable for one"
    )


def test_multipart_files_become_files_of_their_variables() -> None:
    given_ = multipart(
        ("city", "Oslo"),
        ("doc", "PDF", "../../report.pdf"),
        ("pics", "A", "a.png"),
        ("inputs.pics", "", ""),
        ("pics", "B", "b.png"),
    )
    made = run(given_, form=READ)
    assert made.inputs["city"] == "Oslo"
    assert (made.inputs["doc"].name, made.inputs["doc"].content) == ("report.pdf", b"PDF")
    assert [(file.name, file.content) for file in made.inputs["pics"]] == [("a.png", b"A"), ("b.png", b"B")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("files", "files: Dify takes none from plugins; this app takes them as inputs doc, pics"),
        ("user", "user: must be a text"),
        ("inputs", 'inputs: must be an object, like {"city": "Oslo"}; inputs.city: required'),
    ],
)
def test_a_file_in_the_place_of_a_field_is_refused(name: str, message: str) -> None:
    city = [] if name == "inputs" else [("city", "Oslo")]
    assert refusal(multipart(*city, (name, "x", "a.pdf")), form=READ).message == message


def test_a_name_that_is_a_text_and_a_file_is_refused() -> None:
    error = refusal(multipart(("city", "Oslo"), ("doc", "x", "a.pdf"), ("inputs.doc", "https://h/a.pdf")), form=READ)
    assert error.message == "doc: given as a text and as a file"


@pytest.mark.parametrize("given_", [post({}), form(("days", "")), query_string()], ids=["JSON", "form", "query string"])
def test_presets_are_defaults(given_: Request) -> None:
    presets = {"city": "Oslo", "days": "3", "tone": "", "gone": "x", "doc": {"any": "thing"}, "pics": []}
    made, faults = check(run_request.parse(given_, "workflow", APP)[0], READ, presets)
    assert (made.inputs, faults) == ({"city": "Oslo", **({} if "days" in given_.form else {"days": 3})}, [])


def test_what_the_caller_gives_wins_over_a_preset() -> None:
    asked, _ = run_request.parse(post({"inputs": {"city": "Bergen"}}), "workflow", APP)
    assert check(asked, READ, {"city": "Oslo"})[0].inputs == {"city": "Bergen"}
    assert check(asked, None, {"city": "Oslo", "days": 3, "doc": {}})[0].inputs == {"city": "Bergen", "days": 3}


def test_a_fault_in_a_preset_is_the_owners() -> None:
    asked, _ = run_request.parse(post({"inputs": {"city": "Oslo"}}), "workflow", APP)
    assert sentences(check(asked, READ, {"tone": "rude"})[1]) == [
        "inputs.tone: one of formal, casual (this is the owner's preset)"
    ]


def test_files_are_uploaded_side_by_side_and_replaced() -> None:
    together = threading.Barrier(2, timeout=10)

    def send(file: File) -> Upload:
        together.wait()
        return Upload(by_id={"id": file.name}, by_url={"url": file.name})

    made = run(
        multipart(
            ("city", "Oslo"), ("doc", "PDF", "a.pdf"), ("pics", "A", "a.png"), ("pics", "B", "b.png"), ("pics", "C", "c.png")
        ),
        form=READ,
    )
    uploaded = upload(made, send)
    assert uploaded.inputs == {
        "city": "Oslo",
        "doc": {"id": "a.pdf"},
        "pics": [{"id": "a.png"}, {"id": "b.png"}, {"id": "c.png"}],
    }
    assert uploaded.inputs_by_url == {
        "city": "Oslo",
        "doc": {"url": "a.pdf"},
        "pics": [{"url": "a.png"}, {"url": "b.png"}, {"url": "c.png"}],
    }


def test_a_run_without_files_uploads_nothing() -> None:
    made = run(post({"inputs": {"city": "Oslo"}}), form=READ)
    assert upload(made, lambda _: pytest.fail("nothing is to be uploaded")) is made


def test_an_upload_without_a_link_is_passed_by_its_id_alone() -> None:
    made = run(multipart(("city", "Oslo"), ("doc", "PDF", "a.pdf")), form=READ)
    assert upload(made, lambda _: Upload(by_id={"id": 1}, by_url=None)).inputs_by_url == {"city": "Oslo", "doc": {"id": 1}}
