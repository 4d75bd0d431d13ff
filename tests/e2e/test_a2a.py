"""A2A's own client, unchanged, and the real plugin: apps as agents, in both versions of the protocol."""

import re
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientError, AgentCardResolutionError
from a2a.types import a2a_pb2 as a2a
from a2a.utils.errors import InvalidParamsError, PushNotificationNotSupportedError, TaskNotFoundError
from a2a.utils.proto_utils import parse_lenient

from bench.host import copy_duck
from devhost import App, Call, Devhost, demo
from devhost.apps import Step
from devhost.demo.chats import conversing
from devhost.demo.events import END, Flow
from devhost.demo.forms import UPLOADS, basic, form, variable
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, ROOT, Duck, awaited
from tests.e2e.test_openai import Gate, begin, echo
from tests.support import KEY

VERSIONS = ["1.0", "0.3"]
STREAMS = [False, True]
PICTURE = "https://www.example.com/duck.png"
NAME = form(basic("text-input", "name", "Name"))
LOOKS = form(
    variable("text-input", "about", "About", required=False),
    variable("file", "picture", "Picture", required=True, allowed_file_types=["image"], **UPLOADS),
    variable("file-list", "papers", "Papers", allowed_file_types=["document"], **UPLOADS | {"max_length": 3}),
)


def look(call: Call) -> Iterator[Step]:
    """Says what it has got."""
    flow = Flow(call)
    files = [call.inputs["picture"], *(call.inputs.get("papers") or [])]
    outputs = {"seen": ", ".join([str(call.inputs.get("about")), *(file["filename"] for file in files)])}
    yield from flow.start()
    yield from flow.node(END, "End", outputs=outputs)
    yield flow.finished(outputs, steps=2)


TALK, PRIVATE, LOOK, CUT = (f"00000000-0000-4000-8000-0000000000c{number}" for number in range(4))
APPS = {
    TALK: conversing("chat", echo, NAME),
    PRIVATE: conversing("chat", echo, NAME),
    LOOK: App(mode="workflow", script=look, form=LOOKS),
    CUT: conversing("chat", begin, NAME),
}


def settings() -> dict[str, Any]:
    """The demo's apps and these."""
    demos = demo.settings()
    names = f"talk={TALK}, private={PRIVATE}, look={LOOK}, cut={CUT}, {demos['apps']}"
    return {"api_key": KEY, "apps": names, "public_apps": "talk, fails-midway", "public_rate": "1000"}


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    with Devhost(ROOT, {**APPS, **demo.apps(pace=0)}, settings(), app_keys=demo.app_keys(), limits=LIMITS) as running:
        running.settings |= demo.own_keys(running.api_url)
        yield running
        assert running.runtime.starts == 1


