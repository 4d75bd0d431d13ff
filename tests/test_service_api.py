"""Dify's own paths: runs by Dify's rules, what an app is, and what is passed on."""

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import httpx
import pytest
from werkzeug import Response

from duck import limits
from duck.dify.session import SessionGateway
from duck.faces.api import serve as api_serve
from duck.faces.openai import serve as openai
from duck.faces.service_api import serve
from duck.faces.service_api.stream import Stream
from tests import api as service
from tests.api import FORM, INFO, SECRET, SITE, Api, refused, sse
from tests.openai_calls import App
from tests.support import APP, KEY, Dify, basic, blocking_sample, body_of, http_error, json_of, make_request, sample

SETTINGS = {**service.SETTINGS, "apps": f"talk={APP}", "default_app": {"app_id": APP}, "public_apps": "talk"}
NO_OWN_KEY = {**SETTINGS, "app_keys": "", "service_api_url": ""}
UPLOAD, VERSION = "3d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a44", "4d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a45"
LOCAL = {"type": "image", "transfer_method": "local_file", "upload_file_id": UPLOAD}

type Handler = Callable[..., Response]


def call(
    handler: Handler,
    path: str,
    ids: Mapping[str, str] | None = None,
    *,
    dify: Dify | None = None,
    settings: Mapping[str, Any] = SETTINGS,
    method: str = "POST",
    base: str = "/dify/talk/v1",
    **options: Any,
) -> Response:
    """One request below the base URL; `ids` are those in the path."""
    parts = {**(ids or {}), **({"app_id": "talk"} if base.startswith("/dify/") else {})}
    request = make_request(method, f"{base}/{path}", **options)
    return handler(request, parts, settings, SessionGateway(dify or Dify()))


def run(body: Any, path: str = "chat-messages", ids: Mapping[str, str] | None = None, **options: Any) -> Response:
    return call(serve.run, path, ids, json=body, **options)


def fault(response: Response) -> tuple[int, str, str]:
    error = json_of(response)
    assert error.keys() == {"code", "message", "status"}
    assert error["status"] == response.status_code
    return error["status"], error["code"], error["message"]


def guest(handler: Handler, path: str, *ids: Any, **options: Any) -> Response:
    return call(handler, path, *ids, key=None, **options)


# Runs


@pytest.mark.parametrize("base", ["/dify/talk/v1", "/v1"])
@pytest.mark.parametrize(
    ("path", "kind"), [("chat-messages", "chat"), ("completion-messages", "completion"), ("workflows/run", "workflow")]
)
def test_a_run_blocks_unless_it_is_told_to_stream(api: Api, path: str, kind: str, base: str) -> None:
    body = {"query": "hi", "inputs": {}, "user": "ann"}
    api.answers[f"/{path}"] = blocking_sample(kind)
    assert json_of(run(body, path, base=base)) == blocking_sample(kind)
    api.answers[f"/{path}"] = lambda _: sse(*sample(kind))
    headers = {"Accept": "application/json"}
    response = run({**body, "response_mode": "streaming"}, path, base=base, headers=headers)
    assert response.headers["Content-Type"] == "text/event-stream"
    assert body_of(response).decode() == "".join(
        f"data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n" for event in sample(kind)
    )
    assert [(sent["response_mode"], sent["user"]) for sent in api.bodies(f"/{path}")] == [
        ("blocking", "ann"),
        ("streaming", "ann"),
    ]


def test_what_difys_clients_send_is_taken(api: Api) -> None:
    ignored = {"auto_generate_name": False, "trace_id": "t", "parent_message_id": None, "city": "Oslo"}
    empty = {"inputs": None, "files": None, "conversation_id": None, "user": None, "response_mode": None}
    api.answers["/parameters"] = {"user_input_form": [{"text-input": {"variable": "city"}}]}
    unknown = {"query": "hi", "files": [], "conversation_id": "", "inputs": {"query": "", "nothing": 1}}
    for body in ({"query": "hi"}, {"query": "hi", **empty, **ignored}, unknown):
        assert run(body).status_code == 200
    first, *others = api.bodies("/chat-messages")
    assert first.pop("user").startswith("key-")
    assert first == {"inputs": {}, "response_mode": "blocking", "files": [], "query": "hi", "conversation_id": ""}
    assert [{**body, "user": ""} for body in others] == [{**first, "user": ""}] * 2


