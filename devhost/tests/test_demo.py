"""The demo apps compared with Dify's own events: fields, order, and blocking answers."""

import json
import uuid
from collections import defaultdict
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from devhost import Failure, StartError, demo
from devhost.apps import Call, Event, Pause
from devhost.asking import Awaiting
from devhost.demo.events import END, Flow, shown
from devhost.dify import Dify
from devhost.files import Files
from devhost.tests.support import SAMPLES, sample
from devhost.users import CREATION_S
from devhost.wire import Reply

DIFY_1_16 = SAMPLES / "dify-1.16"
START = "start"  # the id of a demo workflow's first node
NEW = "3f1d0c7a-5b2e-4a90-8c61-7e4f2b9d1a55"
# The sample with which each app is compared.
LIKE = {
    "chatbot": "chat",
    "agent": "agent-chat",
    "chatflow": "advanced-chat",
    "workflow": "workflow",
    "completion": "completion",
    "fails-late": "workflow.failed",
    "slow": "chat",
    "human-input": "workflow.paused",
}
INPUTS = {"workflow": {"text": "one two three"}, "completion": {"topic": "rain"}}
FILES = Files()
DIFY = Dify(demo.apps(), frozenset({"app"}), [], files=FILES)


def replies(alias: str, **changes: Any) -> list[Reply | Pause | Awaiting]:
    """All replies to one call of a demo app, without the pause for the creation of its user."""
    query = "" if demo.apps()[demo.IDS[alias]].mode in {"workflow", "completion"} else "What is a duck?"
    request = {"app_id": demo.IDS[alias], "query": query, "inputs": INPUTS.get(alias, {}), "response_mode": "streaming"}
    return [reply for reply in DIFY.answer("app", request | changes) if reply != Pause(CREATION_S)]


def events(alias: str, **changes: Any) -> list[Event]:
    stream = [reply for reply in replies(alias, **changes) if isinstance(reply, Reply)]
    assert {reply.event for reply in stream} == {"response"}, stream[-1].message
    return [reply.data for reply in stream]


def refusal(alias: str, **changes: Any) -> str:
    reply = replies(alias, **changes)[-1]
    assert isinstance(reply, Reply)
    assert reply.event == "error"
    return reply.message


def recorded(name: str) -> list[Event]:
    return [json.loads(line) for line in (DIFY_1_16 / f"{name}.ndjson").read_text().splitlines()]


def shape(value: Any, depth: int) -> Any:
    """The keys of an object, and of the objects within it."""
    if isinstance(value, dict) and depth:
        return {key: shape(item, depth - 1) for key, item in value.items() if not key.startswith("sys.")}
    return None


def shapes(stream: list[Event]) -> dict[str, list[Any]]:
    """The shapes of each type of event, without the contents of nodes, which differ from app to app."""
    found: dict[str, list[Any]] = defaultdict(list)
    for event in stream:
        form = shape(event, 3)
        for measured in ("time_to_first_token", "time_to_generate"):  # only Dify may have measured it
            ((form.get("metadata") or {}).get("usage") or {}).pop(measured, None)
        for content in ("inputs", "outputs", "process_data", "execution_metadata", "tool_labels"):
            form.pop(content, None)
            if isinstance(form.get("data"), dict):
                form["data"].pop(content, None)
        if form not in found[event["event"]]:
            found[event["event"]].append(form)
    return found


def names(stream: list[Event]) -> list[str]:
    """The names of the events in order, without repetitions."""
    return [name for name, _ in groupby(event["event"] for event in stream)]


def text_of(stream: list[Event]) -> str:
    return "".join(event.get("answer") or event.get("data", {}).get("text") or "" for event in stream)


@pytest.mark.parametrize("alias", LIKE)
def test_events_have_the_fields_of_the_samples(alias: str) -> None:
    mine, theirs = shapes(events(alias)), shapes(sample(LIKE[alias]))
    theirs |= {"text_chunk": shapes(sample("workflow"))["text_chunk"]} if alias == "fails-late" else {}
    assert mine == theirs


@pytest.mark.parametrize("alias", LIKE)
def test_events_come_in_the_order_of_the_samples(alias: str) -> None:
    mine = names(events(alias))
    if alias == "chatflow":  # the demo app has one more node, which looks something up
        mine[1:3] = []
    if alias == "fails-late":  # the demo app writes text before it fails
        mine.remove("text_chunk")
    assert mine == names(sample(LIKE[alias]))


