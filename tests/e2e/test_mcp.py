"""MCP's own client, unchanged, and the real plugin: apps as tools, in both eras of the protocol."""

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import anyio.from_thread
import httpx2
import pytest
from anyio.from_thread import BlockingPortal
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ResourceLink, TextContent, Tool

from bench.host import copy_duck
from devhost import App, Call, Devhost, demo
from devhost.apps import CHAT_MODES, Message, Step
from devhost.demo.chats import conversing
from devhost.demo.events import END, Flow
from devhost.demo.forms import UPLOADS, basic, form, variable
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, ROOT, Duck, eventually
from tests.support import KEY

if TYPE_CHECKING:
    from mcp.shared.dispatcher import ProgressFnT

MODES = {"auto": "2026-07-28", "legacy": "2025-11-25"}  # how the client begins, and the version that it then speaks
PICTURE = "https://www.example.com/duck.png"
FILES = form(
    variable("file", "picture", "Picture", required=True, allowed_file_types=["image"], **UPLOADS),
    variable("file-list", "papers", "Papers", allowed_file_types=["document"], **UPLOADS | {"max_length": 3}),
)


def echo(call: Call, turn: int) -> Iterator[Step]:
    message, answer = Message(call), f"{turn}. {call.query}"
    yield from message.say(answer, pace=0)
    yield message.end(answer)


def look(call: Call) -> Iterator[Step]:
    """Says which files it has got."""
    flow = Flow(call)
    names = [file["filename"] for file in [call.inputs["picture"], *(call.inputs.get("papers") or [])]]
    yield from flow.start()
    yield from flow.node(END, "End", outputs={"names": names})
    yield flow.finished({"names": names}, steps=2)


NAME = form(basic("text-input", "name", "Name"))
TALK, PRIVATE, LOOK, UNLISTED, ABSENT = (f"00000000-0000-4000-8000-0000000000b{number}" for number in range(5))
APPS = {
    TALK: conversing("chat", echo, NAME),
    PRIVATE: conversing("chat", echo, NAME),
    LOOK: App(mode="workflow", script=look, form=FILES),
    UNLISTED: conversing("chat", echo, form()),
}
PUBLIC = ["talk", "chatbot", "workflow", "fails-midway"]


def settings() -> dict[str, Any]:
    """The demo's apps and these, of which one is not there."""
    demos = demo.settings()
    names = f"talk={TALK}, private={PRIVATE}, look={LOOK}, gone={ABSENT}, {demos['apps']}"
    return {"api_key": KEY, "apps": names, "public_apps": ", ".join(PUBLIC), "public_rate": "1000"}


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    with Devhost(ROOT, {**APPS, **demo.apps(pace=0)}, settings(), app_keys=demo.app_keys(), limits=LIMITS) as running:
        running.settings |= demo.own_keys(running.api_url)
        assert eventually(lambda: knows_its_apps(running)), "a list waits two seconds for Dify, and this machine may be busy"
        yield running
        assert running.runtime.starts == 1


def knows_its_apps(host: Devhost) -> bool:
    """Whether the tools that take a query are the chats, and the app of which nothing can be known."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    tools = httpx2.post(f"{host.url}/mcp", headers=AUTHORIZED, json=body, timeout=DEADLINE_S).json()["result"]["tools"]
    chats = {app_id for app_id, app in host.apps.items() if app.mode in CHAT_MODES}
    names = {"talk": TALK, "private": PRIVATE, **demo.IDS}
    asked = {tool["name"] for tool in tools if "query" in tool["inputSchema"]["required"]}
    return asked == {"gone", *(name for name, app_id in names.items() if app_id in chats)}


@dataclass(frozen=True, slots=True)
class Connection:
    """The client, in a thread of its own."""

    client: Client
    portal: BlockingPortal

    def tools(self) -> dict[str, Tool]:
        """The tools by name."""
        return {tool.name: tool for tool in self.portal.call(self.client.list_tools).tools}

    def call(self, name: str, notes: "list[str] | Notes | None" = None, /, **arguments: Any) -> CallToolResult:
        """The result of a tool. `notes` get the messages of its progress."""

        async def heard(progress: float, total: float | None, message: str | None) -> None:
            assert notes is not None
            notes.append(message or "")
            assert (progress, total) == (len(notes), None)

        async def call() -> CallToolResult:
            callback: ProgressFnT | None = None if notes is None else heard
            return await self.client.call_tool(name, arguments, progress_callback=callback)

        return self.portal.call(call)


class Notes(list[str]):
    """Messages of progress. With each one the run may take a step."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = threading.Semaphore(0)

    def append(self, message: str, /) -> None:
        super().append(message)
        self.steps.release()

    def wait(self) -> None:
        assert self.steps.acquire(timeout=DEADLINE_S)


