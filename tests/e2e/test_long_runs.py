"""Runs whose answers are fetched later, and forms that people fill in, in the real plugin and behind a proxy that hangs up."""

import json
import logging
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from devhost import App, Call, Devhost, Pause, demo
from devhost.apps import Message, Step
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, ROOT, Duck, eventually
from tests.support import KEY

LATER = {"Prefer": "respond-async"}
TEN_MINUTES_S = 600
ANSWER = "After ten minutes: Duck"
PROXY_S = 30  # after which a proxy hangs up


def settings(host: Devhost) -> dict[str, Any]:
    keys = ", ".join(f"{app_id}={key}" for key, app_id in demo.app_keys().items())
    return demo.settings() | {"api_key": KEY, "service_api_url": host.api_url, "app_keys": keys}


@pytest.fixture(scope="module")
def duck(local: Duck) -> Iterator[Duck]:
    """Duck with the demo's apps, each of which is reached by its own key. Only one of them takes its time."""
    slow = demo.app_keys()["app-demo-ten-minutes"]
    local.host.apps.update(demo.apps(pace=0) | {slow: demo.apps()[slow]})
    local.host.app_keys |= demo.app_keys()
    with patch.dict(local.host.settings, settings(local.host)):
        yield local


@pytest.fixture(scope="module")
def other() -> Iterator[tuple[Devhost, httpx.Client]]:
    """A second process of Duck, behind a daemon of its own."""
    with (
        Devhost(ROOT, settings={"api_key": KEY}, limits=LIMITS) as host,
        httpx.Client(base_url=host.url, headers=AUTHORIZED, timeout=DEADLINE_S) as client,
    ):
        yield host, client


