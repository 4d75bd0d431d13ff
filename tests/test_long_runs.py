"""Runs whose answers are fetched later, through a Service API that plays a script."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from werkzeug import Response

from duck import limits
from duck import state as states
from duck.faces.api import serve
from duck.state import State
from duck.streams.slots import Slots
from tests.api import SECRET, SETTINGS, Api, refused, sse
from tests.support import APP, KEY, Dify, NoSleepClock, body_of, call, json_of, make_request, recorded, sample

CONVERSATION, MESSAGE = "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901", "a41c2e7b-5d0f-4b8e-9c33-1f6a7d2b9e04"
RUN = "5b2f6c1d-0e9a-4f37-8a6b-7c4d3e2f1a00"
CHAT_ID = f"{CONVERSATION}.{MESSAGE}"
PUBLIC = {**SETTINGS, "public_apps": APP}
LATER = {"Prefer": "respond-async, wait=5"}
DETAILS = f"/workflows/run/{RUN}"
EVENTS = f"/workflow/{RUN}/events"
ENDPOINT = Dify()  # the session of all requests
NO_RUN = refused(404, "not_found", "Workflow run not found")


def begin(kind: Any = "chat", **options: Any) -> Response:
    body = {"query": "hi"} if kind == "chat" else {}
    return call(ENDPOINT, kind, **{"settings": SETTINGS, "json": body, "headers": LATER, **options})


def fetch(run_id: str = RUN, query: str = "", *, settings: Any = SETTINGS, **options: Any) -> Response:
    request = make_request("GET", f"/runs/{APP}/{run_id}", **{"query_string": query, **options})
    return serve.run(request, APP, run_id, settings, ENDPOINT.gateway())


def error_of(response: Response) -> tuple[int, str]:
    document = json_of(response)
    assert document["status"] == response.status_code
    return response.status_code, document["code"]


def details(status: str, **fields: Any) -> dict[str, Any]:
    """A workflow's run, as Dify describes it later."""
    about = {"id": RUN, "workflow_id": "w", "status": status, "inputs": "{}", "outputs": {"text": "Fine"}, "error": None}
    numbers = {"total_steps": 3, "total_tokens": 7, "created_at": 1784000000, "finished_at": 1784000009, "elapsed_time": 9.1}
    return {**about, **numbers, **fields}


def message(**fields: Any) -> dict[str, Any]:
    """A chat's message, as Dify describes it later."""
    about = {"id": MESSAGE, "conversation_id": CONVERSATION, "query": "hi", "answer": "Hello", "status": "normal", "error": None}
    numbers = {"message_tokens": 5, "answer_tokens": 2, "total_tokens": 7, "total_price": "0.1", "currency": "USD"}
    files = [{"id": "f1", "belongs_to": "user"}, {"id": "f2", "belongs_to": "assistant"}]
    return {**about, **numbers, "message_files": files, "agent_thoughts": [], "created_at": 1784000000, **fields}


def page(*messages: Any, has_more: bool = False) -> dict[str, Any]:
    return {"limit": 100, "has_more": has_more, "data": list(messages)}


class Slow:
    """A stream whose rest comes once the test lets it: after its first event."""

    def __init__(self, events: list[Any], error: Exception | None = None) -> None:
        self.events, self.error, self.go_on = events, error, threading.Event()

    def __call__(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=self._content())

    def _content(self) -> Iterator[bytes]:
        yield sse(self.events[0]).content
        assert self.go_on.wait(60)
        if self.error:
            raise self.error
        yield sse(*self.events[1:]).content

    def end(self, state: State) -> None:
        """Lets the run end."""
        self.go_on.set()
        wait_for_runs(state)


def wait_for_runs(state: State) -> None:
    """Waits until no run has a slot."""
    deadline = time.monotonic() + 60
    while len(state.slots) and time.monotonic() < deadline:
        time.sleep(0.005)


def app_of(api: Api, mode: str) -> None:
    api.answers["/info"] = {"name": "x", "mode": mode}


# The start


