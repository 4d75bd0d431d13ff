"""Which fields Anthropic's route accepts, ignores and refuses, as tables."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from duck import state as states
from duck.faces.anthropic import serve
from duck.faces.messages import MAX_MESSAGES
from duck.state import State
from tests.anthropic_calls import PATH, ask, fault, place
from tests.fuzzing import JSON
from tests.openai_calls import CITY, App, Talk, assistant, call, user
from tests.support import NoSleepClock, blocking_sample, sample

PNG = "iVBORw0KGgo="
TOOL = {"name": "f", "input_schema": {"type": "object"}}
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "4"}
TEXT = {"type": "text", "text": "Hi"}
OK = (200, "")


def talk(form: Any = CITY) -> App:
    return App(stream=sample("chat"), blocking=blocking_sample("chat"), form=form)


IGNORED: dict[str, Any] = {
    "max_tokens": "x",
    "temperature": 2,
    "top_p": 1,
    "top_k": 5,
    "stop_sequences": ["x"],
    "thinking": {"type": "adaptive"},
    "cache_control": {"type": "ephemeral"},
    "service_tier": "auto",
    "betas": ["x"],
    "container": "x",
    "context_management": {},
    "inference_geo": "us",
    "speed": "fast",
    "anything": [{}],
    "tools": [],
    "tool_choice": {"type": "auto"},
    "mcp_servers": [],
    "output_config": {"effort": "low"},
    "inputs": {"city": None, "nothing": None},
    "metadata": {"user_id": "me"},
}
NULLS: dict[str, Any] = dict.fromkeys([*IGNORED, "stream", "system", "conversation_id", "output_format"])


def test_what_an_app_cannot_follow_and_may_do_without_is_ignored() -> None:
    assert place(ask(talk(), **IGNORED)) == OK


def test_null_is_as_if_missing() -> None:
    dify = talk()
    assert place(ask(dify, **NULLS)) == OK
    assert dify.calls[0]["inputs"] == {}


FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"tools": [TOOL]}, "tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "auto"}}, "tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "none"}}, ""),
    ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ({"tool_choice": {"type": "tool", "name": "f"}}, "tool_choice"),
    ({"tool_choice": "none"}, "tool_choice"),
    ({"mcp_servers": [{"type": "url", "url": "https://x.example", "name": "x"}]}, "mcp_servers"),
    ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, "output_config.format"),
    ({"output_config": 5}, "output_config"),
    ({"output_format": {"type": "json_schema", "schema": {}}}, "output_format"),
    ({"stream": "yes"}, "stream"),
    ({"inputs": []}, "inputs"),
    ({"inputs": {"city": 5}}, "inputs.city"),
    ({"inputs": {"town": "x"}}, "inputs.town"),
    ({"metadata": 5}, "metadata"),
    ({"metadata": {"user_id": 5}}, "metadata.user_id"),
    ({"conversation_id": 5}, "conversation_id"),
    ({"conversation_id": "x"}, "conversation_id"),
    ({"model": 5}, "model"),
    ({"model": None}, "model"),
    ({"model": " "}, "model"),
    ({"system": 5}, "system"),
    ({"system": [5]}, "system[0]"),
    ({"system": [TEXT, {"type": "image"}]}, "system[1].type"),
    ({"system": [{"type": "text", "text": 5}]}, "system[0].text"),
    ({"system": [TEXT]}, ""),
    ({"system": []}, ""),
    ({"messages": None}, "messages"),
    ({"messages": "Hi"}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": ["Hi"]}, "messages[0]"),
    ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages[0].role"),
    ({"messages": [{"role": ["user"], "content": "Hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [user(5)]}, "messages[0].content"),
    ({"messages": [user([])]}, "messages[0].content"),
    ({"messages": [user(" ")]}, "messages[0]"),
    ({"messages": [user([{"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}])]}, "messages[0]"),
    ({"messages": [user("Hi"), assistant("The answer is")]}, "messages[1]"),
    ({"messages": [user("Hi"), assistant([])]}, "messages[1]"),
    ({"messages": [{"role": "system", "content": "Be short."}]}, "messages"),
    ({"messages": [{"role": "system", "content": [TEXT]}, user("Hi")]}, ""),
    ({"messages": [{"role": "system", "content": 5}, user("Hi")]}, "messages[0].content"),
    ({"messages": [{"role": "system", "content": [USE]}, user("Hi")]}, "messages[0].content[0].type"),
    ({"messages": [user("Hi"), assistant([USE]), user([RESULT])]}, "messages[2].content[0]"),
    ({"messages": [user("Hi"), assistant([USE]), user([TEXT, RESULT])]}, "messages[2].content[1]"),
    (
        {"messages": [user("Hi"), assistant([USE]), user([RESULT, TEXT]), {"role": "system", "content": "Be short."}]},
        "messages[2].content[0]",
    ),
    ({"messages": [user("Hi"), assistant([USE])]}, "messages[1].content[0]"),
    ({"messages": [user("Hi"), assistant([USE]), user([RESULT]), user("Go on")]}, ""),
    ({"messages": [user([USE]), user("Hi")]}, "messages[0].content[0].type"),
    ({"messages": [user([{**RESULT, "content": 5}]), user("Hi")]}, "messages[0].content[0].content"),
    ({"messages": [user([{**RESULT, "content": [5]}]), user("Hi")]}, "messages[0].content[0].content[0]"),
    (
        {"messages": [user([{**RESULT, "content": [{"type": "text", "text": 5}]}]), user("Hi")]},
        "messages[0].content[0].content[0].text",
    ),
]


@pytest.mark.parametrize(("body", "name"), FIELDS)
def test_fields(body: dict[str, Any], name: str) -> None:
    dify = talk()
    assert place(ask(dify, **body)) == ((400, name) if name else OK)
    assert len(dify.calls) == (not name)


# The blocks of a message: each is sent beside a text, to an app that takes all files. None: it is accepted.

FILES = {"user_input_form": [{"file-list": {"variable": "files"}}]}
BASE64 = {"type": "base64", "media_type": "image/png", "data": PNG}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
PLAIN = {"type": "text", "media_type": "text/plain", "data": "Once upon a time"}
BLOCKS: list[tuple[Any, str | None]] = [
    (TEXT, None),
    ({**TEXT, "cache_control": {"type": "ephemeral"}}, None),
    ({"type": "text", "text": None}, None),
    ({"type": "text", "text": 5}, "text"),
    ("Hi", ""),
    ({}, "type"),
    ({"type": ["text"]}, "type"),
    ({"type": "thinking", "thinking": "Hm", "signature": "x"}, "type"),
    ({"type": "search_result"}, "type"),
    ({"type": "container_upload", "file_id": "x"}, "type"),
    ({"type": "image", "source": BASE64}, None),
    ({"type": "image", "source": {**BASE64, "media_type": "IMAGE/PNG"}}, None),
    ({"type": "image", "source": {"type": "url", "url": "https://x.example/a"}}, None),
    ({"type": "image"}, "source.type"),
    ({"type": "image", "source": 5}, "source"),
    ({"type": "image", "source": {"type": "file", "file_id": "x"}}, "source.type"),
    ({"type": "image", "source": {**BASE64, "media_type": "application/pdf"}}, "source.media_type"),
    ({"type": "image", "source": {**BASE64, "media_type": "image/png;base64,x"}}, "source.media_type"),
    ({"type": "image", "source": {**BASE64, "media_type": 5}}, "source.media_type"),
    ({"type": "image", "source": {**BASE64, "data": "!"}}, "source.data"),
    ({"type": "image", "source": {**BASE64, "data": None}}, "source.data"),
    ({"type": "image", "source": {"type": "url", "url": "ftp://x.example/a.png"}}, "source.url"),
    ({"type": "image", "source": {"type": "url", "url": 5}}, "source.url"),
    ({"type": "image", "source": {"type": "url"}}, "source.url"),
    ({"type": "document", "source": PDF}, None),
    ({"type": "document", "source": PDF, "title": "Q3", "context": "x", "citations": {"enabled": True}}, None),
    ({"type": "document", "source": PDF, "title": 5}, "title"),
    ({"type": "document", "source": {**PDF, "data": "!"}}, "source.data"),
    ({"type": "document", "source": {**PDF, "media_type": "pdf"}}, "source.media_type"),
    ({"type": "document", "source": {"type": "url", "url": "https://x.example/a"}}, None),
    ({"type": "document", "source": {"type": "url", "url": "data:application/pdf;base64,aGk="}}, "source.url"),
    ({"type": "document", "source": PLAIN}, None),
    ({"type": "document", "source": {**PLAIN, "data": ""}}, "source.data"),
    ({"type": "document", "source": {"type": "content", "content": "x"}}, "source.type"),
    ({"type": "document", "source": {"type": "file", "file_id": "x"}}, "source.type"),
]


@pytest.mark.parametrize(("block", "name"), BLOCKS)
def test_blocks_of_a_message(block: Any, name: str | None) -> None:
    expected = OK if name is None else (400, f"messages[1].content[1].{name}".rstrip("."))
    assert place(ask(talk(FILES), assistant("Hi"), user([TEXT, block]))) == expected


@pytest.mark.parametrize(
    ("source", "more", "name", "mimetype", "content"),
    [
        (PDF, {}, "file.pdf", "application/pdf", b"hi"),
        (PDF, {"title": "Q3"}, "Q3.pdf", "application/pdf", b"hi"),
        (PDF, {"title": "../Q3.PDF"}, "Q3.PDF", "application/pdf", b"hi"),
        (PLAIN, {"title": "A tale"}, "A tale.txt", "text/plain", b"Once upon a time"),
    ],
)
def test_a_document_becomes_a_file(source: Any, more: Any, name: str, mimetype: str, content: bytes) -> None:
    dify = talk(FILES)
    assert place(ask(dify, user([TEXT, {"type": "document", "source": source, **more}]))) == OK
    assert dify.uploaded == [(name, content, mimetype)]


def test_an_image_in_base64_becomes_a_file_and_a_link_stays_one() -> None:
    dify = talk(FILES)
    link = {"type": "image", "source": {"type": "url", "url": "https://x.example/a"}}
    assert place(ask(dify, user([TEXT, {"type": "image", "source": BASE64}, link]))) == OK
    assert [(name, mimetype) for name, _, mimetype in dify.uploaded] == [("file.png", "image/png")]
    [_, linked] = dify.calls[0]["inputs"]["files"]
    assert linked == {"type": "image", "transfer_method": "remote_url", "url": "https://x.example/a"}


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"type": "image", "source": BASE64}, "this app takes no images: it has no variable for one"),
        ({"type": "document", "source": PDF}, "this app takes no files: it has no variable for one"),
    ],
)
def test_files_that_no_variable_takes_are_refused(block: Any, message: str) -> None:
    dify = talk()
    response = ask(dify, user([TEXT, block]))
    assert place(response) == (400, "messages[0].content[1]")
    assert message in str(response.json)
    assert (dify.calls, dify.uploaded) == ([], [])


# What was said before


def test_earlier_blocks_are_sent_again_as_text() -> None:
    dify = Talk()
    result = {**RESULT, "content": [{"type": "text", "text": "5"}, {"type": "image", "source": BASE64}]}
    said = [
        user("Two and two?"),
        assistant([{"type": "thinking", "thinking": "Hm", "signature": "x"}, {"type": "text", "text": "Let me see."}, USE]),
        user([RESULT, result, TEXT]),
        assistant([{"type": "redacted_thinking", "data": "x"}, {"type": "web_search_tool_result", "content": []}]),
        user([TEXT, {"type": "text", "text": "So?"}]),
    ]
    assert place(ask(dify, *said, system=[TEXT, TEXT])) == OK
    parts = ["Hi", "Hi", "Conversation so far:", "user: Two and two?", "assistant: Let me see.", "tool: 4", "5", "user: Hi"]
    assert dify.calls[0]["query"] == "\n\n".join([*parts, "----", "Hi", "So?"])


# No body makes a 500

TYPES = ["text", "image", "document", "tool_use", "tool_result", "thinking"]
SOURCES = JSON | st.fixed_dictionaries(
    {"type": st.sampled_from(["base64", "url", "text", "file"]) | JSON},
    optional=dict.fromkeys(["media_type", "data", "url"], JSON),
)
PARTS = JSON | st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES) | JSON},
    optional={"text": JSON, "source": SOURCES, "title": JSON, "content": JSON | st.lists(JSON, max_size=2)},
)
MESSAGES = JSON | st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "user", "assistant"]) | JSON,
        "content": JSON | st.lists(PARTS, max_size=3),
    }
)
NAMES = sorted({"city", "files", *IGNORED, *NULLS, *(name for body, _ in FIELDS for name in body)} - {"model", "messages"})
BODIES = JSON | st.fixed_dictionaries(
    {"model": st.just("talk") | JSON, "messages": st.lists(MESSAGES, max_size=4) | JSON},
    optional=dict.fromkeys(NAMES, JSON),
)
ENCODED = JSON.map(str).map(str.encode) | st.binary(max_size=30)


@hypothesis.given(body=BODIES | ENCODED, form=st.sampled_from([CITY, FILES]))
def test_no_body_makes_a_500(body: Any, form: Any) -> None:
    states.use(State(clock=NoSleepClock()))
    assert call(serve.messages, talk(form), body, path=PATH).status_code < 500


def test_only_so_many_messages_are_read() -> None:
    assert place(ask(Talk(), *[user("x")] * (MAX_MESSAGES + 1))) == (400, "messages")


def test_only_so_many_inputs_are_read() -> None:
    response = ask(Talk(), inputs={f"a{number}": "x" for number in range(1001)})
    assert fault(response) == (400, "invalid_request_error", "invalid_param")
