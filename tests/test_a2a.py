"""A2A's requests: what is read of them, what is refused, and the cards by which apps are found."""

import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from a2a.client.card_resolver import parse_agent_card
from a2a.utils.errors import A2A_ERROR_MAPPING, JSON_RPC_ERROR_CODE_MAP
from hypothesis import given
from hypothesis import strategies as st

from duck.callers.settings import DEFAULT
from duck.dify.service import ServiceGateway
from duck.errors import DuckError
from duck.faces.a2a import messages, serve
from duck.faces.jsonrpc import RpcError
from duck.state import State
from duck.streams.slots import Slots
from tests.a2a_calls import SEND, SETTINGS, STREAM, call, card, error, message, post, refused, result, say, task, updates
from tests.fuzzing import HEADER_TEXTS, JSON, TEXTS
from tests.openai_calls import CITY, OTHER_KEY, App, Talk
from tests.support import APP, KEY, NoSleepClock, http_error, json_of, make_request, sample

CLOSED = {**SETTINGS, "public_apps": ""}
UNKNOWN = "5d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a46"
PNG = b64encode(b"\x89PNG\r\n\x1a\n\xfb\xff").decode()
UPLOADS: Any = {"allowed_file_upload_methods": ["remote_url", "local_file"], "allowed_file_extensions": []}
FILES: dict[str, Any] = {
    "user_input_form": [
        {"text-input": {"variable": "city"}},
        {"file": {"variable": "picture", "allowed_file_types": ["image"], **UPLOADS}},
        {"file-list": {"variable": "papers", "allowed_file_types": ["document"], "max_length": 3, **UPLOADS}},
    ]
}


@pytest.fixture(autouse=True)
def _no_sleep(state: State) -> None:
    state.clock = NoSleepClock()


def chat(**script: Any) -> App:
    return App("chat", stream=sample("chat"), blocking={**sample("chat")[0], "mode": "chat", "answer": "Hi."}, **script)


# What is wrong, in the order in which it is told


HELLO = call(SEND, message())
NO_IDS: list[Any] = [True, [1], {}, "i" * 257]
NO_OBJECTS: list[Any] = [[], "a", 5, True]
WRONG: list[tuple[Any, Any, int]] = [
    (b"{", None, -32700),
    (b"", None, -32700),
    (b"\xff", None, -32700),
    (b'{"id":1,"a":' + b"[" * 101, None, -32700),
    ([], None, -32600),
    ([HELLO], None, -32600),
    ("text", None, -32600),
    ({}, None, -32600),
    ({"jsonrpc": "2.0", "id": 7, "result": {}}, 7, -32600),
    ({**HELLO, "method": 5}, 1, -32600),
    ({**HELLO, "jsonrpc": "1.0"}, 1, -32600),
    *(({**HELLO, "id": id_}, None, -32600) for id_ in NO_IDS),
    *(({**HELLO, "params": params}, 1, -32602) for params in NO_OBJECTS),
    (call("GetTask", {"id": "t"}), 1, -32001),
    (call("CancelTask", {"id": "t"}), 1, -32001),
    (call("SubscribeToTask", {"id": "t"}, id="x"), "x", -32001),
    (call(SEND, message(taskId="t")), 1, -32001),
    (call(STREAM, message(taskId="t")), 1, -32001),
    (call("CreateTaskPushNotificationConfig", {"taskId": "t"}), 1, -32003),
    (call("GetTaskPushNotificationConfig"), 1, -32003),
    (call("ListTaskPushNotificationConfigs"), 1, -32003),
    (call("DeleteTaskPushNotificationConfig"), 1, -32003),
    (call(SEND, {**message(), "configuration": {"taskPushNotificationConfig": {"url": "https://x.example"}}}), 1, -32003),
    (call("GetExtendedAgentCard"), 1, -32007),
    (call("message/send", message()), 1, -32601),
    (call("PushNotificationConfig"), 1, -32601),
    (call(""), 1, -32601),
    (call("sendMessage", message()), 1, -32601),
]
SDK_REASONS = {
    code: A2A_ERROR_MAPPING[each].reason for each, code in JSON_RPC_ERROR_CODE_MAP.items() if each in A2A_ERROR_MAPPING
}


