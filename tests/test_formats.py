"""Every format, read back by a decoder that is not ours."""

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource

from duck.errors import DuckError
from duck.faces.api.formats import MIMETYPES, STREAMS
from duck.faces.api.text import Text
from duck.streams.format import Event
from duck.streams.json import document
from duck.streams.ndjson import Ndjson
from duck.streams.sse import Sse
from tests.support import STREAMS as SAMPLES
from tests.support import blocking_sample, sample

HOSTILE = "</p></pre></title></style><script>alert('1')</script><img src=x onerror=\"alert(2)\">&lt;&amp;"
AWKWARD = 'line\nline\r\nline\rline\u2028line\u2029line\x85 "quotes" \\ data: event: ping\n\nid: 1 Größe 東京 🦆 \x00\x1f'


def written(name: str, stream: Iterable[Event], *, keep_alives: bool = False) -> bytes:
    """A whole body, with a keep-alive before and after every event if asked for."""
    style = STREAMS[name]()

    def pause() -> bytes:
        return style.keep_alive() if keep_alives else b""

    return style.head() + pause() + b"".join(style.event(event) + pause() for event in stream) + style.tail()


def ndjson(body: bytes) -> list[Any]:
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body[:-1].split(b"\n")]


class Chunks(httpx.SyncByteStream):
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks


def sse(*chunks: bytes) -> list[tuple[str, Any]]:
    """Name and data of each event that a reader is told of."""
    response = httpx.Response(200, headers=Sse.headers, stream=Chunks(chunks))
    return [(event.event, event.json()) for event in EventSource(response).iter_sse()]


def ended(text: str) -> str:
    """The text with the end of its last line, if it has any."""
    return text if text.endswith("\n") or not text else f"{text}\n"


def message(answer: str, event: str = "message") -> dict[str, Any]:
    return {"event": event, "message_id": "1", "conversation_id": "2", "answer": answer}


def of_workflow(name: str, **data: Any) -> dict[str, Any]:
    return {"event": name, "workflow_run_id": "1", "task_id": "2", "data": data}


def finished(outputs: Any, status: str = "succeeded", error: str | None = None) -> dict[str, Any]:
    return of_workflow("workflow_finished", status=status, outputs=outputs, error=error)


def chunk(text: str) -> dict[str, Any]:
    return of_workflow("text_chunk", text=text, from_variable_selector=["llm", "text"])


ERROR = {"event": "error", "code": "timeout", "status": 504, "message": "Too slow."}


def test_a_json_document_reads_back_as_it_was() -> None:
    answer = blocking_sample("advanced-chat") | {"answer": AWKWARD}

    assert json.loads(document(answer)) == answer


def test_a_json_document_is_compact_utf_8_and_ends_its_line() -> None:
    assert document({"answer": "東京", "files": []}) == '{"answer":"東京","files":[]}\n'.encode()


def test_every_format_can_be_asked_for_by_the_type_it_answers_with() -> None:
    answered = {name: style.headers["Content-Type"].partition(";")[0] for name, style in STREAMS.items()}

    assert {name: mimetypes[0] for name, mimetypes in MIMETYPES.items()} == {"json": "application/json", **answered}
    assert set(MIMETYPES["ndjson"]) == {"application/x-ndjson", "application/ndjson", "application/jsonl"}
    assert list(MIMETYPES) == ["json", "ndjson", "sse", "html", "text"]


@pytest.mark.parametrize("name", SAMPLES)
def test_ndjson_is_one_event_a_line_as_dify_sent_it(name: str) -> None:
    assert ndjson(written("ndjson", sample(name))) == sample(name)


def test_a_line_of_ndjson_is_compact_utf_8() -> None:
    assert Ndjson().event({"event": "message", "answer": "東京"}) == '{"event":"message","answer":"東京"}\n'.encode()


