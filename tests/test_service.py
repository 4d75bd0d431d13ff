"""Apps that are reached by their own keys, through a Service API that plays a script."""

import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import httpx
import pytest

from duck import limits
from duck.dify.memory import Memory
from duck.dify.service import ServiceGateway
from duck.faces.api import serve
from duck.state import State
from tests.api import FORM, INFO, SECRET, SETTINGS, URL, Api, refused, sse
from tests.support import APP, BROWSER, KEY, Dify, body_of, call, json_of, make_request, page_of, parsed, recorded, sample


def ask(kind: Any = "chat", **options: Any) -> Any:
    return call(Dify(), kind, settings=options.pop("settings", SETTINGS), **options)


# Runs


@pytest.mark.parametrize("kind", ["chat", "completion", "workflow"])
def test_a_run_streams_what_dify_streams(api: Api, kind: Any) -> None:
    response = ask(kind, query_string="format=ndjson", json={"query": "hi"} if kind == "chat" else {})
    assert [json.loads(line) for line in body_of(response).splitlines()] == sample(kind)
    request = api.requests[-1]
    assert str(request.url).startswith(URL)
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    chat = {"query": "hi", "conversation_id": ""} if kind == "chat" else {}
    [body] = api.bodies(request.url.path.removeprefix("/v1"))
    assert body.pop("user").startswith("key-")
    assert body == {"inputs": {}, "response_mode": "streaming", "files": [], **chat}


@pytest.mark.parametrize(
    ("kind", "path"), [("chat", "/chat-messages"), ("completion", "/completion-messages"), ("workflow", "/workflows/run")]
)
def test_a_blocking_run_gives_what_dify_answers(api: Api, kind: Any, path: str) -> None:
    api.answers[path] = recorded(f"{kind}.blocking")
    response = ask(kind, json={"query": "hi"} if kind == "chat" else {})
    assert (response.status_code, json_of(response)) == (200, recorded(f"{kind}.blocking"))
    assert api.bodies(path)[0]["response_mode"] == "blocking"


def test_an_agent_that_cannot_block_is_folded(api: Api) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["response_mode"] == "blocking":
            return refused(400, "invalid_param", "Agent Chat App does not support blocking mode")
        return sse(*sample("agent-chat"))

    api.answers["/chat-messages"] = answer
    assert json_of(ask())["mode"] == "agent-chat"


def test_other_apps_are_reached_through_the_session(api: Api) -> None:
    dify = Dify(sample("chat"))
    other = "3d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a44"
    assert call(dify, settings=SETTINGS, app=other, query_string="format=ndjson").status_code == 200
    assert len(dify.calls) == 1
    assert api.requests == []


# Users


@pytest.mark.parametrize(
    ("options", "user"),
    [
        ({"json": {"query": "hi", "user": "ann"}}, "ann"),
        ({"json": {"query": "hi", "user": "ann"}, "key": None}, "public"),
        ({"key": None}, "public"),
    ],
)
def test_a_run_belongs_to_its_user(api: Api, options: dict[str, Any], user: str) -> None:
    ask(settings={**SETTINGS, "public_apps": APP}, **options)
    assert [body["user"] for body in api.bodies("/chat-messages")] == [user]


def test_all_who_hold_one_key_are_one_user_and_the_key_is_not_told(api: Api) -> None:
    for key in (KEY, KEY, "another-right-key"):
        ask(key=key)
    ask(key=None, headers={"X-API-Key": KEY})
    first, again, other, by_header = (body["user"] for body in api.bodies("/chat-messages"))
    assert first == again == by_header != other
    assert not any(key in user for key in (KEY, "another-right-key") for user in (first, other))


# Files


