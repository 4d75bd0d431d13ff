"""OpenAI's own client, unchanged, and the real plugin: apps as models."""

import asyncio
import os
import threading
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpx
import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from bench.host import copy_duck
from devhost import Call, Devhost, Pause, demo
from devhost.apps import Message, Step
from devhost.demo.chats import conversing
from devhost.demo.forms import form, variable
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, ROOT, Duck, awaited
from tests.support import KEY

UPLOADS: Any = {"allowed_file_upload_methods": ["remote_url", "local_file"], "allowed_file_extensions": []}
FILES = form(
    variable("text-input", "city", "City"),
    variable("file", "picture", "Picture", allowed_file_types=["image"], **UPLOADS),
    variable("file", "paper", "Paper", allowed_file_types=["document"], **UPLOADS),
    variable("file-list", "sounds", "Sounds", allowed_file_types=["audio"], **UPLOADS),
)
BEGUN = "It has begun."


def echo(call: Call, turn: int) -> Iterator[Step]:
    message, answer = Message(call), f"{turn}. {call.query}"
    yield from message.say(answer, pace=0)
    yield message.end(answer)


def begin(call: Call, _: int) -> Iterator[Step]:
    """Says something, and nothing more until the run is cut."""
    message = Message(call)
    yield from message.say(BEGUN, pace=0, breaks_off=True)
    yield Pause(DEADLINE_S)


TALK, CUT, PRIVATE, ABSENT = (f"00000000-0000-4000-8000-0000000000a{number}" for number in range(4))
APPS = {
    TALK: conversing("chat", echo, FILES),
    CUT: conversing("chat", begin, FILES),
    PRIVATE: conversing("chat", echo, FILES),
}
ALIASES = ["talk", "cut", "private", "gone", *demo.IDS]


def settings() -> dict[str, Any]:
    """The demo's apps and these."""
    demos = demo.settings()
    names = f"talk={TALK}, cut={CUT}, private={PRIVATE}, gone={ABSENT}, {demos['apps']}"
    return {"api_key": KEY, "apps": names, "public_apps": "talk, chatbot, fails-midway", "public_rate": "1000"}


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    with Devhost(ROOT, {**APPS, **demo.apps(pace=0)}, settings(), limits=LIMITS) as running:
        yield running
        assert running.runtime.starts == 1


def connect(host: Devhost, *, base: str = "/v1", key: str = KEY, **options: Any) -> OpenAI:
    return OpenAI(base_url=host.url + base, api_key=key, timeout=DEADLINE_S, **options)


@pytest.fixture
def client(host: Devhost) -> Iterator[OpenAI]:
    with connect(host) as connected:
        yield connected