def test_ndjson_keeps_alive_by_an_event_that_readers_skip() -> None:
    lines = ndjson(written("ndjson", sample("chat"), keep_alives=True))

    assert [line for line in lines if line != {"event": "ping"}] == sample("chat")
    assert lines.count({"event": "ping"}) == len(sample("chat")) + 1


@pytest.mark.parametrize("name", SAMPLES)
def test_sse_is_one_data_line_an_event_as_dify_sent_it(name: str) -> None:
    assert sse(written("sse", sample(name))) == [("message", event) for event in sample(name)]


def test_sse_reads_the_same_wherever_the_network_splits_it() -> None:
    body = written("sse", [message("東京 🦆\r\n"), *sample("chat")], keep_alives=True)
    whole = sse(body)

    assert len(whole) == len(sample("chat")) + 1
    assert [offset for offset in range(len(body)) if sse(body[:offset], body[offset:]) != whole] == []
    assert sse(*(body[offset : offset + 1] for offset in range(len(body)))) == whole


def test_sse_keeps_alive_by_comments_that_no_reader_sees() -> None:
    assert Sse().keep_alive() == b": ping\n\n"
    assert sse(written("sse", sample("chat"), keep_alives=True)) == sse(written("sse", sample("chat")))


ODD = {
    "awkward text": AWKWARD,
    "hostile text": HOSTILE,
    "deep": {"a": [{"b": [[None, True, False, 0, -1, 1.5, ""]]}]},
    "large numbers": [2**53, 2**63 - 1, 2**64 - 1, -(2**63), 1e300, 5e-324],
    "numbers beyond 64 bits": [10**20, -(10**20)],
}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD.keys())
def test_whatever_an_event_holds_comes_out_as_it_went_in(value: Any) -> None:
    event = {"event": "brand_new", "data": value, AWKWARD: 1}

    assert ndjson(written("ndjson", [event])) == [event]
    assert sse(written("sse", [event])) == [("message", event)]


@pytest.mark.parametrize("name", list(STREAMS))
def test_no_format_changes_an_event(name: str) -> None:
    stream = [*sample("rare-events.chat"), *sample("rare-events.workflow")]

    written(name, stream)

    assert stream == [*sample("rare-events.chat"), *sample("rare-events.workflow")]


@pytest.mark.parametrize("name", ["ndjson", "sse"])
def test_an_error_of_ducks_own_is_an_event_like_difys(name: str) -> None:
    body = written(name, [DuckError(504, "timeout", "Too slow.").as_event()])

    assert json.loads(body.removeprefix(b"id: 1\n").removeprefix(b"data: ")) == ERROR


TEXTS = {
    "chat": "The Pro plan costs 20 USD per month.",
    "advanced-chat": "The Pro plan costs 20 USD per month.",
    "advanced-chat.failed": "error: Run failed: [langgenius/openai/openai] Rate Limit Error, 429 Too Many Requests\n",
    "agent-chat": "I will draw it.\n\nHere is your fox.",
    "completion": "A haiku about rain:\nsoft drops on the roof",
    "workflow": "Rain is coming.",
    "workflow.failed": "error: [langgenius/openai/openai] Rate Limit Error, 429 Too Many Requests\n",
}


@pytest.mark.parametrize(("name", "text"), TEXTS.items(), ids=TEXTS.keys())
def test_text_is_the_answer_and_nothing_else(name: str, text: str) -> None:
    assert written("text", sample(name)) == ended(text).encode()


def test_text_of_a_paused_workflow_says_so_and_is_no_error() -> None:
    text = written("text", sample("workflow.paused")).decode()

    assert "paused" in text
    assert "error" not in text


def test_text_has_no_keep_alive() -> None:
    assert (Text.keep_alive_s, Text().keep_alive()) == (math.inf, b"")


@pytest.mark.parametrize("text", [HOSTILE, AWKWARD, "東京 🦆"])
def test_text_is_passed_on_as_it_came(text: str) -> None:
    assert written("text", [message(text)]).decode() == ended(text)