@pytest.mark.parametrize(
    ("kind", "name", "run_id", "ids"),
    [
        ("workflow", "workflow", RUN, {"workflow_run_id": RUN}),
        ("chat", "chat", CHAT_ID, {"conversation_id": CONVERSATION, "message_id": MESSAGE}),
        ("chat", "agent-chat", CHAT_ID, {"conversation_id": CONVERSATION, "message_id": MESSAGE}),
        (
            "chat",
            "advanced-chat",
            f"{CHAT_ID}.{RUN}",
            {"conversation_id": CONVERSATION, "message_id": MESSAGE, "workflow_run_id": RUN},
        ),
        ("completion", "completion", MESSAGE, {"message_id": MESSAGE}),
    ],
)
def test_a_run_is_accepted_after_its_first_event(api: Api, kind: Any, name: str, run_id: str, ids: Any) -> None:
    path = {"chat": "/chat-messages", "workflow": "/workflows/run", "completion": "/completion-messages"}[kind]
    api.answers[path] = lambda _: sse(*sample(name))
    response = begin(kind, json={"response_mode": "blocking", **({"query": "hi"} if kind == "chat" else {})})
    url = f"../runs/{APP}/{run_id}"
    assert response.status_code == 202
    task = "0f3c9d52-7a41-4c1e-9b7e-3a1d5e2f8c10"
    assert json_of(response) == {"status": "running", "run_id": run_id, "url": url, **ids, "task_id": task}
    assert response.headers["Location"] == url
    assert response.headers["Retry-After"] == "2"
    assert response.headers["Preference-Applied"] == "respond-async"
    assert [body["response_mode"] for body in api.bodies(path)] == ["streaming"]


@pytest.mark.usefixtures("api")
def test_the_address_is_absolute_if_the_owner_has_set_the_endpoints() -> None:
    response = begin("workflow", settings={**SETTINGS, "public_url": "https://duck.example:8443/e/abc"})
    assert response.headers["Location"] == f"https://duck.example:8443/e/abc/runs/{APP}/{RUN}"
    assert json_of(response)["url"] == response.headers["Location"]


@pytest.mark.parametrize("prefer", ["return=minimal", "wait=5", ""])
def test_other_preferences_change_nothing(api: Api, prefer: str) -> None:
    api.answers["/chat-messages"] = recorded("chat.blocking")
    assert begin(headers={"Prefer": prefer}).status_code == 200


@pytest.mark.usefixtures("api")
def test_a_browser_gets_its_page() -> None:
    assert begin(headers={**LATER, "Accept": "text/html"}).status_code == 200


def test_without_the_apps_own_key_there_is_no_later(api: Api) -> None:
    settings = {**PUBLIC, "app_keys": ""}
    response = begin(settings=settings)
    assert error_of(response) == (400, "async_unavailable")
    assert "App keys (app_keys)" in json_of(response)["message"]
    assert json_of(begin(settings=settings, key=None))["message"] == "Runs of this app cannot be fetched later."
    assert error_of(fetch(settings=settings)) == (400, "async_unavailable")
    assert api.requests == []


def test_a_run_that_fails_at_once_is_not_accepted(api: Api) -> None:
    api.answers["/chat-messages"] = refused(400, "provider_not_initialize", "No model")
    assert error_of(begin())[0] == 502
    api.answers["/chat-messages"] = sse({"event": "error", "code": "x", "status": 400, "message": "No model"})
    assert error_of(begin())[0] == 502


def test_a_run_is_checked_as_any_other(api: Api) -> None:
    app_of(api, "workflow")
    api.answers["/parameters"] = {"user_input_form": [{"text-input": {"variable": "a", "label": "A", "required": True}}]}
    assert error_of(begin("workflow")) == (400, "invalid_param")
    elsewhere = {**LATER, "Sec-Fetch-Site": "cross-site"}
    assert error_of(begin(settings=PUBLIC, key=None, headers=elsewhere)) == (403, "forbidden")


def test_all_slots_can_be_taken(api: Api, state: State) -> None:
    state.slots = Slots(limit=1)
    api.answers["/chat-messages"] = slow = Slow(sample("chat"))
    assert begin().status_code == 202
    assert error_of(begin()) == (503, "overloaded")
    slow.end(state)


@pytest.mark.parametrize(("mode", "status"), [("chat", 400), ("agent-chat", 400), ("advanced-chat", 202), ("workflow", 202)])
def test_a_function_begins_only_what_goes_on_without_it(api: Api, state: State, mode: str, status: int) -> None:
    state.run_s = limits.SERVERLESS_RUN_S
    app_of(api, mode)
    kind = "workflow" if mode == "workflow" else "chat"
    api.answers["/chat-messages"] = lambda _: sse(*sample(mode))
    response = begin(kind)
    assert response.status_code == status
    if status == 400:
        assert "Prefer: respond-async" in json_of(response)["message"]