@contextlib.contextmanager
def connect(
    host: Devhost, mode: str = "auto", *, key: str = KEY, path: str = "/mcp", transport: httpx2.AsyncHTTPTransport | None = None
) -> Iterator[Connection]:
    @contextlib.asynccontextmanager
    async def connected() -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=DEADLINE_S, transport=transport) as http,
            Client(streamable_http_client(host.url + path, http_client=http), mode=mode) as client,
        ):
            yield client

    with anyio.from_thread.start_blocking_portal() as portal, portal.wrap_async_context_manager(connected()) as client:
        yield Connection(client, portal)


@pytest.fixture(params=MODES)
def client(host: Devhost, request: pytest.FixtureRequest) -> Iterator[Connection]:
    with connect(host, request.param) as connected:
        yield connected


@pytest.fixture(params=MODES)
def guest(host: Devhost, request: pytest.FixtureRequest) -> Iterator[Connection]:
    with connect(host, request.param, key="") as connected:
        yield connected


def texts(result: CallToolResult) -> list[str]:
    return [part.text for part in result.content if isinstance(part, TextContent)]


def answer(result: CallToolResult) -> str:
    """The answer of a call that has not failed. It is in the content and in the structured content."""
    assert not result.is_error, result.content
    assert result.structured_content
    text = result.structured_content["answer"]
    assert texts(result)[:1] == [text]
    return str(text)


def failure(result: CallToolResult) -> str:
    """What a model reads of a call that has failed."""
    assert (result.is_error, result.structured_content) == (True, None)
    [text] = texts(result)
    return text


def refusal(error: pytest.ExceptionInfo[BaseException]) -> tuple[int, str]:
    """The code and the message of the protocol's error, which the client may have wrapped into groups."""
    found: BaseException = error.value
    while isinstance(found, BaseExceptionGroup):
        [found] = found.exceptions
    assert isinstance(found, MCPError)
    return found.error.code, found.error.message


# Tools


@pytest.mark.parametrize(("mode", "version"), MODES.items())
def test_client_and_duck_agree_on_the_newest_version_of_an_era(host: Devhost, mode: str, version: str) -> None:
    with connect(host, mode) as connection:
        client = connection.client
        assert client.protocol_version == version
        assert client.server_info
        assert client.server_info.name == "duck"
        assert client.server_capabilities.model_dump(exclude_none=True) == {"tools": {}}
        assert client.instructions
        assert "conversation_id" in client.instructions


def test_a_client_that_knows_the_version_asks_for_nothing_else_first(host: Devhost) -> None:
    with connect(host, "2026-07-28") as connection:
        assert answer(connection.call("talk", query="Hi")) == "1. Hi"


def test_every_app_is_a_tool_that_a_model_can_call(host: Devhost, client: Connection) -> None:
    before = len(host.calls)
    tools = client.tools()
    assert len(host.calls) == before, "a list runs nothing"
    assert list(tools) == ["talk", "private", "look", "gone", *demo.IDS]
    assert all(tool.description and tool.title for tool in tools.values())
    values = {"query": "a red fox", "topic": "rain", "text": "Rain is coming.", "picture": PICTURE}
    failed, silent = set(), set()
    for name, tool in tools.items():
        result = client.call(name, **{required: values[required] for required in tool.input_schema["required"]})
        if result.is_error:
            assert failure(result)
            failed.add(name)
        elif not texts(result):
            assert any(isinstance(part, ResourceLink) for part in result.content)
            silent.add(name)
        else:
            assert answer(result)
    assert silent == {"report"}, "it gives a file and says nothing"
    assert failed == {"gone", "completion-today", *(name for name in demo.IDS if name.startswith("fails-"))}


def test_an_app_that_has_its_own_key_is_described_as_in_dify(client: Connection) -> None:
    tool = client.tools()["completion"]
    assert (tool.title, tool.description) == ("Haiku", "Writes three lines.")