def test_a_chat_takes_files_besides_its_inputs(api: Api) -> None:
    api.answers |= {"/parameters": FORM, "/files/upload": httpx.Response(201, json={"id": "u1"})}
    data = {"query": "hi", "files": [(BytesIO(b"GIF"), "a.gif"), (BytesIO(b"PNG"), "b.png")], "user": "ann"}
    assert ask(data=data).status_code == 200
    local = {"type": "image", "transfer_method": "local_file", "upload_file_id": "u1"}
    assert [body["files"] for body in api.bodies("/chat-messages")] == [[local, local]]
    uploads = [request.content for request in api.requests if request.url.path.endswith("/files/upload")]
    assert sorted(b"GIF" in upload for upload in uploads) == [False, True]
    assert all(b'name="user"\r\n\r\nann\r\n' in upload for upload in uploads)


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ({"json": {"query": "hi", "files": ["https://x.example/a.png"]}}, [("image", "https://x.example/a.png")]),
        ({"data": {"query": "hi", "files": "https://x.example/a.png"}}, [("image", "https://x.example/a.png")]),
        ({"data": {"query": "hi", "files": '["https://x.example/a.png"]'}}, [("image", "https://x.example/a.png")]),
        ({"json": {"query": "hi", "files": []}}, []),
        ({"json": {"query": "hi", "files": None}}, []),
    ],
)
def test_a_file_may_be_a_link(api: Api, options: dict[str, Any], files: list[tuple[str, str]]) -> None:
    api.answers["/parameters"] = FORM
    assert ask(**options).status_code == 200
    sent = [{"type": kind, "transfer_method": "remote_url", "url": url} for kind, url in files]
    assert [body["files"] for body in api.bodies("/chat-messages")] == [sent]


@pytest.mark.parametrize(
    ("kind", "form", "files", "fault"),
    [
        ("chat", {"user_input_form": []}, ["https://x.example/a.png"], "files: this app takes none"),
        (
            "chat",
            {"user_input_form": [], "file_upload": {"image": {"enabled": False}}},
            ["https://x.example/a.png"],
            "this app takes none",
        ),
        ("chat", FORM, ["https://x.example/a.pdf"], "files: takes files of these kinds: image; a.pdf is none of them"),
        ("chat", FORM, ["https://x.example/a.png"] * 3, "files: takes at most 2 files, 3 were given"),
        ("chat", FORM, "[", "files: must be a JSON object"),
        ("chat", FORM, {"a": 1}, "files: must be a list of files"),
        ("chat", FORM, [{"transfer_method": "local_file", "upload_file_id": "x"}], "files: must be a link"),
        ("workflow", FORM, ["https://x.example/a.png"], "files: Dify takes none from plugins; this app takes them as inputs doc"),
    ],
)
def test_files_that_the_app_does_not_take_are_refused(api: Api, kind: Any, form: Any, files: Any, fault: str) -> None:
    api.answers |= {"/parameters": form, "/info": {"mode": kind}}
    response = ask(kind, json={"query": "hi", "files": files} if kind == "chat" else {"files": files})
    assert response.status_code == 400
    assert fault in json_of(response)["message"]
    assert set(api.paths()) == {"/parameters", "/info"}


@pytest.mark.parametrize("kind", ["workflow", "completion"])
def test_an_app_that_is_known_to_be_of_another_kind_is_not_asked_what_does_not_fit_it(api: Api, kind: Any) -> None:
    api.answers["/parameters"] = FORM
    error = json_of(ask(kind, json={"inputs": {"nothing": 1}}))
    assert (error["code"], error["message"]) == (f"not_{kind}_app", "This app is of another kind: call /chat/<app_id>.")
    response = ask(kind, method="GET", path=f"/{kind}/{APP}", headers={"Accept": BROWSER})
    assert response.status_code == 400
    assert f"../chat/{APP}" in [link.get("href") for link in page_of(response).iter("a")]
    assert f"/{kind}" not in "".join(api.paths())


def test_the_pictures_of_old_and_an_app_whose_form_is_not_to_be_had(api: Api) -> None:
    api.answers["/parameters"] = {
        "user_input_form": [],
        "file_upload": {"image": {"enabled": True, "number_limits": 3, "transfer_methods": ["remote_url"]}},
    }
    assert ask(json={"query": "hi", "files": ["https://x.example/a.png"]}).status_code == 200
    api.answers["/parameters"] = refused(400, "app_unavailable", "App unavailable")
    settings = {**SETTINGS, "app_keys": f"{APP}=app-three"}
    assert ask(json={"query": "hi", "files": ["https://x.example/a.xyz"]}, settings=settings).status_code == 200


def test_a_file_of_an_input_is_uploaded_for_its_user(api: Api) -> None:
    api.answers |= {"/parameters": FORM, "/files/upload": httpx.Response(201, json={"id": "u1"})}
    assert ask("workflow", data={"doc": (BytesIO(b"%PDF"), "a.pdf"), "response_mode": "streaming"}).status_code == 200
    [body] = api.bodies("/workflows/run")
    assert body["inputs"] == {"doc": {"type": "document", "transfer_method": "local_file", "upload_file_id": "u1"}}