# Workflows


def test_a_workflow_goes_on_without_duck(api: Api, state: State) -> None:
    api.answers["/workflows/run"] = slow = Slow(sample("workflow"))
    begin("workflow")
    wait_for_runs(state)
    assert len(state.slots) == 0, "it is not read on"
    slow.end(state)


@pytest.mark.parametrize("seconds", [0, 100, 300, 5000])
def test_a_caller_is_told_when_to_ask_again(api: Api, seconds: int) -> None:
    app_of(api, "workflow")
    api.answers |= {DETAILS: details("running", created_at=time.time() - seconds), EVENTS: sse(*sample("workflow"))}
    response = fetch()
    assert response.status_code == 202
    assert json_of(response) == {
        "status": "running",
        "run_id": RUN,
        "url": f"../../runs/{APP}/{RUN}",
        "workflow_run_id": RUN,
    }
    assert response.headers["Location"] == f"../../runs/{APP}/{RUN}"
    assert int(response.headers["Retry-After"]) in {0: {2}, 100: {10, 11}, 300: {30, 31}, 5000: {60}}[seconds]
    assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize(
    ("status", "error"), [("succeeded", None), ("failed", "It broke"), ("stopped", None), ("partial-succeeded", None)]
)
def test_a_workflow_that_is_over_gives_the_blocking_answer(api: Api, status: str, error: str | None) -> None:
    app_of(api, "workflow")
    api.answers |= {DETAILS: details(status, error=error), EVENTS: sse(sample("workflow")[-1])}
    response = fetch()
    assert response.status_code == 200
    assert json_of(response).keys() == recorded("workflow.blocking").keys()
    data = json_of(response)["data"]
    assert data.keys() == recorded("workflow.blocking")["data"].keys()
    assert (data["status"], data["error"], data["outputs"]) == (status, error, {"text": "Fine"})


def test_outputs_may_be_written_as_text(api: Api) -> None:
    app_of(api, "workflow")
    api.answers[EVENTS] = lambda _: sse(sample("workflow")[-1])
    for outputs, read in (('{"a": 1}', {"a": 1}), ("{", {}), (None, {})):
        api.answers[DETAILS] = details("succeeded", outputs=outputs)
        assert json_of(fetch())["data"]["outputs"] == read


@pytest.mark.parametrize(
    "answers",
    [
        {DETAILS: refused(404, "not_found", "Workflow run not found."), EVENTS: NO_RUN},
        {DETAILS: details("succeeded"), EVENTS: NO_RUN},  # another user's
        {DETAILS: details("paused"), EVENTS: NO_RUN},
        {DETAILS: refused(400, "not_workflow_app", "Please check"), EVENTS: NO_RUN},
    ],
)
@pytest.mark.parametrize("style", ["json", "ndjson"])
def test_another_users_run_is_not_found(api: Api, answers: Any, style: str) -> None:
    app_of(api, "workflow")
    api.answers |= answers
    assert error_of(fetch(query=f"format={style}&user=bob")) == (404, "not_found")
    assert {request.url.params["user"] for request in api.requests if "run" in request.url.path} == {"bob"}


@pytest.mark.parametrize("run_id", ["x", "1", RUN[:-1], f"{RUN}.{RUN}", f"{RUN}-", "." * 3, "a" * 5000, RUN.replace("-", "")])
def test_what_is_no_id_is_not_found(api: Api, run_id: str) -> None:
    app_of(api, "workflow")
    assert error_of(fetch(run_id)) == (404, "not_found")
    assert api.paths() == ["/info"]


def test_a_completion_has_no_run_of_a_workflow(api: Api) -> None:
    app_of(api, "completion")
    assert error_of(fetch(CHAT_ID)) == (404, "not_found")


def test_an_older_dify_cannot_tell_whose_run_it_is(api: Api) -> None:
    app_of(api, "workflow")
    unknown = "The requested URL was not found on the server. If you entered the URL manually please check your spelling."
    api.answers |= {DETAILS: details("succeeded"), EVENTS: refused(404, "not_found", unknown)}
    assert fetch().status_code == 200


