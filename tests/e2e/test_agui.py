"""AG-UI's types and the real plugin: apps as agents. `tests/clients/agui.mjs` does it with the client for JavaScript."""

import itertools
import threading
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from ag_ui.core import (
    AssistantMessage,
    DataSource,
    ImagePart,
    Message,
    RunAgentInput,
    RunErrorEvent,
    RunFinishedEvent,
    RunFinishedSuccessOutcome,
    RunStartedEvent,
    StepFinishedEvent,
    StepStartedEvent,
    SystemMessage,
    TextMessageContentEvent,
    TextMessageStartEvent,
    TextPart,
    Tool,
    ToolCallArgsEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
    UrlSource,
    UserMessage,
)
from httpx_sse import connect_sse

from devhost import Call, Devhost, demo
from devhost.apps import Message as Reply
from devhost.apps import Step
from devhost.demo.chats import conversing
from devhost.demo.forms import UPLOADS, form, variable
from tests.agui_calls import EVENT, verify
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, ROOT, Duck
from tests.support import KEY

PICTURE = form(
    variable("text-input", "city", "City"),
    variable("file", "picture", "Picture", allowed_file_types=["image"], **UPLOADS),
)
LINK = "https://www.example.com/duck.png"
NUMBERS = itertools.count()


def echo(call: Call, turn: int) -> Iterator[Step]:
    message, answer = Reply(call), f"{turn}. {call.query}"
    yield from message.say(answer, pace=0)
    yield message.end(answer)


TALK, PRIVATE, SLOW = (f"00000000-0000-4000-8000-0000000000c{number}" for number in range(3))
GOES_ON = threading.Event()


def wait(call: Call, _: int) -> Iterator[Step]:
    """Says a word, and the rest once the test lets it."""
    message = Reply(call)
    yield message.event("message", id=message.id, answer="Once")
    assert GOES_ON.wait(DEADLINE_S)
    yield message.event("message", id=message.id, answer=" more")
    yield message.end("Once more")


APPS = {
    TALK: conversing("chat", echo, PICTURE),
    PRIVATE: conversing("chat", echo, PICTURE),
    SLOW: conversing("chat", wait, PICTURE),
}


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    """The demo's apps and these."""
    names = f"talk={TALK}, private={PRIVATE}, slow-talk={SLOW}, {demo.settings()['apps']}"
    settings = {"api_key": KEY, "apps": names, "public_apps": "talk, agent", "public_rate": "1000"}
    with Devhost(ROOT, {**APPS, **demo.apps(pace=0)}, settings, limits=LIMITS) as running:
        yield running
        assert running.runtime.starts == 1


class Agent:
    """A client with the messages of one thread. After a run it has the `events`."""

    def __init__(self, host: Devhost, app: str, *, key: str | None = KEY) -> None:
        self.url = f"{host.url}/agui/{app}"
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.messages: list[Message] = []
        self.events: list[Any] = []

    def request(self, content: Any, **more: Any) -> dict[str, Any]:
        """The body for a further message of the user."""
        self.messages.append(UserMessage(id=f"mine {next(NUMBERS)}", content=content))
        run = RunAgentInput(thread_id="thread", run_id=f"run {next(NUMBERS)}", messages=self.messages, **more)
        body: dict[str, Any] = run.model_dump(by_alias=True)
        return body

    def say(self, content: Any, **more: Any) -> str:
        """Runs the agent for a further message, and returns the answer's text. The answer's messages are kept."""
        body = self.request(content, **more)
        with (
            httpx.Client(headers=self.headers, timeout=DEADLINE_S) as http,
            connect_sse(http, "POST", self.url, json=body) as source,
        ):
            source.response.raise_for_status()
            raw = [event.json() for event in source.iter_sse()]
        verify(raw)
        self.events = [EVENT.validate_python(event) for event in raw]
        begun = self.events[0]
        assert isinstance(begun, RunStartedEvent)
        assert (begun.thread_id, begun.run_id) == ("thread", body["runId"])
        said: dict[str, str] = {}
        for event in self.of(TextMessageContentEvent):
            said[event.message_id] = said.get(event.message_id, "") + event.delta
        self.messages += [AssistantMessage(id=id_, content=text) for id_, text in said.items()]
        return "".join(said.values())

    def refused(self, content: Any, **more: Any) -> tuple[int, str, str]:
        """Status, code and message of an error before the first event."""
        response = httpx.post(self.url, json=self.request(content, **more), headers=self.headers, timeout=DEADLINE_S)
        document = response.json()
        assert document["status"] == response.status_code
        return document["status"], document["code"], document["message"]

    def of[T](self, kind: type[T]) -> list[T]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


