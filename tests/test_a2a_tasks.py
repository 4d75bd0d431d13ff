"""A2A's tasks: every recorded run, whole and streamed, as the SDK's own types take it, and the form of streams."""

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck.dify.parts import Begun
from duck.errors import DuckError
from duck.faces import jsonrpc
from duck.faces.a2a.tasks import Task, Updates
from duck.journal import Entry
from duck.state import State
from duck.streams import pump
from duck.streams.format import Event
from duck.streams.reader import End
from duck.streams.slots import Slots
from tests.a2a_calls import SETTINGS, error, frames, frames_in_pieces, say, task, text_of, updates
from tests.openai_calls import App
from tests.support import KEY, NoSleepClock, body_of, http_error, json_of, sample
from tests.test_openai_streams import AT_ONCE, RECORDINGS, end_of, kind_of, recording
from tests.test_stream import World

NOW = "2026-11-30T12:00:00.000Z"
COMPLETED, FAILED, WORKING = "TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_WORKING"


@pytest.fixture(autouse=True)
def _no_sleep(state: State) -> None:
    state.clock = NoSleepClock()


def name_of(update: Any) -> str:
    [name] = update
    return str(name)


def said_in(found: Any) -> str:
    """The text of a whole task."""
    artifacts = found.get("artifacts", [])
    assert [artifact["artifactId"] for artifact in artifacts] in ([], ["answer"])
    return "".join(part["text"] for artifact in artifacts for part in artifact["parts"])


each_caller = pytest.mark.parametrize("key", [KEY, None], ids=["holder", "guest"])


@pytest.mark.parametrize("name", RECORDINGS)
@each_caller
def test_a_run_as_updates_and_as_a_task(name: str, key: str | None, state: State) -> None:
    dify = recording(name, state)
    fails = isinstance(end_of(name, key), tuple) or name == AT_ONCE
    body = body_of(say(dify, stream=True, key=key))
    found = updates(body)
    whole = task(say(dify, key=key))
    first, last = found[0]["task"], found[-1]["statusUpdate"]
    ids = {(first["id"], first["contextId"])}
    ids |= {(update[name_of(update)]["taskId"], update[name_of(update)]["contextId"]) for update in found[1:]}
    assert len(ids) == 1
    assert (first["status"]["state"], first.get("artifacts")) == (WORKING, None)
    assert [name_of(update) for update in found] == [
        "task", *["artifactUpdate"] * (len(found) - 2), "statusUpdate",
    ]  # fmt: skip
    assert last["status"]["state"] == whole["status"]["state"] == (FAILED if fails else COMPLETED)
    if fails or end_of(name, key) != "content_filter":
        assert text_of(found) == said_in(whole)
    if kind_of(sample(name)) == "chat" and name != AT_ONCE:
        assert whole["contextId"] == first["contextId"]
        assert whole["id"] == first["id"]
    pieces = [update["artifactUpdate"] for update in found[1:-1]]
    assert [piece["append"] for piece in pieces[:1]] in ([], [False])
    assert all(piece["append"] for piece in pieces[1:])
    if fails:
        for status in (last["status"], whole["status"]):
            assert status["message"]["role"] == "ROLE_AGENT"
            assert status["message"]["messageId"]
            [part] = status["message"]["parts"]
            assert part["text"]
        assert (last["status"]["message"]["taskId"], last["status"]["message"]["contextId"]) in ids
        assert last["status"]["message"]["parts"] == whole["status"]["message"]["parts"]
    else:
        assert "message" not in whole["status"]
        told = last["status"].get("message", {}).get("parts", [])
        assert "".join(part["text"] for part in told) == said_in(whole)


@pytest.mark.parametrize("name", ["dify-1.16/moderated.plugin", "dify-1.16/moderated.service"])
def test_text_that_moderation_takes_back_is_not_in_the_last_status(name: str, state: State) -> None:
    *found, last = updates(say(recording(name, state), stream=True))
    [part] = last["statusUpdate"]["status"]["message"]["parts"]
    assert part["text"] == "No such answers." != text_of(found)


def event(name: str = "message", **fields: Any) -> Event:
    return {"event": name, "conversation_id": "c", "message_id": "m", "task_id": "t", **fields}


def said_event(answer: str) -> Event:
    return event(answer=answer)


def writer() -> Updates:
    begun = Task(spare_id="spare", context_id=lambda begun: f"context of {begun.conversation_id}", now=lambda: NOW)
    return Updates(begun, lambda result: jsonrpc.result(1, result))


def artifact(text: str, *, append: bool, **more: Any) -> Any:
    ids = {"taskId": "t", "contextId": "context of c"}
    return {"artifactUpdate": {**ids, "artifact": {"artifactId": "answer", "parts": [{"text": text}]}, "append": append, **more}}


BEGUN = {"task": {"id": "t", "contextId": "context of c", "status": {"state": WORKING, "timestamp": NOW}}}
DONE = {"statusUpdate": {"taskId": "t", "contextId": "context of c", "status": {"state": COMPLETED, "timestamp": NOW}}}