def test_a_dify_that_fails_is_no_missing_run(api: Api) -> None:
    app_of(api, "workflow")
    api.answers |= {DETAILS: details("paused"), EVENTS: refused(500, "internal_server_error", "x")}
    assert (fetch().status_code, json_of(fetch())["status"]) == (202, "paused")
    api.answers[DETAILS] = refused(500, "internal_server_error", "x")
    assert fetch().status_code == 502
    api.broken = True
    assert error_of(fetch())[0] == 502


def test_an_app_that_does_not_say_what_it_is_cannot_be_asked(api: Api) -> None:
    api.answers["/info"] = {"name": "x"}
    assert error_of(fetch()) == (502, "app_unavailable")


def test_head_asks_nothing(api: Api) -> None:
    request = make_request("HEAD", f"/runs/{APP}/{RUN}")
    assert serve.run(request, APP, RUN, SETTINGS, Dify().gateway()).status_code == 200
    assert api.requests == []


# Chats


def test_a_chat_is_read_to_its_end_after_its_caller_has_gone(api: Api, state: State) -> None:
    api.answers["/chat-messages"] = slow = Slow(sample("chat"))
    assert begin(json={"query": "hi", "user": "ann"}).status_code == 202
    running = fetch(CHAT_ID, "user=ann")
    assert (running.status_code, json_of(running)["status"], len(state.slots)) == (202, "running", 1)
    api.answers["/messages"] = page(message(answer=""))
    assert error_of(fetch(CHAT_ID)) == (410, "run_lost"), "another user's run is not known"
    slow.end(state)
    api.answers["/messages"] = page(message(), message(id="another"))
    response = fetch(CHAT_ID, "user=ann")
    assert response.status_code == 200
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "total_price": "0.1", "currency": "USD"}
    assert json_of(response) == {
        "event": "message",
        "task_id": MESSAGE,
        "id": MESSAGE,
        "message_id": MESSAGE,
        "conversation_id": CONVERSATION,
        "mode": "chat",
        "answer": "Hello",
        "metadata": {"usage": {**usage, "latency": None}, "retriever_resources": []},
        "created_at": 1784000000,
        "files": [{"id": "f2", "belongs_to": "assistant"}],
    }
    assert [request.url.params["user"] for request in api.requests if request.url.path == "/v1/messages"][-1] == "ann"
    assert len(api.bodies("/chat-messages")) == 1


def test_an_agents_answer_has_its_thoughts(api: Api) -> None:
    app_of(api, "agent-chat")
    api.answers["/messages"] = page(message(agent_thoughts=[{"id": "t1"}]))
    found = json_of(fetch(CHAT_ID))
    assert (found["mode"], found["agent_thoughts"]) == ("agent-chat", [{"id": "t1"}])


def test_a_chat_that_has_failed_says_so_with_its_status(api: Api) -> None:
    api.answers["/messages"] = page(message(answer="", status="error", error="[models] Rate Limit Error, too many"))
    assert error_of(fetch(CHAT_ID)) == (429, "rate_limit_error")
    api.answers["/messages"] = page(message(answer="", status="error", error="It broke"))
    assert error_of(fetch(CHAT_ID)) == (502, "completion_request_error")
    assert "It broke" in json_of(fetch(CHAT_ID))["message"]
    assert "It broke" not in json_of(fetch(CHAT_ID, settings=PUBLIC, key=None))["message"]


def test_another_process_knows_what_dify_has_stored_and_nothing_else(api: Api, state: State) -> None:
    api.answers["/chat-messages"] = slow = Slow(sample("chat"))
    begin()
    restarted = State()
    restarted.memory.http = state.memory.http
    states.use(restarted)
    api.answers["/messages"] = page(message(answer=""))
    assert error_of(fetch(CHAT_ID)) == (410, "run_lost")
    api.answers["/messages"] = page(message())
    assert json_of(fetch(CHAT_ID))["answer"] == "Hello"
    slow.end(state)


@pytest.mark.parametrize("answer", [refused(404, "not_found", "Conversation Not Exists."), page(), page(message(id="x"))])
def test_another_users_message_is_not_found(api: Api, answer: Any) -> None:
    api.answers["/messages"] = answer
    assert error_of(fetch(CHAT_ID)) == (404, "not_found")