# The end of a run


def streamed(content: Iterator[bytes]) -> httpx.Response:
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=content)


def test_a_run_whose_caller_has_gone_is_read_on_and_not_stopped(api: Api, state: State) -> None:
    go_on, over = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        yield sse(sample("chat")[0]).content
        assert go_on.wait(60)
        yield sse(*sample("chat")[1:-1]).content
        over.set()
        yield sse(sample("chat")[-1]).content

    api.answers["/chat-messages"] = streamed(slow())
    body = ask(path="/x?format=ndjson").response
    next(body)
    body.close()
    assert len(state.slots) == 1
    go_on.set()
    assert over.wait(60)
    assert not [path for path in api.paths() if path.endswith("/stop")]


@pytest.mark.parametrize(("error", "code"), [(httpx.ReadTimeout(""), "timeout"), (httpx.ReadError(""), "stream_interrupted")])
def test_a_run_that_falls_silent_or_breaks_off_says_so_and_is_not_stopped(api: Api, error: Exception, code: str) -> None:
    def silent() -> Iterator[bytes]:
        yield sse(sample("chat")[0]).content
        raise error

    api.answers["/chat-messages"] = streamed(silent())
    body = body_of(ask(path="/x?format=ndjson"))
    assert json.loads(body.splitlines()[-1])["code"] == code
    assert not [path for path in api.paths() if path.endswith("/stop")]


def test_a_stream_that_stays_open_after_its_last_event_is_not_waited_for(api: Api) -> None:
    def open_() -> Iterator[bytes]:
        yield sse(*sample("chat")).content
        raise httpx.ReadTimeout("a title is being found")

    api.answers["/chat-messages"] = streamed(open_())
    assert [json.loads(line) for line in body_of(ask(path="/x?format=ndjson")).splitlines()] == sample("chat")


@pytest.mark.parametrize("style", ["json", "ndjson", "sse", "html", "text"])
@pytest.mark.parametrize("name", ["failflow", "chatflow.model-error"])
def test_a_chatflow_that_fails_is_a_failure_in_every_format(api: Api, name: str, style: str) -> None:
    api.answers["/chat-messages"] = lambda _: sse(*sample(f"dify-1.16/{name}.service"))
    response = ask(path=f"/x?format={style}", json={"query": "hi", "response_mode": "streaming"})
    body = body_of(response).decode()
    match style:
        case "json":
            assert (response.status_code, json.loads(body)["code"]) == (502, "completion_request_error")
        case "html":
            alert = parsed(body.encode()).findall(".//*[@role='alert']")
            assert ["Run failed: " in "".join(part.itertext()) for part in alert] == [True]
        case "text":
            assert "error: Run failed: " in body.splitlines()[-1]
        case _:
            assert json.loads(body.strip().splitlines()[-1].removeprefix("data: "))["event"] == "error"


def test_the_first_upload_for_a_user_goes_alone_and_the_rest_side_by_side(api: Api) -> None:
    started, others = threading.Event(), threading.Barrier(2)
    seen: list[str] = []

    def upload(request: httpx.Request) -> httpx.Response:
        name = re.findall(r'filename="(\w)\.png"', request.content.decode("latin-1"))[0]
        seen.append(name)
        if len(seen) == 1:
            assert not started.wait(0.1), "another one is on its way"
        else:
            started.set()
            others.wait(60)
        return httpx.Response(201, json={"id": name})

    form = {"file_upload": {"enabled": True, "number_limits": 3}, "user_input_form": []}
    api.answers |= {"/parameters": form, "/files/upload": upload}
    data = {"query": "hi", "files": [(BytesIO(b"\x89PNG"), f"{name}.png") for name in "abc"], "user": "somebody new"}
    assert ask(data=data, settings={**SETTINGS, "app_keys": f"{APP}=app-six"}).status_code == 200
    assert sorted(seen) == ["a", "b", "c"]


def test_the_first_run_for_a_user_goes_alone_until_it_is_under_way(api: Api) -> None:
    asked, second = threading.Semaphore(0), threading.Event()

    def chat(_: httpx.Request) -> httpx.Response:
        asked.release()
        if not second.is_set():
            second.set()
            assert not asked_twice(), "another one is on its way"
        return sse(*sample("chat"))

    def asked_twice() -> bool:
        asked.acquire()
        return asked.acquire(timeout=0.1)

    api.answers["/chat-messages"] = chat
    one, body = Dify(), {"query": "hi", "user": "another"}
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(lambda: call(one, path="/x?format=ndjson", json=body, settings=SETTINGS)) for _ in range(3)]
    assert [body_of(run.result()).count(b"\n") for run in runs] == [len(sample("chat"))] * 3