@pytest.mark.parametrize("alias", ["chatbot", "chatflow", "workflow", "completion", "slow", "fails-late", "human-input"])
def test_a_blocking_answer_has_the_fields_of_the_sample_and_the_text_of_the_stream(alias: str) -> None:
    kind, _, state = LIKE[alias].partition(".")
    expected = json.loads((SAMPLES / ".".join(filter(None, (kind, "blocking", state, "json")))).read_text())
    [answer] = events(alias, response_mode="blocking")
    assert {**answer, "data": None}.keys() == {**expected, "data": None}.keys()
    if kind == "workflow":
        assert answer["data"].keys() == expected["data"].keys()
        assert answer["data"]["status"] == (state or "succeeded")
        assert {type(answer["data"][key]) for key in ("outputs", "total_steps")} == {dict, int}
    else:
        assert answer["metadata"].keys() == expected["metadata"].keys()
        assert answer["metadata"]["usage"].keys() == expected["metadata"]["usage"].keys()
        # The answer counts turns; the stream is the first turn of another conversation.
        assert answer["answer"] == text_of(events(alias))


@pytest.mark.parametrize("alias", ["chatbot", "agent", "fails-midway", "slow"])
def test_a_conversation_goes_on_and_an_unknown_one_is_refused(alias: str) -> None:
    begun = events(alias)[-1]["conversation_id"]
    assert uuid.UUID(begun).version == 4
    again = events(alias, conversation_id=begun)
    assert {event["conversation_id"] for event in again} == {begun}
    assert "2" in text_of(again)
    assert refusal(alias, conversation_id=NEW) == Failure.http(400, "invalid_param", "").text


def test_a_chatflow_begins_a_new_conversation_in_place_of_an_unknown_one() -> None:
    assert events("chatflow", conversation_id=NEW)[-1]["conversation_id"] != NEW


@pytest.mark.parametrize("mode", ["streaming", "blocking"])
def test_the_completion_app_of_today_always_fails(mode: str) -> None:
    failure = Failure.http(500, "unknown", "Internal Server Error").text
    assert refusal("completion-today", inputs={"topic": "rain"}, response_mode=mode) == failure


def test_the_agents_picture_can_be_read() -> None:
    stream = events("agent", query="a <duck>")
    [url] = [event["url"] for event in stream if event["event"] == "message_file"]
    [file] = stream[-1]["files"]
    stored = FILES.find(Path(url.partition("?")[0]).stem)
    assert stored is not None
    assert (file["url"], file["extension"], file["size"]) == (url, ".svg", len(stored.content))
    assert b"a &lt;duck&gt;" in stored.content


def test_the_workflow_summarises_every_kind_of_input() -> None:
    link = {"transfer_method": "remote_url"}
    inputs = {
        "text": "one two three",
        "title": "Counting",
        "tone": "casual",
        "words": "2",
        "loud": "yes",
        "doc": {**link, "type": "document", "url": "https://example.org/a.pdf"},
        "pics": [{**link, "type": "image", "url": f"https://example.org/{name}.png"} for name in "bc"],
        "meta": {"source": "here"},
    }
    form = demo.apps()[demo.IDS["workflow"]].form
    assert isinstance(form, dict)
    controls = ["paragraph", "text-input", "select", "number", "checkbox", "file", "file-list", "json_object"]
    assert [next(iter(item)) for item in form["user_input_form"]] == controls
    assert [about["variable"] for item in form["user_input_form"] for about in item.values()] == [*inputs]
    lines = [
        "ONE TWO … (3 WORDS IN ALL)",
        "title: Counting",
        "tone: casual",
        "doc: a.pdf (document)",
        "pics: b.png (image), c.png (image)",
        'meta: {"source":"here"}',
    ]
    stream = events("workflow", inputs=inputs)
    assert stream[-1]["data"]["outputs"] == {"summary": "\n".join(lines), "words": 3}
    chunks = [event["data"] for event in stream if event["event"] == "text_chunk"]
    assert "".join(chunk["text"] for chunk in chunks) == "\n".join([*lines, "3"])
    assert chunks[-4:] == [
        *[{"text": "", "from_variable_selector": ["llm", "text"]}] * 2,
        {"text": "\n", "from_variable_selector": ["end", "answer"]},
        {"text": "3", "from_variable_selector": ["llm", "words"]},
    ]