def begun(duck: Duck, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    response = duck.client.post(path, json=body, headers={**LATER, **headers})
    assert response.status_code == 202, response.text
    assert response.headers["Preference-Applied"] == "respond-async"
    return response


def address(response: httpx.Response) -> str:
    """The address at which to ask again, as a client resolves it."""
    return str(response.url.join(response.headers["Location"]))


def fetched(client: httpx.Client, url: str) -> httpx.Response:
    """The answer of a run, once it is over."""
    found: list[httpx.Response] = []

    def is_over() -> bool:
        found[:] = [client.get(url)]
        return found[0].status_code != 202

    assert eventually(is_over)
    return found[0]


def names(response: httpx.Response) -> list[str]:
    return [json.loads(line)["event"] for line in response.text.splitlines()]


# Long runs


def test_a_workflow_of_ten_minutes_is_fetched_whole_from_another_process(duck: Duck, other: tuple[Devhost, httpx.Client]) -> None:
    runs = len(duck.host.calls)
    with httpx.Client(base_url=duck.host.url, headers=AUTHORIZED, timeout=PROXY_S) as proxy:  # and its connection is closed
        response = proxy.post("/workflow/ten-minutes", json={"inputs": {"text": "Duck"}}, headers=LATER)
    assert response.status_code == 202
    first = duck.client.get(address(response))
    assert (first.status_code, first.json()["status"]) == (202, "running")
    duck.host.timeline.advance(TEN_MINUTES_S / 2)
    assert duck.client.get(address(response)).status_code == 202
    assert int(duck.client.get(address(response)).headers["Retry-After"]) >= int(first.headers["Retry-After"])
    duck.host.timeline.advance(TEN_MINUTES_S / 2 + 1)
    host, client = other
    with patch.dict(host.settings, settings(duck.host)):
        path = address(response).removeprefix(duck.host.url)
        found = fetched(client, path)
    assert found.status_code == 200
    assert found.json()["data"]["outputs"] == {"text": ANSWER}
    assert found.json()["data"]["status"] == "succeeded"
    assert found.json()["workflow_run_id"] == response.json()["workflow_run_id"]
    assert len(duck.host.calls) == runs + 1, "it was run once"


def test_the_rest_of_a_workflow_of_ten_minutes_is_streamed(duck: Duck) -> None:
    url = address(begun(duck, "/workflow/ten-minutes", {"inputs": {"text": "Duck"}}))
    with duck.client.stream("GET", url, params={"format": "ndjson"}) as response:
        lines = response.iter_lines()
        duck.host.timeline.advance(TEN_MINUTES_S + 1)
        events = [json.loads(line) for line in lines]
    assert events[-1]["event"] == "workflow_finished"
    assert events[-1]["data"]["outputs"] == {"text": ANSWER}
    assert duck.client.get(url, params={"format": "text"}).text == f"{ANSWER}\n"


def test_a_long_run_can_be_stopped(duck: Duck) -> None:
    response = begun(duck, "/workflow/ten-minutes", {"inputs": {"text": "Duck"}})
    stopped = duck.client.post("/stop/ten-minutes", json={"task_id": response.json()["task_id"]})
    assert stopped.status_code == 200
    found = fetched(duck.client, address(response))
    assert (found.status_code, found.json()["data"]["status"]) == (200, "stopped")


def test_another_users_run_and_another_apps_are_not_found(duck: Duck) -> None:
    response = begun(duck, "/workflow/ten-minutes", {"inputs": {"text": "Duck"}, "user": "ann"})
    run_id = response.json()["run_id"]
    assert duck.client.get(f"/runs/ten-minutes/{run_id}?user=ann").status_code == 202
    for path in (f"/runs/ten-minutes/{run_id}", f"/runs/ten-minutes/{run_id}?user=bob", f"/runs/human-input/{run_id}?user=ann"):
        refused = duck.client.get(path)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert duck.client.get(f"/runs/ten-minutes/{uuid.uuid4()}").status_code == 404
    duck.client.post("/stop/ten-minutes", json={"task_id": response.json()["task_id"], "user": "ann"})


@pytest.mark.parametrize(("app", "answer"), [("chatbot", "turn 1"), ("agent", ""), ("chatflow", "")])
def test_a_chat_is_answered_later(duck: Duck, app: str, answer: str) -> None:
    response = begun(duck, f"/chat/{app}", {"query": "hi"})
    found = fetched(duck.client, address(response))
    assert found.status_code == 200
    assert answer in found.json()["answer"]
    assert found.json()["answer"]
    ids = response.json()
    assert {name: found.json()[name] for name in ("conversation_id", "message_id")} == {
        name: ids[name] for name in ("conversation_id", "message_id")
    }
    again = duck.client.post(f"/chat/{app}", json={"query": "hi", "conversation_id": ids["conversation_id"]}, headers=LATER)
    assert again.status_code == 202, "the conversation goes on"
    assert fetched(duck.client, address(again)).status_code == 200


def test_a_chat_is_read_on_for_a_caller_who_has_gone(duck: Duck, other: tuple[Devhost, httpx.Client]) -> None:
    go_on = threading.Event()

    def script(call: Call) -> Iterator[Step]:
        message = Message(replace(call, conversation_id=call.conversation_id or str(uuid.uuid4())))
        yield message.event("message", id=message.id, answer="One", from_variable_selector=[])
        while not go_on.is_set():
            yield Pause(0.02)
        yield message.event("message", id=message.id, answer=" and two", from_variable_selector=[])
        yield message.end("One and two")

    app_id = str(uuid.uuid4())
    duck.host.apps[app_id], duck.host.app_keys[f"app-{app_id}"] = App(mode="chat", script=script), app_id
    with patch.dict(duck.host.settings, apps="", app_keys=f"{app_id}=app-{app_id}", public_apps=""):
        response = begun(duck, f"/chat/{app_id}", {"query": "hi"})
        running = duck.client.get(address(response))
        assert (running.status_code, running.json()["status"]) == (202, "running")
        host, client = other
        elsewhere = settings(duck.host) | {"apps": "", "public_apps": "", "app_keys": f"{app_id}=app-{app_id}"}
        path = address(response).removeprefix(duck.host.url)
        with patch.dict(host.settings, elsewhere):
            lost = client.get(path)
            assert (lost.status_code, lost.json()["code"]) in {(410, "run_lost"), (404, "not_found")}
            go_on.set()
            assert fetched(duck.client, address(response)).json()["answer"] == "One and two"
            assert client.get(path).json()["answer"] == "One and two", "what Dify has stored is there for every process"


def test_a_text_generator_is_answered_later(duck: Duck) -> None:
    response = begun(duck, "/completion/completion", {"inputs": {"topic": "rain"}})
    assert "haiku" in fetched(duck.client, address(response)).json()["answer"]


def test_a_chatflow_that_fails_says_so_later(duck: Duck) -> None:
    response = duck.client.post("/chat/fails-chatflow", json={"query": "hi"}, headers=LATER)
    found = fetched(duck.client, address(response))
    assert (found.status_code, found.json()["code"]) in {(502, "completion_request_error"), (429, "rate_limit_error")}


# Forms


@pytest.mark.parametrize(("action", "text"), [("approve", "Approved: Duck"), ("reject", "Rejected.")])
def test_a_workflow_goes_on_with_what_a_person_decides(duck: Duck, action: str, text: str) -> None:
    response = begun(duck, "/workflow/human-input", {"inputs": {"text": "Duck"}})
    url = address(response)
    assert eventually(lambda: duck.client.get(url).json()["status"] == "paused")
    waiting = duck.client.get(url)
    assert waiting.status_code == 202
    [named] = waiting.json()["forms"]
    form_url = str(waiting.url.join(named["url"]))
    form = duck.client.get(form_url)
    assert form.status_code == 200
    assert [each["id"] for each in form.json()["user_actions"]] == ["approve", "reject"]
    filled = duck.client.post(form_url, json={"action": action, "inputs": {"comment": "Because.", "level": "low"}})
    assert (filled.status_code, filled.json()) == (200, {"result": "success"})
    found = fetched(duck.client, url)
    assert found.json()["data"]["outputs"] == {"text": f"{text} Because.", "comment": "Because."}
    twice = duck.client.post(form_url, json={"action": action, "inputs": {"level": "low"}})
    assert (twice.status_code, twice.json()["code"]) == (409, "already_answered")
    assert duck.client.get(form_url).status_code == 409


@pytest.mark.parametrize(("action", "text"), [("approve", "Your money is on its way."), ("reject", "Rejected.")])
def test_a_chatflow_goes_on_with_it_too(duck: Duck, action: str, text: str) -> None:
    paused = duck.client.post("/chat/human-chatflow", json={"query": "Pay", "response_mode": "streaming"})
    event = json.loads(paused.text.splitlines()[-1])
    assert event["event"] == "workflow_paused"
    [named] = event["forms"]
    form_url, run = str(paused.url.join(named["url"])), event["workflow_run_id"]
    assert duck.client.post(form_url, data={"action": action, "level": "high"}).status_code == 200
    streamed = duck.client.get(f"/runs/human-chatflow/{run}", params={"format": "text"})
    assert text in streamed.text
    found = fetched(duck.client, f"/runs/human-chatflow/{event['conversation_id']}.{event['message_id']}.{run}")
    assert found.status_code == 200
    assert text in found.json()["answer"]
    assert found.json()["conversation_id"] == event["conversation_id"]


def test_the_rest_is_streamed_while_the_form_is_filled_in(duck: Duck) -> None:
    paused = duck.client.post("/workflow/human-input", json={"inputs": {"text": "Duck"}})
    assert paused.json()["data"]["status"] == "paused"
    form_url = str(paused.url.join(paused.json()["forms"][0]["url"]))
    url = f"/runs/human-input/{paused.json()['workflow_run_id']}"

    def fill_in() -> None:
        assert httpx.post(form_url, json={"action": "approve", "inputs": {"level": "low"}}, headers=AUTHORIZED).status_code == 200

    person = threading.Timer(0.3, fill_in)
    person.start()
    rest = duck.client.get(url, params={"format": "ndjson"})
    person.join()
    assert names(rest)[-1] == "workflow_finished"
    assert "human_input_form_filled" in names(rest)
    over = duck.client.get(url, params={"format": "sse"})
    assert "Approved: Duck" in over.text


def test_a_form_expires(duck: Duck) -> None:
    paused = duck.client.post("/workflow/human-input", json={"inputs": {"text": "Duck"}}).json()
    token = paused["forms"][0]["form_token"]
    duck.host.timeline.advance(4 * 24 * 3600)
    for response in (
        duck.client.get(f"/form/human-input/{token}"),
        duck.client.post(f"/form/human-input/{token}", json={"action": "approve", "inputs": {"level": "low"}}),
    ):
        assert (response.status_code, response.json()["code"]) == (410, "expired")
    found = fetched(duck.client, f"/runs/human-input/{paused['workflow_run_id']}")
    assert found.json()["data"]["outputs"]["text"] == "Nobody has answered in time."


def test_a_stranger_has_no_form(duck: Duck, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="devhost"):
        paused = duck.client.post("/workflow/human-input", json={"inputs": {"text": "Duck"}}).json()
        token = paused["forms"][0]["form_token"]
        for path in (f"/form/human-input/{token[:-1]}x", f"/form/human-chatflow/{token}", "/form/human-input/x"):
            for response in (
                duck.client.get(path),
                duck.client.post(path, json={"action": "approve", "inputs": {"level": "low"}}),
            ):
                assert (response.status_code, response.json()["code"]) == (404, "not_found")
        keyless = httpx.get(f"{duck.host.url}/form/human-input/{token}")
        assert keyless.status_code in {200, 401}
        assert duck.client.get(f"/form/human-input/{token}").status_code == 200
        with patch.dict(duck.host.settings, public_apps=""):
            assert httpx.get(f"{duck.host.url}/form/human-input/{token}").status_code == 401
    assert token not in caplog.text, "a token is never in a log"


# As a function


def test_a_function_takes_only_what_goes_on_without_it() -> None:
    with (
        Devhost(ROOT, demo.apps(pace=0), {"api_key": KEY}, limits=LIMITS, runs="serverless", app_keys=demo.app_keys()) as host,
        httpx.Client(base_url=host.url, headers=AUTHORIZED, timeout=DEADLINE_S) as client,
        patch.dict(host.settings, settings(host)),
    ):
        refused = client.post("/chat/chatbot", json={"query": "hi"}, headers=LATER)
        assert (refused.status_code, refused.json()["code"]) == (400, "async_unavailable")
        response = client.post("/workflow/workflow", json={"inputs": {"text": "Rain"}}, headers=LATER)
        assert response.status_code == 202
        found = fetched(client, address(response))
        assert (found.status_code, found.json()["data"]["status"]) == (200, "succeeded")