def test_an_app_without_a_key_of_its_own_is_run_through_the_session() -> None:
    dify = Dify(blocking=blocking_sample("chat"))
    assert run({"query": "hi"}, dify=App(blocking=blocking_sample("chat")), settings=NO_OWN_KEY).status_code == 200
    response = run({"query": "hi", "files": [LOCAL]}, dify=dify, settings=NO_OWN_KEY)
    assert fault(response)[:2] == (400, "invalid_param")


def test_an_app_of_another_kind_names_its_path(api: Api) -> None:
    api.answers["/parameters"] = {"user_input_form": [{"text-input": {"variable": "city", "required": True}}]}
    error = fault(run({"inputs": {}}, "workflows/run"))
    assert error == (400, "not_workflow_app", "This app is of another kind: it runs at POST chat-messages.")
    assert "/workflows/run" not in api.paths()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"query": ""}, "query: required"),
        ({"query": "hi", "response_mode": "later"}, "response_mode: must be blocking or streaming"),
        ({"query": "hi", "workflow_id": 5}, "workflow_id: must be a text"),
        ({"query": "hi", "inputs": {"city": 1}}, "inputs.city: must be a text"),
    ],
)
def test_faults_are_told_in_difys_shape(api: Api, body: Any, message: str) -> None:
    api.answers["/parameters"] = {"user_input_form": [{"text-input": {"variable": "city"}}]}
    assert fault(run(body)) == (400, "invalid_param", message)
    assert "/chat-messages" not in api.paths()


def test_a_page_of_another_site_runs_nothing(api: Api) -> None:
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for handler, path, ids in ((serve.run, "chat-messages", {}), (serve.stop, "chat-messages/t/stop", {"task_id": "t"})):
        assert fault(guest(handler, path, ids, headers=headers, json={"query": "hi"}))[:2] == (403, "forbidden")
    response = call(serve.kept, "conversations", method="GET", key=None, headers=headers | basic(KEY))
    assert fault(response)[:2] == (403, "forbidden")
    assert api.paths() == []