def test_a_run(host: Devhost) -> None:
    agent = Agent(host, "talk")
    assert agent.say("Hi") == "1. Hi"
    [finished] = agent.of(RunFinishedEvent)
    assert finished.usage
    assert (finished.outcome, finished.usage[0].total_tokens) == (RunFinishedSuccessOutcome(), 2)
    assert len(agent.of(TextMessageStartEvent)) == 1


def test_the_answer_comes_while_the_app_speaks(host: Devhost) -> None:
    GOES_ON.clear()
    agent = Agent(host, "slow-talk")
    with (
        httpx.Client(headers=agent.headers, timeout=DEADLINE_S) as http,
        connect_sse(http, "POST", agent.url, json=agent.request("Hi")) as source,
    ):
        events = source.iter_sse()
        before = [next(events).json()["type"] for _ in range(3)]
        GOES_ON.set()
        after = [event.json()["type"] for event in events]
    assert before == ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT"]
    assert after == ["TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED"]


@pytest.mark.parametrize("key", [KEY, None])
def test_a_thread_is_one_conversation_of_difys(host: Devhost, key: str | None) -> None:
    agent = Agent(host, "talk", key=key)
    agent.messages.append(SystemMessage(id="s", content="Be short."))
    assert [agent.say(text) for text in ("One?", "Two?", "Three?")] == ["1. Be short.\n\nOne?", "2. Two?", "3. Three?"]
    assert [call.query for call in host.calls[-3:]] == ["Be short.\n\nOne?", "Two?", "Three?"]
    assert len({call.conversation_id for call in host.calls[-2:]}) == 1


def test_a_thread_that_was_edited_begins_anew_with_what_was_said(host: Devhost) -> None:
    agent = Agent(host, "talk")
    agent.messages += [UserMessage(id="a", content="Hi"), AssistantMessage(id="b", content="Ho")]
    assert agent.say("And?") == "1. Conversation so far:\n\nuser: Hi\n\nassistant: Ho\n\n----\n\nAnd?"
    assert agent.say("So?") == "2. So?"


def test_a_run_that_fails_at_once_has_its_status_and_runs_once(host: Devhost) -> None:
    before = len(host.calls)
    status, code, message = Agent(host, "fails-early").refused("Hi")
    assert (status, code) == (502, "provider_not_initialize")
    assert "not initialized" in message
    assert len(host.calls) == before + 1


@pytest.mark.parametrize("app", ["fails-midway", "fails-late"])
def test_a_run_that_fails_later_ends_with_an_error_and_runs_once(host: Devhost, app: str) -> None:
    before, agent = len(host.calls), Agent(host, app)
    agent.say("Hi")
    assert isinstance(agent.events[-1], RunErrorEvent)
    expected = {"fails-midway": ("rate_limit_error", "too many requests"), "fails-late": ("workflow_failed", "")}[app]
    assert agent.events[-1].code == expected[0]
    assert expected[1] in agent.events[-1].message
    assert len(host.calls) == before + 1


