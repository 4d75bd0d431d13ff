"""Runs that wait for a person: the pause, the form, and the run's further events."""

import json
import threading
from typing import Any

import httpx
import pytest

from devhost import App, Ask, Call, Devhost
from devhost.apps import Event, Steps
from devhost.asking import Filled, file_list, paragraph, select
from devhost.demo.events import Flow
from devhost.tests.service_api import Paused, add, conforms, error_of, key, names
from devhost.tests.support import DEADLINE_S, HERE, eventually, sample

FORM, EVENTS = "/form/human_input/{form_token}", "/workflow/{workflow_run_id}/events"
THREE_DAYS_S = 259_200


@pytest.fixture
def workflow(client: httpx.Client) -> Paused:
    return Paused(client, key("demo-human-input"))


def test_a_run_pauses_with_the_events_of_dify(workflow: Paused) -> None:
    theirs = sample("dify-1.16/human.service")
    assert names(workflow.stream) == names(theirs)
    for mine, other in zip(workflow.stream[-2:], theirs[-2:], strict=True):
        assert mine.keys() == other.keys()
        assert mine["data"].keys() == other["data"].keys()
    assert workflow.stream[-1]["data"]["total_steps"] == 2
    assert workflow.status() | {"created_at": 0} == {
        "id": workflow.id,
        "workflow_id": workflow.stream[0]["data"]["workflow_id"],
        "status": "paused",
        "inputs": json.dumps(workflow.stream[0]["data"]["inputs"], ensure_ascii=False),
        "outputs": {},
        "error": None,
        "total_steps": 2,
        "total_tokens": 0,
        "created_at": 0,
        "finished_at": None,
        "elapsed_time": 0,
    }


def test_a_form_tells_what_it_asks_for(workflow: Paused) -> None:
    form = conforms(workflow.form(), FORM, "get")
    assert form["form_content"] == "Please review: {{#$output.comment#}}"
    assert [(each["output_variable_name"], each["type"]) for each in form["inputs"]] == [
        ("comment", "paragraph"),
        ("level", "select"),
        ("evidence", "file-list"),
    ]
    assert [action["id"] for action in form["user_actions"]] == ["approve", "reject"]


def test_a_run_goes_on_with_the_answer(workflow: Paused) -> None:
    with workflow.watched() as rest:
        assert conforms(workflow.submit(), FORM) == {}
        stream = list(rest)
    assert names(stream)[:4] == ["workflow_started", "node_started", "human_input_form_filled", "node_finished"]
    assert stream[0]["data"]["reason"] == "resumption"
    assert stream[1]["data"]["id"] == workflow.stream[-3]["data"]["id"], "the node begins again"
    assert stream[2]["data"]["rendered_content"] == "Please review: Fine."
    assert stream[2]["data"]["submitted_data"] == {"comment": "Fine.", "level": "low", "evidence": []}
    assert stream[-1]["data"]["outputs"]["text"] == "Approved: The duck crosses the pond. Fine."
    status = workflow.status()
    assert (status["status"], status["outputs"]["comment"], status["total_steps"]) == ("succeeded", "Fine.", 3)
    assert status["finished_at"]


def test_the_events_since_the_pause_are_kept_for_who_comes_later(host: Devhost, client: httpx.Client) -> None:
    go = threading.Event()

    def script(call: Call) -> Steps:
        flow = Flow(call)
        yield from flow.start()
        yield Ask("Well?")
        assert go.wait(DEADLINE_S)
        yield flow.finished({}, steps=2)

    paused = Paused(client, add(host, App(mode="workflow", script=script)))
    paused.submit("submit", {})
    assert eventually(lambda: paused.status()["status"] == "running")
    with paused.watched() as rest:
        begun = [next(rest), next(rest)]
        go.set()
        assert names([*begun, *rest]) == ["workflow_started", "human_input_form_filled", "workflow_finished"]


def test_a_run_that_is_over_is_told_of_in_one_event(workflow: Paused) -> None:
    workflow.submit("reject")
    assert eventually(lambda: workflow.status()["status"] == "succeeded")
    block = workflow.events().text
    assert block.startswith("data: ")
    [event] = [json.loads(block.removeprefix("data: "))]
    assert (event["event"], event["workflow_run_id"], event["task_id"]) == ("workflow_finished", workflow.id, workflow.id)
    assert event["data"].keys() == sample("dify-1.16/workflow.service")[-1]["data"].keys()
    assert event["data"]["created_by"]["user"] == "ann"
    assert event["data"]["outputs"]["text"] == "Rejected. Fine."