@pytest.mark.parametrize(("body", "id_", "code"), WRONG)
def test_what_is_wrong_is_an_error_of_the_protocol(body: Any, id_: Any, code: int) -> None:
    dify = chat()
    response = post(dify, body)
    assert error(response)[:2] == (id_, code)
    reason = SDK_REASONS.get(code)
    info: Any = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "a2a-protocol.org",
        "metadata": {},
    }
    assert json_of(response)["error"].get("data") == ([info] if reason else None)
    assert (dify.calls, dify.fetched, dify.kind_calls) == ([], [], [])


@pytest.mark.parametrize("id_", [1, 0, -1.5, "", "x", None])
def test_an_answer_has_the_requests_id_and_its_type(id_: Any) -> None:
    document = json_of(post(chat(), call("ListTasks", id=id_)))
    assert (document["id"], type(document["id"])) == (id_, type(id_))


def test_a_request_without_an_id_is_answered_too() -> None:
    body = {name: value for name, value in HELLO.items() if name != "id"}
    document = json_of(post(chat(), body))
    assert (document["id"], document["result"]["task"]["status"]["state"]) == (None, "TASK_STATE_COMPLETED")


@pytest.mark.parametrize("params", [None, {}, {"contextId": "x", "pageSize": 3}])
def test_no_task_is_kept(params: Any) -> None:
    assert result(post(chat(), call("ListTasks", params))) == {
        "tasks": [],
        "nextPageToken": "",
        "pageSize": 50,
        "totalSize": 0,
    }


@pytest.mark.parametrize("version", ["1.0", " 1.0 ", "1.0.0", "1.0.12"])
def test_version_1_0_is_spoken_with_any_patch(version: str) -> None:
    assert result(post(chat(), call("ListTasks"), version=version))["tasks"] == []


@pytest.mark.parametrize(
    "version", [None, "", "0.3", "0.3.0", "1", "1.1", "2.0", "0.2", "1.0.x", "1.0,1.0", "v1.0", "1.0" * 9000]
)
def test_other_versions_are_not(version: str | None) -> None:
    dify = chat()
    assert error(post(dify, HELLO, version=version))[:2] == (1, -32009)
    assert dify.calls == []


# Fields of a message


FIELDS: list[tuple[Any, str, str]] = [
    ({}, "message", "required"),
    ({"message": None}, "message", "required"),
    ({"message": []}, "message", "must be an object"),
    (message(messageId=None), "message.messageId", "required"),
    (message(messageId=""), "message.messageId", "required"),
    (message(messageId=5), "message.messageId", "must be a text"),
    (message(role=None), "message.role", "must be ROLE_USER"),
    (message(role="user"), "message.role", "must be ROLE_USER"),
    (message(role="ROLE_AGENT"), "message.role", "must be ROLE_USER"),
    (message(parts=None), "message.parts", "must be a list of at least one part"),
    (message(parts=[]), "message.parts", "must be a list of at least one part"),
    (message(parts={}), "message.parts", "must be a list of at least one part"),
    (message(*["Hi"] * 1001), "message.parts", "more than 1000 parts"),
    (message(taskId=5), "message.taskId", "must be a text"),
    (message(contextId=5), "message.contextId", "must be a text"),
    ({**message(), "configuration": []}, "configuration", "must be an object"),
    (message("Hi", None), "message.parts[1]", "required"),
    (message("Hi", 5), "message.parts[1]", "must be an object"),
    (message({}), "message.parts[0]", "must have one of text, data, url and raw"),
    (message({"kind": "text"}), "message.parts[0]", "must have one of text, data, url and raw"),
    (message({"text": "a", "url": "https://x.example"}), "message.parts[0]", "must have one of text, data, url and raw"),
    (message({"text": 5}), "message.parts[0].text", "must be a text"),
    (message({"data": [1]}), "message.parts[0].data", "must be an object"),
    (message({"data": "a"}), "message.parts[0].data", "must be an object"),
    (message({"data": {str(n): n for n in range(1001)}}), "message.parts", "more than 1000 inputs"),
    (message("Hi", {"url": 5}), "message.parts[1].url", "must be a text"),
    (message("Hi", {"url": "ftp://x.example/a"}), "message.parts[1].url", "must be a link (http or https)"),
    (message("Hi", {"url": "data:,a"}), "message.parts[1].url", "must be a link (http or https)"),
    (message("Hi", {"raw": "a b!"}), "message.parts[1].raw", "must be base64"),
    (message("Hi", {"raw": PNG, "filename": 5}), "message.parts[1].filename", "must be a text"),
    (message("Hi", {"raw": PNG, "mediaType": []}), "message.parts[1].mediaType", "must be a text"),
    (message(""), "message.parts", "must have a text, data or a file"),
    (message(" \n", "\t", {"data": {}}), "message.parts", "must have a text, data or a file"),
]