FILE = {"dify_model_identity": "__dify__file__", "type": "image", "url": "https://x.example/a.png"}
RESULTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a text and a number": ([finished({"text": "Rain.", "score": 1})], "Rain.\n1"),
    "the only output": ([finished({"summary": "Rain."})], "Rain."),
    "no output": ([finished({})], ""),
    "null": ([finished(None)], ""),
    "all kinds": (
        [finished({"a": None, "b": "", "c": 1.5, "d": False, "e": {"ü": [1]}, "f": ["x", 1, True, {"a": "b"}], "g": []})],
        "\n\n1.5\nFalse\n{\n  \"ü\": [\n    1\n  ]\n}\n- x\n- 1\n- True\n- {'a': 'b'}\n",
    ),
    "files": ([finished({"a": FILE, "b": [FILE, FILE], "c": "x"})], "\n\nx"),
    "chunks before outputs": ([chunk("Rain"), chunk("."), finished({"text": "other"})], "Rain."),
    "partial success": ([finished({"text": "Rain."}, "partial-succeeded")], "Rain."),
    "an answer of a chatflow": ([message("Hi"), {**message(""), **finished({"answer": "Hi"})}], "Hi"),
}


@pytest.mark.parametrize(("stream", "text"), RESULTS.values(), ids=RESULTS.keys())
def test_text_of_a_workflow_is_its_own_text(stream: list[dict[str, Any]], text: str) -> None:
    assert written("text", stream).decode() == ended(text)


@pytest.mark.parametrize("name", ["inputs", "loops", "template", "workflow"])
def test_text_of_a_workflow_is_the_same_streamed_and_made_from_its_outputs(name: str) -> None:
    streamed = sample(f"dify-1.16/{name}.service")
    assert written("text", streamed) == written("text", streamed[-1:]) != b""


FAILURES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "alone": ([ERROR], "error: Too slow.\n"),
    "after a word": ([message("Hi"), ERROR], "Hi\nerror: Too slow.\n"),
    "after a line": ([message("Hi\n"), ERROR], "Hi\nerror: Too slow.\n"),
    "after an empty word": ([message("Hi\n"), message(""), ERROR], "Hi\nerror: Too slow.\n"),
    "after a chunk": ([chunk("Hi"), ERROR], "Hi\nerror: Too slow.\n"),
    "failed workflow": ([chunk("Hi"), finished({}, "failed", "Oops")], "Hi\nerror: Oops\n"),
    "failed workflow without words": ([finished({}, "failed")], "error: failed\n"),
    "stopped workflow": ([chunk("Hi"), finished({}, "stopped", "Aborted")], "Hi\nerror: Aborted\n"),
    "stopped chatflow": (
        [message("Hi"), {**message(""), **finished({}, "failed", "Aborted: User requested stop")}],
        "Hi\nerror: Aborted: User requested stop\n",
    ),
    "words of a model": ([ERROR | {"message": '{"args":{},"error_type":"InvokeError","message":"no\\nkey"}'}], "error: no key\n"),
    "error without words": ([ERROR | {"message": ""}], "error: timeout\n"),
}


@pytest.mark.parametrize(("stream", "text"), FAILURES.values(), ids=FAILURES.keys())
def test_an_error_is_the_last_line_of_a_text(stream: list[dict[str, Any]], text: str) -> None:
    assert written("text", stream).decode() == ended(text)


def test_an_error_of_several_lines_is_one_line_of_a_text() -> None:
    *_, last = written("text", [message("Hi"), ERROR | {"message": "Too\nslow."}]).decode().splitlines()

    assert last.startswith("error: ")


def test_text_that_replaces_what_was_said_stands_on_a_line_of_its_own() -> None:
    assert written("text", [message("bad"), message("Removed.", "message_replace")]).decode().splitlines() == ["bad", "Removed."]
