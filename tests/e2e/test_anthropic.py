"""Anthropic's own client, unchanged, and the real plugin: apps as models."""

import os
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import anthropic
import httpx
import httpx2
import pytest
from anthropic import Anthropic, AsyncAnthropic

from bench.host import copy_duck
from devhost import Devhost, demo
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, ROOT, awaited
from tests.e2e.test_openai import ALIASES, APPS, BEGUN, CUT, TALK, Gate, Listening, settings
from tests.support import KEY

VERSION = {"anthropic-version": "2023-06-01"}
PING = b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    with Devhost(ROOT, {**APPS, **demo.apps(pace=0)}, settings(), limits=LIMITS) as running:
        yield running
        assert running.runtime.starts == 1


def connect(host: Devhost, *, key: str = KEY, base: str = "", **options: Any) -> Anthropic:
    return Anthropic(base_url=host.url + base, api_key=key, timeout=DEADLINE_S, **options)


@pytest.fixture
def client(host: Devhost) -> Iterator[Anthropic]:
    with connect(host) as connected:
        yield connected


@pytest.fixture
def guest(host: Devhost) -> Iterator[Anthropic]:
    with connect(host, key="public") as connected:
        yield connected


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which the client would wait before it tries again."""
    seconds: list[float] = []
    monkeypatch.setattr("anthropic._base_client.time", SimpleNamespace(**{**vars(time), "sleep": seconds.append}))
    return seconds


def user(content: Any) -> Any:
    return {"role": "user", "content": content}


def asked(*messages: Any, model: str = "talk") -> Any:
    """What is asked of a model: these messages, or "Hi"."""
    return {"model": model, "max_tokens": 1024, "messages": [*messages] or [user("Hi")]}


def ask(client: Anthropic, *messages: Any, model: str = "talk", **body: Any) -> Any:
    """A whole answer, or its events."""
    return client.messages.create(**asked(*messages, model=model), **body)


def text_of(events: Any) -> str:
    return "".join(event.delta.text for event in events if event.type == "content_block_delta")


# Messages


def test_apps_are_models(client: Anthropic) -> None:
    assert [model.id for model in client.models.list()] == ALIASES
    assert (client.models.retrieve("talk").display_name, client.models.retrieve(TALK.upper()).id) == ("talk", TALK.upper())


def test_a_run_is_a_message(client: Anthropic) -> None:
    message = ask(client)
    assert (message.type, message.role, message.model, message.stop_reason) == ("message", "assistant", "talk", "end_turn")
    assert [(block.type, block.text) for block in message.content] == [("text", "1. Hi")]
    assert (message.usage.input_tokens, message.usage.output_tokens) == (0, 2)


def test_the_clients_beta_is_the_same(client: Anthropic) -> None:
    message: Any = client.beta.messages.create(**asked(), betas=["context-1m-2025-08-07"])
    assert message.content[0].text == "1. Hi"


def test_a_stream_is_the_events_of_one_message(client: Anthropic) -> None:
    first, *events = ask(client, stream=True)
    assert (first.type, first.message.content, first.message.stop_reason) == ("message_start", [], None)
    assert text_of(events) == "1. Hi"
    names = [event.type for event in events if event.type != "content_block_delta"]
    assert names == ["content_block_start", "content_block_stop", "message_delta", "message_stop"]
    assert (events[-2].delta.stop_reason, events[-2].usage.output_tokens) == ("end_turn", 2)


def test_the_clients_helper_gives_the_message_of_a_stream(client: Anthropic) -> None:
    with client.messages.stream(**asked()) as stream:
        assert "".join(stream.text_stream) == "1. Hi"
        message: Any = stream.get_final_message()
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 2)
    body = {"conversation_id": message.conversation_id}
    assert ask(client, extra_body=body).content[0].text == "2. Hi"


@pytest.mark.parametrize("stream", [False, True])
def test_turns_go_on_in_difys_conversation(host: Devhost, client: Anthropic, *, stream: bool) -> None:
    said: list[Any] = []
    for number, question in enumerate(["One?", "Two?", "Three?"], start=1):
        said.append(user(f"{question} by Anthropic's client, {stream}"))
        answer = ask(client, *said, stream=stream)
        said.append({"role": "assistant", "content": text_of(answer) if stream else answer.content})
        text = said[-1]["content"] if stream else answer.content[0].text
        assert text == f"{number}. {said[-2]['content']}"
    calls = host.calls[-3:]
    assert calls[0].conversation_id == ""
    assert calls[1].conversation_id == calls[2].conversation_id != ""


def test_a_conversation_can_be_named(client: Anthropic) -> None:
    first = ask(client)
    body = {"conversation_id": first.conversation_id}
    second = ask(client, user("And now?"), extra_body=body)
    assert (second.conversation_id, second.content[0].text) == (first.conversation_id, "2. And now?")
    assert {event.conversation_id for event in ask(client, stream=True, extra_body=body)} == {first.conversation_id}


def test_images_and_documents_go_to_the_variables_for_them(host: Devhost, client: Anthropic) -> None:
    data = b64encode(b"content").decode()
    paper = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}, "title": "Paper"}
    sources = [
        {"type": "url", "url": "https://www.example.com/duck.png"},
        {"type": "base64", "media_type": "image/png", "data": data},
    ]
    given: Any = None
    for source, method in zip(sources, ("remote_url", "tool_file"), strict=True):
        blocks = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}, paper]
        answer = ask(client, user(blocks), extra_body={"inputs": {"city": "Oslo"}})
        assert answer.content[0].text == "1. What is this?"
        given = host.calls[-1].inputs
        assert (given["city"], given["picture"]["transfer_method"], given["paper"]["type"]) == ("Oslo", method, "document")
    stored = host.files.find(given["picture"]["tool_file_id"])
    assert stored is not None
    assert (stored.content, stored.mime_type) == (b"content", "image/png")


def test_an_agent_answers_with_its_text_and_no_blocks_of_its_tools(client: Anthropic) -> None:
    for _ in range(2):  # the second time it is known to be an agent
        [block] = ask(client, user("a duck"), model="agent").content
        assert block.text.startswith("I will draw that in pencil.\n\nHere is picture number 1 of this conversation: a duck")
        assert "![" in block.text.splitlines()[-1]
    events = [*ask(client, user("a duck"), model="agent", stream=True)]
    assert {event.content_block.type for event in events if event.type == "content_block_start"} == {"text"}
    assert text_of(events).startswith("I will draw that in pencil.\n\nHere is")


@pytest.mark.parametrize("stream", [False, True])
def test_a_workflow_is_a_model(host: Devhost, client: Anthropic, *, stream: bool) -> None:
    body = {"inputs": {"tone": "casual"}}
    answer = ask(client, user("Rain is coming."), model="workflow", stream=stream, extra_body=body)
    content = text_of(answer) if stream else answer.content[0].text
    assert content == "Rain is coming. (3 words in all)\ntone: casual\n3"
    assert host.calls[-1].inputs["text"] == "Rain is coming."


def test_what_moderation_has_replaced_is_a_refusal(client: Anthropic) -> None:
    assert ask(client, model="moderated-answer").content[0].text == "There is no answer to this."
    with client.messages.stream(**asked(model="moderated-answer")) as stream:
        assert stream.get_final_message().stop_reason == "refusal"


def test_a_guest_of_a_public_app_sees_its_answer_and_nothing_else(guest: Anthropic, client: Anthropic) -> None:
    assert [model.id for model in guest.models.list()] == ["talk", "chatbot", "fails-midway"]
    first = ask(guest)
    assert (first.content[0].text, first.usage.output_tokens) == ("1. Hi", 0)
    with pytest.raises(ValueError, match="badly formed"):
        uuid.UUID(first.conversation_id)
    assert ask(guest, extra_body={"conversation_id": first.conversation_id}).content[0].text == "2. Hi"
    with pytest.raises(anthropic.BadRequestError, match="conversation_id"):
        ask(guest, extra_body={"conversation_id": ask(client).conversation_id})
    with pytest.raises(anthropic.AuthenticationError):
        ask(guest, model="private")


def test_an_async_client_streams(host: Devhost) -> None:
    async def run() -> str:
        async with (
            AsyncAnthropic(base_url=host.url, api_key=KEY, timeout=DEADLINE_S) as client,
            client.messages.stream(**asked()) as stream,
        ):
            return await stream.get_final_text()

    assert awaited(run()) == "1. Hi"


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_a_key_may_come_in_either_header_and_without_a_version(host: Devhost, header: str) -> None:
    headers = {header: KEY if header == "x-api-key" else f"Bearer {KEY}"}
    response = httpx.post(f"{host.url}/v1/messages", headers=headers, json=asked(), timeout=DEADLINE_S)
    assert (response.status_code, response.json()["content"]) == (200, [{"type": "text", "text": "1. Hi"}])
    assert response.headers["request-id"].startswith("req_")


# Errors

type Act = Callable[[Anthropic], Any]
TOOL: Any = {"name": "f", "input_schema": {"type": "object"}}
VIDEO = {"type": "document", "source": {"type": "base64", "media_type": "video/mp4", "data": "AAAA"}}
INVALID = (400, "invalid_request_error", "invalid_param")
# What is asked, and the error: its class, status, type and code, and what its message begins with.
REFUSED: dict[str, tuple[Act, type[anthropic.APIStatusError], tuple[int, str, str], str]] = {
    "another model": (lambda c: ask(c, model="claude"), anthropic.NotFoundError, (404, "not_found_error", "app_not_found"), ""),
    "a model of another name": (
        lambda c: c.models.retrieve("claude"),
        anthropic.NotFoundError,
        (404, "not_found_error", "app_not_found"),
        "",
    ),
    "tools": (lambda c: ask(c, tools=[TOOL]), anthropic.BadRequestError, INVALID, "tools: "),
    "an answer that is begun": (
        lambda c: ask(c, user("Hi"), {"role": "assistant", "content": "Well,"}),
        anthropic.BadRequestError,
        INVALID,
        "messages[1]: ",
    ),
    "a form of the answer": (
        lambda c: ask(c, output_config={"format": {"type": "json_schema", "schema": {}}}),
        anthropic.BadRequestError,
        INVALID,
        "output_config.format: ",
    ),
    "a file that no variable takes": (
        lambda c: ask(c, user([{"type": "text", "text": "Hi"}, VIDEO])),
        anthropic.BadRequestError,
        INVALID,
        "messages[0].content[1]: ",
    ),
    "an input of another name": (
        lambda c: ask(c, extra_body={"inputs": {"town": "Oslo"}}),
        anthropic.BadRequestError,
        INVALID,
        "inputs.town: ",
    ),
    "too much": (
        lambda c: ask(c, user("x" * 11_000_000)),
        anthropic.APIStatusError,
        (413, "request_too_large", "file_too_large"),
        "",
    ),
    "tokens to count": (
        lambda c: c.messages.count_tokens(model="talk", messages=[user("Hi")]),
        anthropic.NotFoundError,
        (404, "not_found_error", "not_found"),
        "No such route. The base URL",
    ),
    "batches": (lambda c: c.messages.batches.list(), anthropic.NotFoundError, (404, "not_found_error", "not_found"), "No such"),
    "a run that fails at once": (
        lambda c: ask(c, model="fails-early"),
        anthropic.InternalServerError,
        (502, "api_error", "provider_not_initialize"),
        "",
    ),
    "a stream that fails at once": (
        lambda c: ask(c, model="fails-early", stream=True),
        anthropic.InternalServerError,
        (502, "api_error", "provider_not_initialize"),
        "",
    ),
    "a workflow that fails": (
        lambda c: ask(c, model="fails-late"),
        anthropic.InternalServerError,
        (502, "api_error", "workflow_failed"),
        "",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_error_is_raised_as_the_clients_own_and_nothing_is_sent_again(
    host: Devhost, client: Anthropic, waits: list[float], case: str
) -> None:
    act, class_, expected, beginning = REFUSED[case]
    before = len(host.calls)
    with pytest.raises(class_) as raised:
        act(client)
    error: Any = raised.value
    assert (error.status_code, error.type, error.error_code) == expected
    assert error.api_message.startswith(beginning)
    assert error.request_id == error.body["request_id"] != ""
    assert waits == []
    assert len(host.calls) - before == (expected[0] == 502), "a run that fails is started once"


def test_a_wrong_key_is_an_authentication_error(host: Devhost) -> None:
    with connect(host, key="a-wrong-key") as client:
        for act in (client.models.list, lambda: ask(client)):
            with pytest.raises(anthropic.AuthenticationError) as raised:
                act()
            assert raised.value.type == "authentication_error"


def test_a_base_url_with_v1_is_told_to_go_without(host: Devhost) -> None:
    with connect(host, base="/v1") as client, pytest.raises(anthropic.NotFoundError) as raised:
        ask(client)
    assert f"{host.url}, without /v1" in raised.value.message


def test_a_page_of_another_site_is_denied(guest: Anthropic) -> None:
    with pytest.raises(anthropic.PermissionDeniedError):
        ask(guest, extra_headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})


def test_a_models_limit_is_a_rate_limit_and_the_client_waits_as_it_is_told(
    host: Devhost, client: Anthropic, waits: list[float]
) -> None:
    before = len(host.calls)
    with pytest.raises(anthropic.RateLimitError):
        ask(client, model="fails-midway")
    assert (waits, len(host.calls) - before) == ([30.0, 30.0], 3)


def test_an_error_in_mid_stream_is_raised_after_the_text_before_it(
    host: Devhost, client: Anthropic, guest: Anthropic, waits: list[float]
) -> None:
    before, seen = len(host.calls), list[Any]()
    with pytest.raises(anthropic.APIStatusError) as raised:
        seen.extend(ask(client, model="fails-midway", stream=True))
    assert text_of(seen)
    assert (raised.value.type, "too many requests" in raised.value.message) == ("rate_limit_error", True)
    with pytest.raises(anthropic.APIStatusError) as raised, guest.messages.stream(**asked(model="fails-midway")) as stream:
        stream.get_final_message()
    assert "too many requests" not in raised.value.message, "Dify's own words are not for guests"
    assert (waits, len(host.calls) - before) == ([], 2)


def test_the_helper_raises_for_a_stream_that_dify_cuts(host: Devhost, client: Anthropic) -> None:
    with (
        patch.object(host.limits, "absolute_s", 0.5),
        pytest.raises(anthropic.APIStatusError) as raised,
        client.messages.stream(**asked(model="cut")) as stream,
    ):
        stream.get_final_message()
    assert stream.current_message_snapshot.content[0].to_dict()["text"] == BEGUN
    assert (raised.value.type, stream.current_message_snapshot.stop_reason) == ("timeout_error", None)


# Slowly


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devhost]:
    """Duck with room for one run, and with a keep-alive after 0.1 s in place of 15 s."""
    folder = copy_duck(tmp_path_factory.mktemp("hasty"), KEEP_ALIVE_S=0.1)
    with patch.dict(os.environ, MAX_RUNS="1"), Devhost(folder, dict(APPS), settings(), limits=LIMITS) as running:
        yield running


def test_a_stream_survives_45_s_of_silence_before_the_first_word_and_after_it(hasty: Devhost) -> None:
    gate, pings = Gate(), list[bytes]()
    hasty.apps[TALK] = gate.app

    def heard(piece: bytes) -> None:
        if PING in piece:
            pings.append(piece)
            if len(pings) % 3 == 0:
                gate.steps.release()

    http = httpx2.Client(transport=Listening(heard))
    with Anthropic(base_url=hasty.url, api_key=KEY, http_client=http) as client, client.messages.stream(**asked()) as stream:
        assert stream.get_final_text() == "Slow but sure."
    assert len(pings) >= 6


def test_a_full_house_is_a_servers_error_that_the_client_may_try_again(hasty: Devhost, waits: list[float]) -> None:
    hasty.apps[TALK] = APPS[CUT]
    with connect(hasty) as client:
        stream = ask(client, stream=True)
        next(stream)
        with pytest.raises(anthropic.InternalServerError) as raised:
            ask(client, model="private")
        stream.close()
    assert (raised.value.status_code, raised.value.type, waits) == (503, "overloaded_error", [5.0, 5.0])


# Routes


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/v1/messages", 405, "OPTIONS, POST"),
        ("PUT", "/v1/messages", 405, "OPTIONS, POST"),
        ("POST", "/v1/models", 405, "GET, HEAD, OPTIONS"),
        ("POST", "/v1/complete", 404, None),
        ("GET", "/v1/files", 404, None),
        ("DELETE", "/v1", 404, None),
    ],
)
def test_other_routes_are_told_of_in_anthropics_shape(
    host: Devhost, method: str, path: str, status: int, allowed: str | None
) -> None:
    response = httpx.request(method, host.url + path, headers=AUTHORIZED | VERSION, timeout=DEADLINE_S)
    assert (response.status_code, response.headers.get("Allow")) == (status, allowed)
    assert response.json()["type"] == "error"
    assert response.json()["request_id"] == response.headers["request-id"]


def test_head_is_answered_without_a_body(host: Devhost) -> None:
    for path, status in {"/v1/models": 200, "/v1/models/talk": 200, "/v1/messages": 405, "/v1/files": 404}.items():
        response = httpx.head(host.url + path, headers=AUTHORIZED | VERSION, timeout=DEADLINE_S)
        assert (path, response.status_code, response.content) == (path, status, b"")


def test_without_the_version_the_models_and_other_paths_are_openais(host: Devhost) -> None:
    assert httpx.get(f"{host.url}/v1/models", headers=AUTHORIZED).json()["object"] == "list"
    assert httpx.get(f"{host.url}/v1/files", headers=AUTHORIZED).json()["error"]["code"] == "unknown_url"
    error = httpx.post(f"{host.url}/v1/messages", headers=AUTHORIZED, json={}).json()
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")


def test_a_page_of_a_listed_origin_may_ask(host: Devhost) -> None:
    headers = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "anthropic-version, anthropic-dangerous-direct-browser-access, x-api-key",
    }
    with patch.dict(host.settings, allowed_origins="https://shop.example"):
        allowed = httpx.options(f"{host.url}/v1/messages", headers=headers).headers
        answer = httpx.post(
            f"{host.url}/v1/messages", headers=AUTHORIZED | {"Origin": "https://shop.example"}, json=asked(), timeout=DEADLINE_S
        )
    assert allowed["access-control-allow-headers"] == headers["Access-Control-Request-Headers"]
    assert "Request-Id" in answer.headers["access-control-expose-headers"]