@pytest.fixture
def guest(host: Devhost) -> Iterator[OpenAI]:
    with connect(host, key="public") as connected:
        yield connected


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which the client would wait before it tries again."""
    seconds: list[float] = []
    monkeypatch.setattr("openai._base_client.time", SimpleNamespace(sleep=seconds.append, time=time.time))
    return seconds


def user(content: Any) -> Any:
    return {"role": "user", "content": content}


def assistant(content: str) -> Any:
    return {"role": "assistant", "content": content}


def ask(client: OpenAI, *messages: Any, model: str = "talk", **body: Any) -> Any:
    """A whole answer to these messages, or to "Hi"."""
    return client.chat.completions.create(model=model, messages=[*messages] or [user("Hi")], **body)


def text_of(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


# Chat Completions


@pytest.mark.parametrize("base", ["/v1", "/v1/", "", "/"])
def test_apps_are_models_with_v1_in_the_base_url_and_without(host: Devhost, base: str) -> None:
    with connect(host, base=base) as client:
        assert [model.id for model in client.models.list()] == ALIASES
        assert (client.models.retrieve("talk").id, client.models.retrieve(TALK.upper()).id) == ("talk", TALK.upper())
        assert ask(client).choices[0].message.content == "1. Hi"
        assert text_of(ask(client, stream=True)) == "1. Hi"
        assert client.responses.create(model="talk", input="Hi").output_text == "1. Hi"


def test_a_stream_is_chunks_of_one_answer(client: OpenAI) -> None:
    first, *deltas, last = ask(client, stream=True)
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert (text_of(deltas), last.choices[0].finish_reason) == ("1. Hi", "stop")
    assert {(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in deltas} == {
        (first.id, first.created, "talk", "chat.completion.chunk")
    }
    assert {chunk.choices[0].finish_reason for chunk in [first, *deltas]} == {None}


def test_usage_is_told_in_whole_answers_and_in_streams_that_ask_for_it(client: OpenAI) -> None:
    whole = ask(client).usage
    assert (whole.prompt_tokens, whole.completion_tokens, whole.total_tokens) == (0, 2, 2)
    assert all(chunk.usage is None for chunk in ask(client, stream=True))
    *chunks, last = ask(client, stream=True, stream_options={"include_usage": True})
    assert (last.choices, last.usage) == ([], whole)
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
def test_turns_go_on_in_difys_conversation(host: Devhost, client: OpenAI, *, stream: bool) -> None:
    said: list[Any] = []
    for number, question in enumerate(["One?", "Two?", "Three?"], start=1):
        said.append(user(f"{question} {stream}"))
        answer = ask(client, *said, stream=stream)
        said.append(assistant(text_of(answer) if stream else answer.choices[0].message.content))
        assert said[-1]["content"] == f"{number}. {question} {stream}"
    calls = host.calls[-3:]
    assert [call.query for call in calls] == [f"{question} {stream}" for question in ("One?", "Two?", "Three?")]
    assert calls[0].conversation_id == ""
    assert calls[1].conversation_id == calls[2].conversation_id != ""


def test_a_turn_that_was_edited_begins_anew_with_what_was_said(host: Devhost, client: OpenAI) -> None:
    first = user("What is a duck?")
    answer = assistant(ask(client, first).choices[0].message.content)
    assert ask(client, first, answer, user("And a goose?")).choices[0].message.content == "2. And a goose?"
    edited = ask(client, user("What is a swan?"), answer, user("And a goose?")).choices[0].message.content
    replayed = "Conversation so far:\n\nuser: What is a swan?\n\nassistant: 1. What is a duck?\n\n----\n\nAnd a goose?"
    assert (edited, host.calls[-1].query, host.calls[-1].conversation_id) == (f"1. {replayed}", replayed, "")
    again = ask(client, first, answer, user("And a goose?"))
    assert again.choices[0].message.content.startswith("1. Conversation so far:"), "that turn has been taken already"


def test_a_conversation_can_be_named(client: OpenAI) -> None:
    first = ask(client)
    body = {"conversation_id": first.conversation_id}
    second = ask(client, user("Hi"), assistant("is not sent again"), user("And now?"), extra_body=body)
    assert (second.conversation_id, second.choices[0].message.content) == (first.conversation_id, "2. And now?")
    assert {chunk.conversation_id for chunk in ask(client, stream=True, extra_body=body)} == {first.conversation_id}


def test_images_files_and_sound_go_to_the_variables_for_them(host: Devhost, client: OpenAI) -> None:
    data = b64encode(b"content").decode()
    parts = [
        {"type": "text", "text": "What is all this?"},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}", "filename": "paper.pdf"}},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
    ]
    for url in ("https://www.example.com/duck.png", f"data:image/png;base64,{data}"):
        answer = ask(
            client, user([*parts, {"type": "image_url", "image_url": {"url": url}}]), extra_body={"inputs": {"city": "Oslo"}}
        )
        assert answer.choices[0].message.content == "1. What is all this?"
        given = host.calls[-1].inputs
        assert (given["city"], given["paper"]["type"], [sound["type"] for sound in given["sounds"]]) == (
            "Oslo",
            "document",
            ["audio"],
        )
        by_link = url.startswith("https:")
        assert given["picture"]["transfer_method"] == ("remote_url" if by_link else "tool_file")
        assert not by_link or given["picture"]["url"] == url
    stored = host.files.find(host.calls[-1].inputs["picture"]["tool_file_id"])
    assert stored is not None
    assert (stored.content, stored.mime_type) == (b"content", "image/png")


def test_an_agent_answers_whole_though_it_only_streams(client: OpenAI) -> None:
    for _ in range(2):  # the second time it is known to be an agent
        content = ask(client, user("a duck"), model="agent").choices[0].message.content
        assert content.startswith("I will draw that in pencil.\n\nHere is picture number 1 of this conversation: a duck")
        assert "![" in content.splitlines()[-1]
    assert text_of(ask(client, user("a duck"), model="agent", stream=True)).startswith("I will draw that in pencil.\n\nHere is")


@pytest.mark.parametrize("stream", [False, True])
def test_a_workflow_is_a_model(host: Devhost, client: OpenAI, *, stream: bool) -> None:
    body = {"inputs": {"tone": "casual"}}
    answer = ask(client, user("Rain is coming."), model="workflow", stream=stream, extra_body=body)
    content = text_of(answer) if stream else answer.choices[0].message.content
    assert content == "Rain is coming. (3 words in all)\ntone: casual\n3"
    assert {name: value for name, value in host.calls[-1].inputs.items() if value} == {
        "text": "Rain is coming.",
        "tone": "casual",
    }


def test_a_workflows_file_is_linked(client: OpenAI) -> None:
    whole = ask(client, model="report", extra_body={"inputs": {"topic": "rain"}}).choices[0].message.content
    streamed = text_of(ask(client, model="report", stream=True, extra_body={"inputs": {"topic": "rain"}}))
    for content in (whole, streamed):
        assert content.strip().startswith("[rain.md](http")


def test_a_guest_of_a_public_app_sees_its_answer_and_nothing_else(guest: OpenAI, client: OpenAI) -> None:
    assert [model.id for model in guest.models.list()] == ["talk", "chatbot", "fails-midway"]
    first = ask(guest)
    assert (first.choices[0].message.content, first.usage) == ("1. Hi", None)
    with pytest.raises(ValueError, match="badly formed"):
        uuid.UUID(first.conversation_id)
    body = {"conversation_id": first.conversation_id}
    assert ask(guest, extra_body=body).choices[0].message.content == "2. Hi"
    with pytest.raises(openai.BadRequestError) as raised:
        ask(guest, extra_body={"conversation_id": ask(client).conversation_id})
    assert raised.value.param == "conversation_id"
    with pytest.raises(openai.AuthenticationError):
        ask(guest, model="private")


def test_an_async_client_runs_several_at_once(host: Devhost) -> None:
    async def converse(client: AsyncOpenAI, name: str) -> list[str]:
        said: list[Any] = []
        for _ in range(2):
            said.append(user(name))
            stream = await client.chat.completions.create(model="talk", messages=said, stream=True)
            said.append(assistant(text_of([chunk async for chunk in stream])))
        response = await client.responses.create(model="talk", input=name)
        return [*(each["content"] for each in said if each["role"] == "assistant"), response.output_text]

    async def run() -> list[list[str]]:
        async with AsyncOpenAI(base_url=f"{host.url}/v1", api_key=KEY, timeout=DEADLINE_S) as client:
            return await asyncio.gather(*(converse(client, f"no. {number}") for number in range(8)))

    assert awaited(run()) == [[f"1. no. {number}", f"2. no. {number}", f"1. no. {number}"] for number in range(8)]


# Errors

type Act = Callable[[OpenAI], Any]
IMAGE = {"type": "image_url", "image_url": {"url": "ftp://www.example.com/a.png"}}
VIDEO = {"type": "file", "file": {"file_data": "data:video/mp4;base64,AAAA", "filename": "a.mp4"}}
TOOL: Any = {"type": "function", "function": {"name": "f"}}
INVALID = (400, "invalid_request_error", "invalid_param")
UNKNOWN_MODEL = (404, "invalid_request_error", "model_not_found", "model")
NOT_READY = (502, "server_error", "provider_not_initialize", None)
# What is asked, and the error: its class, status, type, code and param.
REFUSED: dict[str, tuple[Act, type[openai.APIStatusError], tuple[int, str, str, str | None]]] = {
    "another model": (lambda c: ask(c, model="gpt-5"), openai.NotFoundError, UNKNOWN_MODEL),
    "an app that Dify lacks": (lambda c: ask(c, model="gone"), openai.NotFoundError, UNKNOWN_MODEL),
    "a model of another name": (lambda c: c.models.retrieve("gpt-5"), openai.NotFoundError, UNKNOWN_MODEL),
    "a link of another kind": (
        lambda c: ask(c, user([IMAGE])),
        openai.BadRequestError,
        (*INVALID, "messages[0].content[0].image_url"),
    ),
    "a file that no variable takes": (
        lambda c: ask(c, user([{"type": "text", "text": "Hi"}, VIDEO])),
        openai.BadRequestError,
        (*INVALID, "messages[0].content[1]"),
    ),
    "an input of another name": (
        lambda c: ask(c, extra_body={"inputs": {"town": "Oslo"}}),
        openai.BadRequestError,
        (*INVALID, "inputs.town"),
    ),
    "tools": (lambda c: ask(c, tools=[TOOL]), openai.BadRequestError, (*INVALID, "tools")),
    "a response of somebody else's": (
        lambda c: c.responses.create(model="talk", input="Hi", previous_response_id="resp_x"),
        openai.BadRequestError,
        (400, "invalid_request_error", "previous_response_not_found", "previous_response_id"),
    ),
    "too much": (
        lambda c: ask(c, user("x" * 11_000_000)),
        openai.APIStatusError,
        (413, "invalid_request_error", "file_too_large", None),
    ),
    "another encoding": (
        lambda c: ask(c, extra_headers={"Content-Encoding": "gzip"}),
        openai.APIStatusError,
        (415, "invalid_request_error", "unsupported_media_type", None),
    ),
    "a run that fails at once": (lambda c: ask(c, model="fails-early"), openai.InternalServerError, NOT_READY),
    "a stream that fails at once": (lambda c: ask(c, model="fails-early", stream=True), openai.InternalServerError, NOT_READY),
    "a workflow that fails": (
        lambda c: ask(c, model="fails-late"),
        openai.InternalServerError,
        (502, "server_error", "workflow_failed", None),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_error_is_raised_as_the_clients_own_and_nothing_is_sent_again(
    host: Devhost, client: OpenAI, waits: list[float], case: str
) -> None:
    act, class_, expected = REFUSED[case]
    before = len(host.calls)
    with pytest.raises(class_) as raised:
        act(client)
    error: Any = raised.value
    assert (error.status_code, error.type, error.code, error.param) == expected
    assert error.request_id.startswith("req_")
    assert waits == []
    assert len(host.calls) - before == (expected[0] == 502), "a run that fails is started once"


def test_a_wrong_key_is_an_authentication_error(host: Devhost) -> None:
    with connect(host, key="a-wrong-key") as client:
        for act in (client.models.list, lambda: ask(client), lambda: client.responses.create(model="talk", input="Hi")):
            with pytest.raises(openai.AuthenticationError) as raised:
                act()
            assert (raised.value.code, raised.value.type) == ("invalid_api_key", "invalid_request_error")
            assert raised.value.response.headers["WWW-Authenticate"] == 'Bearer realm="Duck"'


def test_a_page_of_another_site_is_denied(guest: OpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError) as raised:
        ask(guest, extra_headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
    assert raised.value.code == "forbidden"


def test_settings_that_cannot_be_read_are_the_servers_fault(host: Devhost, client: OpenAI, waits: list[float]) -> None:
    with patch.dict(host.settings, public_rate="many"), pytest.raises(openai.InternalServerError) as raised:
        ask(client)
    assert (raised.value.status_code, waits) == (500, [])


def test_a_models_limit_is_a_rate_limit_and_the_client_waits_as_it_is_told(
    host: Devhost, client: OpenAI, waits: list[float]
) -> None:
    before = len(host.calls)
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client, model="fails-midway")
    assert (raised.value.code, raised.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert (waits, len(host.calls) - before) == ([30.0, 30.0], 3)


def test_a_guest_who_asks_too_often_waits_as_he_is_told(host: Devhost, guest: OpenAI, waits: list[float]) -> None:
    before = len(host.calls)
    with patch.dict(host.settings, public_rate="1"), pytest.raises(openai.RateLimitError) as raised:
        [ask(guest) for _ in range(3)]
    told = float(raised.value.response.headers["Retry-After"])
    assert waits == [pytest.approx(told, abs=2)] * 2
    assert len(host.calls) - before <= 2, "what is refused is not run"


def test_an_error_in_mid_stream_is_raised_after_the_text_before_it(client: OpenAI, guest: OpenAI, waits: list[float]) -> None:
    seen: list[Any] = []
    with pytest.raises(openai.APIError) as raised:
        seen.extend(ask(client, model="fails-midway", stream=True))
    assert text_of(seen)
    assert raised.value.code == "rate_limit_exceeded"
    assert "too many requests" in raised.value.message
    with pytest.raises(openai.APIError) as raised:
        [*ask(guest, model="fails-midway", stream=True)]
    assert "too many requests" not in raised.value.message, "Dify's own words are not for guests"
    assert waits == []


def test_a_run_that_dify_cuts_is_an_error(host: Devhost, client: OpenAI) -> None:
    seen: list[Any] = []
    with patch.object(host.limits, "absolute_s", 0.5), pytest.raises(openai.APIError) as raised:
        seen.extend(ask(client, model="cut", stream=True))
    assert text_of(seen) == BEGUN
    assert all(chunk.choices[0].finish_reason is None for chunk in seen)
    assert raised.value.code == "timeout"


# Slowly


class Listening(httpx2.HTTPTransport):
    """The client's own transport, which tells of each piece of a body."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        super().__init__()
        self._heard = heard

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        response.stream = Body(response.stream, self._heard)
        return response