def test_an_agents_tools_are_shown_with_their_results(host: Devhost) -> None:
    agent = Agent(host, "agent")
    tools = [Tool(name="text2image", description="A tool of the client's own", parameters={})]
    assert "picture number 1" in agent.say("a duck", tools=tools)
    [call] = agent.of(ToolCallStartEvent)
    [given] = agent.of(ToolCallArgsEvent)
    [result] = agent.of(ToolCallResultEvent)
    first, second = (event.message_id for event in agent.of(TextMessageStartEvent))
    assert (call.tool_call_name, call.parent_message_id, second) == ("text2image", first, f"{first}_2")
    assert "a duck" in given.delta
    assert (result.tool_call_id, result.content != "") == (call.tool_call_id, True)
    assert "picture number 2" in agent.say("a goose", tools=tools)


def test_a_guest_sees_the_answer_and_nothing_else(host: Devhost) -> None:
    agent = Agent(host, "agent", key=None)
    assert "picture number 1" in agent.say("a duck")
    assert agent.of(ToolCallStartEvent) == []
    assert agent.of(RunFinishedEvent)[0].usage is None
    assert "picture number 2" in agent.say("a goose")
    assert Agent(host, "private", key=None).refused("Hi")[:2] == (401, "unauthorized")


def test_a_wrong_key_and_an_app_that_is_not_there(host: Devhost) -> None:
    before = len(host.calls)
    assert Agent(host, "talk", key="a-wrong-key").refused("Hi")[:2] == (401, "unauthorized")
    assert Agent(host, "nothing").refused("Hi")[:2] == (404, "app_not_found")
    assert len(host.calls) == before


def test_a_workflow_takes_inputs_and_shows_its_steps(host: Devhost) -> None:
    agent = Agent(host, "workflow")
    text = agent.say("Rain is coming.", forwarded_props={"inputs": {"tone": "casual"}})
    assert text == "Rain is coming. (3 words in all)\ntone: casual\n3"
    begun = [event.step_name for event in agent.of(StepStartedEvent)]
    ended = [event.step_name for event in agent.of(StepFinishedEvent)]
    assert begun == ended
    assert begun[0].startswith("Start (")
    message = agent.refused("Rain", forwarded_props={"inputs": {"tone": "x", "more": 1}})[2]
    assert message.count("forwardedProps.inputs.") == 2


@pytest.mark.parametrize(
    ("source", "method"),
    [
        (UrlSource(value=LINK), "remote_url"),
        (DataSource(value=b64encode(b"content").decode(), mime_type="image/png"), "tool_file"),
    ],
)
def test_a_file_goes_to_the_variable_for_it(host: Devhost, source: Any, method: str) -> None:
    agent = Agent(host, "talk")
    parts = [TextPart(text="What is this?"), ImagePart(source=source)]
    assert agent.say(parts, forwarded_props={"inputs": {"city": "Oslo"}}) == "1. What is this?"
    given = host.calls[-1].inputs
    assert (given["city"], given["picture"]["type"], given["picture"]["transfer_method"]) == ("Oslo", "image", method)
    assert agent.say("And now?") == "2. And now?"
    assert agent.refused([TextPart(text="Hi"), ImagePart(source=UrlSource(value="ftp://x"))])[2].startswith(
        "messages[4].content[1].source.value:"
    )


def test_other_methods_and_paths(host: Devhost) -> None:
    for method in ("GET", "PUT", "DELETE"):
        response = httpx.request(method, f"{host.url}/agui/talk", headers=AUTHORIZED, timeout=DEADLINE_S)
        assert (method, response.status_code, response.headers["Allow"]) == (method, 405, "OPTIONS, POST")
    assert httpx.post(f"{host.url}/agui/talk/", headers=AUTHORIZED, timeout=DEADLINE_S).status_code == 404


def test_in_every_way_apps_answer_go_on_and_fail(duck: Duck) -> None:
    app, broken = duck.add(conversing("chat", echo, PICTURE)), duck.add(demo.apps(pace=0)[demo.IDS["fails-early"]])
    agent = Agent(duck.host, app)
    assert [agent.say("One?"), agent.say("Two?")] == ["1. One?", "2. Two?"]
    before = len(duck.host.calls)
    assert Agent(duck.host, broken).refused("Hi")[0] == 502
    assert len(duck.host.calls) == before + 1
