"""devhost's apps compared with a real Dify 1.16, for plugins' calls and for calls with an app's own key."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, Literal

import pytest

from devhost import App, Call, Devhost, demo
from devhost.apps import Event, Mode, Step
from devhost.demo import troubles
from devhost.demo.chats import conversing
from devhost.demo.events import END, Flow
from devhost.dify import Dify
from devhost.tests.support import HTTP, PLUGINS, SAMPLES
from devhost.tests.test_demo import shapes
from devhost.wire import Reply

DIFY_1_16 = SAMPLES / "dify-1.16"
PLUGIN = PLUGINS / "minimal"
DEADLINE_S = 30
BOOM = "Traceback (most recent call last):\nRuntimeError: boom\n"

type Gateway = Literal["plugin", "service"]


# Apps of the recordings that the demo does not have


def _failing(call: Call) -> Iterator[Step]:
    flow = Flow(call)
    yield from flow.start()
    yield from flow.node("code", "Boom", status="failed", error=BOOM)
    yield from flow.failed(BOOM, steps=2)


def _failflow(call: Call, _turn: int) -> Iterator[Step]:
    flow = Flow(call)
    outputs: Event = {"answer": "Duck says: x", "files": []}
    yield from flow.start()
    yield from flow.model("LLM", outputs["answer"], flow.say("Duck says: x", selector=["llm", "text"]))
    yield from flow.node("answer", "Say", outputs=outputs)
    yield from flow.node("code", "Boom", status="failed", error=BOOM)
    yield from flow.failed(BOOM, steps=4)


def _template(call: Call) -> Iterator[Step]:
    flow, outputs = Flow(call), {"text": "Hello you!"}
    yield from flow.start()
    shaped = flow.outputs((("template-transform", "output"), outputs["text"]))
    yield from flow.node("template-transform", "Shape", shaped, outputs={"output": outputs["text"]})
    yield from flow.node(END, "Finish", inputs=outputs, outputs=outputs)
    yield flow.finished(outputs, steps=3)


OWN = {
    "failing": App(mode="workflow", script=_failing),
    "failflow": conversing("advanced-chat", _failflow, {}),
    "template": App(mode="workflow", script=_template),
}
# The app that is compared with each recording.
LIKE = {
    "agent": "agent",
    "chat": "chatbot",
    "chat.broken": "fails-midway",
    "chat.model-error": "fails-unnamed",
    "chatflow": "chatflow",
    "chatflow.model-error": "fails-chatflow",
    "completion": "completion-today",
    "failflow": "failflow",
    "failing": "failing",
    "human": "human-input",
    "humanflow": "human-chatflow",
    "moderated": "moderated-answer",
    "template": "template",
    "workflow": "workflow",
    "workflow.model-error": "fails-late",
}
INPUTS = {"workflow": {"text": "one two three"}, "completion-today": {"topic": "rain"}}
IDS = demo.IDS | {name: str(uuid.uuid4()) for name in OWN}
APPS = demo.apps(pace=0) | {IDS[name]: app for name, app in OWN.items()}
PATHS: dict[Mode, str] = {"workflow": "/workflows/run", "completion": "/completion-messages"}
BOTH: list[tuple[str, Gateway]] = [
    (name, gateway) for name in LIKE for gateway in ("plugin", "service") if (name, gateway) != ("completion", "plugin")
]


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    keys = {f"app-{alias}": app_id for alias, app_id in IDS.items()}
    with Devhost(PLUGIN, dict(APPS), runs="remote", app_keys=keys) as running:  # without a plugin
        yield running


type Run = Callable[..., Any]


@pytest.fixture
def run(host: Devhost) -> Run:
    """Runs the app that is compared with a recording."""

    def by_key(alias: str, body: dict[str, Any]) -> Any:
        path = PATHS.get(APPS[IDS[alias]].mode, "/chat-messages")
        headers = {"Authorization": f"Bearer app-{alias}"}
        response = HTTP.post(host.api_url + path, headers=headers, json={**body, "user": "direct"}, timeout=DEADLINE_S)
        if body["response_mode"] == "blocking":
            return {"_status": response.status_code, "_body": response.json()}
        return [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: ")]

    def by_plugin(alias: str, body: dict[str, Any]) -> Any:
        replies = Dify(APPS, frozenset({"app"}), []).answer("app", {**body, "app_id": IDS[alias]})
        seen = [reply for reply in replies if isinstance(reply, Reply)]
        if body["response_mode"] == "streaming":
            assert {reply.event for reply in seen} == {"response"}
            return [reply.data for reply in seen]
        [reply] = seen
        if reply.event == "response":
            return {"_status": 200, "_body": reply.data}
        found = re.fullmatch(r"invoke app failed: request failed with status code: (\d+) and respond with: (.*)\n", reply.message)
        assert found
        return {"_status": int(found[1]), "_body": json.loads(found[2])}

    def run(name: str, gateway: Gateway, mode: str = "streaming") -> Any:
        alias = LIKE.get(name, name)
        is_chat = APPS[IDS[alias]].mode not in PATHS
        body = {"query": "hi" if is_chat else "", "inputs": INPUTS.get(alias, {}), "response_mode": mode}
        return (by_plugin if gateway == "plugin" else by_key)(alias, body)

    return run


def recorded(name: str, gateway: Gateway) -> list[Event]:
    """Dify's events. Without a recording of a plugin's call it is that of a call by key; they differ only in errors."""
    path = DIFY_1_16 / f"{name}.{gateway}.ndjson"
    path = path if path.exists() else DIFY_1_16 / f"{name}.service.ndjson"
    return [json.loads(line) for line in path.read_text().splitlines()]


def without_own(alias: str, stream: list[Event]) -> list[Event]:
    """The stream without steps that only the demo's app has: a lookup, a picture, and text before a failure."""
    types = {"knowledge-retrieval"} if alias == "chatflow" else set()
    names = {"message_file"} if alias == "agent" else {"text_chunk"} if alias == "fails-late" else set()
    return [event for event in stream if event["event"] not in names and event.get("data", {}).get("node_type") not in types]