def test_a_tools_schema_is_the_apps_form(client: Connection) -> None:
    schema = client.tools()["workflow"].input_schema
    properties = schema["properties"]
    assert (schema["required"], schema["additionalProperties"]) == (["text"], False)
    assert properties["text"] == {"type": "string", "maxLength": 5000, "description": "Text"}
    assert properties["tone"]["enum"] == ["formal", "casual"]
    types = {"words": "number", "loud": "boolean", "pics": "array", "meta": "object"}
    assert {name: properties[name]["type"] for name in types} == types
    assert properties["doc"]["format"] == properties["pics"]["items"]["format"] == "uri"


def test_a_conversation_goes_on_by_the_id_in_the_answer(host: Devhost, client: Connection) -> None:
    first = client.call("talk", query="One?")
    assert first.structured_content
    conversation_id = first.structured_content["conversation_id"]
    assert texts(first) == ["1. One?", f"conversation_id: {conversation_id}"]
    assert answer(client.call("talk", query="Two?", conversation_id=conversation_id)) == "2. Two?"
    assert answer(client.call("talk", query="Another")) == "1. Another"
    assert [call.conversation_id for call in host.calls[-3:]] == ["", conversation_id, ""]


def test_a_workflow_answers_with_its_text_and_its_outputs(client: Connection) -> None:
    result = client.call("workflow", text="Rain is coming.", tone="casual", words=2, loud=True, meta={"source": "the pond"})
    summary = 'RAIN IS … (3 WORDS IN ALL)\ntone: casual\nmeta: {"source":"the pond"}'
    assert answer(result) == f"{summary}\n3"
    assert result.structured_content
    assert result.structured_content["outputs"] == {"summary": summary, "words": 3}


def test_files_are_given_by_their_addresses(host: Devhost, client: Connection) -> None:
    result = client.call("look", picture=PICTURE, papers=["https://www.example.com/duck.pdf", "https://www.example.com/pond.txt"])
    assert result.structured_content
    assert result.structured_content["outputs"] == {"names": ["duck.png", "duck.pdf", "pond.txt"]}
    picture = host.calls[-1].inputs["picture"]
    assert (picture["transfer_method"], picture["type"], picture["url"]) == ("remote_url", "image", PICTURE)


def test_files_of_an_answer_are_links(client: Connection) -> None:
    drawn, written = client.call("agent", query="a red fox"), client.call("report", topic="rain")
    assert "I will draw that in pencil." in answer(drawn)
    assert texts(written) == []
    [drawing], [report] = ([part for part in result.content if isinstance(part, ResourceLink)] for result in (drawn, written))
    assert (report.name, report.mime_type) == ("rain.md", "text/markdown")
    assert b"a red fox" in httpx2.get(drawing.uri, timeout=DEADLINE_S).content
    assert httpx2.get(report.uri, timeout=DEADLINE_S).text.startswith("# On rain")


# Progress


def test_a_client_sees_the_steps_of_a_workflow_while_it_runs(host: Devhost, client: Connection) -> None:
    notes = Notes()

    def script(call: Call) -> Iterator[Step]:
        flow = Flow(call)
        for title in ("Read", "Think", "Write"):
            yield from flow.node("code", title)
            notes.wait()  # until the client has heard of the step
        yield flow.finished({"text": "Done."}, steps=3)

    with patch.dict(host.apps, {LOOK: App(mode="workflow", script=script, form=FILES)}):
        assert answer(client.call("look", notes, picture=PICTURE)) == "Done."
    assert notes == ["Read", "Think", "Write", "Done."]


def test_a_client_sees_the_text_of_a_chat_while_it_grows(host: Devhost, client: Connection) -> None:
    notes, words = Notes(), ["Word ", *("word " for _ in range(99))]

    def script(call: Call, _: int) -> Iterator[Step]:
        message = Message(call)
        for number, word in enumerate(words):
            yield message.event("message", id=message.id, answer=word)
            if number in {0, 40, 80}:
                notes.wait()
        yield message.end("".join(words))

    with patch.dict(host.apps, {TALK: conversing("chat", script, NAME)}):
        assert answer(client.call("talk", notes, query="Hi")) == "".join(words)
    assert [len(note) for note in notes] == [5, 200, 200]
    assert all("".join(words).endswith(note) or note == "Word " for note in notes)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devhost]:
    """Duck with a sign of life after 0.1 s in place of 10 s."""
    folder = copy_duck(tmp_path_factory.mktemp("hasty"))
    source = folder / "duck/faces/mcp/results.py"
    text = source.read_text("utf-8")
    assert text.count("[float] = 10.0") == 1
    source.write_text(text.replace("[float] = 10.0", "[float] = 0.1"), "utf-8")
    with Devhost(folder, dict(APPS), settings(), limits=LIMITS) as running:
        yield running