@pytest.mark.parametrize(("params", "field", "text"), FIELDS)
@pytest.mark.parametrize("method", [SEND, STREAM])
def test_a_fault_names_the_field(method: str, params: Any, field: str, text: str) -> None:
    dify = chat()
    response = post(dify, call(method, params))
    assert error(response) == (1, -32602, f"{field}: {text}")
    _, violations = json_of(response)["error"]["data"]
    assert violations == {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": field, "description": text}],
    }
    assert (dify.calls, dify.fetched) == ([], [])


READ: list[tuple[Any, tuple[str, Any]]] = [
    (message("Hi"), ("Hi", {})),
    (message("Hi", "", " ", "there"), ("Hi\n\nthere", {})),
    (message(" Hi\n"), (" Hi\n", {})),
    (message({"text": "Hi", "data": None, "metadata": {"a": 1}, "mediaType": "text/markdown"}), ("Hi", {})),
    (message("Hi", {"data": {"a": 1, "b": None}}, {"data": {"a": 2}}), ("Hi", {"a": 2, "b": None})),
    (message({"data": {"a": [1]}}), ("", {"a": [1]})),
    (message("Hi", metadata={}, extensions=[], referenceTaskIds=["t"], contextId="", taskId=None), ("Hi", {})),
    (
        {**message("Hi"), "tenant": "", "metadata": {}, "configuration": {"returnImmediately": True, "historyLength": 0}},
        ("Hi", {}),
    ),
    ({**message("Hi"), "configuration": {"acceptedOutputModes": ["image/png"], "taskPushNotificationConfig": None}}, ("Hi", {})),
    ({**message("Hi"), "configuration": None}, ("Hi", {})),
]


@pytest.mark.parametrize(("params", "expected"), READ)
def test_what_a_message_says(params: Any, expected: Any) -> None:
    found = messages.read(params)
    assert ((found.text, found.inputs), found.attachments, found.context_id) == (expected, (), None)


TEXT = b64encode(b"a,b").decode()
ATTACHED: list[tuple[Any, tuple[str, str, str, bytes] | tuple[str, str]]] = [
    ({"url": "https://x.example/a.png"}, ("https://x.example/a.png", "image")),
    ({"url": "http://x.example/a", "filename": "b.pdf"}, ("http://x.example/a", "document")),
    ({"url": "http://x.example/a", "mediaType": "audio/mpeg"}, ("http://x.example/a", "audio")),
    ({"url": "http://x.example/a"}, ("http://x.example/a", "custom")),
    ({"raw": TEXT, "filename": "a.csv"}, ("a.csv", "text/csv", "document", b"a,b")),
    ({"raw": TEXT, "mediaType": "text/csv; charset=utf-8"}, ("file.csv", "text/csv", "document", b"a,b")),
    ({"raw": TEXT.rstrip("="), "mediaType": "IMAGE/PNG", "filename": "../b.png"}, ("b.png", "image/png", "image", b"a,b")),
    ({"raw": urlsafe_b64encode(b"\xfb\xff").decode()}, ("file", "application/octet-stream", "custom", b"\xfb\xff")),
    ({"raw": "", "mediaType": "no type\r\n"}, ("file.bin", "application/octet-stream", "custom", b"")),
]


@pytest.mark.parametrize(("part", "expected"), ATTACHED)
def test_files_are_links_or_their_content(part: Any, expected: Any) -> None:
    found = messages.read(message("Hi", part))
    [attachment] = found.attachments
    assert attachment.place == "message.parts[1]"
    if isinstance(attachment.value, str):
        assert (attachment.value, attachment.kind) == expected
    else:
        file = attachment.value
        assert (file.name, file.mimetype, attachment.kind, file.content) == expected