def ended(state: str, message: str, task_id: str = "t", context: str = "context of c") -> Any:
    ids = {"messageId": f"{task_id}-end", "contextId": context, "taskId": task_id}
    status = {"state": state, "message": {**ids, "role": "ROLE_AGENT", "parts": [{"text": message}]}, "timestamp": NOW}
    return {"statusUpdate": {"taskId": task_id, "contextId": context, "status": status}}


def done(text: str) -> Any:
    return ended(COMPLETED, text)


def failed(message: str, *ids: str) -> Any:
    return ended(FAILED, message, *ids)


PICTURE = "![a.png](https://x.example/a.png)"
REPLACED = event("message_replace", answer="No.")
STREAMS: list[tuple[list[Event], list[Any]]] = [
    (
        [said_event("Hi"), said_event(" there")],
        [BEGUN, artifact("Hi", append=False), artifact(" there", append=True), done("Hi there")],
    ),
    ([event("ping"), event("message_end")], [BEGUN, DONE]),
    (
        [event("message_file", type="image", url="https://x.example/a.png")],
        [BEGUN, artifact(PICTURE, append=False), done(PICTURE)],
    ),
    (
        [said_event("Hi"), event("message_file", type="image", url="https://x.example/a.png")],
        [BEGUN, artifact("Hi", append=False), artifact(f"\n\n{PICTURE}", append=True), done(f"Hi\n\n{PICTURE}")],
    ),
    (
        [said_event("Bad"), REPLACED],
        [BEGUN, artifact("Bad", append=False), artifact("\n\nNo.", append=True), done("No.")],
    ),
    (
        [said_event("Bad"), event("message_replace", answer="")],
        [BEGUN, artifact("Bad", append=False), artifact("\n\n", append=True), DONE],
    ),
    ([event("error", message="It broke.", code="x", status=400)], [BEGUN, failed("It broke.")]),
    (
        [said_event("Hi"), event("error", message="It broke.", code="x", status=400), said_event("more")],
        [BEGUN, artifact("Hi", append=False), failed("It broke.")],
    ),
    (
        [{"event": "error", "message": "It broke.", "code": "x", "status": 400}],
        [
            {"task": {"id": "spare", "contextId": "context of ", "status": {"state": WORKING, "timestamp": NOW}}},
            failed("It broke.", "spare", "context of "),
        ],
    ),
]


@pytest.mark.parametrize(("events", "expected"), STREAMS)
def test_a_stream(events: Any, expected: Any) -> None:
    updates_ = writer()
    body = updates_.head() + b"".join(map(updates_.event, events)) + updates_.tail()
    for documents in frames_in_pieces(body):
        assert [document["result"] for document in documents] == expected


def test_a_task_has_the_first_id_that_dify_gives() -> None:
    made = Task(spare_id="spare", context_id=lambda _: "c", now=lambda: NOW)
    begun = [Begun(task_id="t", message_id="m"), Begun(message_id="m", workflow_run_id="r"), Begun(workflow_run_id="r"), Begun()]
    assert [made.ids(each)[0] for each in begun] == ["t", "m", "r", "spare"]


# Failures