def test_guests_share_a_rate(api: Api) -> None:
    settings, dify = {**SETTINGS, "public_rate": "1"}, Dify()
    answers = [guest(serve.run, "chat-messages", json={"query": "hi"}, settings=settings, dify=dify) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert api.bodies("/chat-messages")[0]["user"] == "public"


def test_a_conversation_that_dify_has_begun_anew_is_told_of(api: Api) -> None:
    api.answers["/chat-messages"] = blocking_sample("chat")
    response = run({"query": "hi", "conversation_id": UPLOAD})
    assert response.headers["Conversation-Restarted"] == "true"


def test_a_keep_alive_is_difys() -> None:
    assert Stream().keep_alive() == b"event: ping\n\n"


# Versions


def test_a_version_is_run_by_the_apps_own_key(api: Api) -> None:
    api.answers[f"/workflows/{VERSION}/run"] = blocking_sample("workflow")
    ids = {"workflow_id": VERSION}
    assert run({"inputs": {}}, f"workflows/{VERSION}/run", ids).status_code == 200
    assert run({"query": "hi", "workflow_id": VERSION}).status_code == 200
    assert api.bodies("/chat-messages")[0]["workflow_id"] == VERSION
    api.answers[f"/workflows/{VERSION}/run"] = refused(404, "not_found", f"Workflow not found with id: {VERSION}")
    assert fault(run({"inputs": {}}, f"workflows/{VERSION}/run", ids)) == (
        404,
        "not_found",
        f"Workflow not found with id: {VERSION}",
    )


def test_others_run_the_version_that_is_published(api: Api) -> None:
    ids, path = {"workflow_id": VERSION}, f"workflows/{VERSION}/run"
    assert "without a key" in fault(guest(serve.run, path, ids, json={"inputs": {}}))[2]
    assert "(app_keys)" in fault(run({"inputs": {}}, path, ids, settings=NO_OWN_KEY))[2]
    assert guest(serve.run, "chat-messages", json={"query": "hi", "workflow_id": VERSION}).status_code == 200
    assert "workflow_id" not in api.bodies("/chat-messages")[0]


# Files


def test_files_are_ids_of_uploads_for_holders_of_a_key(api: Api) -> None:
    api.answers["/parameters"] = FORM
    body = {"query": "hi", "files": [{**LOCAL, "url": ""}], "inputs": {"doc": {**LOCAL, "type": "document"}}}
    assert run(body).status_code == 200
    [sent] = api.bodies("/chat-messages")
    assert (sent["files"], sent["inputs"]) == ([LOCAL], {"doc": {**LOCAL, "type": "document"}})
    error = fault(guest(serve.run, "chat-messages", json=body))
    assert error[:2] == (400, "invalid_param")
    assert error[2].count("must be a link") == 2


def test_ids_are_taken_without_a_form_as_well(api: Api) -> None:
    api.answers["/parameters"] = refused(400, "app_unavailable", "App unavailable")
    assert run({"query": "hi", "files": [LOCAL], "inputs": {"doc": LOCAL}}).status_code == 200
    assert api.bodies("/chat-messages")[0]["inputs"] == {"doc": LOCAL}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({**LOCAL, "upload_file_id": "../x"}, "files: upload_file_id must be the id of an upload"),
        ({**LOCAL, "upload_file_id": None}, "files: upload_file_id must be the id of an upload"),
        ({**LOCAL, "type": 5}, "files: the type of a file must be a text"),
        ({**LOCAL, "type": "video"}, f"files: takes files of these kinds: image; {UPLOAD} is none of them"),
        ({**LOCAL, "transfer_method": "tool_file"}, "files: must be a link"),
    ],
)
def test_other_files_are_refused(api: Api, file: Any, message: str) -> None:
    api.answers["/parameters"] = FORM
    assert fault(run({"query": "hi", "files": [file]}))[2].startswith(message)


def test_a_variable_that_takes_links_takes_no_ids(api: Api) -> None:
    api.answers["/parameters"] = {"user_input_form": [{"file": {"variable": "a", "allowed_file_upload_methods": ["remote_url"]}}]}
    assert fault(run({"query": "hi", "inputs": {"a": LOCAL}}))[2] == "inputs.a: takes links only"


# What an app is


def about(path: str, **options: Any) -> Any:
    return json_of(call(serve.about, path, method="GET", **options))


def test_an_app_says_what_dify_says_of_it(api: Api) -> None:
    secret = {"author_name": "x", "id_of_owner": 1}
    api.answers |= {"/info": {**INFO, **secret}, "/site": {**SITE, **secret}, "/meta": {"tool_icons": {"a": "b"}}}
    assert about("info?user=x") == {**INFO, **secret}
    assert about("site") == {**SITE, **secret}
    assert about("meta") == {"tool_icons": {"a": "b"}}
    assert about("parameters?user=x") == {"user_input_form": []}
    assert about("info", key=None) == INFO
    assert about("site", key=None) == SITE
    assert about("meta", key=None) == {"tool_icons": {}}
    assert about("parameters", key=None) == {"user_input_form": []}


def test_an_app_without_a_key_of_its_own_is_called_by_its_alias() -> None:
    info = {"name": "default", "description": "", "tags": [], "mode": "chat", "author_name": ""}
    assert about("info", dify=Dify(), settings=NO_OWN_KEY, base="/v1") == info, "of no known kind"
    assert about("info", dify=App("workflow"), settings=NO_OWN_KEY) == {**info, "name": "talk", "mode": "workflow"}
    assert about("site", settings=NO_OWN_KEY) == {"title": "talk", "default_language": "en-US"}
    assert about("meta", settings=NO_OWN_KEY) == {"tool_icons": {}}