def test_a_task_is_part_of_a_path_and_no_more(api: Api, state: State) -> None:
    api.answers["/info"] = {"mode": "workflow"}
    ServiceGateway(URL, SECRET, endpoint_id="e", user="u", memory=state.memory).stop("t/../x?y")
    assert api.requests[-1].url.raw_path == b"/v1/workflows/tasks/t%2F..%2Fx%3Fy/stop"


def test_a_run_is_stopped_by_its_task(api: Api) -> None:
    request = make_request(path=f"/stop/{APP}", json={"task_id": "t1", "user": "ann"})
    response = serve.stop(request, APP, SETTINGS, Dify().gateway())
    assert (response.status_code, json_of(response)) == (200, {"result": "success"})
    assert api.bodies("/chat-messages/t1/stop") == [{"user": "ann"}]


@pytest.mark.parametrize(
    ("settings", "body", "status", "message"),
    [
        (SETTINGS, {}, 400, "task_id: required"),
        (SETTINGS, {"task_id": 7}, 400, "task_id: must be a text"),
        ({"api_key": KEY}, {"task_id": "t"}, 400, "app_keys"),
        ({**SETTINGS, "api_key": ""}, {"task_id": "t"}, 401, "No API key"),
    ],
)
def test_what_cannot_be_stopped(api: Api, settings: dict[str, Any], body: dict[str, Any], status: int, message: str) -> None:
    response = serve.stop(
        make_request(path=f"/stop/{APP}", json=body, key=KEY if settings["api_key"] else None), APP, settings, Dify().gateway()
    )
    assert response.status_code == status
    assert message in json_of(response)["message"]
    assert api.requests == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [(refused(500, "unknown", ""), "completion_request_error"), (httpx.Response(200, json={"name": "x"}), "app_unavailable")],
)
def test_an_app_that_does_not_tell_its_kind_cannot_be_stopped(api: Api, answer: Any, code: str) -> None:
    api.answers["/info"] = answer
    response = serve.stop(make_request(path=f"/stop/{APP}", json={"task_id": "t"}), APP, SETTINGS, Dify().gateway())
    assert (response.status_code, json_of(response)["code"]) == (502, code)


# Failures

CONVERSATION = "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901"
FAILURES: list[tuple[Any, int, str, str]] = [
    (refused(401, "unauthorized", "Access token is invalid"), 502, "app_unavailable", "app_keys"),
    (refused(403, "forbidden"), 502, "app_unavailable", "app_keys"),
    (refused(403, "forbidden", "The app's status is abnormal."), 502, "app_unavailable", "The app's status is abnormal."),
    (
        refused(403, "forbidden", "The app's API service has been disabled."),
        502,
        "app_unavailable",
        "The app's API service has been disabled. In Dify it is switched on",
    ),
    (refused(400, "invalid_param", "Workflow not published"), 404, "app_not_found", "not been published"),
    (refused(400, "invalid_param", "Too many requests. Please try again later. The"), 429, "rate_limit_error", "Too many"),
    (refused(400, "completion_request_error", "[models] Rate Limit Error, x"), 429, "rate_limit_error", "Rate Limit"),
    (refused(404, "not_found", "Conversation Not Exists."), 400, "invalid_param", "no such conversation"),
    (refused(413, "file_too_large", "File size exceeded."), 413, "file_too_large", "File size"),
    (refused(400, "invalid_param", "Run failed: no host db"), 502, "completion_request_error", "Run failed: no host db"),
    (refused(400, "bad_request", "Not this version."), 400, "bad_request", "Not this version."),
    (refused(400, "app_unavailable", "App unavailable"), 400, "not_chat_app", "call /workflow/"),
    (refused(400, "conversation_completed", "It has ended."), 400, "conversation_completed", "It has ended."),
    (refused(400, "invalid_param", "city is required in input form"), 400, "invalid_param", "city is required"),
    (refused(400, "completion_request_error", "the model is gone"), 502, "completion_request_error", "the model is gone"),
    (refused(400, "not_chat_app", "Please check"), 400, "not_chat_app", "call /workflow/"),
    (refused(429, "too_many_requests", "Too many"), 429, "rate_limit_error", "Too many"),
    (refused(500, "internal_server_error", "oh"), 502, "completion_request_error", "oh"),
    (
        httpx.Response(302, headers={"Location": "https://evil.example/v1/chat-messages"}),
        502,
        "app_unavailable",
        "service_api_url",
    ),
    (httpx.Response(500, content=b'{"code":"' + b"x" * 11_000_000), 502, "app_unavailable", "service_api_url"),
    (httpx.Response(502, text="<html>Bad gateway</html>"), 502, "app_unavailable", "service_api_url"),
    (httpx.Response(200, text="<html>Welcome</html>"), 502, "app_unavailable", "service_api_url"),
    (httpx.ConnectError("connecting to api.example failed"), 502, "app_unavailable", "service_api_url"),
    (httpx.ConnectTimeout("api.example"), 502, "app_unavailable", "service_api_url"),
    (httpx.InvalidURL("api.example"), 502, "app_unavailable", "service_api_url"),
    (httpx.ReadTimeout("api.example"), 504, "timeout", "said nothing"),
    (httpx.RemoteProtocolError("peer closed connection"), 502, "stream_interrupted", "broke off"),
]


