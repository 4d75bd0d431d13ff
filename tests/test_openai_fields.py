"""Which fields OpenAI's routes accept, ignore and refuse, as tables."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from duck import state as states
from duck.faces.messages import MAX_MESSAGES
from duck.faces.openai import serve
from duck.state import State
from tests.fuzzing import JSON
from tests.openai_calls import CITY, App, Talk, assistant, call, chat, fault, respond, user
from tests.support import NoSleepClock, blocking_sample, json_of, sample

PNG = "data:image/png;base64,iVBORw0KGgo="
IMAGE = {"type": "image_url", "image_url": {"url": PNG}}
TOOL = {"type": "function", "function": {"name": "f"}}


def talk(form: Any = CITY) -> App:
    return App(stream=sample("chat"), blocking=blocking_sample("chat"), form=form)


IGNORED: dict[str, Any] = {
    "temperature": 2,
    "top_p": 1,
    "max_tokens": 1,
    "max_completion_tokens": "x",
    "max_output_tokens": 5,
    "stop": ["x"],
    "seed": 7,
    "presence_penalty": 1,
    "frequency_penalty": 1,
    "logit_bias": {"1": 1},
    "store": True,
    "service_tier": "auto",
    "reasoning_effort": "high",
    "reasoning": {"effort": "high"},
    "verbosity": "low",
    "parallel_tool_calls": True,
    "prediction": {},
    "prompt_cache_key": "x",
    "safety_identifier": "x",
    "include": ["x"],
    "truncation": "auto",
    "anything": [{}],
    "stream_options": {"include_usage": None},
    "tools": [],
    "tool_choice": "auto",
    "inputs": {"city": None, "nothing": None},
    "user": "me",
    "metadata": {"a": "b"},
}
NULLS: dict[str, Any] = dict.fromkeys(
    f"{' '.join(IGNORED)} stream conversation_id previous_response_id instructions n logprobs top_logprobs modalities audio text "
    "response_format web_search_options functions function_call background prompt conversation".split()
)
OK = (200, None, None)


def test_what_an_app_cannot_follow_and_may_do_without_is_ignored() -> None:
    assert fault(chat(talk(), **IGNORED)) == fault(respond(talk(), **IGNORED)) == OK


def test_null_is_as_if_missing() -> None:
    dify = talk()
    assert fault(chat(dify, **NULLS)) == fault(respond(dify, **NULLS)) == OK
    assert dify.calls[0]["inputs"] == {}


CHAT_FIELDS: list[tuple[dict[str, Any], str | None]] = [
    ({"tools": [TOOL]}, "tools"),
    ({"tools": [TOOL], "tool_choice": "auto"}, "tools"),
    ({"tools": [TOOL], "tool_choice": "none"}, None),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": TOOL}, "tool_choice"),
    ({"tool_choice": "none"}, None),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"functions": [], "function_call": "auto"}, None),
    ({"functions": [{"name": "f"}], "function_call": "none"}, None),
    ({"function_call": {"name": "f"}}, "function_call"),
    ({"n": 2}, "n"),
    ({"n": "x"}, "n"),
    ({"n": 1}, None),
    ({"logprobs": True}, "logprobs"),
    ({"logprobs": False, "top_logprobs": 0}, None),
    ({"top_logprobs": 1}, "top_logprobs"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"modalities": 5}, "modalities"),
    ({"modalities": ["text"]}, None),
    ({"audio": {"voice": "x"}}, "audio"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"response_format": {"type": "json_schema"}}, "response_format"),
    ({"response_format": "text"}, "response_format"),
    ({"response_format": {"type": "text"}}, None),
    ({"response_format": {"type": None}}, None),
    ({"web_search_options": {}}, "web_search_options"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": 1}, "stream_options"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"inputs": []}, "inputs"),
    ({"inputs": {"city": 5}}, "inputs.city"),
    ({"inputs": {"town": "x"}}, "inputs.town"),
    ({"user": 5}, "user"),
    ({"conversation_id": 5}, "conversation_id"),
    ({"model": 5}, "model"),
    ({"model": None}, "model"),
    ({"model": " "}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": "Hi"}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": ["Hi"]}, "messages[0]"),
    ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "bot", "content": "Hi"}]}, "messages[0].role"),
    ({"messages": [{"role": ["user"], "content": "Hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [user(5)]}, "messages[0].content"),
    ({"messages": [user([])]}, "messages[0].content"),
    ({"messages": [user(" ")]}, "messages[0]"),
    ({"messages": [user([IMAGE])]}, "messages[0]"),
    ({"messages": [user("Hi"), assistant("Hello")]}, "messages[1]"),
    ({"messages": [user("Hi"), {"role": "tool", "content": "4"}, {"role": "system", "content": "Be short."}]}, "messages[1]"),
    ({"messages": [{"role": "developer", "content": "Be short."}]}, "messages"),
    ({"messages": [assistant(None), user("Hi")]}, None),
    ({"messages": [{"role": "assistant", "refusal": 5}, user("Hi")]}, "messages[0].refusal"),
]


@pytest.mark.parametrize(("body", "param"), CHAT_FIELDS)
def test_fields_of_chat_completions(body: dict[str, Any], param: str | None) -> None:
    dify = talk()
    assert fault(chat(dify, **body)) == ((400, "invalid_param", param) if param else OK)
    assert len(dify.calls) == (not param)


RESPONSE_FIELDS: list[tuple[dict[str, Any], str | None]] = [
    ({"tools": [TOOL]}, "tools"),
    ({"tools": [TOOL], "tool_choice": "none"}, None),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"function_call": "x", "functions": [1], "n": 5, "logprobs": True, "response_format": 1}, None),
    ({"background": True}, "background"),
    ({"background": False}, None),
    ({"prompt": {"id": "x"}}, "prompt"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
    ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, None),
    ({"text": {"format": 5}}, "text.format"),
    ({"text": 5}, "text"),
    ({"stream": 1}, "stream"),
    ({"instructions": 5}, "instructions"),
    ({"inputs": 5}, "inputs"),
    ({"user": []}, "user"),
    ({"metadata": "x"}, "metadata"),
    ({"previous_response_id": 5}, "previous_response_id"),
    ({"model": ""}, "model"),
    ({"input": None}, "input"),
    ({"input": {}}, "input"),
    ({"input": []}, "input"),
    ({"input": " "}, "input"),
    ({"input": [5]}, "input[0]"),
    ({"input": [{"type": "reasoning", "summary": []}, user("Hi")]}, None),
    ({"input": [{"type": "reasoning"}]}, "input"),
    ({"input": [user("Hi"), {"type": "function_call_output", "call_id": "1", "output": "4"}]}, "input[1]"),
    ({"input": [{"type": "item_reference", "id": "x"}, user("Hi")]}, "input[0]"),
    ({"input": [{"id": "x"}, user("Hi")]}, "input[0]"),
    ({"input": [{"type": "item_reference"}, user("Hi")]}, "input[0].id"),
    ({"input": [{"id": 5}, user("Hi")]}, "input[0].id"),
    ({"input": [user("Hi"), {"type": "item_reference", "id": "x"}]}, "input[1]"),
    ({"input": [user("Hi"), {"type": "item_reference", "id": "x"}, user("Ho"), {"id": "y"}, user("More")]}, "input[3]"),
    ({"input": [{"type": ["message"], **user("Hi")}]}, "input[0]"),
    ({"input": [{"type": "message", **user("Hi")}]}, None),
    ({"input": [{"role": "tool", "content": "4"}]}, "input[0].role"),
    ({"input": [{"role": {}, "content": "4"}]}, "input[0].role"),
    ({"input": [{"role": "user"}]}, "input[0].content"),
    ({"input": [user("Hi"), assistant("Hello")]}, "input[1]"),
    ({"input": [{"role": "developer", "content": "Be short."}, user("Hi")]}, None),
]


@pytest.mark.parametrize(("body", "param"), RESPONSE_FIELDS)
def test_fields_of_responses(body: dict[str, Any], param: str | None) -> None:
    dify = talk()
    assert fault(respond(dify, **body)) == ((400, "invalid_param", param) if param else OK)
    assert len(dify.calls) == (not param)


# The parts of a message: each is sent beside a text, to an app that takes all files. None: it is accepted.

FILES = {"user_input_form": [{"file-list": {"variable": "files"}}]}
TEXT = {"type": "text", "text": "Hi"}
AUDIO = {"data": "aGk=", "format": "wav"}
CHAT_PARTS: list[tuple[Any, str | None]] = [
    (TEXT, None),
    ({"type": "text", "text": None}, None),
    ({"type": "text", "text": 5}, "text"),
    ("Hi", ""),
    ({}, "type"),
    ({"type": ["text"]}, "type"),
    ({"type": "input_text", "text": "Hi"}, "type"),
    ({"type": "refusal", "refusal": "No."}, None),
    ({"type": "refusal", "refusal": 5}, "refusal"),
    (IMAGE, None),
    ({"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}}, None),
    ({"type": "image_url", "image_url": "https://x.example/a.png"}, None),
    ({"type": "image_url"}, "image_url"),
    ({"type": "image_url", "image_url": {"url": 5}}, "image_url"),
    ({"type": "image_url", "image_url": {"url": "ftp://x.example/a.png"}}, "image_url"),
    ({"type": "image_url", "image_url": {"url": "data:image/png;base64,!"}}, "image_url"),
    ({"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}}, None),
    ({"type": "file", "file": {"file_data": "aGk=", "filename": "a.pdf"}}, None),
    ({"type": "file", "file": {"file_data": "!", "filename": "a.pdf"}}, "file.file_data"),
    ({"type": "file", "file": {"file_data": "aGk="}}, "file.file_data"),
    ({"type": "file", "file": {"file_data": "aGk=", "filename": 5}}, "file.filename"),
    ({"type": "file", "file": {"file_id": "file-1", "file_data": None}}, "file"),
    ({"type": "file", "file": 5}, "file"),
    ({"type": "input_audio", "input_audio": AUDIO}, None),
    ({"type": "input_audio", "input_audio": {**AUDIO, "format": "a/b"}}, "input_audio.format"),
    ({"type": "input_audio", "input_audio": {"data": "aGk="}}, "input_audio.format"),
    ({"type": "input_audio", "input_audio": {"format": "wav"}}, "input_audio.data"),
    ({"type": "input_audio", "input_audio": {**AUDIO, "data": "!"}}, "input_audio.data"),
    ({"type": "input_audio", "input_audio": 5}, "input_audio"),
]


def of_part(place: str, name: str | None) -> tuple[int, Any, Any]:
    return OK if name is None else (400, "invalid_param", f"{place}.{name}".rstrip("."))


@pytest.mark.parametrize(("part", "name"), CHAT_PARTS)
def test_parts_of_chat_completions(part: Any, name: str | None) -> None:
    assert fault(chat(talk(FILES), assistant("Hi"), user([TEXT, part]))) == of_part("messages[1].content[1]", name)


RESPONSE_PARTS: list[tuple[Any, str | None]] = [
    ({"type": "input_text", "text": "Hi"}, None),
    (TEXT, None),
    ({"type": "output_text", "text": 5}, "text"),
    ({"type": "refusal", "refusal": "No."}, None),
    (5, ""),
    ({"type": "image_url"}, "type"),
    ({"type": "input_image", "image_url": PNG}, None),
    ({"type": "input_image", "image_url": {"url": PNG}}, "image_url"),
    ({"type": "input_image", "file_id": "x"}, "image_url"),
    ({"type": "input_file", "file_data": PNG, "filename": "a.png"}, None),
    ({"type": "input_file", "file_url": "https://x.example/a.pdf"}, None),
    ({"type": "input_file", "file_url": "file:///etc/hosts"}, "file_url"),
    ({"type": "input_file", "file_data": 5}, "file_data"),
    ({"type": "input_file", "file_data": PNG, "filename": 5}, "filename"),
    ({"type": "input_file", "file_id": "file-1"}, ""),
]


@pytest.mark.parametrize(("part", "name"), RESPONSE_PARTS)
def test_parts_of_responses(part: Any, name: str | None) -> None:
    assert fault(respond(talk(FILES), [user([TEXT, part])])) == of_part("input[0].content[1]", name)


# No body makes a 500

TYPES = ["text", "image_url", "file", "input_audio", "refusal", "input_text", "input_image", "input_file", "message", "reasoning"]
PARTS = JSON | st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES) | JSON},
    optional={
        name: JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(["url", "file_data", "filename", "data", "format"], JSON))
        for name in ["text", "image_url", "file", "input_audio", "refusal", "file_data", "file_url", "filename"]
    },
)
MESSAGES = JSON | st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "user", "assistant", "tool"]) | JSON,
        "content": JSON | st.lists(PARTS, max_size=3),
    },
    optional={"type": st.sampled_from(TYPES) | JSON, "refusal": JSON},
)
NAMES = sorted({"city", "files", *IGNORED, *NULLS, *(name for body, _ in CHAT_FIELDS + RESPONSE_FIELDS for name in body)})
BODIES = JSON | st.fixed_dictionaries(
    {
        "model": st.just("talk") | JSON,
        "messages": st.lists(MESSAGES, max_size=4) | JSON,
        "input": st.lists(MESSAGES, max_size=4) | JSON,
    },
    optional={name: JSON for name in NAMES if name not in {"model", "messages", "input"}},
)
ENCODED = JSON.map(str).map(str.encode) | st.binary(max_size=30)


@pytest.mark.parametrize("handler", [serve.completions, serve.responses])
@hypothesis.given(body=BODIES | ENCODED, form=st.sampled_from([CITY, FILES]))
def test_no_body_makes_a_500(handler: Any, body: Any, form: Any) -> None:
    states.use(State(clock=NoSleepClock()))
    assert call(handler, talk(form), body).status_code < 500


@pytest.mark.parametrize(("route", "field"), [("chat", "messages"), ("responses", "input")])
def test_only_so_many_messages_are_read(route: str, field: str) -> None:
    many = [{"role": "user", "content": "x"}] * (MAX_MESSAGES + 1)
    ask = chat if route == "chat" else respond
    response = ask(Talk(), *many) if ask is chat else ask(Talk(), many)
    assert (response.status_code, json_of(response)["error"]["param"]) == (400, field)


def test_what_a_response_repeats_is_limited() -> None:
    assert json_of(respond(Talk(), "Hi", metadata={"a": "x" * 20_000}))["error"]["param"] == "metadata"
    assert json_of(respond(Talk(), "Hi", instructions="x" * 20_000))["instructions"] is None


def test_only_so_many_inputs_are_read() -> None:
    response = chat(Talk(), user("Hi"), inputs={f"a{number}": "x" for number in range(1001)})
    assert (response.status_code, json_of(response)["error"]["message"]) == (400, "More than 1000 fields.")
