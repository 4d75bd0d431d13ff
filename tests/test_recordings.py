"""What apps of a real Dify 1.16 were recorded to send, by both ways and in every format, to key holders and guests."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug import Response

from duck.faces.api.formats import MIMETYPES
from duck.runs.run import Kind
from tests.api import SETTINGS, Api, sse
from tests.support import APP, KEY, SAMPLES, Dify, body_of, call, http_error, json_of, recorded, sample

RECORDINGS = "dify-1.16"
WORKFLOWS = {"workflow", "inputs", "template", "loops", "failing", "human"}
PUBLIC = {**SETTINGS, "public_apps": APP}


def names(ending: str) -> list[str]:
    found = sorted(path.name.removesuffix(ending) for path in (SAMPLES / RECORDINGS).glob(f"*{ending}"))
    assert found
    return found


def kind_of(name: str) -> Kind:
    app = name.partition(".")[0]
    return "workflow" if app in WORKFLOWS else "completion" if app == "completion" else "chat"


def by_session(name: str, style: str, key: str | None = KEY) -> Response:
    dify = Dify(stream=sample(f"{RECORDINGS}/{name}.plugin"))
    return ask(dify, name, style, key, {**PUBLIC, "app_keys": ""})


def by_key(api: Api, name: str, style: str, key: str | None = KEY) -> Response:
    path = {"chat": "/chat-messages", "completion": "/completion-messages", "workflow": "/workflows/run"}[kind_of(name)]
    api.answers[path] = lambda _: sse(*sample(f"{RECORDINGS}/{name}.service"))
    return ask(Dify(), name, style, key, PUBLIC)


def ask(dify: Dify, name: str, style: str, key: str | None, settings: Any) -> Response:
    body = {"response_mode": "streaming", **({"query": "hi"} if kind_of(name) == "chat" else {})}
    return call(dify, kind_of(name), path=f"/x?format={style}", json=body, key=key, settings=settings)


def events_of(response: Response) -> list[Any]:
    return [json.loads(line) for line in body_of(response).splitlines()]


def without_forms(event: Any) -> Any:
    """The event without what Duck adds to a pause."""
    return {name: value for name, value in event.items() if name != "forms"}


@pytest.mark.parametrize("name", names(".plugin.ndjson"))
def test_all_that_came_by_the_session_goes_on_as_it_came(name: str) -> None:
    assert events_of(by_session(name, "ndjson")) == sample(f"{RECORDINGS}/{name}.plugin")


@pytest.mark.parametrize("name", names(".service.ndjson"))
def test_all_that_came_by_the_apps_own_key_goes_on_as_it_came(api: Api, name: str) -> None:
    came, response = sample(f"{RECORDINGS}/{name}.service"), by_key(api, name, "ndjson")
    if len(came) == 1:  # an error at once
        assert (response.status_code, json_of(response)["code"]) == (502, "completion_request_error")
        return
    gone = [without_forms(event) for event in events_of(response)]
    assert gone[: len(came)] == came
    assert [event["event"] for event in gone[len(came) :]] == (["error"] if name in {"failflow", "chatflow.model-error"} else [])


@pytest.mark.parametrize("name", names(".blocking.json"))
def test_a_blocking_answer_goes_on_as_it_came_or_is_a_failure(name: str) -> None:
    answer = recorded(f"{RECORDINGS}/{name}.blocking")
    status, document = answer["_status"], answer["_body"]
    blocking = document if status == 200 else http_error(status, document["code"], document["message"])
    response = ask_blocking(Dify(blocking=blocking, stream=sample(f"{RECORDINGS}/agent.plugin")), name)
    if status == 200:
        assert json_of(response) == document
    elif name == "agent":
        assert json_of(response)["answer"]
    else:
        assert (response.status_code, json_of(response)["code"]) == (502, "completion_request_error")
        assert "PluginInvokeError" not in json_of(response)["message"]
        assert "error_type" not in json_of(response)["message"]


def ask_blocking(dify: Dify, name: str) -> Response:
    body = {"response_mode": "blocking", **({"query": "hi"} if kind_of(name) == "chat" else {})}
    return call(dify, kind_of(name), json=body, settings={**PUBLIC, "app_keys": ""})


def secrets(value: Any, path: str = "") -> Iterator[str]:
    """Where the recorded apps have something that guests must not see; what an app says in its answer is for all."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from secrets(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from secrets(inner, path)
    elif isinstance(value, str) and "SECRET-" in value and path != ".answer":
        yield path


ALL = sorted({*names(".plugin.ndjson"), *names(".service.ndjson")})


# All in one format, and a chatflow and a workflow that fail in all of them: the formats get what is left for guests.
@pytest.mark.parametrize(
    ("name", "style"),
    [*((name, "ndjson") for name in ALL), *((name, style) for name in ("failflow", "failing") for style in MIMETYPES)],
)
def test_guests_see_none_of_an_apps_secrets_by_either_way(api: Api, name: str, style: str) -> None:
    bodies = []
    if name in names(".plugin.ndjson"):
        bodies.append(body_of(by_session(name, style, key=None)).decode())
    if name in names(".service.ndjson"):
        bodies.append(body_of(by_key(api, name, style, key=None)).decode())
    kept = ["SECRET-TRACE", "SECRET-FORM", "PluginInvokeError", "API request failed", "the model broke", "refuses with 401"]
    kept += [] if kind_of(name) == "completion" else ["SECRET-PROMPT"]  # which that app says
    assert [part for part in kept for body in bodies if part in body] == []


def test_there_are_secrets_to_be_kept() -> None:
    events = [event for name in names(".service.ndjson") for event in sample(f"{RECORDINGS}/{name}.service")]
    found = {path for event in events for path in secrets(event)}
    assert found == {
        ".data.error",
        ".data.form_content",
        ".data.process_data.prompts.text",
        ".data.reasons.form_content",
    }
    for name in ("workflow", "failing", "human"):
        assert "SECRET-" in body_of(by_session(name, "ndjson")).decode(), "key holders see them"


@pytest.mark.parametrize("style", ["html", "text", "json"])
@pytest.mark.parametrize("name", ["chatflow.model-error", "workflow.model-error", "chat.broken"])
def test_people_read_what_a_model_says_without_what_is_around_it(api: Api, name: str, style: str) -> None:
    for response in (by_session(name, style), by_key(api, name, style)):
        body = body_of(response).decode()
        if style == "json" and kind_of(name) == "workflow":
            continue  # Dify's own document
        assert "PluginInvokeError" not in body
        assert "error_type" not in body
        assert ("refuses with 401" if "model-error" in name else "the model broke") in body