def test_head_asks_dify_nothing(api: Api) -> None:
    for handler, path in ((serve.about, "info"), (serve.kept, "conversations")):
        response = call(handler, path, method="HEAD")
        assert (response.status_code, body_of(response)) == (200, b"")
    assert guest(serve.kept, "conversations", method="HEAD").status_code == 404
    assert api.paths() == []


# Stopping


def test_a_run_is_stopped(api: Api) -> None:
    response = call(serve.stop, "chat-messages/t-1/stop", {"task_id": "t-1"}, json={"user": "ann"})
    assert json_of(response) == {"result": "success"}
    assert api.bodies("/chat-messages/t-1/stop") == [{"user": "ann"}]
    refusal = call(serve.stop, "chat-messages/t-1/stop", {"task_id": "t-1"}, json={}, settings=NO_OWN_KEY)
    assert fault(refusal)[:2] == (400, "stop_unavailable")


# What is passed on


def kept(path: str, ids: Mapping[str, str] | None = None, **options: Any) -> Response:
    return call(serve.kept, path, ids, **options)


def query_of(api: Api) -> dict[str, str]:
    return dict(api.requests[-1].url.params)


def test_a_list_is_passed_on_for_the_callers_user(api: Api) -> None:
    api.answers["/conversations"] = {"data": [], "limit": 5}
    response = kept("conversations?user=ann&limit=5&user=bob", method="GET")
    assert json_of(response) == {"data": [], "limit": 5}
    assert response.headers["Content-Type"] == "application/json"
    assert query_of(api) == {"limit": "5", "user": "ann"}
    assert api.requests[-1].headers["Authorization"] == f"Bearer {SECRET}"
    kept("conversations?user=", method="GET")
    assert query_of(api)["user"].startswith("key-")


def test_logs_are_filtered_by_the_user(api: Api) -> None:
    api.answers["/workflows/logs"] = {"data": []}
    kept("workflows/logs?status=failed&created_by_account=owner&created_by_end_user_session_id=ann&user=eve", method="GET")
    assert query_of(api) == {"status": "failed", "created_by_end_user_session_id": "ann"}


@pytest.mark.parametrize(
    ("method", "path", "ids"),
    [
        ("POST", "conversations/c-1/name", {"conversation_id": "c-1"}),
        ("DELETE", "conversations/c-1", {"conversation_id": "c-1"}),
        ("PUT", "conversations/c-1/variables/v_2", {"conversation_id": "c-1", "variable_id": "v_2"}),
    ],
)
def test_a_change_is_passed_on_for_the_callers_user(api: Api, method: str, path: str, ids: dict[str, str]) -> None:
    api.answers[f"/{path}"] = httpx.Response(204) if method == "DELETE" else {"id": "c-1"}
    response = kept(path, ids, method=method, json={"name": "Ducks", "user": "ann"})
    assert (response.status_code, body_of(response)[:1]) == ((204, b"") if method == "DELETE" else (200, b"{"))
    assert (api.requests[-1].method, api.bodies(f"/{path}")) == (method, [{"name": "Ducks", "user": "ann"}])
    if method == "DELETE":
        kept(f"{path}?user=bob", ids, method=method, data=b"0\r\n\r\n")
        assert api.bodies(f"/{path}")[-1] == {"user": "bob"}