def order(stream: list[Event]) -> list[str]:
    """The names of the events: successive deltas with text count once, and each empty delta counts."""
    named = []
    for event in stream:
        is_empty = event.get("answer") == "" and event["event"] in {"message", "agent_message"}
        named.append((event["event"], is_empty, object() if is_empty else None))
    return [f"{name} (empty)" if is_empty else name for (name, is_empty, _), _ in groupby(named)]


def facts(stream: list[Event]) -> list[Any]:
    """How nodes and the run ended, and the codes of errors."""
    names = ("status", "index", "exceptions_count", "reason")
    ends = [
        [event["event"], *(event["data"].get(name) for name in names), event["data"].get("error") is None]
        for event in stream
        if "status" in event.get("data", {}) or "reason" in event.get("data", {})
    ]
    return [*ends, *([event["code"], event["status"]] for event in stream if event["event"] == "error")]


def contents(stream: list[Event]) -> dict[str, Any]:
    """The fields of a model's node, and the variables that Dify adds to the inputs."""
    found: dict[str, Any] = {}
    for event in stream:
        data = event.get("data", {})
        if event["event"] == "workflow_started":
            found["sys"] = sorted(name for name in data["inputs"] if name.startswith("sys."))
        if event["event"] == "node_finished" and data["node_type"] == "llm":
            parts = (data[name] or {} for name in ("inputs", "outputs", "process_data", "execution_metadata"))
            found["llm"] = [sorted(part) for part in parts]
            found["usage"] = sorted(data["outputs"].get("usage", {}))
        if event["event"] == "node_finished" and data["node_type"] == "start":
            assert data["inputs"] == data["outputs"]
    return found


@pytest.mark.parametrize(("name", "gateway"), BOTH)
def test_an_app_sends_what_dify_sent(run: Run, name: str, gateway: Gateway) -> None:
    mine, theirs = without_own(LIKE[name], run(name, gateway)), recorded(name, gateway)
    assert order(mine) == order(theirs)
    if name != "chat.broken":  # the demo's model plugin names the error, the recorded one does not
        assert facts(mine) == facts(theirs)
    assert contents(mine) == contents(theirs)
    assert all_shapes(mine) == all_shapes(theirs)


def all_shapes(stream: list[Event]) -> dict[str, list[Any]]:
    """The shapes of the events, with the measured fields of the usage."""
    usage = {"usage": [sorted(event["metadata"]["usage"]) for event in stream if event["event"] == "message_end"]}
    return {name: sorted(forms, key=repr) for name, forms in shapes(stream).items()} | usage


# Blocking runs


def keys(value: Any, depth: int = 3) -> Any:
    """The keys of an object and of the objects within it, without outputs and resources."""
    if isinstance(value, dict) and depth:
        return {name: keys(item, depth - 1) for name, item in value.items() if name not in {"outputs", "retriever_resources"}}
    return None


