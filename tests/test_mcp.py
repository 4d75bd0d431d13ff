"""MCP's protocol, of both eras: what is checked in which order, and the documents that say what Duck is."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug import Response

from duck.faces.mcp import serve
from duck.state import State
from duck.texts import Text
from tests.fuzzing import HEADER_TEXTS, JSON, TEXTS
from tests.mcp_calls import LEGACY, META, MODERN, SERVER, SETTINGS, ask, error, headers_of, message, post, result, use
from tests.openai_calls import App
from tests.support import APP, KEY, basic, body_of, json_of, make_request, sample

SUPPORTED = [MODERN, *LEGACY]
CLOSED = {**SETTINGS, "public_apps": ""}
UNKNOWN = "5d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a46"


def base64(name: str | bytes) -> str:
    return f"=?base64?{b64encode(name if isinstance(name, bytes) else name.encode()).decode()}?="


def app() -> App:
    return App("chat", stream=sample("chat"))


# What is checked, in its order: each request has its own fault and all those that are checked after it


NO_IDS: list[Any] = [None, True, [1], {}]
NO_OBJECTS: list[Any] = [None, [], "a", 5]
BAD_PARAMS: Any = message("nothing", modern=False, params=[])
WRONG: list[tuple[dict[str, Any], Any, tuple[int, Any, int]]] = [
    ({"headers": {"Origin": "https://evil.example"}, "key": "wrong-key"}, b"{", (403, None, 403)),
    ({"key": "wrong-key"}, b"{", (400, None, -32700)),
    ({"key": "wrong-key"}, b"", (400, None, -32700)),
    ({"key": "wrong-key"}, b"\xff", (400, None, -32700)),
    ({"key": "wrong-key"}, b'{"id":1' + b'"a":[' * 101, (400, None, -32700)),
    ({"key": "wrong-key"}, [], (400, None, -32600)),
    ({"key": "wrong-key"}, [message("tools/list")], (400, None, -32600)),
    ({"key": "wrong-key"}, "text", (400, None, -32600)),
    ({"key": "wrong-key"}, {}, (400, None, -32600)),
    ({"key": "wrong-key"}, {"jsonrpc": "2.0", "id": 7, "result": {}}, (400, 7, -32600)),
    ({"key": "wrong-key"}, {**BAD_PARAMS, "method": 5}, (400, 1, -32600)),
    ({"key": "wrong-key"}, {**BAD_PARAMS, "jsonrpc": "1.0"}, (400, 1, -32600)),
    *(({"key": "wrong-key"}, {**BAD_PARAMS, "id": id_}, (400, None, -32600)) for id_ in NO_IDS),
    *(({"key": "wrong-key"}, {**BAD_PARAMS, "params": params}, (400, 1, -32602)) for params in NO_OBJECTS),
    ({"key": "wrong-key"}, {"jsonrpc": "2.0", "method": "notifications/initialized"}, (401, None, 401)),
    ({"key": "wrong-key"}, message("nothing", {"_meta": {f"{META}protocolVersion": 5}}), (401, 1, 401)),
    ({"key": None, "settings": CLOSED}, message("nothing", {"_meta": {f"{META}protocolVersion": 5}}), (401, 1, 401)),
    ({"key": None, "settings": CLOSED}, {"jsonrpc": "2.0", "method": "notifications/initialized"}, (401, None, 401)),
    ({"key": None, "app": "other"}, message("nothing", modern=False), (401, 1, 401)),
    ({"app": "unheard"}, message("nothing", {"_meta": {f"{META}protocolVersion": 5}}, id="x"), (404, "x", 404)),
    ({"app": UNKNOWN}, message("tools/list", modern=False), (404, 1, 404)),
    ({}, message("nothing", {"_meta": {f"{META}protocolVersion": 5}}), (400, 1, -32602)),
    ({}, message("nothing", {"_meta": {f"{META}protocolVersion": None}}), (400, 1, -32602)),
    ({}, message("nothing", {"_meta": {f"{META}clientCapabilities": []}}), (400, 1, -32602)),
    ({}, message("server/discover", modern=False), (400, 1, -32602)),
    ({"headers": {"MCP-Protocol-Version": MODERN}}, message("initialize", modern=False), (400, 1, -32602)),
    ({"headers": {"MCP-Protocol-Version": MODERN}}, message("ping", {"_meta": []}, modern=False), (400, 1, -32602)),
    ({}, message("nothing"), (400, 1, -32020)),
    ({"headers": {"MCP-Protocol-Version": LEGACY[0]}}, message("nothing"), (400, 1, -32020)),
    (
        {"headers": {"MCP-Protocol-Version": "2027-01-01"}},
        message("nothing", {"_meta": {f"{META}protocolVersion": "2027-01-01"}}),
        (400, 1, -32022),
    ),
    ({"headers": {"MCP-Protocol-Version": "2019-01-01"}}, message("nothing", modern=False), (400, 1, -32022)),
]


@pytest.mark.parametrize(("options", "body", "expected"), WRONG)
def test_what_is_wrong_is_told_in_this_order(options: Any, body: Any, expected: Any) -> None:
    dify = app()
    response = post(dify, body, **options)
    assert error(response) == expected
    assert response.content_type == "application/json"
    assert response.headers.get("WWW-Authenticate") == ('Bearer realm="Duck"' if expected[0] == 401 else None)
    assert (dify.calls, dify.fetched, dify.kind_calls) == ([], [], [])


@pytest.mark.parametrize(
    ("modern", "version", "requested"), [(True, "2027-01-01", "2027-01-01"), (True, LEGACY[0], LEGACY[0]), (False, "1", "1")]
)
def test_an_unsupported_version_is_answered_with_those_that_are(modern: bool, version: str, requested: str) -> None:
    body = message("tools/list", {"_meta": {f"{META}protocolVersion": version}} if modern else {}, modern=modern)
    response = post(app(), body, headers={"MCP-Protocol-Version": version})
    assert error(response) == (400, 1, -32022)
    assert json_of(response)["error"]["data"] == {"supported": SUPPORTED, "requested": requested}


@pytest.mark.parametrize("version", [None, *LEGACY])
def test_legacy_clients_need_no_version_and_no_meta(version: str | None) -> None:
    for method in ("ping", "tools/list", "initialize"):
        assert (
            result(ask(app(), method, {"_meta": {"x": 1}}, modern=False, headers={"MCP-Protocol-Version": version})) is not None
        )


@pytest.mark.parametrize(
    ("method", "name", "is_right"),
    [
        ("tools/call", "talk", True),
        (" tools/call\t", "  talk ", True),
        ("tools/call", base64("talk"), True),
        ("tools/call", f" {base64('talk')} ", True),
        ("Tools/Call", "talk", False),
        ("tools/list", "talk", False),
        (None, "talk", False),
        ("tools/call", "Talk", False),
        ("tools/call", "other", False),
        ("tools/call", None, False),
        ("tools/call", base64("other"), False),
        ("tools/call", base64(b"\xff"), False),
        ("tools/call", "=?base64?dGFsaw?=", False),
        ("tools/call", "=?base64?d GFsaw==?=", False),
        ("tools/call", "=?base64?\u00e9\U0001f986?=", False),
        ("tools/call", "=?base64?=", False),
    ],
)
def test_the_headers_repeat_the_method_and_the_tool(method: str | None, name: str | None, is_right: bool) -> None:
    dify = app()
    response = use(dify, {"query": "Hi"}, headers={"Mcp-Method": method, "Mcp-Name": name})
    assert (result(response)["isError"] is False) if is_right else (error(response) == (400, 1, -32020))
    assert len(dify.calls) == is_right


@pytest.mark.parametrize("name", [None, base64(b"\xff"), "talk"])
def test_a_call_without_a_name_has_no_header_that_repeats_it(name: str | None) -> None:
    body = message("tools/call", {})
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": name}
    assert error(post(app(), body, headers=headers)) == (400, 1, -32020)


@pytest.mark.parametrize("name", ["\u00fc", "\U0001f986", "=?base64?x?="])
def test_a_name_that_is_no_plain_text_is_encoded_and_unknown(name: str) -> None:
    assert error(use(app(), {}, name=name, headers={"Mcp-Name": base64(name)})) == (400, 1, -32602)


@pytest.mark.parametrize(
    ("method", "modern", "expected"),
    [
        *((method, True, (404, 1, -32601)) for method in ("initialize", "ping", "prompts/list", "resources/read", "")),
        *((method, False, (200, 1, -32601)) for method in ("prompts/list", "resources/read", "Ping", "")),
    ],
)
def test_methods_that_there_are_not(method: str, modern: bool, expected: Any) -> None:
    assert error(ask(app(), method, modern=modern)) == expected


@pytest.mark.parametrize(("modern", "status"), [(True, 400), (False, 200)])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((name, {"query": "Hi"}) for name in ("unheard", "default", APP, "Talk", "")),
        *(("talk", arguments) for arguments in NO_OBJECTS),
        ("talk", {f"a{number}": "x" for number in range(1001)}),
    ],
)
def test_unknown_tools_and_arguments_that_are_no_object(name: str, arguments: Any, modern: bool, status: int) -> None:
    dify = app()
    assert error(use(dify, arguments, name=name, modern=modern)) == (status, 1, -32602)
    assert (dify.calls, dify.fetched) == ([], [])


@pytest.mark.parametrize("name", [None, 5, ["talk"], {}])
def test_the_name_of_a_tool_is_a_text(name: Any) -> None:
    assert error(ask(app(), "tools/call", {"name": name}, modern=False)) == (200, 1, -32602)


@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/cancelled", "tools/call", "server/discover"])
@pytest.mark.parametrize("version", [None, MODERN, "1"])
def test_a_notification_has_no_answer(method: str, version: str | None) -> None:
    dify = app()
    response = post(dify, {"jsonrpc": "2.0", "method": method}, headers={"MCP-Protocol-Version": version})
    assert (response.status_code, body_of(response), dify.calls) == (202, b"", [])


@pytest.mark.parametrize("modern", [False, True])
@pytest.mark.parametrize("id_", [0, -1, 1, 2**53, 1.5, "", "a", "1", "\U0001f986", " "])
def test_an_id_comes_back_as_it_was_given(id_: Any, modern: bool) -> None:
    for method in ("tools/list", "nothing", "tools/call"):
        body = message(method, {"name": "talk", "arguments": {"query": "Hi"}}, modern=modern, id=id_)
        found = json_of(post(app(), body, headers=headers_of(body) if modern else {}))["id"]
        assert (found, type(found)) == (id_, type(id_))


VALUES = JSON | st.sampled_from(
    ["2.0", 1, "tools/call", "tools/list", "server/discover", "initialize", "talk", MODERN, LEGACY[0]]
)
METAS = st.dictionaries(st.sampled_from([f"{META}protocolVersion", f"{META}clientCapabilities", "progressToken"]), VALUES)
PARAMS = st.fixed_dictionaries(
    {}, optional={"name": VALUES, "arguments": VALUES, "_meta": METAS | VALUES, "protocolVersion": VALUES}
)
BODIES = st.binary(max_size=30) | (
    st.fixed_dictionaries({}, optional={"jsonrpc": VALUES, "id": VALUES, "method": VALUES | TEXTS, "params": PARAMS | VALUES})
    | st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": VALUES, "method": VALUES, "params": PARAMS})
    | VALUES
).map(lambda body: json.dumps(body).encode())
HEADERS = st.dictionaries(
    st.sampled_from(["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Origin", "Host", "Authorization", "Content-Type"]),
    HEADER_TEXTS
    | st.sampled_from([MODERN, "tools/call", "talk", "=?base64?\u00e9?=", "null", "http://[", "Basic =", "a" * 70_000]),
)


@given(BODIES, HEADERS, st.sampled_from([None, "talk", "unheard", "\U0001f986"]), st.sampled_from([KEY, None]))
def test_no_body_and_no_headers_are_too_much(body: bytes, headers: dict[str, str], name: str | None, key: str | None) -> None:
    response = post(app(), body, headers=headers, app=name, key=key)
    assert response.status_code in {200, 202, 400, 401, 403, 404}
    if response.status_code != 202 and response.content_type == "application/json":
        document = json_of(response)
        assert document["jsonrpc"] == "2.0"
        assert ("result" in document) != ("error" in document)


def test_headers_that_are_too_long_are_an_invalid_request() -> None:
    assert error(ask(app(), "tools/list", headers={"Accept": "a" * 70_000})) == (400, None, -32600)


@pytest.mark.parametrize(("headers", "size", "status"), [({}, 10 * 1024 * 1024, 413), ({"Content-Encoding": "gzip"}, 5, 415)])
def test_bodies_that_cannot_be_read(headers: dict[str, str], size: int, status: int) -> None:
    assert error(post(app(), b" " * size, headers=headers)) == (status, None, status)


def test_settings_that_cannot_be_read_are_the_first_fault() -> None:
    response = post(app(), b"{", settings={**SETTINGS, "apps": "a=b"})
    assert error(response) == (500, None, 500)


# Pages


@pytest.mark.parametrize(
    ("origin", "host", "key", "settings", "status"),
    [
        ("http://evil.example:8000", "evil.example:8000", None, {}, 403),
        ("http://evil.example", "localhost:8000", None, {}, 403),
        ("http://localhost:8000", "localhost:8000", None, {}, 200),
        ("http://localhost:6274", "dify.example", None, {}, 403),
        ("https://dify.example", "dify.example", None, {}, 403),
        ("https://shop.example", "dify.example", None, {"allowed_origins": "https://shop.example"}, 200),
        ("https://evil.example", "dify.example", None, {"allowed_origins": "https://shop.example"}, 403),
        ("https://evil.example", "dify.example", None, {"allowed_origins": "*"}, 200),
        ("https://evil.example", "dify.example", KEY, {}, 200),
    ],
)
def test_pages_of_other_origins(origin: str, host: str, key: str | None, settings: Any, status: int) -> None:
    whole, headers = {**SETTINGS, **settings}, {"Origin": origin, "Host": host}
    responses = [
        ask(app(), "tools/list", key=key, settings=whole, headers=headers),
        use(app(), {"query": "Hi"}, key=key, settings=whole, headers=headers),
        ask(app(), "initialize", modern=False, key=key, settings=whole, headers=headers),
    ]
    assert {response.status_code for response in responses} == {status}
    if status == 403:
        assert {error(response) for response in responses} == {(403, None, 403)}


def test_a_stored_password_is_no_key_of_a_pages_own() -> None:
    headers = {"Origin": "https://evil.example", "Host": "dify.example", **basic(KEY)}
    assert error(ask(app(), "tools/list", key=None, headers=headers)) == (403, None, 403)


@pytest.mark.parametrize(("name", "allowed"), [("talk", "*"), ("other", None)])
def test_any_page_may_read_what_a_public_app_answers(name: str, allowed: str | None) -> None:
    headers = {"Origin": "https://evil.example"}
    response = use(app(), {"query": "Hi"}, name=name, settings={**SETTINGS, "allowed_origins": "*"}, headers=headers)
    assert response.headers.get("Access-Control-Allow-Origin") == allowed


# Paths and methods that there are not


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        *((method, "/mcp", 405, "OPTIONS, POST") for method in ("GET", "HEAD", "PUT", "DELETE")),
        *((method, "/mcp/talk", 405, "OPTIONS, POST") for method in ("GET", "HEAD", "PUT", "DELETE")),
        ("GET", "/mcp/", 404, None),
        ("POST", "/mcp/talk/sse", 404, None),
    ],
)
def test_what_is_no_route(method: str, path: str, status: int, allow: str | None) -> None:
    response = serve.unknown(make_request(method, path, key=None), SETTINGS)
    assert error(response) == (status, None, status)
    assert response.headers.get("Allow") == allow
    assert isinstance(json_of(response)["error"]["message"], str)


# What Duck says of itself


ABILITIES = {"capabilities": {"tools": {}}, "instructions": serve.INSTRUCTIONS}


def whole(response: Response) -> Any:
    assert (response.status_code, response.content_type) == (200, "application/json")
    return json_of(response)


@pytest.mark.parametrize("name", [None, "talk"])
@pytest.mark.parametrize("key", [KEY, None, "public"])
def test_discover(name: str | None, key: str | None, state: State) -> None:
    assert whole(ask(app(), "server/discover", app=name, key=key)) == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {
            "resultType": "complete",
            "supportedVersions": SUPPORTED,
            **ABILITIES,
            "_meta": {f"{META}serverInfo": SERVER},
            "ttlMs": 60_000,
            "cacheScope": "private",
        },
    }
    assert len(state.slots) == 0


@pytest.mark.parametrize(
    ("asked", "version"),
    [*((version, version) for version in LEGACY), (MODERN, LEGACY[0]), ("1", LEGACY[0]), (None, LEGACY[0]), ([], LEGACY[0])],
)
def test_initialize_agrees_on_a_version(asked: Any, version: str) -> None:
    params = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    response = ask(app(), "initialize", params, modern=False)
    assert whole(response) == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"protocolVersion": version, **ABILITIES, "serverInfo": SERVER},
    }
    assert "Mcp-Session-Id" not in response.headers


def test_ping() -> None:
    assert whole(ask(app(), "ping", modern=False)) == {"jsonrpc": "2.0", "id": 1, "result": {}}


def test_the_instructions_are_plain_english() -> None:
    assert not isinstance(serve.INSTRUCTIONS, Text)
    assert "conversation_id" in serve.INSTRUCTIONS


def test_a_list_tells_how_long_it_may_be_kept_to_clients_that_know_of_it() -> None:
    modern, legacy = (whole(ask(app(), "tools/list", modern=modern))["result"] for modern in (True, False))
    about = {"resultType": "complete", "_meta": {f"{META}serverInfo": SERVER}, "ttlMs": 60_000, "cacheScope": "private"}
    assert modern == {**about, "tools": modern["tools"]}
    assert legacy == {"tools": modern["tools"]}