def test_outputs_that_no_model_writes_are_written_as_dify_writes_them() -> None:
    stream = recorded("inputs.plugin")
    form = json.loads((DIFY_1_16 / "inputs.parameters.json").read_text())["user_input_form"]
    names_in_order = [about["variable"] for item in form for about in item.values()]
    outputs = stream[-1]["data"]["outputs"]
    flow = Flow(Call(app_id=NEW, query="", inputs={}, response_mode="streaming", conversation_id="", user=""))
    chunks = [
        step for step in flow.outputs(*(((START, name), outputs[name]) for name in names_in_order)) if isinstance(step, dict)
    ]
    their_ids = {"begin": START, "finish": END}
    expected = [event["data"] for event in stream if event["event"] == "text_chunk"]
    for chunk in expected:
        chunk["from_variable_selector"][0] = their_ids[chunk["from_variable_selector"][0]]
    assert [event["data"] for event in chunks] == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (3, "3"),
        (2.5, "2.5"),
        (True, "True"),
        (["A", "B"], "- A\n- B"),
        ([], ""),
        ({"a": {"ä": 1}}, '{\n  "a": {\n    "ä": 1\n  }\n}'),
        (None, ""),
        ({"dify_model_identity": "__dify__file__"}, ""),
        ([{"dify_model_identity": "__dify__file__"}], ""),
    ],
)
def test_a_value_is_written_as_dify_writes_it(value: Any, text: str) -> None:
    assert shown(value) == text


def test_only_the_text_is_required_of_the_workflows_inputs() -> None:
    assert refusal("workflow", inputs={}) == Failure.http(400, "invalid_param", "text is required in input form").text
    outputs = events("workflow")[-1]["data"]["outputs"]
    assert outputs == {"summary": "one two three (3 words in all)\ntone: formal", "words": 3}


def test_the_report_is_a_file() -> None:
    stream = events("report", inputs={"topic": "geese"})
    nodes = ["node_started", "node_finished"]
    assert names(stream) == [
        "workflow_started",
        *nodes,
        "node_started",
        "text_chunk",
        "node_finished",
        *nodes,
        "workflow_finished",
    ]
    assert text_of([event for event in stream if event["event"] == "text_chunk"]) == "", "a file is no text"
    [file] = stream[-1]["data"]["files"]
    events_of_dify = (event for event in sample("rare-events.workflow") if event.get("data", {}).get("files"))
    assert file.keys() == next(events_of_dify)["data"]["files"][0].keys()
    assert (stream[-1]["data"]["outputs"], file["filename"], file["extension"]) == ({"report": file}, "geese.md", ".md")
    stored = FILES.find(file["related_id"])
    assert stored is not None
    assert stored.content.startswith(b"# On geese")


def test_the_app_for_webhooks_tells_what_has_arrived() -> None:
    stream = events("webhook", inputs={"payload": {"action": "opened"}, "headers": '{"x-one":"1"}', "action": "opened"})
    lines = 'payload: {"action":"opened"}\nheaders: {"x-one":"1"}\naction: opened'
    assert stream[-1]["data"]["outputs"] == {"arrived": lines}
    assert text_of([event for event in stream if event["event"] == "text_chunk"]) == lines
    assert events("webhook")[-1]["data"]["outputs"] == {"arrived": "Nothing has arrived."}


def test_the_form_of_a_paused_workflow_is_that_of_the_sample() -> None:
    [mine], [theirs] = (
        [event["data"]["reasons"][0] for event in stream if event["event"] == "workflow_paused"]
        for stream in (events("human-input"), sample("workflow.paused"))
    )
    assert mine.keys() == theirs.keys()


@pytest.mark.parametrize("mode", ["streaming", "blocking"])
def test_one_app_is_refused_before_it_begins(mode: str) -> None:
    text = Failure.http(400, "invalid_param", "Model gpt-4o-mini credentials is not initialized.").text
    assert replies("fails-early", response_mode=mode) == [Reply("error", text)]