@asynccontextmanager
async def connected(
    host: Devhost,
    app: str = "talk",
    *,
    version: str = "1.0",
    key: str | None = KEY,
    stream: bool = False,
    timeout_s: float = DEADLINE_S,
    transport: httpx.AsyncBaseTransport | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """The client of an app; `options` are its own."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(headers=headers, timeout=timeout_s, transport=transport) as http:
        card = await A2ACardResolver(http, f"{host.url}/a2a/{app}").get_agent_card()
        for interface in [*card.supported_interfaces]:
            if interface.protocol_version != version:
                card.supported_interfaces.remove(interface)
        assert len(card.supported_interfaces) == 1
        yield ClientFactory(ClientConfig(streaming=stream, httpx_client=http, **options)).create(card)


def message(*parts: Any, context: str = "", **more: Any) -> a2a.SendMessageRequest:
    """A message of these parts, texts are parts, too; "Hi" if there are none."""
    listed = [{"text": part} if isinstance(part, str) else part for part in parts or ("Hi",)]
    fields = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": listed, "contextId": context, **more}
    return parse_lenient({"message": fields}, a2a.SendMessageRequest())


async def heard(client: Client, request: a2a.SendMessageRequest) -> a2a.Task:
    """The task as the client has it after all updates."""
    task = a2a.Task()
    async for update in client.send_message(request):
        match update.WhichOneof("payload"):
            case "task":
                task.CopyFrom(update.task)
            case "artifact_update" if update.artifact_update.append:
                task.artifacts[0].parts.extend(update.artifact_update.artifact.parts)
            case "artifact_update":
                del task.artifacts[:]
                task.artifacts.append(update.artifact_update.artifact)
            case "status_update":
                assert (update.status_update.task_id, update.status_update.context_id) == (task.id, task.context_id)
                task.status.CopyFrom(update.status_update.status)
    return task


def text_of(task: a2a.Task) -> str:
    return "".join(part.text for artifact in task.artifacts for part in artifact.parts)


def ask(host: Devhost, app: str = "talk", *requests: a2a.SendMessageRequest, **options: Any) -> list[a2a.Task]:
    """The tasks of these messages, one after the other; `options` are those of the client."""

    async def converse() -> list[a2a.Task]:
        async with connected(host, app, **options) as client:
            return [await heard(client, request) for request in requests or (message(),)]

    return awaited(converse())


def said(host: Devhost, app: str, *parts: Any, **options: Any) -> str:
    """The answer of an app to one message."""
    [task] = ask(host, app, message(*parts), **options)
    assert task.status.state == a2a.TASK_STATE_COMPLETED
    return text_of(task)


def failure(task: a2a.Task) -> str:
    """Why a task has failed."""
    assert task.status.state == a2a.TASK_STATE_FAILED
    return str(task.status.message.parts[0].text)


each_version = pytest.mark.parametrize("version", VERSIONS)
each_form = pytest.mark.parametrize("stream", STREAMS)


def test_a_card_tells_where_an_agent_is_and_what_it_takes(host: Devhost) -> None:
    with httpx.Client(headers=AUTHORIZED, timeout=DEADLINE_S) as client:
        chat, own, workflow = (
            client.get(f"{host.url}/a2a/{app}/.well-known/agent-card.json").json() for app in ("talk", "chatbot", "workflow")
        )
    assert chat["supportedInterfaces"][0] == {
        "url": f"{host.url}/a2a/talk",
        "protocolBinding": "JSONRPC",
        "protocolVersion": "1.0",
    }
    assert (chat["name"], own["name"], workflow["name"]) == ("talk", "Chatbot", "workflow")
    assert own["description"] == "Knows how an answer travels, and what you have attached."
    assert "text (paragraph" in workflow["skills"][0]["description"]


@each_version
@each_form
def test_an_app_answers(host: Devhost, *, version: str, stream: bool) -> None:
    before = len(host.calls)
    [task] = ask(host, version=version, stream=stream)
    assert (text_of(task), task.status.state, len(task.artifacts)) == ("1. Hi", a2a.TASK_STATE_COMPLETED, 1)
    assert len(host.calls) == before + 1


@each_version
@each_form
def test_two_turns_of_a_context_are_in_one_conversation(host: Devhost, *, version: str, stream: bool) -> None:
    async def converse() -> list[a2a.Task]:
        async with connected(host, version=version, stream=stream) as client:
            first = await heard(client, message("One?"))
            return [first, await heard(client, message("Two?", context=first.context_id))]

    first, second = awaited(converse())
    assert [text_of(each) for each in (first, second)] == ["1. One?", "2. Two?"]
    assert (second.context_id, second.id != first.id) == (first.context_id, True)
    assert [call.query for call in host.calls[-2:]] == ["One?", "Two?"]


@each_version
@each_form
@pytest.mark.parametrize(("app", "told"), [("fails-early", "not initialized"), ("fails-midway", "too many requests")])
def test_a_run_that_fails_is_a_failed_task_and_runs_once(
    host: Devhost, *, app: str, told: str, version: str, stream: bool
) -> None:
    before = len(host.calls)
    [task] = ask(host, app, version=version, stream=stream)
    assert told in failure(task)
    assert (task.id != "", task.context_id != "", len(host.calls)) == (True, True, before + 1)
    assert bool(text_of(task)) is (stream and app == "fails-midway")


@each_version
@each_form
def test_a_failed_context_can_be_tried_again(host: Devhost, *, version: str, stream: bool) -> None:
    [failed] = ask(host, "fails-early", version=version, stream=stream)
    [again] = ask(host, "fails-early", message(context=failed.context_id), version=version, stream=stream)
    assert failure(again) == failure(failed)


@each_version
@each_form
def test_a_workflow_that_fails_is_a_failed_task(host: Devhost, *, version: str, stream: bool) -> None:
    [task] = ask(host, "fails-late", version=version, stream=stream)
    assert failure(task)


def test_a_stream_that_breaks_off_is_a_failed_task(host: Devhost) -> None:
    async def converse() -> list[Any]:
        async with connected(host, "cut", stream=True) as client:
            updates = []
            async for update in client.send_message(message()):
                updates.append(update)
                if update.WhichOneof("payload") == "artifact_update":
                    break
            return updates

    assert [update.WhichOneof("payload") for update in awaited(converse())] == ["task", "artifact_update"]


@each_version
@each_form
def test_an_agent_with_tools_answers(host: Devhost, *, version: str, stream: bool) -> None:
    answer = said(host, "agent", "a duck", version=version, stream=stream)
    assert answer.startswith("I will draw that in pencil.\n\nHere is picture number 1 of this conversation: a duck")
    assert "![" in answer.splitlines()[-1]


@each_version
@each_form
def test_a_workflow_gets_text_and_data(host: Devhost, *, version: str, stream: bool) -> None:
    expected = "Rain is coming. (3 words in all)\ntone: casual\n3"
    data = {"tone": "casual"}
    for parts in (("Rain is coming.", {"data": data}), ({"data": {"text": "Rain is coming.", **data}},)):
        assert said(host, "workflow", *parts, version=version, stream=stream) == expected


@each_version
@each_form
def test_files_are_links_or_come_along(host: Devhost, *, version: str, stream: bool) -> None:
    paper = {"raw": "YSxi", "filename": "paper.csv", "mediaType": "text/csv"}
    link = {"url": PICTURE, "mediaType": "image/png", "filename": "duck.png"}
    assert (
        said(host, "look", "What is this?", link, paper, version=version, stream=stream) == "What is this?, duck.png, paper.csv"
    )
    picture, [sent] = host.calls[-1].inputs["picture"], host.calls[-1].inputs["papers"]
    assert (picture["transfer_method"], picture["url"]) == ("remote_url", PICTURE)
    stored = host.files.find(sent["tool_file_id"])
    assert stored is not None
    assert (stored.content, stored.mime_type) == (b"a,b", "text/csv")


@each_version
@each_form
def test_a_guest_of_a_public_app_goes_on_in_contexts_of_guests(host: Devhost, *, version: str, stream: bool) -> None:
    options: Any = {"key": None, "version": version, "stream": stream}
    [first] = ask(host, **options)
    [second] = ask(host, "talk", message(context=first.context_id), **options)
    assert (text_of(second), second.context_id) == ("2. Hi", first.context_id)
    [own] = ask(host)
    with pytest.raises((InvalidParamsError, A2AClientError), match="no such context"):
        ask(host, "talk", message(context=own.context_id), **options)


@pytest.mark.parametrize(("app", "key", "status"), [("private", None, 401), ("talk", "a-wrong-key", 401), ("nobody", KEY, 404)])
def test_a_card_is_not_for_everybody(host: Devhost, app: str, key: str | None, status: int) -> None:
    with pytest.raises(AgentCardResolutionError) as raised:
        ask(host, app, key=key)
    assert raised.value.status_code == status


def test_a_key_that_is_wrong_by_now_starts_nothing(host: Devhost) -> None:
    async def converse(*, stream: bool) -> None:
        async with connected(host, stream=stream) as client:
            with patch.dict(host.settings, api_key="another-right-key"):
                await heard(client, message())

    before = len(host.calls)
    for stream in STREAMS:
        with pytest.raises(A2AClientError, match="401"):
            awaited(converse(stream=stream))
    assert len(host.calls) == before


type Act = Callable[[Client], Coroutine[Any, Any, Any]]
REFUSED: dict[str, tuple[Act, type[Exception], str]] = {
    "a context of somebody else's": (
        lambda client: heard(client, message(context=str(uuid.uuid4()))),
        InvalidParamsError,
        "message.contextId",
    ),
    "an input of another name": (
        lambda client: heard(client, message("Hi", {"data": {"town": "Oslo"}})),
        InvalidParamsError,
        "data.town",
    ),
    "a file that no variable takes": (
        lambda client: heard(client, message("Hi", {"url": PICTURE})),
        InvalidParamsError,
        "takes no images",
    ),
    "an empty message": (lambda client: heard(client, message(" ")), InvalidParamsError, "must have a text"),
    "a task's further message": (lambda client: heard(client, message(taskId="t")), TaskNotFoundError, "not kept"),
    "a task": (lambda client: client.get_task(a2a.GetTaskRequest(id="t")), TaskNotFoundError, "not kept"),
    "an end of a task": (lambda client: client.cancel_task(a2a.CancelTaskRequest(id="t")), TaskNotFoundError, "not kept"),
    "notifications": (
        lambda client: client.create_task_push_notification_config(
            a2a.TaskPushNotificationConfig(task_id="t", url="https://www.example.com/")
        ),
        PushNotificationNotSupportedError,
        "no push",
    ),
}


@each_form
@pytest.mark.parametrize("case", REFUSED)
def test_an_error_is_raised_as_the_clients_own(host: Devhost, *, case: str, stream: bool) -> None:
    act, class_, told = REFUSED[case]

    async def converse() -> None:
        async with connected(host, stream=stream) as client:
            await act(client)

    before = len(host.calls)
    with pytest.raises(class_, match=re.escape(told)):
        awaited(converse())
    assert len(host.calls) == before


def test_no_task_is_listed(host: Devhost) -> None:
    async def listed() -> a2a.ListTasksResponse:
        async with connected(host) as client:
            return await client.list_tasks(a2a.ListTasksRequest())

    assert [*awaited(listed()).tasks] == []


def test_a_client_that_would_poll_gets_the_whole_answer(host: Devhost) -> None:
    [task] = ask(host, polling=True)
    assert (text_of(task), task.status.state) == ("1. Hi", a2a.TASK_STATE_COMPLETED)


# Silence


class Listening(httpx.AsyncHTTPTransport):
    """The client's own transport, which tells of each piece of a body."""

    def __init__(self, hears: Callable[[bytes], None]) -> None:
        super().__init__()
        self._hears = hears

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        response.stream = Body(response.stream, self._hears)
        return response


class Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any, hears: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._hears = hears

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._hears(piece)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devhost]:
    """Duck with a keep-alive after 0.1 s in place of 3 s."""
    folder = copy_duck(tmp_path_factory.mktemp("hasty"))
    module = folder / "duck/faces/a2a/tasks.py"
    text = module.read_text("utf-8")
    assert text.count("= 3.0") == 1
    module.write_text(text.replace("= 3.0", "= 0.1"), "utf-8")
    with Devhost(folder, dict(APPS), settings(), limits=LIMITS) as running:
        yield running