@pytest.mark.parametrize("gateway", ["plugin", "service"])
@pytest.mark.parametrize(
    "name", ["chat", "chatflow", "completion", "failing", "human", "humanflow", "moderated", "template", "workflow"]
)
def test_a_blocking_answer_has_the_fields_of_difys_answer(run: Run, name: str, gateway: Gateway) -> None:
    if (name, gateway) == ("completion", "plugin"):
        refused = run(name, gateway, "blocking")
        assert (refused["_status"], refused["_body"]["code"]) == (500, "unknown")
        return
    mine, theirs = run(name, gateway, "blocking"), json.loads((DIFY_1_16 / f"{name}.blocking.json").read_text())
    assert keys(mine) == keys(theirs)
    for part in ("status", "mode", "event"):
        assert mine["_body"].get("data", mine["_body"]).get(part) == theirs["_body"].get("data", theirs["_body"]).get(part)
    usage = ("time_to_first_token", "time_to_generate")
    if "metadata" in theirs["_body"] and name != "humanflow":
        measured = [[answer["_body"]["metadata"]["usage"][name] is None for name in usage] for answer in (mine, theirs)]
        assert measured[0] == measured[1]


MODEL_ERROR = re.compile(r"(Run failed: )?(req_id: [0-9a-f]{10} PluginInvokeError: )?(\{.*\})", re.DOTALL)


def model_error(text: str) -> tuple[bool, bool, Any]:
    """Whether a model's error has each prefix, and the shape of its JSON."""
    found = MODEL_ERROR.fullmatch(text)
    assert found, text
    error = json.loads(found[3])
    assert error["message"] == error["args"]["description"]
    shape = re.sub(r"\d{3}: .*", "", error["message"], flags=re.DOTALL), [*error], [*error["args"]], error["error_type"]
    assert json.loads(re.sub(r"^.*? code \d{3}: ", "", error["message"])).keys() == {"error"}
    return found[1] is not None, found[2] is not None, shape


@pytest.mark.parametrize(
    ("name", "gateway", "code"),
    [
        ("chat", "plugin", "invalid_param"),
        ("chat", "service", "completion_request_error"),
        ("chatflow", "plugin", "invalid_param"),
        ("chatflow", "service", "invalid_param"),
    ],
)
def test_a_models_error_reaches_blocking_callers_as_in_dify(run: Run, name: str, gateway: Gateway, code: str) -> None:
    mine, theirs = (
        run(f"{name}.model-error", gateway, "blocking"),
        json.loads((DIFY_1_16 / f"{name}.model-error.blocking.json").read_text()),
    )
    assert (mine["_status"], mine["_body"]["code"], mine["_body"].keys()) == (400, code, theirs["_body"].keys())
    assert model_error(mine["_body"]["message"]) == model_error(theirs["_body"]["message"])


@pytest.mark.parametrize("gateway", ["plugin", "service"])
def test_a_models_error_is_streamed_as_dify_streams_it(run: Run, gateway: Gateway) -> None:
    for name in ("chat.model-error", "chatflow.model-error"):
        mine, theirs = run(name, gateway), recorded(name, gateway)
        for part in ("message", "error"):
            texts = [[event.get(part) or (event.get("data") or {}).get(part) for event in stream] for stream in (mine, theirs)]
            assert [model_error(text) for text in texts[0] if text] == [model_error(text) for text in texts[1] if text]


@pytest.mark.parametrize("gateway", ["plugin", "service"])
def test_a_blocking_run_of_a_failed_chatflow_is_refused_as_by_dify(run: Run, gateway: Gateway) -> None:
    mine, theirs = run("failflow", gateway, "blocking"), json.loads((DIFY_1_16 / "failflow.blocking.json").read_text())
    assert (mine["_status"], mine["_body"]["code"]) == (theirs["_status"], theirs["_body"]["code"])
    assert mine["_body"]["message"] == f"Run failed: {BOOM}"
    assert theirs["_body"]["message"].startswith("Run failed: Traceback")


@pytest.mark.parametrize("gateway", ["plugin", "service"])
def test_a_moderated_question_is_answered_a_character_at_a_time(run: Run, gateway: Gateway) -> None:
    stream = run("moderated-question", gateway)
    assert [event["answer"] for event in stream[:-1]] == list(troubles.NOT_ASKED)
    assert [event.keys() for event in (stream[0], stream[-1])] == [recorded("chat", gateway)[at].keys() for at in (0, -1)]


def test_the_user_in_the_events_is_difys(run: Run) -> None:
    by_plugin, by_key = run("workflow", "plugin"), run("workflow", "service")
    theirs = recorded("workflow", "service")
    assert [by_key[0]["data"]["inputs"]["sys.user_id"], by_key[-1]["data"]["created_by"]["user"]] == ["direct"] * 2
    assert [theirs[0]["data"]["inputs"]["sys.user_id"], theirs[-1]["data"]["created_by"]["user"]] == ["direct"] * 2
    uuid.UUID(by_plugin[0]["data"]["inputs"]["sys.user_id"])