@pytest.mark.parametrize("mode", ["blocking", "streaming"])
@pytest.mark.parametrize(("answer", "status", "code", "message"), FAILURES)
def test_what_goes_wrong_is_told_and_neither_key_nor_address(
    api: Api, answer: Any, status: int, code: str, message: str, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    api.answers |= {"/chat-messages": answer, "/info": {"mode": "workflow"}}
    body = {"query": "hi", "response_mode": mode, "conversation_id": CONVERSATION}
    with caplog.at_level(logging.INFO, logger="duck"):
        response = ask(json=body)
    error = json_of(response)
    assert (response.status_code, error["code"]) == (status, code)
    assert message in error["message"]
    assert not any(
        secret in text for text in (error["message"], caplog.text) for secret in (SECRET, "api.example", "evil.example")
    )
    assert api.paths().count("/chat-messages") == 1, "a run is never tried again"


def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICE_SILENCE_S", 0.2)
    monkeypatch.setattr(limits, "PARAMETERS_SILENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        response = ask(json={"query": "hi", "response_mode": "streaming"}, settings={**SETTINGS, "service_api_url": url})
    assert (response.status_code, json_of(response)["code"]) == (504, "timeout")


def test_guests_read_nothing_of_settings(api: Api) -> None:
    api.answers["/chat-messages"] = httpx.ConnectError("api.example")
    error = json_of(ask(key=None, settings={**SETTINGS, "public_apps": APP}))
    assert (error["code"], "service_api_url" in error["message"]) == ("app_unavailable", False)


@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_guests_do_not_read_why_a_run_has_failed(api: Api, mode: str) -> None:
    api.answers["/chat-messages"] = refused(400, "invalid_param", "Run failed: a secret of the app's")
    response = ask(key=None, settings={**SETTINGS, "public_apps": APP}, json={"query": "hi", "response_mode": mode})
    assert (response.status_code, json_of(response)["code"]) == (502, "completion_request_error")
    assert "secret" not in json_of(response)["message"]


def test_an_app_that_is_not_available_on_its_own_route(api: Api) -> None:
    api.answers["/chat-messages"] = refused(400, "app_unavailable", "App unavailable")
    response = ask()
    assert (response.status_code, json_of(response)["code"]) == (502, "app_unavailable")


def test_an_app_that_is_not_published_has_no_form(api: Api) -> None:
    api.answers["/parameters"] = refused(400, "app_unavailable", "App unavailable")
    request = make_request("GET", f"/parameters/{APP}")
    response = serve.parameters(request, APP, {**SETTINGS, "app_keys": f"{APP}=app-four"}, Dify().gateway())
    assert (response.status_code, json_of(response)["code"]) == (404, "app_not_found")


def test_a_link_that_dify_cannot_fetch_is_told_by_its_name(api: Api) -> None:
    api.answers["/chat-messages"] = refused(400, "invalid_param", "Reached maximum retries (3) for URL https://a.invalid/x.png")
    api.answers["/parameters"] = FORM
    settings = {**SETTINGS, "app_keys": f"{APP}=app-five"}
    response = ask(json={"query": "hi", "files": ["https://a.invalid/x.png"]}, settings=settings)
    assert (response.status_code, json_of(response)["message"]) == (400, "files: Dify cannot fetch https://a.invalid/x.png")


def test_an_app_of_another_kind_that_does_not_tell_which(api: Api) -> None:
    api.answers |= {"/chat-messages": refused(400, "not_chat_app", "Please check"), "/info": {"mode": "of-tomorrow"}}
    assert json_of(ask())["code"] == "not_chat_app"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (sse(sample("chat")[0], after=b'data: {"event": "mess'), "stream_interrupted"),
        (sse(sample("chat")[0], "text", None, 7, after=b"data: no JSON\n\ndata: \xff\n\n"), "stream_interrupted"),
        (httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=b""), "stream_interrupted"),
        (httpx.Response(200, text="<html>"), "app_unavailable"),
    ],
)
def test_a_stream_that_is_none_or_half_of_one_ends_with_an_error(api: Api, answer: httpx.Response, code: str) -> None:
    api.answers["/chat-messages"] = answer
    response = ask(query_string="format=ndjson")
    body = body_of(response)
    assert code in (json.loads(body.splitlines()[-1])["code"], "?")
    assert body.count(b'"event":"message"') == (1 if b"task_id" in body else 0)