def test_a_message_is_found_on_an_earlier_page(api: Api) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("first_id") == "old":
            return httpx.Response(200, json=page(message()))
        newer = [message(id="old", created_at=1), message(id="new", created_at=2)]
        return httpx.Response(200, json=page(*newer, has_more=True))

    api.answers["/messages"] = answer
    assert json_of(fetch(CHAT_ID.upper()))["answer"] == "Hello"
    api.answers["/messages"] = page(message(id="x"), has_more=True)
    assert error_of(fetch(CHAT_ID.upper())) == (404, "not_found"), "the pages have an end"
    assert len(api.requests) < 20


# Chatflows


def test_a_chatflow_gives_its_message_once_its_run_is_over(api: Api) -> None:
    app_of(api, "advanced-chat")
    api.answers |= {DETAILS: details("running"), EVENTS: lambda _: sse(sample("advanced-chat")[0])}
    assert fetch(f"{CHAT_ID}.{RUN}").status_code == 202
    api.answers |= {DETAILS: details("succeeded", outputs={"answer": "From outputs"}), "/messages": page(message())}
    found = json_of(fetch(f"{CHAT_ID}.{RUN}"))
    assert (found["answer"], found["mode"], found["conversation_id"]) == ("Hello", "advanced-chat", CONVERSATION)
    api.answers["/messages"] = page(message(answer=""))
    assert json_of(fetch(f"{CHAT_ID}.{RUN}"))["answer"] == "From outputs"
    found = json_of(fetch(RUN))
    assert (found["answer"], found["workflow_run_id"], found["task_id"]) == ("From outputs", RUN, RUN)


def test_a_chatflow_that_has_failed_or_was_stopped(api: Api) -> None:
    app_of(api, "advanced-chat")
    api.answers |= {DETAILS: details("failed", error="It broke"), EVENTS: lambda _: sse(sample("advanced-chat")[0])}
    assert error_of(fetch(RUN)) == (502, "completion_request_error")
    assert json_of(fetch(RUN))["message"] == "Run failed: It broke"
    api.answers[DETAILS] = details("failed", error="Aborted: User requested stop", outputs={})
    assert (fetch(RUN).status_code, json_of(fetch(RUN))["answer"]) == (200, "")


# Text generators, whose answers Dify does not keep


def test_a_completions_answer_is_kept_for_its_user(api: Api, state: State) -> None:
    app_of(api, "completion")
    api.answers["/completion-messages"] = slow = Slow(sample("completion"))
    begin("completion")
    assert fetch(MESSAGE).status_code == 202
    slow.end(state)
    answer = json_of(fetch(MESSAGE))
    assert answer["answer"] == recorded("completion.blocking")["answer"]
    assert error_of(fetch(MESSAGE, "user=ann")) == (410, "run_lost")


@pytest.mark.parametrize(
    ("rest", "error", "expected"),
    [
        ([{"event": "error", "code": "x", "status": 400, "message": "It broke"}], None, (502, "x")),
        ([], None, (502, "stream_interrupted")),
        ([], httpx.ReadError(""), (502, "stream_interrupted")),
    ],
)
def test_a_completion_that_fails_says_so_later(api: Api, state: State, rest: Any, error: Any, expected: Any) -> None:
    app_of(api, "completion")
    api.answers["/completion-messages"] = slow = Slow([sample("completion")[0], *rest], error)
    begin("completion")
    slow.end(state)
    assert error_of(fetch(MESSAGE)) == expected
    assert error_of(fetch(MESSAGE)) == expected