@each_version
def test_a_stream_survives_12_s_of_silence_before_the_first_word_and_after_it(hasty: Devhost, *, version: str) -> None:
    gate, pings = Gate(), list[bytes]()
    hasty.apps[TALK] = gate.app

    def hears(piece: bytes) -> None:
        if b": ping\n\n" in piece:
            pings.append(piece)
            if len(pings) % 4 == 0:
                gate.steps.release()

    assert said(hasty, "talk", version=version, stream=True, transport=Listening(hears)) == "Slow but sure."
    assert len(pings) >= 8


# Routes


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/a2a/talk", 405, "method_not_allowed", "OPTIONS, POST"),
        ("DELETE", "/a2a/talk/", 405, "method_not_allowed", "OPTIONS, POST"),
        ("POST", "/a2a/talk/.well-known/agent-card.json", 405, "method_not_allowed", "GET, HEAD, OPTIONS"),
        ("GET", "/a2a/talk/.well-known/agent.json", 404, "not_found", None),
        ("POST", "/a2a", 404, "not_found", None),
        ("POST", "/a2a/talk/message:send", 404, "not_found", None),
    ],
)
def test_other_paths_and_methods(host: Devhost, method: str, path: str, status: int, code: str, allow: str | None) -> None:
    response = httpx.request(method, host.url + path, headers=AUTHORIZED, timeout=DEADLINE_S)
    assert (response.status_code, response.json()["code"], response.headers.get("Allow")) == (status, code, allow)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_slash_at_the_end_changes_nothing(host: Devhost, slash: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks"}
    headers = AUTHORIZED | {"A2A-Version": "1.0"}
    response = httpx.post(f"{host.url}/a2a/talk{slash}", headers=headers, json=body, timeout=DEADLINE_S)
    assert response.json()["result"]["tasks"] == []


# Ways


def test_in_every_way_apps_answer_stream_go_on_and_fail(duck: Duck) -> None:
    app, broken = duck.add(conversing("chat", echo, NAME)), duck.add(demo.apps(pace=0)[demo.IDS["fails-early"]])
    for stream in STREAMS:
        [first] = ask(duck.host, app, stream=stream)
        [second] = ask(duck.host, app, message("And?", context=first.context_id), stream=stream)
        assert [text_of(first), text_of(second)] == ["1. Hi", "2. And?"]
        assert second.context_id == first.context_id
        before = len(duck.host.calls)
        [failed] = ask(duck.host, broken, stream=stream)
        assert failure(failed)
        assert len(duck.host.calls) == before + 1