class Body(httpx2.SyncByteStream):
    def __init__(self, stream: Any, heard: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._heard = heard

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._heard(piece)
            yield piece

    def close(self) -> None:
        self._stream.close()


class Gate:
    """An app that says nothing before its first word and after it, each time until it is let through."""

    def __init__(self) -> None:
        self.steps = threading.Semaphore(0)
        self.app = conversing("chat", self._answer, FILES)

    def _answer(self, call: Call, _: int) -> Iterator[Step]:
        message = Message(call)
        assert self.steps.acquire(timeout=DEADLINE_S)
        first, *rest = message.say("Slow but sure.", pace=0)
        yield first
        assert self.steps.acquire(timeout=DEADLINE_S)
        yield from rest
        yield message.end("Slow but sure.")


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devhost]:
    """Duck with room for one run, and with a keep-alive after 0.1 s in place of 15 s."""
    folder = copy_duck(tmp_path_factory.mktemp("hasty"), KEEP_ALIVE_S=0.1)
    with patch.dict(os.environ, MAX_RUNS="1"), Devhost(folder, dict(APPS), settings(), limits=LIMITS) as running:
        yield running


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_stream_survives_45_s_of_silence_before_the_first_word_and_after_it(hasty: Devhost, api: str) -> None:
    gate, pings = Gate(), list[bytes]()
    hasty.apps[TALK] = gate.app

    def heard(piece: bytes) -> None:
        if b": ping\n\n" in piece:
            pings.append(piece)
            if len(pings) % 3 == 0:
                gate.steps.release()

    with OpenAI(base_url=f"{hasty.url}/v1", api_key=KEY, http_client=httpx2.Client(transport=Listening(heard))) as client:
        if api == "chat":
            assert text_of(ask(client, stream=True)) == "Slow but sure."
        else:
            events = client.responses.create(model="talk", input="Hi", stream=True)
            assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Slow but sure."
    assert len(pings) >= 6