def test_data_and_files_go_to_the_inputs() -> None:
    dify = chat(form=FILES)
    parts = [{"raw": PNG, "filename": "a.png"}, {"url": "https://x.example/a.pdf"}, {"data": {"city": "Oslo"}}]
    task(say(dify, "Look.", *parts))
    [run] = dify.calls
    assert (run["query"], run["inputs"]["city"], run["inputs"]["papers"]) == (
        "Look.",
        "Oslo",
        [{"type": "document", "transfer_method": "remote_url", "url": "https://x.example/a.pdf"}],
    )
    assert run["inputs"]["picture"]["tool_file_id"] == "id of a.png"
    assert dify.uploaded == [("a.png", b"\x89PNG\r\n\x1a\n\xfb\xff", "image/png")]


INPUTS: list[tuple[tuple[Any, ...], str]] = [
    (("Hi", {"data": {"town": "Oslo"}}), "data.town: no such input"),
    (("Hi", {"data": {"city": 5}}), "data.city: "),
    (("Hi", {"url": "https://x.example/a.mp3"}), "message.parts[1]: this app takes no sound: it has no variable for one"),
    (({"data": {"city": "Oslo"}},), "message.parts: must have a text"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("parts", "told"), INPUTS)
def test_what_does_not_fit_the_app_is_a_fault_of_the_request(parts: Any, told: str, stream: bool) -> None:
    dify = chat(form=FILES)
    assert told in error(say(dify, *parts, stream=stream))[2]
    assert dify.calls == []


def test_all_faults_of_inputs_are_told() -> None:
    response = say(chat(form=FILES), "Hi", {"data": {"town": 1, "city": ["a"]}})
    [_, violations] = json_of(response)["error"]["data"]
    assert {each["field"] for each in violations["fieldViolations"]} == {"data.town", "data.city"}


def test_a_fault_that_dify_finds_is_one_of_the_request() -> None:
    reason = http_error(400, "invalid_param", "city is required in input form")
    for stream in (False, True):
        assert error(say(App("chat", form=CITY, stream=[reason], blocking=reason), stream=stream))[1] == -32602


@pytest.mark.parametrize("parts", [({"data": {"city": "Oslo"}},), ("Oslo",), (" ", {"data": {"city": "Oslo"}})])
def test_a_workflow_gets_data_as_its_inputs_and_text_in_the_variable_for_it(parts: Any) -> None:
    dify = App("workflow", stream=sample("workflow"), blocking=http_error(400, "invalid_param", "x"))
    updates(say(dify, *parts, stream=True))
    assert [run["inputs"] for run in dify.calls] == [{"city": "Oslo"}]


def test_a_workflow_may_get_nothing_but_a_file() -> None:
    dify = App("workflow", form=FILES, stream=sample("workflow"))
    updates(say(dify, {"raw": PNG, "filename": "a.png"}, stream=True))
    assert dify.calls[0]["inputs"]["picture"]["tool_file_id"] == "id of a.png"


def test_a_slash_at_the_end_changes_nothing() -> None:
    assert task(post(chat(), HELLO, path="/a2a/talk/"))["status"]["state"] == "TASK_STATE_COMPLETED"


# Who calls


CALLERS: list[tuple[dict[str, Any], tuple[int, str]]] = [
    ({"key": "a-wrong-key"}, (401, "unauthorized")),
    ({"key": None, "settings": CLOSED}, (401, "unauthorized")),
    ({"key": None, "app": "other"}, (401, "unauthorized")),
    ({"app": "unheard"}, (404, "app_not_found")),
    ({"app": UNKNOWN}, (404, "app_not_found")),
]


@pytest.mark.parametrize("ask", [lambda **o: post(chat(), b"{", **o), card])
@pytest.mark.parametrize(("options", "expected"), CALLERS)
def test_callers_without_access_get_a_status(ask: Any, options: Any, expected: Any) -> None:
    response = ask(**options)
    assert refused(response) == expected
    assert response.headers.get("WWW-Authenticate") == ('Bearer realm="Duck"' if expected[0] == 401 else None)


@pytest.mark.parametrize("stream", [False, True])
def test_other_sites_start_no_run_without_a_key(stream: bool) -> None:
    dify = chat()
    assert refused(say(dify, stream=stream, key=None, headers={"Origin": "https://evil.example"}))[0] == 403
    assert dify.calls == []


@pytest.mark.parametrize("stream", [False, True])
def test_what_comes_before_a_run_is_a_status(stream: bool, state: State) -> None:
    dify = chat()
    first, second = (say(dify, stream=stream, key=None, settings={**SETTINGS, "public_rate": "1"}) for _ in range(2))
    assert (first.status_code, refused(second)[0], len(dify.calls)) == (200, 429, 1)
    assert int(second.headers["Retry-After"]) > 0
    assert refused(post(dify, b" " * 10 * 1024 * 1024)) == (413, "file_too_large")
    assert refused(post(dify, HELLO, headers={"Content-Encoding": "gzip"})) == (415, "unsupported_media_type")
    state.slots = Slots(0)
    response = say(dify, stream=stream)
    assert refused(response)[0] == 503
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("stream", [False, True])
def test_an_app_that_is_gone_is_a_status(stream: bool) -> None:
    gone = http_error(404, "not_found", "app not found")
    assert refused(say(App("chat", stream=[gone], blocking=gone), stream=stream)) == (404, "app_not_found")


def test_settings_that_cannot_be_read_are_told_without_their_values() -> None:
    assert error(post(chat(), HELLO, settings={**SETTINGS, "apps": "a=b=secret"}))[:2] == (None, -32603)
    response = card(settings={**SETTINGS, "apps": "a=b=secret"})
    assert refused(response) == (500, "invalid_settings")
    assert b"secret" not in response.get_data()


def test_a_header_that_is_too_long_is_refused() -> None:
    assert error(post(chat(), HELLO, headers={"Accept": "a" * 9000}))[:2] == (None, -32600)


# Contexts


def said(dify: Talk, text: str, context: str | None = None, *, stream: bool = False, **options: Any) -> tuple[str, str]:
    """The answer, and the context that it is in."""
    response = say(dify, text, context=context, stream=stream, **options)
    if not stream:
        found = task(response)
        return found["artifacts"][0]["parts"][0]["text"], found["contextId"]
    first, answer, *_ = updates(response)
    return answer["artifactUpdate"]["artifact"]["parts"][0]["text"], first["task"]["contextId"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("key", [KEY, None])
def test_a_context_goes_on_and_stays_the_same(key: str | None, stream: bool) -> None:
    dify = Talk()
    answer, context = said(dify, "One", key=key, stream=stream)
    assert (answer, len(context)) == ("No. 1", 59)
    assert said(dify, "Two", context, key=key, stream=stream) == ("No. 2", context)
    assert said(dify, "Three", context, key=key, stream=not stream) == ("No. 3", context)
    assert said(dify, "One", key=key)[1] != context
    assert dify.conversations == [["One", "Two", "Three"], ["One"]]


def test_a_context_stays_the_same_for_another_key() -> None:
    dify = Talk()
    context = said(dify, "One", key=None)[1]
    assert said(dify, "Two", context, key=OTHER_KEY) == ("No. 2", context)
    own = said(dify, "One", key=OTHER_KEY)[1]
    assert said(dify, "Two", own, key=KEY) == ("No. 2", own)
    assert error(say(dify, "Two", context=own, key=None))[1] == -32602


@pytest.mark.parametrize("key", [KEY, None])
@pytest.mark.parametrize("stream", [False, True])
def test_contexts_of_others_start_nothing(key: str | None, stream: bool) -> None:
    dify = Talk()
    context = said(dify, "One", key=key)[1]
    [conversation_id] = dify.said
    wrong = [conversation_id, "mine", " ", context[:-1], context + "A", ("A" if context[0] != "A" else "B") + context[1:]]
    told = "message.contextId: no such context. Leave it out to start one"
    assert [error(say(dify, context=each, key=key, stream=stream)) for each in wrong] == [(1, -32602, told)] * len(wrong)
    assert dify.conversations == [["One"]]


@pytest.mark.parametrize("stream", [False, True])
def test_a_context_is_not_continued_in_another_conversation(stream: bool) -> None:
    dify = Talk()
    context = said(dify, "One")[1]
    restarted = App("chat", stream=sample("chat"), blocking={**sample("chat")[0], "mode": "chat", "answer": "Hi."})
    restarted.endpoint_id = dify.endpoint_id
    assert error(say(restarted, "Two", context=context, stream=stream))[2].startswith("message.contextId: ")


@pytest.mark.parametrize("stream", [False, True])
def test_a_context_whose_first_run_has_failed_begins_when_it_is_used_again(stream: bool) -> None:
    dify = Talk(http_error(400, "provider_quota_exceeded", "Quota exceeded"))
    failed = task(say(dify, "One"))
    assert failed["status"]["state"] == "TASK_STATE_FAILED"
    answer, context = said(dify, "One", failed["contextId"], stream=stream)
    assert answer == "No. 1"
    assert said(dify, "Two", context, stream=stream) == ("No. 2", context)


def test_runs_of_a_workflow_are_in_contexts_that_callers_tell_apart() -> None:
    dify = App("workflow", stream=sample("workflow"))
    first, second = (updates(say(dify, {"data": {"city": "a"}}, stream=True)) for _ in range(2))
    context = first[0]["task"]["contextId"]
    assert context != second[0]["task"]["contextId"]
    again = updates(say(dify, {"data": {"city": "a"}}, stream=True, context=context))
    assert again[0]["task"]["contextId"] == context


# Cards


def test_the_card_of_an_app_that_needs_a_key() -> None:
    found = json_of(card(app="other", dify=chat()))
    about = "Runs the app other in Dify."
    assert found == {
        "name": "other",
        "description": about,
        "version": "0.1.0",
        "supportedInterfaces": [
            {"url": "https://dify.example.com/e/abc/a2a/other", "protocolBinding": "JSONRPC", "protocolVersion": version}
            for version in ("1.0", "0.3")
        ],
        "capabilities": {"streaming": True, "pushNotifications": False},
        "defaultInputModes": ["text/plain", "application/json"],
        "defaultOutputModes": ["text/plain"],
        "skills": [
            {
                "id": "other",
                "name": "other",
                "description": f"{about}\n\nInputs, as an object in a data part: city (text-input).",
                "tags": ["dify"],
            }
        ],
        "securitySchemes": {"key": {"httpAuthSecurityScheme": {"scheme": "Bearer"}, "type": "http", "scheme": "bearer"}},
        "securityRequirements": [{"schemes": {"key": {"list": []}}}],
        "url": "https://dify.example.com/e/abc/a2a/other",
        "preferredTransport": "JSONRPC",
        "protocolVersion": "0.3.0",
        "security": [{"key": []}],
    }
    parsed = parse_agent_card(found)
    assert parsed.security_schemes["key"].http_auth_security_scheme.scheme.lower() == "bearer"
    assert [each.protocol_version for each in parsed.supported_interfaces] == ["1.0", "0.3"]


@pytest.mark.parametrize("key", [KEY, None])
def test_the_card_of_a_public_app_asks_for_no_key(key: str | None) -> None:
    found = json_of(card(key=key, dify=App("workflow", form={"user_input_form": []})))
    assert found.keys().isdisjoint({"securitySchemes", "securityRequirements", "security"})
    assert (found["defaultInputModes"], found["skills"][0]["description"]) == (["text/plain"], "Runs the app talk in Dify.")


def test_a_card_tells_the_opening_and_what_the_app_takes() -> None:
    form = {
        "opening_statement": f" Hello. {'x' * 600}",
        "user_input_form": [
            {"select": {"variable": "tone", "options": ["kind", "terse"], "required": True}},
            {"text-input": {"variable": "secret", "hide": True}},
            {"paragraph": {"variable": "preset", "required": True}},
            *FILES["user_input_form"],
        ],
    }
    settings = {**SETTINGS, "default_app": {"app_id": APP, "inputs": {"preset": "x", "tone": ""}}, "apps": ""}
    found = json_of(card(app=DEFAULT, dify=chat(form=form), settings={**settings, "public_apps": ""}))
    assert found["description"] == f"Hello. {'x' * 492}"
    assert found["skills"][0]["description"].endswith(
        "\n\nInputs, as an object in a data part: tone (one of kind | terse, required), preset (paragraph), city (text-input)."
    )
    assert found["defaultInputModes"] == ["text/plain", "application/json", "image/*", "application/*"]


def test_a_card_is_told_even_if_dify_tells_nothing() -> None:
    failing = App("chat", form=Exception("fetch app failed: x"))
    assert json_of(card(dify=failing))["skills"][0]["description"] == "Runs the app talk in Dify."


def test_a_card_has_the_name_and_the_description_that_an_apps_own_key_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServiceGateway, "info", lambda _: {"name": "Help desk", "description": "Knows prices.", "mode": "chat"})
    monkeypatch.setattr(ServiceGateway, "form", lambda *_, **__: (None, True))
    settings = {**SETTINGS, "app_keys": f"talk={'app-' + 'x' * 24}", "service_api_url": "https://dify.example.com/v1"}
    found = json_of(card(settings=settings))
    assert (found["name"], found["description"]) == ("Help desk", "Knows prices.")
    assert {field: found["skills"][0][field] for field in ("id", "name", "description")} == {
        "id": "talk",
        "name": "Help desk",
        "description": "Knows prices.",
    }


@pytest.mark.parametrize("app", ["talk", APP, APP.upper()])
def test_a_card_has_the_address_by_which_it_was_found(app: str) -> None:
    hook = {"Dify-Hook-Id": "abc", "Dify-Hook-Url": f"https://other.example/e/abc/a2a/{app}/.well-known/agent-card.json"}
    unset = {**SETTINGS, "public_url": ""}
    assert json_of(card(app=app, headers=hook))["url"] == f"https://dify.example.com/e/abc/a2a/{app}"
    assert json_of(card(app=app, headers=hook, settings=unset))["url"] == f"https://other.example/e/abc/a2a/{app}"
    response = card(app=app, settings=unset)
    assert refused(response) == (500, "no_public_url")
    assert "Public URL (public_url)" in json_of(response)["message"]


# Whatever comes


PARTS = st.dictionaries(
    st.sampled_from(["text", "data", "url", "raw", "filename", "mediaType", "kind", "file"]), JSON, max_size=4
)
MESSAGES = st.fixed_dictionaries(
    {"message": st.fixed_dictionaries(
        {"messageId": TEXTS, "role": st.sampled_from(["ROLE_USER", "user", ""])},
        optional={"parts": st.lists(PARTS | JSON, max_size=3), "contextId": JSON, "taskId": JSON},
    ) | JSON},
    optional={"configuration": JSON},
)  # fmt: skip
METHODS = st.sampled_from([SEND, STREAM, "message/send", "message/stream", "ListTasks", "GetTask", "tasks/get", "x"])
BODIES = st.fixed_dictionaries(
    {"jsonrpc": st.sampled_from(["2.0", "2"]), "id": JSON, "method": METHODS | TEXTS}, optional={"params": MESSAGES | JSON}
)


@given(BODIES | JSON, st.sampled_from(["1.0", "0.3", ""]) | HEADER_TEXTS, st.sampled_from([KEY, None]))
def test_no_body_is_too_much(body: Any, version: str, key: str | None) -> None:
    response = post(chat(), body, version=version, key=key, settings={**SETTINGS, "public_rate": "100000"})
    assert response.status_code == 200
    if response.content_type == "application/json":
        document = json_of(response)
        assert document.keys() in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
        assert document.get("error", {}).get("code") != -32603


@given(MESSAGES | st.dictionaries(TEXTS, JSON, max_size=3))
def test_a_message_is_read_or_has_a_fault(params: Any) -> None:
    try:
        messages.read(json.loads(json.dumps(params)))
    except RpcError as refusal:
        assert refusal.number in {-32001, -32003}  # noqa: PT017 - either may be raised
    except DuckError as refusal:
        assert refusal.field  # noqa: PT017 - as above


def test_a_defect_before_a_run_is_an_error_without_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duck.faces.a2a.serve.asking.signer", lambda *_: 1 / 0)
    id_, code, told = error(say(chat()))
    assert (id_, code) == (1, -32603)
    assert told.startswith("Duck failed. Its log has the reason under ")


def test_the_handlers_are_those_of_the_routes() -> None:
    assert serve.card(make_request("GET", "/a2a/talk", key=None), "talk", CLOSED, chat().gateway()).status_code == 401
