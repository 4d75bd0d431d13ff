"""The clients of Dify's API with types: `dify-client-python` and `dify-api-client`, whose modules have the same name."""

from __future__ import annotations

import os
from typing import Any

import dify_client
from dify_client import models
from dify_client.errors import DifyAPIError

from tests.clients.checks import FIRST, KEY, NEXT, QUESTION, SECOND, expect, fails, run

URL = os.environ["DUCK_URL"] + "/dify/{}/v1"
CLIENT: Any = getattr(dify_client, "Client", None) or getattr(dify_client, "DifyClient")  # noqa: B009 - each has one of them
PICTURE = ("duck.png", b"PNG", "image/png")


def connect(app: str = "chatbot", key: str = KEY) -> Any:
    return CLIENT(api_key=key, api_base=URL.format(app))


def ask(query: str = QUESTION, app: str = "chatbot", mode: str = "blocking", key: str = KEY, **more: Any) -> Any:
    request = models.ChatRequest(query=query, inputs={}, user="ann", response_mode=models.ResponseMode(mode), **more)
    return connect(app, key).chat_messages(request)


def text_of(events: Any) -> str:
    return "".join(getattr(event, "answer", "") for event in events)


def asks() -> None:
    answer = ask()
    expect(answer.answer, QUESTION, FIRST)
    assert answer.metadata.usage.total_tokens > 0


def streams() -> None:
    expect(text_of(ask(mode="streaming")), QUESTION, FIRST)
    expect(text_of(ask(mode="streaming", app="chatflow")), QUESTION, FIRST)


def takes_two_turns() -> None:
    first = next(ask(mode="streaming"))  # `dify-client-python` does not tell the conversation of a whole answer
    expect(ask(NEXT, conversation_id=first.conversation_id).answer, NEXT, SECOND)


def uses_an_upload() -> None:
    stored = connect().upload_files(PICTURE, models.UploadFileRequest(user="ann"))
    file = {"type": "image", "transfer_method": "local_file", "upload_file_id": stored.id, "url": ""}
    expect(ask(files=[file]).answer, "duck.png")


def gives_feedback() -> None:
    request = models.FeedbackRequest(rating=models.Rating.LIKE, user="ann")
    assert connect().feedback_messages(ask().message_id, request).result == "success"


def runs_a_workflow() -> None:
    def work(mode: str) -> Any:
        request = models.WorkflowsRunRequest(inputs={"text": "Rain."}, user="ann", response_mode=models.ResponseMode(mode))
        return connect("workflow").run_workflows(request)

    assert work("blocking").data.status == "succeeded"
    assert [event.event for event in work("streaming")][-1] == "workflow_finished"


def writes_a_text() -> None:
    request = models.CompletionRequest(
        inputs={"topic": "rain", "query": ""}, user="ann", response_mode=models.ResponseMode.BLOCKING
    )
    expect(connect("completion").completion_messages(request).answer, "rain at daybreak")


def stops_a_run() -> None:
    events = ask("slow", app="chatbot", mode="streaming")
    task_id = next(events).task_id
    assert connect().stop_chat_messages(task_id, models.StopRequest(user="ann")).result == "success"
    assert len([*events]) < 1000, "it ends"


def raises_when_a_run_fails() -> None:
    fails(lambda: ask(app="fails-early"), DifyAPIError, "not initialized")


def is_told_of_a_stream_that_fails() -> None:
    *_, last = ask(app="fails-midway", mode="streaming")
    assert last.event == "error"
    expect(last.message, "too many requests")


def raises_for_a_wrong_key() -> None:
    fails(lambda: ask(key="a-wrong-key"), DifyAPIError, "API key")


def raises_for_what_only_the_apps_own_key_gives() -> None:
    fails(lambda: connect("agent").upload_files(PICTURE, models.UploadFileRequest(user="ann")), DifyAPIError, "app_keys")


run(
    {
        "asks": asks,
        "streams": streams,
        "takes two turns": takes_two_turns,
        "uses an upload": uses_an_upload,
        "gives feedback": gives_feedback,
        "runs a workflow": runs_a_workflow,
        "writes a text": writes_a_text,
        "stops a run": stops_a_run,
        "raises when a run fails": raises_when_a_run_fails,
        "is told of a stream that fails": is_told_of_a_stream_that_fails,
        "raises for a wrong key": raises_for_a_wrong_key,
        "raises for what only the app's own key gives": raises_for_what_only_the_apps_own_key_gives,
    }
)