def test_a_full_house_is_a_servers_error_that_the_client_may_try_again(hasty: Devhost, waits: list[float]) -> None:
    hasty.apps[TALK] = APPS[CUT]
    with connect(hasty) as client:
        stream = ask(client, stream=True)
        next(stream)
        with pytest.raises(openai.InternalServerError) as raised:
            ask(client, model="private")
        stream.close()
    assert (raised.value.status_code, raised.value.code, waits) == (503, "overloaded", [5.0, 5.0])


# Responses


def test_a_response_goes_on_from_another(host: Devhost, client: OpenAI) -> None:
    first = client.responses.create(model="talk", input="One?", instructions="Be brief.", metadata={"a": "b"})
    assert (first.status, first.output_text, first.metadata) == ("completed", "1. Be brief.\n\nOne?", {"a": "b"})
    assert first.usage is not None
    assert first.usage.total_tokens > 0
    second = client.responses.create(model="talk", input="Two?", previous_response_id=first.id)
    assert (second.output_text, second.previous_response_id) == ("2. Two?", first.id)
    with client.responses.stream(model="talk", input="Three?", previous_response_id=second.id) as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        third = stream.get_final_response()
    assert (deltas, third.output_text, third.previous_response_id) == ("3. Three?", "3. Three?", second.id)
    assert len({call.conversation_id for call in host.calls[-2:]}) == 1


