"""End users who are new to an app: Dify creates them without a lock."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

import httpx
import pytest

from devhost import App, Devhost, Failure, Pause, demo
from devhost.dify import Dify
from devhost.files import Files
from devhost.tests.service_api import Added, add, error_of, upload
from devhost.tests.support import PLUGINS, sample
from devhost.users import CREATION_S
from devhost.wire import Reply


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    with Devhost(PLUGINS / "minimal", {}, runs="remote") as running:  # without a plugin
        yield running


@pytest.fixture
def added(host: Devhost) -> Added:
    """Adds an app to the workspace and returns the header with its key."""
    return partial(add, host)


def run_with(client: httpx.Client, headers: dict[str, str], pictures: list[dict[str, Any]]) -> int:
    body = {"inputs": {"pics": pictures}, "user": "ann"}
    return client.post("/workflows/run", headers=headers, json=body).status_code


@pytest.fixture
def slow_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating an end user takes so long that parallel requests overlap, however busy the machine is."""
    monkeypatch.setattr("devhost.service.requests.CREATION_S", 1.0)


@pytest.fixture
def new_app(added: Added) -> dict[str, str]:
    """A new app that takes pictures."""
    about = {"variable": "pics", "allowed_file_types": ["image"], "allowed_file_extensions": []}
    form = {"user_input_form": [{"file-list": about}]}
    return added(App(mode="workflow", script=sample("workflow"), form=form))


@pytest.mark.usefixtures("slow_creation")
def test_parallel_first_uploads_create_two_users_and_only_one_is_found_later(
    client: httpx.Client, new_app: dict[str, str]
) -> None:
    alias = new_app["Authorization"].removeprefix("Bearer app-")
    with ThreadPoolExecutor(2) as pool:
        pictures = [*pool.map(lambda _: upload(client, alias, "ann"), range(2))]
    assert run_with(client, new_app, pictures) == 400
    assert sorted(run_with(client, new_app, [picture]) for picture in pictures) == [200, 400]
    assert run_with(client, new_app, [upload(client, alias, "ann")]) == 200, "the same user is always found"


def test_first_uploads_one_after_the_other_belong_to_one_user(client: httpx.Client, new_app: dict[str, str]) -> None:
    alias = new_app["Authorization"].removeprefix("Bearer app-")
    assert run_with(client, new_app, [upload(client, alias, "ann") for _ in range(2)]) == 200


@pytest.mark.usefixtures("slow_creation")
def test_of_parallel_first_chats_only_one_can_be_continued(client: httpx.Client, added: Added) -> None:
    headers = added(demo.apps(pace=0)[demo.IDS["chatflow"]])
    body = {"query": "hi", "inputs": {}, "user": "ann"}

    def ask(conversation_id: str) -> httpx.Response:
        return client.post("/chat-messages", headers=headers, json={**body, "conversation_id": conversation_id})

    with ThreadPoolExecutor(3) as pool:
        begun = [response.json()["conversation_id"] for response in pool.map(ask, [""] * 3)]
    again = [ask(conversation) for conversation in begun]
    assert sorted(response.status_code for response in again) == [200, 404, 404]
    assert {error_of(response)[2] for response in again if response.status_code == 404} == {"Conversation Not Exists."}


def first_chats(dify: Dify, app_id: str, count: int) -> list[str]:
    """The conversations of `count` parallel calls of a plugin."""
    request = {"app_id": app_id, "query": "hi", "inputs": {}, "response_mode": "streaming"}
    runs = [dify.answer("app", request) for _ in range(count)]
    assert [next(run) for run in runs] == [Pause(CREATION_S)] * count, "each looks up its user before the first is created"
    last = [[reply for reply in run if isinstance(reply, Reply)][-1] for run in runs]
    return [str(reply.data["conversation_id"]) for reply in last]


@pytest.mark.parametrize("alias", ["chatbot", "agent", "chatflow"])
def test_not_all_parallel_first_chats_of_a_plugin_can_be_continued(alias: str) -> None:
    app_id = demo.IDS[alias]
    dify = Dify(demo.apps(pace=0), frozenset({"app"}), [], files=Files())
    first, *others = first_chats(dify, app_id, 3)

    def again(conversation_id: str) -> Reply:
        request = {"app_id": app_id, "query": "hi", "inputs": {}, "conversation_id": conversation_id}
        with closing(dify.answer("app", {**request, "response_mode": "streaming"})) as run:
            return [reply for reply in run if isinstance(reply, Reply)][-1]

    assert again(first).data["conversation_id"] == first
    for conversation in others:
        reply = again(conversation)
        if alias == "chatflow":
            assert reply.data["conversation_id"] not in {first, *others}
        else:
            assert reply == Reply("error", Failure.http(400, "invalid_param", "").text)