def test_only_the_latest_answers_are_kept(api: Api, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_OUTCOMES", 1)
    app_of(api, "completion")
    for message_id in (MESSAGE, CONVERSATION):
        events = [{**event, "message_id": message_id} for event in sample("completion")]
        api.answers["/completion-messages"] = slow = Slow(events)
        begin("completion")
        slow.end(state)
    assert error_of(fetch(MESSAGE)) == (410, "run_lost")
    assert fetch(CONVERSATION).status_code == 200


# Guests


def test_guests_fetch_what_guests_see(api: Api) -> None:
    app_of(api, "workflow")
    assert begin("workflow", settings=PUBLIC, key=None).status_code == 202
    api.answers |= {DETAILS: details("failed", error="SECRET"), EVENTS: lambda _: sse(sample("workflow")[-1])}
    response = fetch(settings=PUBLIC, key=None)
    assert response.status_code == 200
    assert b"SECRET" not in body_of(response)
    assert {request.url.params["user"] for request in api.requests if request.url.path.endswith("/events")} == {"public"}
    api.answers[DETAILS] = details("paused")
    assert fetch(query="user=ann", settings=PUBLIC, key=None).status_code == 202
    assert api.requests[-1].url.params["user"] == "public"


def test_guests_questions_count(api: Api) -> None:
    app_of(api, "workflow")
    api.answers |= {DETAILS: details("succeeded"), EVENTS: lambda _: sse(sample("workflow")[-1])}
    settings = {**PUBLIC, "public_rate": "1"}
    assert [fetch(settings=settings, key=None).status_code for _ in range(2)] == [200, 429]


def test_a_guest_has_no_run_of_an_app_that_is_not_public(api: Api) -> None:
    assert error_of(fetch(key=None)) == (401, "unauthorized")
    assert api.requests == []


# As a stream


def lines(response: Response) -> list[Any]:
    return [json.loads(line) for line in body_of(response).splitlines()]


def test_a_running_workflow_streams_its_further_events(api: Api) -> None:
    app_of(api, "workflow")
    api.answers |= {DETAILS: details("running"), EVENTS: lambda _: sse(*sample("workflow")[3:])}
    response = fetch(query="format=ndjson")
    assert response.headers["Content-Type"] == "application/x-ndjson"
    assert lines(response) == sample("workflow")[3:]
    assert "include_state_snapshot" not in api.requests[-1].url.params
    assert b"data: " in body_of(fetch(query="format=sse"))


def test_a_chatflow_that_fails_streams_an_error(api: Api) -> None:
    app_of(api, "advanced-chat")
    stream = [event for event in sample("advanced-chat.failed") if event["event"] != "error"]
    api.answers |= {DETAILS: details("running"), EVENTS: lambda _: sse(*stream)}
    assert lines(fetch(query="format=ndjson"))[-1]["event"] == "error"


def test_guests_see_less_of_the_stream(api: Api) -> None:
    app_of(api, "workflow")
    api.answers |= {DETAILS: details("running"), EVENTS: lambda _: sse(*sample("workflow"))}
    shown = fetch(query="format=ndjson", settings=PUBLIC, key=None)
    assert b"process_data" not in body_of(shown)


def test_a_run_that_is_over_streams_its_closing_events(api: Api) -> None:
    app_of(api, "workflow")
    api.answers |= {DETAILS: details("succeeded"), EVENTS: lambda _: sse(sample("workflow")[-1])}
    assert [event["event"] for event in lines(fetch(query="format=ndjson"))] == ["workflow_finished"]
    assert body_of(fetch(query="format=text")) == b"Fine\n"
    app_of(api, "chat")
    api.answers["/messages"] = page(message())


def test_a_chat_streams_its_answer_once_it_is_there(api: Api, state: State) -> None:
    class Clock(NoSleepClock):
        def sleep(self, seconds: float) -> None:
            if seconds == limits.POLL_S:
                slow.end(state)

    api.answers |= {"/chat-messages": (slow := Slow(sample("chat"))), "/messages": page(message())}
    begin()
    reading = State(clock=Clock())
    reading.memory = state.memory
    states.use(reading)
    assert body_of(fetch(CHAT_ID, "format=text")) == b"Hello\n"


def test_a_stream_that_an_older_dify_does_not_have_is_waited_for(api: Api) -> None:
    class Clock(NoSleepClock):
        def sleep(self, seconds: float) -> None:
            if seconds == limits.POLL_S:
                api.answers[DETAILS] = details("succeeded")

    states.current().clock = Clock()
    app_of(api, "workflow")
    api.answers |= {DETAILS: details("running"), EVENTS: refused(404, "not_found", "The requested URL was not found on")}
    assert body_of(fetch(query="format=text")) == b"Fine\n"


def test_the_keys_are_not_told(api: Api) -> None:
    app_of(api, "workflow")
    api.answers |= {DETAILS: details("running"), EVENTS: lambda _: sse(sample("workflow")[0])}
    said = f"{body_of(fetch())!r} {fetch().headers} {body_of(begin('workflow'))!r}"
    assert SECRET not in said
    assert KEY not in said