def patient(notes: Notes) -> App:
    """An app that says nothing before its first word, nor after it, until the client has heard of it three times."""

    def script(call: Call, _: int) -> Iterator[Step]:
        message = Message(call)
        first, *rest = message.say("Slow but sure.", pace=0)
        for steps in ([first], [*rest, message.end("Slow but sure.")]):
            for _ in range(3):
                notes.wait()
            yield from steps

    return conversing("chat", script, NAME)


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_asks_for_progress_hears_of_a_silent_run(hasty: Devhost, mode: str) -> None:
    notes = Notes()
    with patch.dict(hasty.apps, {TALK: patient(notes)}), connect(hasty, mode) as client:
        assert answer(client.call("talk", notes, query="Hi")) == "Slow but sure."
    assert notes[:3] == ["working"] * 3
    assert notes[3] == "Slow"
    assert all("Slow but sure.".startswith(note) for note in notes[3:])


class Listening(httpx2.AsyncHTTPTransport):
    """The client's own transport, which notes each sign of life."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self._notes = notes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        response.stream = Body(response.stream, self._notes)
        return response


class Body(httpx2.AsyncByteStream):
    def __init__(self, stream: Any, notes: Notes) -> None:
        self._stream = stream
        self._notes = notes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            for _ in range(piece.count(b": ping\n\n")):
                self._notes.append("ping")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


@pytest.mark.parametrize("mode", MODES)
def test_a_silent_run_keeps_the_connection_of_a_client_that_asks_for_no_progress(hasty: Devhost, mode: str) -> None:
    notes = Notes()
    with patch.dict(hasty.apps, {TALK: patient(notes)}), connect(hasty, mode, transport=Listening(notes)) as client:
        assert answer(client.call("talk", query="Hi")) == "Slow but sure."
    assert len(notes) >= 6


# Failures


@pytest.mark.parametrize(
    ("name", "words"),
    [("fails-early", "not initialized"), ("fails-midway", "too many requests"), ("fails-chatflow", "too many requests")],
)
def test_a_chat_that_fails_is_a_result_that_a_model_reads(host: Devhost, client: Connection, name: str, words: str) -> None:
    before, notes = len(host.calls), list[str]()
    assert words in failure(client.call(name, query="Hi"))
    assert words in failure(client.call(name, notes, query="Hi"))
    assert len(host.calls) - before == 2, "each call runs once"


def test_a_workflow_that_fails_is_a_result_that_a_model_reads(client: Connection) -> None:
    assert "too many requests" in failure(client.call("fails-late", text="Rain"))


def test_a_run_that_dify_cuts_is_a_result_that_a_model_reads(host: Devhost, client: Connection) -> None:
    may_end = threading.Event()

    def script(call: Call, _: int) -> Iterator[Step]:
        yield from Message(call).say("It has begun.", pace=0, breaks_off=True)
        may_end.wait(DEADLINE_S)

    with patch.dict(host.apps, {TALK: conversing("chat", script, NAME)}), patch.object(host.limits, "absolute_s", 0.5):
        assert failure(client.call("talk", query="Hi"))
    may_end.set()


def test_all_that_is_wrong_with_the_arguments_is_told_at_once_and_nothing_runs(host: Devhost, client: Connection) -> None:
    before = len(host.calls)
    told = failure(client.call("workflow", tone="rude", words="many", colour="red"))
    assert all(name in told for name in ("text", "tone", "words", "colour", "formal, casual"))
    assert "query" in failure(client.call("talk", query=" "))
    assert "conversation_id" in failure(client.call("talk", query="Hi", conversation_id="of yesterday"))
    assert len(host.calls) == before


def test_an_app_that_is_gone_is_a_result_that_a_model_reads(client: Connection) -> None:
    assert "No such app" in failure(client.call("gone", query="Hi"))


def test_an_unknown_tool_is_an_error_of_the_protocol(host: Devhost, client: Connection) -> None:
    before = len(host.calls)
    for name in ("no-such-tool", UNLISTED):
        with pytest.raises(MCPError) as raised:
            client.call(name, query="Hi")
        assert refusal(raised)[0] == -32602
    assert len(host.calls) == before


# Who calls


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_key_is_refused_at_once(host: Devhost, mode: str) -> None:
    with pytest.raises((MCPError, BaseExceptionGroup)) as raised, connect(host, mode, key="a-wrong-key"):
        pass
    code, message = refusal(raised)
    assert code == 401
    assert message.startswith("Send a valid API key")


@pytest.mark.parametrize("mode", MODES)
def test_an_endpoint_without_public_apps_wants_a_key(host: Devhost, mode: str) -> None:
    with (
        patch.dict(host.settings, public_apps=""),
        pytest.raises((MCPError, BaseExceptionGroup)) as raised,
        connect(host, mode, key=""),
    ):
        pass
    assert refusal(raised)[0] == 401


def test_guests_have_the_public_apps_as_tools(host: Devhost, guest: Connection) -> None:
    before = len(host.calls)
    assert list(guest.tools()) == PUBLIC
    with pytest.raises(MCPError) as raised:
        guest.call("private", query="Hi")
    assert refusal(raised)[0] == -32602
    assert len(host.calls) == before


def test_a_guest_goes_on_in_his_own_conversation_only(host: Devhost, guest: Connection) -> None:
    first = guest.call("talk", query="One?")
    assert first.structured_content
    token = first.structured_content["conversation_id"]
    assert answer(guest.call("talk", query="Two?", conversation_id=token)) == "2. Two?"
    raw = host.calls[-1].conversation_id
    assert raw not in token
    assert "conversation_id" in failure(guest.call("talk", query="Three?", conversation_id=raw))
    assert "conversation_id" in failure(guest.call("chatbot", query="Three?", conversation_id=token))


def test_guests_see_an_apps_steps_but_not_difys_words(guest: Connection) -> None:
    notes = list[str]()
    assert answer(guest.call("workflow", notes, text="Rain"))
    assert "Summarise" in notes
    assert "too many requests" not in failure(guest.call("fails-midway", query="Hi"))


# One app


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["talk", TALK, TALK.upper()])
def test_an_app_has_an_address_of_its_own(host: Devhost, mode: str, name: str) -> None:
    with connect(host, mode, path=f"/mcp/{name}") as client:
        assert list(client.tools()) == ["talk"]
        assert answer(client.call("talk", query="Hi")) == "1. Hi"
        with pytest.raises(MCPError):
            client.call("private", query="Hi")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "key", "code"), [("nobody", KEY, 404), (UNLISTED, KEY, 404), ("private", "", 401)])
def test_an_app_that_the_caller_may_not_use_has_none(host: Devhost, mode: str, name: str, key: str, code: int) -> None:
    with pytest.raises((MCPError, BaseExceptionGroup)) as raised, connect(host, mode, key=key, path=f"/mcp/{name}"):
        pass
    assert refusal(raised)[0] == code


# Ways


@pytest.mark.parametrize("mode", MODES)
def test_in_every_way_apps_answer_tell_of_progress_go_on_and_fail(duck: Duck, mode: str) -> None:
    talk, look, broken = map(duck.add, (APPS[TALK], APPS[LOOK], demo.apps(pace=0)[demo.IDS["fails-early"]]))
    with connect(duck.host, mode, path=f"/mcp/{talk}") as client:
        assert list(client.tools()) == [talk]
        first = client.call(talk, query="One?")
        assert first.structured_content
        again = client.call(talk, query="Two?", conversation_id=first.structured_content["conversation_id"])
        assert (answer(first), answer(again)) == ("1. One?", "2. Two?")
    notes = list[str]()
    with connect(duck.host, mode, path=f"/mcp/{look}") as client:
        assert not client.call(look, notes, picture=PICTURE).is_error
        assert notes[:2] == ["Start", "End"]
    with connect(duck.host, mode, path=f"/mcp/{broken}") as client:
        assert "not initialized" in failure(client.call(broken, query="Hi"))