def test_one_app_fails_in_the_middle_of_its_answer() -> None:
    stream = events("fails-midway")
    error = next(event for event in sample("rare-events.chat") if event["event"] == "error")
    assert (names(stream), stream[-1].keys()) == (["message", "error"], error.keys())
    assert (stream[-1]["code"], stream[-1]["status"]) == ("rate_limit_error", 429), "the model's plugin names the error"
    text = Failure.http(400, "invalid_param", stream[-1]["message"]).text
    assert refusal("fails-midway", response_mode="blocking") == text


def pauses(alias: str) -> list[float]:
    return [step.seconds for step in replies(alias) if isinstance(step, Pause)]


@pytest.mark.parametrize(
    "alias", [alias for alias in demo.IDS if alias not in {"slow", "ten-minutes", "completion-today", "fails-early"}]
)
def test_a_run_takes_a_few_seconds_at_most(alias: str) -> None:
    changes = {"inputs": {"text": "word " * 100}} if alias == "workflow" else {}
    taken = [step.seconds for step in replies(alias, **changes) if isinstance(step, Pause)]
    assert 0 <= sum(taken) < 4


def test_the_slow_app_is_silent_for_long_and_then_slow() -> None:
    silence, *rest = pauses("slow")
    assert silence == 20
    assert 15 < sum(rest) < 25


def test_one_app_takes_ten_minutes() -> None:
    assert 600 <= sum(pauses("ten-minutes")) < 601


def test_without_pace_nothing_pauses() -> None:
    call = {"app_id": demo.IDS["slow"], "query": "q", "inputs": {}, "response_mode": "streaming"}
    steps = Dify(demo.apps(pace=0), frozenset({"app"}), []).answer("app", call)
    assert {step.seconds for step in steps if isinstance(step, Pause)} == {CREATION_S, 0}


@pytest.mark.parametrize("alias", demo.IDS)
def test_a_form_has_the_keys_of_the_sample(alias: str) -> None:
    form = demo.apps()[demo.IDS[alias]].fetch()
    expected = json.loads((SAMPLES / "fetch_app.chat.json").read_text())
    assert isinstance(form, dict)
    assert form.keys() == expected.keys()
    assert form["user_input_form"]
    for variable in form["user_input_form"]:
        [(control, fields)] = variable.items()
        assert fields.get("type", control) == control
        assert {"label", "variable", "required"} <= fields.keys()


def test_every_app_has_an_alias_in_the_settings() -> None:
    pairs = dict(entry.split("=") for entry in demo.settings()["apps"].split(", "))
    assert pairs == demo.IDS
    assert demo.apps().keys() == set(demo.IDS.values())


def test_apps_can_be_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from devhost.apps import App, say\n"
        "GREETING = 'Hello {query}'\n"
        "def greet(call):\n"
        "    return say(GREETING)(call)\n"
        "APPS = {'hello': App(mode='chat', script=greet), '3F1D0C7A-5B2E-4A90-8C61-7E4F2B9D1A55': App(mode='workflow')}\n"
    )
    loaded = demo.load(path)
    apps = {demo.app_id(name): app for name, app in loaded.items()}
    assert ([*loaded], [*apps][1]) == (["hello", NEW.upper()], NEW)
    assert demo.app_id("hello") == str(uuid.UUID(demo.app_id("hello")))
    call = {"app_id": demo.app_id("hello"), "query": "q", "inputs": {}, "response_mode": "blocking"}
    reply = [*Dify(apps, frozenset({"app"}), []).answer("app", call)][-1]
    assert isinstance(reply, Reply)
    assert reply.data["answer"] == "Hello q"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot load apps from {path}: FileNotFoundError: "),
        ("APPS = [", "cannot load apps from {path}: SyntaxError: "),
        ("1 / 0", "cannot load apps from {path}: ZeroDivisionError: division by zero"),
        ("", "{path} has no APPS, which maps names to apps: "),
        ("APPS = {}", "{path} has no APPS, which maps names to apps: "),
        ("APPS = {'a': 1}", "{path} has no APPS, which maps names to apps: "),
    ],
)
def test_a_file_without_apps_is_refused_with_the_reason(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "mine.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StartError) as raised:
        demo.load(path)
    assert str(raised.value).startswith(message.format(path=path))