def test_a_form_is_filled_in_once(workflow: Paused) -> None:
    workflow.submit()
    submitted = f"This form has already been submitted by another user, form_id={workflow.form_id}"
    for response, method in ((workflow.submit(), "post"), (workflow.form(), "get")):
        conforms(response, FORM, method)
        assert error_of(response) == (412, "human_input_form_submitted", submitted)


def test_a_form_that_expires_lets_the_run_go_on_without_an_answer(host: Devhost, workflow: Paused) -> None:
    host.timeline.advance(THREE_DAYS_S - 60)
    assert workflow.status()["status"] == "paused"
    host.timeline.advance(61)
    for response, method in ((workflow.submit(), "post"), (workflow.form(), "get")):
        conforms(response, FORM, method)
        assert error_of(response) == (412, "human_input_form_expired", f"This form has expired, form_id={workflow.form_id}")
    assert eventually(lambda: workflow.status()["status"] == "succeeded")
    assert workflow.status()["outputs"]["text"] == "Nobody has answered in time."


@pytest.mark.parametrize(
    ("action", "inputs", "code", "message"),
    [
        ("publish", None, "invalid_form_data", "Invalid action: publish"),
        ("approve", {"comment": "x"}, "invalid_form_data", "Missing required inputs: level, evidence"),
        ("approve", {"comment": "x", "level": "medium", "evidence": []}, "invalid_form_data", None),
        ("approve", {"comment": 1, "level": "low", "evidence": []}, "invalid_form_data", None),
        ("approve", {"comment": "x", "level": "low", "evidence": [{}] * 3}, "invalid_form_data", None),
        (
            "approve",
            {"comment": "x", "level": "low", "evidence": [{"transfer_method": "local_file", "upload_file_id": "x"}]},
            "invalid_form_data",
            "Invalid upload file",
        ),
        (None, None, "invalid_param", None),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(
    workflow: Paused, action: str, inputs: Event | None, code: str, message: str | None
) -> None:
    response = workflow.submit(action, inputs)
    conforms(response, FORM)
    assert error_of(response)[:2] == (400, code)
    assert message is None or error_of(response)[2] == message
    assert workflow.status()["status"] == "paused"


def test_a_form_belongs_to_its_app_and_needs_a_user(client: httpx.Client, workflow: Paused) -> None:
    for headers in (key("demo-human-chatflow"), key("demo-chatbot")):
        response = client.get(f"/form/human_input/{workflow.token}", headers=headers)
        assert error_of(response) == (404, "not_found", "Form not found")
    assert error_of(client.post("/form/human_input/x", headers=key("demo-human-input"), json={"user": "a"}))[0] == 400
    nobody = client.post(
        f"/form/human_input/{workflow.token}", headers=workflow.headers, json={"action": "approve", "inputs": {}}
    )
    assert error_of(nobody) == (400, "invalid_param", "Arg user must be provided.")


def test_only_the_user_of_a_run_is_sent_its_events(workflow: Paused) -> None:
    for response in (workflow.events(user="bob"), workflow.events(user="")):
        conforms(response, EVENTS, "get")
    assert error_of(workflow.events(user="bob")) == (404, "not_found", "Workflow run not found")
    assert error_of(workflow.events(user="")) == (400, "invalid_param", "Arg user must be provided.")


def test_a_chatflow_answers_when_its_form_is_filled_in(client: httpx.Client) -> None:
    paused = Paused(client, key("demo-human-chatflow"), "/chat-messages")
    assert names(paused.stream) == names(sample("dify-1.16/humanflow.service"))
    conversation = {"conversation_id": paused.stream[0]["conversation_id"], "user": "ann"}

    def message() -> Any:
        listed = conforms(client.get("/messages", headers=paused.headers, params=conversation), "/messages", "get")
        return listed["data"][0]

    waiting = message()
    assert (waiting["status"], waiting["answer"], waiting["extra_contents"][0]["submitted"]) == ("paused", "", False)
    assert waiting["extra_contents"][0]["form_definition"]["form_token"] == paused.token
    paused.submit(inputs={"comment": "Soon.", "level": "high"})
    assert eventually(lambda: paused.status()["status"] == "succeeded")
    answered = message()
    assert (answered["status"], answered["answer"]) == ("normal", "Your money is on its way. Soon.")
    [content] = answered["extra_contents"]
    assert (content["submitted"], content["form_submission_data"]["action_text"]) == (True, "Pay it back")
    assert content["form_definition"]["form_token"] is None


def test_a_blocking_caller_gets_the_pause(client: httpx.Client) -> None:
    body = {"inputs": {}, "user": "ann"}
    answer = conforms(client.post("/workflows/run", headers=key("demo-human-input"), json=body), "/workflows/run")
    assert answer["data"]["status"] == "paused"
    token = answer["data"]["reasons"][0]["form_token"]
    form = {"inputs": {"comment": "", "level": "low", "evidence": []}, "action": "approve", "user": "ann"}
    assert client.post(f"/form/human_input/{token}", headers=key("demo-human-input"), json=form).status_code == 200
    path = f"/workflows/run/{answer['workflow_run_id']}"
    assert eventually(lambda: client.get(path, headers=key("demo-human-input")).json()["status"] == "succeeded")


def twice(call: Call) -> Steps:
    """Asks two persons, each with an own form."""
    flow = Flow(call)
    yield from flow.start()
    first = yield from flow.ask(Ask("First?", inputs=[paragraph("comment")], actions={"approve": "Yes"}))
    second = yield from flow.ask(Ask("Second?", node_id="second", inputs=[select("level", ["low"])], actions={"approve": "Yes"}))
    outputs = {"said": [first.inputs["comment"], second.inputs["level"]]}
    yield flow.finished(outputs, steps=3)


def test_a_stream_goes_on_across_pauses_if_it_is_asked_to(host: Devhost, client: httpx.Client) -> None:
    paused = Paused(client, add(host, App(mode="workflow", script=twice)))
    seen: list[Event] = []
    with paused.watched(continue_on_pause="true") as rest:
        assert paused.submit(inputs={"comment": "one"}).status_code == 200
        for event in rest:
            seen.append(event)
            if event["event"] == "workflow_paused":
                paused.token = event["data"]["reasons"][0]["form_token"]
                assert paused.submit(inputs={"level": "low"}).status_code == 200
    assert (seen[-1]["event"], seen[-1]["data"]["outputs"]) == ("workflow_finished", {"said": ["one", "low"]})


def test_a_stream_ends_with_the_next_pause(host: Devhost, client: httpx.Client) -> None:
    paused = Paused(client, add(host, App(mode="workflow", script=twice)))
    with paused.watched() as rest:
        paused.submit(inputs={"comment": "one"})
        assert names(list(rest))[-1] == "workflow_paused"


def test_a_snapshot_shows_the_nodes_and_the_pause(workflow: Paused) -> None:
    with workflow.watched(include_state_snapshot="true") as rest:
        shown = [next(rest) for _ in range(5)]
    assert names(shown) == ["workflow_started", "node_started", "node_finished", "node_started", "workflow_paused"]
    assert shown[2]["data"]["outputs"] is None


def test_a_script_gets_what_was_filled_in(host: Devhost, client: httpx.Client) -> None:
    got: list[Filled] = []
    done = threading.Event()

    def script(call: Call) -> Steps:
        flow = Flow(call)
        yield from flow.start()
        got.append((yield Ask("Well?", inputs=[file_list("evidence")])))
        done.set()

    headers = add(host, App(mode="workflow", script=script))
    paused = Paused(client, headers)
    files = {"file": ("a.txt", b"text", "text/plain")}
    stored = client.post("/files/upload", headers=headers, files=files, data={"user": "bob"}).json()
    upload = {"transfer_method": "local_file", "upload_file_id": stored["id"], "type": "document"}
    assert paused.submit("submit", {"evidence": [upload]}).status_code == 200
    assert done.wait(DEADLINE_S)
    [filled] = got
    assert (filled.action, filled.inputs["evidence"][0]["filename"]) == ("submit", "a.txt")


def test_the_example_of_the_readme_runs(host: Devhost, client: httpx.Client) -> None:
    [code] = [block for block in (HERE.parent / "README.md").read_text().split("```python\n") if "def review" in block]
    namespace: dict[str, Any] = {}
    exec(code.partition("```")[0], namespace)  # noqa: S102 - devhost's own README
    paused = Paused(client, add(host, namespace["APPS"]["review"]))
    assert paused.submit(inputs={"comment": "Fine.", "level": "low"}).status_code == 200
    assert eventually(lambda: paused.status()["outputs"] == {"decision": "approve", "comment": "Fine."})