def test_a_file_is_passed_on(api: Api) -> None:
    api.answers["/files/upload"] = httpx.Response(201, json={"id": UPLOAD})
    data = {"file": (BytesIO(b"PNG"), "../a.png", "image/png"), "user": "ann"}
    response = kept("files/upload", data=data)
    assert (response.status_code, json_of(response)) == (201, {"id": UPLOAD})
    sent = api.requests[-1].content
    assert b'filename="a.png"' in sent
    assert b'name="user"\r\n\r\nann\r\n' in sent
    api.answers["/audio-to-text"] = {"text": "Quack."}
    assert json_of(kept("audio-to-text", data={"file": (BytesIO(b"MP3"), "a.mp3")})) == {"text": "Quack."}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"user": "ann"}, "no_file_uploaded"),
        ({"file": "a text"}, "no_file_uploaded"),
        ({"file": [(BytesIO(b"1"), "a.png"), (BytesIO(b"2"), "b.png")]}, "too_many_files"),
    ],
)
def test_an_upload_is_one_file(api: Api, data: Any, code: str) -> None:
    assert fault(kept("files/upload", data=data))[:2] == (400, code)
    assert api.paths() == []


def test_content_does_not_run_on_difys_origin(api: Api) -> None:
    headers = {"Content-Type": "text/html", "Content-Disposition": "attachment", "Set-Cookie": "a=b", "X-Secret": "c"}
    api.answers[f"/files/{UPLOAD}/preview"] = httpx.Response(200, headers=headers, content=b"<script>")
    response = kept(f"files/{UPLOAD}/preview?as_attachment=1", {"file_id": UPLOAD}, method="GET")
    assert body_of(response) == b"<script>"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert (response.headers["Content-Type"], response.headers["Content-Disposition"]) == ("text/html", "attachment")
    assert {"Set-Cookie", "X-Secret"} & {*response.headers.keys()} == set()
    api.answers["/text-to-audio"] = httpx.Response(200, headers={"Content-Type": "audio/mpeg"}, content=b"MP3")
    assert body_of(kept("text-to-audio", json={"text": "Quack."})) == b"MP3"


def test_content_that_is_too_large_is_not_passed_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_FORWARDED", 3)
    api.answers[f"/files/{UPLOAD}/preview"] = httpx.Response(200, content=b"1234")
    assert fault(kept(f"files/{UPLOAD}/preview", {"file_id": UPLOAD}, method="GET"))[:2] == (502, "file_too_large")


def test_events_are_passed_on(api: Api) -> None:
    ids = {"workflow_run_id": VERSION}
    api.answers[f"/workflow/{VERSION}/events"] = sse(*sample("workflow"), 5)
    response = kept(f"workflow/{VERSION}/events?user=ann&continue_on_pause=true", ids, method="GET")
    assert (response.headers["Content-Type"], response.headers["X-Accel-Buffering"]) == ("text/event-stream", "no")
    lines = body_of(response).split(b"\n\n")
    assert [json.loads(line.removeprefix(b"data: ")) for line in lines if line] == sample("workflow")
    assert query_of(api) == {"continue_on_pause": "true", "user": "ann"}
    api.answers[f"/workflow/{VERSION}/events"] = refused(404, "not_found", "Workflow run not found")
    refusal = kept(f"workflow/{VERSION}/events", ids, method="GET")
    assert fault(refusal) == (404, "not_found", "Workflow run not found")


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (refused(404, "not_found", "Conversation Not Exists."), 404, "not_found"),
        (refused(400, "not_chat_app", "Please check"), 400, "not_chat_app"),
        (refused(403, "file_access_denied", "Access to the requested file is denied."), 403, "file_access_denied"),
        (refused(412, "human_input_form_expired", "Gone"), 412, "human_input_form_expired"),
        (refused(401, "unauthorized", f"Access token {SECRET} is invalid"), 502, "app_unavailable"),
        (refused(403, "forbidden", "The app's API service has been disabled."), 502, "app_unavailable"),
        (refused(429, "too_many_requests", "Too many"), 429, "rate_limit_error"),
        (refused(500, "internal_server_error", "Internal Server Error"), 502, "completion_request_error"),
        (httpx.Response(404, text="<html>"), 502, "app_unavailable"),
        (httpx.Response(200, text="<html>"), 502, "app_unavailable"),
        (httpx.Response(200, json=[]), 502, "app_unavailable"),
        (httpx.Response(302, headers={"Location": "https://evil.example"}), 502, "app_unavailable"),
        (httpx.ConnectError(SECRET), 502, "app_unavailable"),
    ],
)
def test_a_refusal_of_difys_stays_what_it_is_and_tells_no_key(api: Api, answer: Any, status: int, code: str) -> None:
    api.answers["/conversations"] = answer
    response = kept("conversations", method="GET")
    assert fault(response)[:2] == (status, code)
    assert SECRET not in body_of(response).decode()