def test_a_response_knows_what_was_said_by_its_input(host: Devhost, client: OpenAI) -> None:
    said: list[Any] = [user("One of these?")]
    first = client.responses.create(model="talk", input=said)
    said += [*(item.model_dump() for item in first.output), user("Two of these?")]
    assert client.responses.create(model="talk", input=said).output_text == "2. Two of these?"
    assert host.calls[-1].query == "Two of these?"


def test_an_answer_can_be_referred_to_in_place_of_its_text(client: OpenAI) -> None:
    """As the AI SDK does, unless it is told not to store."""
    said: list[Any] = [user("One?")]
    first = client.responses.create(model="talk", input=said)
    said += [{"type": "item_reference", "id": first.output[0].id}, user("Two?")]
    assert client.responses.create(model="talk", input=said).output_text == "2. Two?"
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model="private", input=said)
    assert raised.value.param == "input[1]", "it is an answer of another app"


def test_the_events_of_a_response_are_counted_and_end_once(client: OpenAI) -> None:
    events = [*client.responses.create(model="agent", input="a duck", stream=True)]
    assert [event.sequence_number for event in events] == [*range(len(events))]
    names = [event.type for event in events]
    assert names[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert set(names[4:-4]) == {"response.output_text.delta"}
    assert names[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_what_moderation_has_put_in_its_place_is_what_a_response_says(client: OpenAI) -> None:
    with client.responses.stream(model="moderated-answer", input="Hi") as stream:
        final = stream.get_final_response()
    assert final.output_text == "There is no answer to this."
    *_, last = ask(client, model="moderated-answer", stream=True)
    assert last.choices[0].finish_reason == "content_filter"


def test_a_response_that_fails_says_so(host: Devhost, client: OpenAI) -> None:
    *_, last = client.responses.create(model="fails-midway", input="Hi", stream=True)
    assert last.type == "response.failed"
    assert last.response.status == "failed"
    assert last.response.error is not None
    assert last.response.error.code == "server_error"
    with client.responses.stream(model="fails-midway", input="Hi") as stream:
        assert [event.type for event in stream][-1] == "response.failed"
    before = len(host.calls)
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="fails-late", input="Hi")
    assert len(host.calls) == before + 1


# Routes

NOT_FOUND = [
    *(("POST", f"/v1/{path}") for path in ("embeddings", "completions", "audio/speech", "conversations")),
    *(("POST", f"/v1/{path}") for path in ("messages/count_tokens", "messages/batches", "v1/chat/completions", "models/")),
    *(("POST", f"/v1/{path}") for path in ("responses/resp_x/cancel", "chat/completions/", "responses/")),
    *(("GET", f"/v1/{path}") for path in ("responses/resp_x", "files", "v1/models", "models/", "")),
    *(("DELETE", path) for path in ("/v1/responses/resp_x", "/responses/resp_x")),
    ("GET", "/responses/resp_x/input_items"),
    ("PUT", "/v1"),
]
WRONG_METHOD = [
    *(("GET", path, "OPTIONS, POST") for path in ("/v1/chat/completions", "/chat/completions", "/v1/responses")),
    *(("DELETE", path, "OPTIONS, POST") for path in ("/v1/chat/completions", "/v1/responses")),
    *(("POST", path, "GET, HEAD, OPTIONS") for path in ("/v1/models", "/v1/models/talk")),
]


@pytest.mark.parametrize(("method", "path"), NOT_FOUND)
def test_other_paths_are_unknown_to_clients_of_openai_and_of_dify(host: Devhost, method: str, path: str) -> None:
    before = len(host.calls)
    response = httpx.request(method, host.url + path, headers=AUTHORIZED, timeout=DEADLINE_S)
    document = response.json()
    assert (response.status_code, len(host.calls)) == (404, before)
    message = document["error"].pop("message")
    assert document == {
        "error": {"type": "invalid_request_error", "param": None, "code": "unknown_url"},
        "code": "not_found",
        "message": message,
        "status": 404,
    }
    assert f"{host.url}/v1" in message, "it names the base URL"


@pytest.mark.parametrize(("method", "path", "allowed"), WRONG_METHOD)
def test_other_methods_are_told_of_with_those_that_there_are(host: Devhost, method: str, path: str, allowed: str) -> None:
    response = httpx.request(method, host.url + path, headers=AUTHORIZED, timeout=DEADLINE_S)
    assert (response.status_code, response.headers["Allow"]) == (405, allowed)
    assert response.json()["error"]["code"] == response.json()["code"] == "method_not_allowed"


def test_head_is_answered_without_a_body(host: Devhost) -> None:
    statuses = {"/v1/models": 200, "/v1/models/talk": 200, "/v1/chat/completions": 405, "/v1/responses": 405, "/v1/files": 404}
    for path, status in statuses.items():
        response = httpx.head(host.url + path, headers=AUTHORIZED, timeout=DEADLINE_S)
        assert (path, response.status_code, response.content) == (path, status, b"")


def test_what_duck_does_not_have_is_not_found_by_the_client(client: OpenAI) -> None:
    acts: list[Callable[[], Any]] = [
        client.conversations.create,
        client.files.list,
        lambda: client.embeddings.create(model="talk", input="Hi"),
        lambda: client.completions.create(model="talk", prompt="Hi"),
        lambda: client.responses.retrieve("resp_x"),
        lambda: client.responses.delete("resp_x"),
    ]
    for act in acts:
        with pytest.raises(openai.NotFoundError) as raised:
            act()
        assert raised.value.code == "unknown_url"


# Kinds


def test_what_an_app_is_shows_without_a_run(host: Devhost, client: OpenAI) -> None:
    """By a call without a query and with an input of a wrong type, which is refused before a run is made."""
    demos = zip(demo.IDS, demo.apps(pace=0).values(), strict=True)
    made = {str(uuid.uuid4()): (alias, replace(app, for_plugins=False)) for alias, app in demos}  # as Dify 1.16 has them
    apps = {app_id: app for app_id, (_, app) in made.items()}
    names = ", ".join(f"{alias}={app_id}" for app_id, (alias, _) in made.items())
    before = len(host.calls)
    with patch.dict(host.apps, apps), patch.dict(host.settings, apps=names, public_apps=""):
        for app_id, (alias, _) in made.items():
            client.models.retrieve(app_id)
            with pytest.raises(openai.BadRequestError):
                ask(client, model=alias, extra_body={"inputs": {"no such": "input"}})
            [probe] = [call for call in host.refused if call.app_id == app_id]
            assert (probe.query, len(probe.inputs), probe.response_mode) == ("", 1, "blocking")
        listed = httpx.get(f"{host.url}/", headers=AUTHORIZED, timeout=DEADLINE_S).json()["apps"]
    assert len(host.calls) == before
    chats = {"chat", "agent-chat", "advanced-chat"}
    modes = {alias: "chat" if app.mode in chats else app.mode for alias, app in made.values()}
    assert {app["alias"]: app["kind"] for app in listed} == modes


# Ways


def test_in_every_way_apps_answer_stream_go_on_and_fail(duck: Duck) -> None:
    app, broken = duck.add(conversing("chat", echo, FILES)), duck.add(demo.apps(pace=0)[demo.IDS["fails-early"]])
    with connect(duck.host) as client:
        assert ask(client, model=app).choices[0].message.content == "1. Hi"
        assert text_of(ask(client, model=app, stream=True)) == "1. Hi"
        first = client.responses.create(model=app, input="One?")
        assert client.responses.create(model=app, input="Two?", previous_response_id=first.id).output_text == "2. Two?"
        said = [user("Hi"), assistant(ask(client, model=app).choices[0].message.content), user("And?")]
        history = "Conversation so far:\n\nuser: Hi\n\nassistant: 1. Hi\n\n----\n\nAnd?"
        answer = ask(client, *said, model=app).choices[0].message.content
        assert answer in {"2. And?", f"1. {history}"}, "processes that share nothing send it again"
        before = len(duck.host.calls)
        with pytest.raises(openai.InternalServerError):
            ask(client, model=broken, stream=True)
        assert len(duck.host.calls) == before + 1