def test_a_stream_in_pieces_is_whole(api: Api) -> None:
    whole = sse(*sample("advanced-chat")).content

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(whole), 7):
            yield whole[at : at + 7]

    api.answers["/chat-messages"] = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=pieces())
    got = body_of(ask(query_string="format=ndjson"))
    assert [json.loads(line) for line in got.splitlines()] == sample("advanced-chat")


def test_a_completion_app_without_a_key_says_which_setting_mends_it(api: Api) -> None:
    dify = Dify(
        blocking=Exception('invoke app failed: request failed with status code: 500 and respond with: {"code":"unknown"}')
    )
    error = json_of(call(dify, "completion", settings={"api_key": KEY}, json={}))
    assert (error["code"], "app_keys" in error["message"]) == ("completion_unavailable", True)
    assert api.requests == []


# What the app is called


def test_the_page_is_called_as_the_app_is_and_offers_files(api: Api) -> None:
    api.answers["/parameters"] = FORM
    page = page_of(ask(method="GET", headers={"Accept": BROWSER}))
    assert page.findtext(".//h1") == page.findtext(".//title") == INFO["name"]
    assert page.findtext(".//main/p") == INFO["description"]
    chooser = page.find(".//input[@name='files']")
    assert chooser is not None
    assert {"multiple": "", "accept": "image/*", "type": "file"}.items() <= chooser.attrib.items()


def test_files_that_are_refused_are_told_of_at_their_place(api: Api) -> None:
    api.answers["/parameters"] = FORM
    data = {"query": "hi", "files": (BytesIO(b"%PDF"), "a.pdf")}
    page = page_of(ask(data=data, headers={"Accept": BROWSER}, query_string="format=html"))
    fault = page.find(".//p[@id='files-fault']/strong")
    assert fault is not None
    assert fault.text.startswith("takes files of these kinds: image")


@pytest.mark.usefixtures("api")
def test_the_index_tells_what_apps_are_called_and_of_which_kind_they_are() -> None:
    index = json_of(
        serve.index(
            make_request("GET"), {**SETTINGS, "apps": f"desk={APP}, 3d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a44"}, Dify().gateway()
        )
    )
    about = {"name": INFO["name"], "description": "Answers", "kind": "chat"}
    assert index["apps"][0] == {"alias": "desk", "public": False, **about}
    assert index["apps"][1].keys() == {"alias", "public"}
    page = page_of(
        serve.index(make_request("GET", headers={"Accept": BROWSER}), {**SETTINGS, "apps": f"desk={APP}"}, Dify().gateway())
    )
    assert page.findtext(".//li//h2") == INFO["name"]
    assert [link.get("href") for link in page.iter("a")] == ["chat/desk", "webhook/desk"]


def test_an_index_stands_without_what_dify_does_not_tell(api: Api) -> None:
    api.answers["/info"] = httpx.ReadTimeout("")
    index = json_of(serve.index(make_request("GET"), {**SETTINGS, "apps": f"desk={APP}"}, Dify().gateway()))
    assert index["apps"] == [{"alias": "desk", "public": False}]


def test_one_client_is_made_for_all_and_follows_no_redirect() -> None:
    memory = Memory()
    assert memory.http is memory.http
    assert not memory.http.follow_redirects