@pytest.mark.parametrize("part", ["..", "a b", "a/b", "", "x" * 201, "ä"])
def test_a_path_leads_to_nothing_else(api: Api, part: str) -> None:
    assert fault(kept("conversations/x", {"conversation_id": part}, method="DELETE"))[:2] == (404, "not_found")
    assert api.paths() == []


def test_guests_get_nothing_that_dify_keeps(api: Api) -> None:
    for path, ids in (("conversations", {}), ("workflow/w/events", {"workflow_run_id": "w"})):
        status, code, message = fault(guest(serve.kept, path, ids, method="GET"))
        assert (status, code, "without a key" in message) == (404, "not_found", True)
    assert api.paths() == []


def test_without_the_apps_own_key_the_setting_is_named() -> None:
    for path, ids in (("conversations", {}), ("workflow/w/events", {"workflow_run_id": "w"})):
        status, code, message = fault(kept(path, ids, method="GET", settings=NO_OWN_KEY))
        assert (status, code, "App keys (app_keys)" in message) == (404, "not_found", True)


def test_a_user_is_a_text(api: Api) -> None:
    assert fault(kept("conversations/c/name", {"conversation_id": "c"}, json={"user": 5}))[2] == "user: must be a text"
    assert api.paths() == []


# Paths that are not there, and those that are Anthropic's


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/dify/talk/v1/app/feedbacks", 404, "console"),
        ("/v1/apps/annotations", 404, "console"),
        ("/dify/talk/v1/datasets", 404, "an API of their own"),
        ("/dify/talk/v1/nothing", 404, "/dify/<app_id>/v1"),
        ("/dify/talk", 404, "/dify/<app_id>/v1"),
        ("/dify/talk/v1/chat-messages", 405, "POST"),
    ],
)
def test_what_is_not_there_says_why(path: str, status: int, words: str) -> None:
    error = fault(serve.unknown(make_request("GET", path), SETTINGS))
    assert (error[0], words in error[2]) == (status, True)


@pytest.mark.parametrize("base", ["/dify/talk/v1", "/v1"])
def test_a_path_of_difys_with_another_method_is_none_of_openais(api: Api, base: str) -> None:
    api.answers["/messages"] = {"data": []}
    assert json_of(call(serve.kept, "messages", method="GET", base=base)) == {"data": []}
    for method, path in (("PUT", "messages"), ("POST", "conversations")):
        assert openai.unknown(make_request(method, f"/v1/{path}"), SETTINGS).status_code == 404


# Pages of other origins


@pytest.mark.parametrize(("app", "allowed"), [("talk", "*"), ("other", None)])
def test_a_preflight_is_about_the_app_in_the_path(app: str, allowed: str | None) -> None:
    settings = {**SETTINGS, "apps": f"talk={APP}, other={UPLOAD}", "allowed_origins": "*"}
    headers = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    request = make_request("OPTIONS", f"/dify/{app}/v1/chat-messages", key=None, headers=headers)
    assert api_serve.preflight(request, settings).headers.get("Access-Control-Allow-Origin") == allowed


def test_a_failure_through_the_session_is_told_in_difys_shape() -> None:
    dify = App(blocking=http_error(400, "provider_quota_exceeded", "Your quota is used up"))
    assert fault(run({"query": "hi"}, dify=dify, settings=NO_OWN_KEY))[0] == 502