FAILURES: list[tuple[Any, str]] = [
    ([http_error(400, "provider_not_initialize", "Model gpt-4o credentials is not initialized.")], "Model gpt-4o credentials"),
    ([http_error(429, "rate_limit_error", "Rate Limit Error: slow down")], "slow down"),
    ([Exception("invocation exited without response after 250000 milliseconds")], "240 seconds"),
    ([*sample("chat")[:2], http_error(500, "unknown", "Internal Server Error")], ""),
    ([*sample("chat")[:2], {**sample("chat")[0], "event": "error", "code": "x", "message": "It broke.", "status": 400}], "broke"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("steps", "told"), FAILURES)
def test_a_run_that_fails_is_a_task_that_says_why(steps: Any, told: str, stream: bool) -> None:
    blocking = http_error(400, "invalid_param", "Agent Chat App does not support blocking mode")
    dify = App("chat", stream=steps, blocking=steps[0] if isinstance(steps[0], Exception) else blocking)
    response = say(dify, stream=stream)
    assert response.status_code == 200
    status = updates(response)[-1]["statusUpdate"]["status"] if stream else task(response)["status"]
    assert status["state"] == FAILED
    assert told in status["message"]["parts"][0]["text"]
    assert len({call["query"] for call in dify.calls}) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_that_fails_before_its_first_event_runs_once(stream: bool) -> None:
    failure = http_error(400, "provider_not_initialize", "Model gpt-4o credentials is not initialized.")
    dify = App("chat", stream=[failure], blocking=failure)
    response = say(dify, stream=stream)
    assert len(dify.calls) == 1
    assert response.content_type == ("text/event-stream" if stream else "application/json")
    if stream:
        first, last = updates(response)
        assert (first["task"]["id"], first["task"]["contextId"]) == (
            last["statusUpdate"]["taskId"],
            last["statusUpdate"]["contextId"],
        )
        assert response.headers["X-Accel-Buffering"] == "no"
    else:
        assert task(response).keys() == {"id", "contextId", "status"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_file_that_cannot_be_uploaded_fails_the_task(stream: bool) -> None:
    form = {"user_input_form": [{"file": {"variable": "doc", "allowed_file_types": ["document"]}}]}
    dify = App("chat", form=form, upload_error=Exception("upload file failed"))
    response = say(dify, "Hi", {"raw": "YSxi", "filename": "a.csv"}, stream=stream)
    status = updates(response)[-1]["statusUpdate"]["status"] if stream else task(response)["status"]
    assert status["state"] == FAILED
    assert dify.calls == []


@pytest.mark.parametrize("stream", [False, True])
def test_guests_do_not_read_difys_own_words(stream: bool) -> None:
    for steps in ([http_error(500, "unknown", "SECRET")], [*sample("chat")[:2], http_error(500, "unknown", "SECRET")]):
        dify = App("chat", stream=steps, blocking=http_error(500, "unknown", "SECRET"))
        assert b"SECRET" not in body_of(say(dify, key=None, stream=stream))


def test_the_text_of_a_run_that_fails_late_is_kept(state: State) -> None:
    broken = [*sample("agent-chat")[:4], {**sample("agent-chat")[0], "event": "error", "code": "x", "message": "It broke."}]
    found = task(say(recording("agent-chat", state, broken)))
    assert said_in(found) == text_of(updates(say(recording("agent-chat", state, broken), stream=True)))
    assert found["status"]["state"] == FAILED


def test_a_failure_that_nobody_expects_fails_the_task_without_its_cause() -> None:
    found = task(say(App("chat", stream=sample("chat"), blocking=ZeroDivisionError("SECRET"))))
    assert found["status"]["state"] == FAILED
    assert "SECRET" not in str(found)


# Silence, on a clock that the test moves


def written(*script: tuple[float, Event | End]) -> list[tuple[float, Any]]:
    """The documents and comments of a stream with their times."""
    return [
        (at, frame if frame.startswith(":") else name_of(frames(f"{frame}\n\n".encode())[0]["result"]))
        for at, chunk in World(*script).written_by(writer())
        for frame in filter(None, chunk.decode().split("\n\n"))
    ]


def test_after_three_seconds_without_a_byte_there_is_a_comment() -> None:
    steps = [(float(second), event("node_started", data={"title": "LLM"})) for second in range(1, 10)]
    assert written((0, said_event("Hi")), *steps, (10, said_event("!")), (12, End())) == [
        (0, "task"), (0, "artifactUpdate"), (3, ": ping"), (6, ": ping"), (9, ": ping"), (10, "artifactUpdate"),
        (12, "statusUpdate"),
    ]  # fmt: skip


def test_twelve_seconds_before_the_first_event_are_four_comments() -> None:
    assert written((12.5, said_event("Hi")), (13, End()))[:6] == [
        (3, ": ping"), (6, ": ping"), (9, ": ping"), (12, ": ping"), (12.5, "task"), (12.5, "artifactUpdate"),
    ]  # fmt: skip


def test_a_failure_after_a_comment_is_a_task_that_has_failed() -> None:
    assert written((4, End(DuckError(502, "x", "It broke.")))) == [(3, ": ping"), (4, "task"), (4, "statusUpdate")]


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["node_started", "message"])), max_size=8), st.integers(0, 20))
def test_no_client_waits_for_longer_than_three_seconds(script: Any, rest: int) -> None:
    now, events = 0.0, []
    for seconds, name in script:
        now += seconds
        events.append((now, event(name, answer="a")))
    world = World(*events, (now + rest, End()))
    body = pump.Pump(world, writer(), Entry(method="POST", route="/a2a/<app_id>"), Slots(1), world).body()
    times = [0.0, *([world.time] if isinstance(body, bytes) else [world.time for chunk in body if chunk])]
    assert all(later - earlier <= 3 for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    ("script", "told"), [([(0, said_event("Hi"))], "240 seconds"), ([(at, said_event("a")) for at in range(700)], "590")]
)
def test_the_pumps_own_errors_fail_the_task(script: Any, told: str) -> None:
    world = World(*((float(at), each) for at, each in script), (1000, End()))
    body = b"".join(chunk for _, chunk in world.written_by(writer()))
    status = frames(body)[-1]["result"]["statusUpdate"]["status"]
    assert status["state"] == FAILED
    assert told in status["message"]["parts"][0]["text"]


def test_a_slow_run_is_answered_as_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Updates, "keep_alive_s", 0.01)

    def slowly() -> Iterator[Any]:
        for each in sample("chat"):
            time.sleep(0.03)
            yield each

    response = say(App("chat", stream=slowly), stream=True)
    assert (response.content_type, response.headers["X-Accel-Buffering"]) == ("text/event-stream", "no")
    body = body_of(response)
    assert body.startswith(b": ping\n\n")
    assert updates(body)[-1]["statusUpdate"]["status"]["state"] == COMPLETED


def test_a_fault_of_a_streamed_request_is_one_document() -> None:
    response = say(App("chat", stream=sample("chat")), "Hi", {"data": {"town": 1}}, stream=True, settings=SETTINGS)
    assert error(response)[1] == -32602
    assert json_of(response)["error"]["message"].startswith("data.town: ")
