"""The demo apps against Dify's own events: the same fields, the same order, and blocking answers that fit."""

import json
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from devhost import App, Call, Failure, demo
from devhost.apps import Event, Pause

SAMPLES = Path(__file__).parent.parent / "samples"
APPS = demo.apps()
NEW = "3f1d0c7a-5b2e-4a90-8c61-7e4f2b9d1a55"
STREAMING = ["chatbot", "agent", "chatflow", "workflow", "completion"]
BLOCKING = ["chatbot", "chatflow", "workflow", "completion"]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def app(alias: str) -> App:
    return APPS[demo.IDS[alias]]


def call(
    alias: str, *, query: str = "What is a duck?", mode: str = "streaming", conversation_id: str = "", **inputs: Any
) -> Call:
    return Call(app_id=demo.IDS[alias], query=query, inputs=inputs, response_mode=mode, conversation_id=conversation_id, user="")


def events(alias: str, **changes: Any) -> list[Event]:
    return [step for step in app(alias).steps(call(alias, **changes)) if isinstance(step, dict)]


def sample(mode: str) -> list[Event]:
    return [json.loads(line) for line in (SAMPLES / f"{mode}.ndjson").read_text().splitlines()]


def shape(value: Any, depth: int) -> Any:
    """The keys of an object and of those within it."""
    if isinstance(value, dict) and depth:
        return {key: shape(item, depth - 1) for key, item in value.items() if not key.startswith("sys.")}
    return None


def shapes(stream: list[Event]) -> dict[str, list[Any]]:
    """The shapes of each kind of event, without the contents of a node, which are the app's own."""
    found: dict[str, list[Any]] = defaultdict(list)
    for event in stream:
        form = shape(event, 3)
        for content in ("inputs", "outputs", "process_data", "execution_metadata", "tool_labels"):
            form.pop(content, None)
            if isinstance(form.get("data"), dict):
                form["data"].pop(content, None)
        if form not in found[event["event"]]:
            found[event["event"]].append(form)
    return found


@pytest.mark.parametrize("alias", STREAMING)
def test_events_have_the_fields_of_the_samples(alias: str) -> None:
    assert shapes(events(alias)) == shapes(sample(app(alias).mode))


@pytest.mark.parametrize("alias", STREAMING)
def test_events_come_in_the_order_of_the_samples(alias: str) -> None:
    def kinds(stream: list[Event]) -> list[str]:
        names = [event["event"] for event in stream]
        return [name for index, name in enumerate(names) if names[index - 1 : index] != [name]]

    mine, theirs = kinds(events(alias)), kinds(sample(app(alias).mode))
    if alias == "chatflow":  # it has one node more: it looks something up
        mine[1:3] = []
    assert mine == theirs


@pytest.mark.parametrize("alias", BLOCKING)
def test_a_blocking_answer_has_the_fields_of_the_sample_and_the_text_of_the_stream(alias: str) -> None:
    answer = app(alias).answer(call(alias, mode="blocking", text="one two three", topic="rain"))
    expected = json.loads((SAMPLES / f"{app(alias).mode}.blocking.json").read_text())
    assert isinstance(answer, dict)
    assert {**answer, "data": None}.keys() == {**expected, "data": None}.keys()
    if alias == "workflow":
        assert answer["data"].keys() == expected["data"].keys()
        assert answer["data"]["outputs"] == {"summary": "one two three (3 words in all)", "words": 3}
    else:
        assert answer["metadata"].keys() == expected["metadata"].keys()
        assert ("rain" if alias == "completion" else "What is a duck?") in answer["answer"]


@pytest.mark.parametrize("alias", ["chatbot", "agent"])
def test_a_conversation_goes_on_and_an_unknown_one_is_refused(alias: str) -> None:
    begun = events(alias)[-1]["conversation_id"]
    assert uuid.UUID(begun).version == 4
    assert {event["conversation_id"] for event in events(alias, conversation_id=begun)} == {begun}
    assert [*app(alias).steps(call(alias, conversation_id=NEW))] == [Failure.http(400, "invalid_param", "")]


def test_a_chatflow_begins_a_new_conversation_in_place_of_an_unknown_one() -> None:
    assert events("chatflow", conversation_id=NEW)[-1]["conversation_id"] != NEW


def test_the_completion_app_of_today_always_fails() -> None:
    failure = Failure.http(500, "unknown", "Internal Server Error")
    assert [*app("completion-today").steps(call("completion-today"))] == [failure]
    assert app("completion-today").answer(call("completion-today", mode="blocking")) == failure


@pytest.mark.parametrize("alias", STREAMING)
def test_a_run_takes_a_few_seconds_at_most(alias: str) -> None:
    pauses = [step.seconds for step in app(alias).steps(call(alias, text="word " * 100)) if isinstance(step, Pause)]
    assert 0.3 < sum(pauses) < 4


@pytest.mark.parametrize("alias", demo.IDS)
def test_a_form_has_the_keys_of_the_sample(alias: str) -> None:
    form = app(alias).fetch()
    expected = json.loads((SAMPLES / "fetch_app.chat.json").read_text())
    assert isinstance(form, dict)
    assert form.keys() == expected.keys()
    assert form["user_input_form"]
    for variable in form["user_input_form"]:
        [(control, fields)] = variable.items()
        assert fields.get("type", control) == control
        assert {"label", "variable", "required"} <= fields.keys()
