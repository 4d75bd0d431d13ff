"""The runs of workflows and chatflows as Dify stores them, and runs that outlive their callers."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from devhost import App, Call, Devhost, Failure, Pause, demo
from devhost.apps import Script, Step
from devhost.tests.service_api import add, conforms, error_of, events, key, names
from devhost.tests.support import DEADLINE_S, HTTP, PLUGINS, eventually, sample
from devhost.users import PLUGINS as PLUGINS_USER

RUN, EVENTS, LOGS = "/workflows/run/{workflow_run_id}", "/workflow/{workflow_run_id}/events", "/workflows/logs"
LONG = key("demo-ten-minutes")
TEN_MINUTES_S = 600
NOBODY = "3f1d0c7a-5b2e-4a90-8c61-7e4f2b9d1a55"


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    apps = demo.apps(pace=0) | {demo.IDS["ten-minutes"]: demo.apps()[demo.IDS["ten-minutes"]]}
    with Devhost(PLUGINS / "minimal", apps, runs="remote", app_keys=demo.app_keys()) as running:  # without a plugin
        yield running


def status_of(client: httpx.Client, headers: dict[str, str], run_id: str) -> dict[str, Any]:
    status: dict[str, Any] = conforms(client.get(f"/workflows/run/{run_id}", headers=headers), RUN, "get")
    return status


def begin(client: httpx.Client, headers: dict[str, str] = LONG, path: str = "/workflows/run") -> dict[str, Any]:
    """Begins a streamed run, and hangs up after its first event, which is returned."""
    body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
    with client.stream("POST", path, headers=headers, json=body) as response:
        line = next(line for line in response.iter_lines() if line.startswith("data: "))
    first: dict[str, Any] = json.loads(line[6:])
    return first


def test_a_run_of_ten_minutes_goes_on_without_its_caller(host: Devhost, client: httpx.Client) -> None:
    run_id = begin(client)["workflow_run_id"]
    status = status_of(client, LONG, run_id)
    assert (status["status"], status["finished_at"], status["outputs"]) == ("running", None, {})
    host.timeline.advance(TEN_MINUTES_S / 2)
    assert eventually(lambda: status_of(client, LONG, run_id)["total_steps"] >= 10)
    assert status_of(client, LONG, run_id)["status"] == "running"
    host.timeline.advance(TEN_MINUTES_S / 2)
    assert eventually(lambda: status_of(client, LONG, run_id)["status"] == "succeeded")
    status = status_of(client, LONG, run_id)
    assert status["elapsed_time"] >= TEN_MINUTES_S
    assert (status["total_steps"], status["outputs"]) == (22, {"text": "After ten minutes: The duck crosses the pond."})


def test_who_comes_back_is_sent_what_happens_from_now_on(host: Devhost, client: httpx.Client) -> None:
    run_id = begin(client)["workflow_run_id"]
    host.timeline.advance(TEN_MINUTES_S / 2)
    assert eventually(lambda: status_of(client, LONG, run_id)["total_steps"] >= 10)
    with client.stream("GET", f"/workflow/{run_id}/events", headers=LONG, params={"user": "ann"}) as response:
        lines = response.iter_lines()
        assert next(lines) == "event: ping"
        host.timeline.advance(TEN_MINUTES_S)
        rest = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert "workflow_started" not in names(rest)
    assert names(rest)[-1] == "workflow_finished"
    positions = [
        event["data"]["title"] for event in rest if event["event"] == "node_started" and "Step" in event["data"]["title"]
    ]
    assert all(first != second for first, second in pairwise(positions))


def test_a_run_without_a_caller_is_stopped(client: httpx.Client) -> None:
    first = begin(client)
    path = f"/workflows/tasks/{first['task_id']}/stop"
    for user, status in (("bob", "running"), ("ann", "stopped")):
        client.post(path, headers=LONG, json={"user": user})
        assert status_of(client, LONG, first["workflow_run_id"])["status"] == status
    [event] = [json.loads(client.get(f"/workflow/{first['workflow_run_id']}/events?user=ann", headers=LONG).text[6:])]
    assert event["data"]["status"] == "stopped"


def test_a_chatflow_whose_caller_hangs_up_is_stored_with_its_answer(host: Devhost, client: httpx.Client) -> None:
    headers = add(host, demo.apps(pace=4)[demo.IDS["chatflow"]])
    first = begin(client, headers, "/chat-messages")
    host.timeline.advance(60)
    assert eventually(lambda: status_of(client, headers, first["workflow_run_id"])["status"] == "succeeded")
    query = {"user": "ann", "conversation_id": first["conversation_id"]}

    def answer() -> str:
        return str(client.get("/messages", headers=headers, params=query).json()["data"][0]["answer"])

    assert eventually(lambda: answer().endswith("Kind regards."))


@pytest.mark.parametrize("mode", ["streaming", "blocking"])
def test_every_run_can_be_looked_up(client: httpx.Client, mode: str) -> None:
    body = {"inputs": {"text": "Rain."}, "user": "ann", "response_mode": mode}
    response = client.post("/workflows/run", headers=key("demo-workflow"), json=body)
    end = events(response)[-1] if mode == "streaming" else conforms(response, "/workflows/run")
    status = status_of(client, key("demo-workflow"), end["workflow_run_id"])
    assert {name: status[name] for name in ("status", "outputs", "error", "total_steps", "total_tokens")} == {
        name: end["data"][name] for name in ("status", "outputs", "error", "total_steps", "total_tokens")
    }
    assert json.loads(status["inputs"])["text"] == "Rain."


def test_a_failed_run_is_stored_as_such(client: httpx.Client) -> None:
    failed = begin(client, key("demo-fails-late"))["workflow_run_id"]
    assert eventually(lambda: status_of(client, key("demo-fails-late"), failed)["status"] == "failed")
    assert "Rate Limit Error" in status_of(client, key("demo-fails-late"), failed)["error"]
    first = begin(client, key("demo-fails-chatflow"), "/chat-messages")
    query = {"user": "ann", "conversation_id": first["conversation_id"]}

    def message() -> dict[str, Any]:
        shown: dict[str, Any] = client.get("/messages", headers=key("demo-fails-chatflow"), params=query).json()["data"][0]
        return shown

    assert eventually(lambda: message()["status"] == "error")
    assert message()["error"].startswith("Run failed: ")


def broken(_: Call) -> Iterator[Step]:
    yield sample("workflow")[0]
    raise ValueError("a bug of the script")


@pytest.mark.parametrize("script", [[sample("workflow")[0], Failure("it breaks")], [sample("workflow")[0]], broken])
def test_a_run_that_breaks_off_has_failed(host: Devhost, client: httpx.Client, script: Script) -> None:
    headers = add(host, App(mode="workflow", script=script))
    run_id = begin(client, headers)["workflow_run_id"]
    assert eventually(lambda: status_of(client, headers, run_id)["status"] == "failed")


def test_the_further_events_end_when_the_run_breaks_off(host: Devhost, client: httpx.Client) -> None:
    headers = add(host, App(mode="workflow", script=[sample("workflow")[0], Pause(TEN_MINUTES_S), Failure("it breaks")]))
    run_id = begin(client, headers)["workflow_run_id"]
    with client.stream("GET", f"/workflow/{run_id}/events", headers=headers, params={"user": "ann"}) as response:
        lines = response.iter_lines()
        assert next(lines) == "event: ping"
        host.timeline.advance(TEN_MINUTES_S)
        assert [line for line in lines if line] == []


def test_a_run_belongs_to_its_app(client: httpx.Client) -> None:
    run_id = begin(client, key("demo-report"))["workflow_run_id"]
    for headers, wanted in ((LONG, run_id), (key("demo-report"), NOBODY)):
        response = client.get(f"/workflows/run/{wanted}", headers=headers)
        conforms(response, RUN, "get")
        assert error_of(response) == (404, "not_found", "Workflow run not found.")


def test_a_published_version_is_run_and_no_other(client: httpx.Client) -> None:
    headers, path = key("demo-report"), "/workflows/{workflow_id}/run"
    version = begin(client, headers)["data"]["workflow_id"]
    body = {"inputs": {}, "user": "ann"}
    answer = conforms(client.post(f"/workflows/{version}/run", headers=headers, json=body), path)
    assert answer["data"]["workflow_id"] == version
    other = client.post(f"/workflows/{NOBODY}/run", headers=headers, json=body)
    conforms(other, path)
    assert error_of(other) == (404, "not_found", f"Workflow not found with id: {NOBODY}")
    assert client.post("/workflows/latest/run", headers=headers, json=body).json()["code"] == "bad_request"


def test_logs_have_pages_and_filters(host: Devhost, client: httpx.Client) -> None:
    headers = add(host, demo.apps(pace=0)[demo.IDS["report"]])
    for user, topic in (("ann", "geese"), ("bob", "swans"), ("ann", "herons")):
        client.post("/workflows/run", headers=headers, json={"inputs": {"topic": topic}, "user": user})

    def logs(**query: Any) -> Any:
        return conforms(client.get("/workflows/logs", headers=headers, params=query), LOGS, "get")

    assert (logs()["total"], logs(limit=2)["has_more"], len(logs(limit=2, page=2)["data"])) == (3, True, 1)
    assert logs()["data"][0]["created_by_end_user"]["session_id"] == "ann"
    assert [logs(**query)["total"] for query in ({"keyword": "geese"}, {"status": "failed"}, {"status": "succeeded"})] == [
        1,
        0,
        3,
    ]
    assert logs(created_by_end_user_session_id="bob")["total"] == 1
    times = {"created_at__before": "2000-01-01T00:00:00Z"}, {"created_at__after": "2000-01-01T00:00:00Z"}
    assert [logs(**query)["total"] for query in times] == [0, 3]
    assert logs(created_by_account="a@example.com")["message"] == "Account not found: a@example.com"
    for query in ({"status": "paused"}, {"limit": 101}, {"created_at__before": "yesterday"}):
        assert logs(**query)["code"] == "invalid_param"


def test_the_run_of_a_plugin_is_told_of_and_its_events_are_not_sent(served: Devhost) -> None:
    headers = add(served, demo.apps(pace=0)[demo.IDS["chatflow"]])
    app_id = headers["Authorization"].removeprefix("Bearer app-")
    line = next(line for line in HTTP.get(f"{served.url}/chat?app={app_id}").text.splitlines() if "workflow_run_id" in line)
    run_id = json.loads(line)["workflow_run_id"]
    with httpx.Client(base_url=served.api_url, timeout=DEADLINE_S) as client:
        assert status_of(client, headers, run_id)["status"] == "succeeded"
        response = client.get(f"/workflow/{run_id}/events", headers=headers, params={"user": "ann"})
    conforms(response, EVENTS, "get")
    assert error_of(response) == (404, "not_found", "Workflow run not found")


def test_the_form_of_a_plugins_run_is_filled_in_by_key(served: Devhost) -> None:
    headers = add(served, demo.apps(pace=0)[demo.IDS["human-chatflow"]])
    app_id = headers["Authorization"].removeprefix("Bearer app-")
    paused = json.loads(HTTP.get(f"{served.url}/chat?app={app_id}").text.splitlines()[-1])
    assert paused["event"] == "workflow_paused"
    path = f"/form/human_input/{paused['data']['reasons'][0]['form_token']}"
    form = {"inputs": {"comment": "Soon.", "level": "low"}, "action": "approve", "user": "ann"}
    query = {"user": PLUGINS_USER, "conversation_id": paused["conversation_id"]}
    with httpx.Client(base_url=served.api_url, headers=headers, timeout=DEADLINE_S) as client:
        assert client.post(path, json=form).status_code == 200
        assert eventually(lambda: status_of(client, headers, paused["workflow_run_id"])["status"] == "succeeded")
        assert eventually(lambda: client.get("/messages", params=query).json()["data"][0]["answer"].endswith("Soon."))
