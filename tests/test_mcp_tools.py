"""Apps as MCP's tools: names, descriptions and schemas, and which arguments they take."""

import re
import threading
import time
import uuid
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from duck import limits
from duck import state as states
from duck.state import State
from tests import api as service
from tests.api import Api
from tests.mcp_calls import SETTINGS, ask, result, use
from tests.openai_calls import OTHER, App
from tests.support import APP, KEY, Dify, NoSleepClock, http_error, sample

THIRD = "5d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a46"
NO_FORM: dict[str, Any] = {"user_input_form": []}
CHAT_OUTPUT = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "conversation_id": {"type": "string"}},
    "required": ["answer"],
}
WORKFLOW_OUTPUT = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "outputs": {"type": "object"}},
    "required": ["answer", "outputs"],
}
QUERY = {"type": "string", "description": "The message to the app."}
ID = {
    "type": "string",
    "description": "The conversation_id of an earlier answer, to go on with that conversation.",
}


def form(*variables: tuple[str, str, Any], **more: Any) -> dict[str, Any]:
    """A form of variables, each given as (control, name, more)."""
    return {"user_input_form": [{control: {"variable": name, **rest}} for control, name, rest in variables], **more}


def listed(dify: Dify, **options: Any) -> list[Any]:
    found: list[Any] = result(ask(dify, "tools/list", modern=False, **options))["tools"]
    return found


def schema(properties: Any, *required: str, query: Any = None) -> dict[str, Any]:
    """The schema of a workflow, or with a `query` that of a chat."""
    if query:
        properties, required = {"query": query, **properties, "conversation_id": ID}, ("query", *required)
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


# Names


@pytest.mark.parametrize(
    ("apps", "default", "names"),
    [
        (f"talk={APP}, other={OTHER}", APP, ["talk", "other"]),
        (f"b.2-c={OTHER}, a..={APP}", None, ["b_2-c", "a__"]),
        (f"a.b={APP}, a_b={OTHER}, a-b={THIRD}", None, ["a_b", OTHER, "a-b"]),
        (f"a={APP}, b={APP}, {OTHER}", None, ["a", OTHER]),
        (f"{THIRD}, {OTHER}, talk={APP}", APP, ["talk", OTHER, THIRD]),
        (f"{'a' * 64}={APP}", None, ["a" * 64]),
        (f"{OTHER}, {APP}", APP, ["default", OTHER]),
        ("", APP, ["default"]),
        ("", None, []),
    ],
)
def test_an_app_is_one_tool_named_as_the_owner_calls_it(apps: str, default: str | None, names: list[str]) -> None:
    settings = {"api_key": KEY, "apps": apps, "default_app": default and {"app_id": default}}
    found = [tool["name"] for tool in listed(App("chat"), settings=settings)]
    assert found == names
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in found)


@pytest.mark.parametrize(
    ("route", "key", "names"),
    [
        (None, KEY, ["talk_er", "other"]),
        (None, None, ["talk_er"]),
        ("talk.er", None, ["talk_er"]),
        ("default", KEY, ["talk_er"]),
        (APP.upper(), KEY, ["talk_er"]),
        (APP.replace("-", ""), None, ["talk_er"]),
        ("other", KEY, ["other"]),
    ],
)
def test_a_route_with_an_app_has_one_tool_that_is_called_as_in_the_whole_list(
    route: str | None, key: str | None, names: list[str]
) -> None:
    settings = {**SETTINGS, "apps": f"talk.er={APP}, other={OTHER}", "public_apps": APP}
    dify = App("chat", stream=sample("chat"))
    assert [tool["name"] for tool in listed(dify, app=route, key=key, settings=settings)] == names
    for name in names:
        assert not result(use(dify, {"query": "Hi"}, name=name, app=route, key=key, settings=settings))["isError"]
    assert [call["app_id"] for call in dify.calls] == [APP if name == "talk_er" else OTHER for name in names]


def test_any_app_of_the_workspace_has_a_route_if_no_apps_are_listed() -> None:
    assert [tool["name"] for tool in listed(App("chat"), app=THIRD.upper(), settings={"api_key": KEY})] == [THIRD]


# Titles and descriptions


@pytest.mark.parametrize(
    ("info", "opening", "title", "description"),
    [
        (service.INFO, "Hello!", "Support <desk>", "Answers"),
        ({**service.INFO, "description": ""}, " Hello! ", "Support <desk>", "Hello!"),
        ({**service.INFO, "description": " \n"}, "a" * 501, "Support <desk>", "a" * 500),
        ({**service.INFO, "name": ""}, "", "talk", "Answers"),
        ({"mode": "chat"}, " " * 501 + "a", "talk", "Runs the app talk in Dify."),
        (service.refused(500, "unknown"), None, "talk", "Runs the app talk in Dify."),
    ],
)
def test_a_tool_is_described_by_what_is_known(info: Any, opening: Any, title: str, description: str, api: Api) -> None:
    api.answers |= {"/info": info, "/parameters": {**NO_FORM, "opening_statement": opening}}
    [tool] = listed(App(), settings={**service.SETTINGS, "apps": f"talk={APP}"})
    assert (tool["title"], tool["description"]) == (title, description)
    assert set(api.paths()) == {"/info", "/parameters"}


def test_without_a_key_of_its_own_an_app_is_described_by_its_opening_statement() -> None:
    described, other = listed(App("chat", form={**NO_FORM, "opening_statement": "Hello!"})), listed(App("chat", form=NO_FORM))
    assert [(tool["title"], tool["description"]) for tool in described] == [("talk", "Hello!"), ("other", "Hello!")]
    # The first form is cached, but each Dify of a test is an endpoint of its own.
    assert other[1]["description"] == "Runs the app other in Dify."


# Schemas


CONTROLS: list[tuple[str, Any, Any]] = [
    ("text-input", {"max_length": 5, "label": "City"}, {"type": "string", "maxLength": 5, "description": "City"}),
    ("paragraph", {"label": "City", "hint": "Where?"}, {"type": "string", "description": "Where?"}),
    ("select", {"options": ["a", "b", "a"]}, {"type": "string", "enum": ["a", "b"]}),
    ("number", {}, {"type": "number"}),
    ("checkbox", {}, {"type": "boolean"}),
    ("json_object", {}, {"type": "object"}),
    ("file", {}, {"type": "string", "format": "uri"}),
    ("file-list", {}, {"type": "array", "items": {"type": "string", "format": "uri"}}),
    ("file-list", {"max_length": 3}, {"type": "array", "items": {"type": "string", "format": "uri"}, "maxItems": 3}),
    ("new", {}, {"type": ["string", "number", "boolean", "object", "array"]}),
    ("new", {"required": True}, {"type": ["string", "number", "boolean", "object", "array"], "pattern": r"\S"}),
]


@pytest.mark.parametrize(("control", "more", "expected"), CONTROLS)
@pytest.mark.parametrize("kind", ["chat", "workflow"])
def test_each_control_has_its_schema(control: str, more: Any, expected: Any, kind: Any, state: State) -> None:
    state.memory.kinds[APP] = kind
    variables = form((control, "x", more), ("number", "hidden", {"hide": True, "required": True}), ("select", "none", {}))
    [tool, _] = listed(App(kind, form=variables))
    required = ["x"] if more.get("required") else []
    query = {**QUERY, "pattern": r"\S"} if kind == "chat" else None
    assert tool["inputSchema"] == schema({"x": expected}, *required, query=query)
    assert tool["outputSchema"] == (CHAT_OUTPUT if kind == "chat" else WORKFLOW_OUTPUT)
    assert tool.keys() == {"name", "title", "description", "inputSchema", "outputSchema"}
    OAS31Validator.check_schema(tool["inputSchema"])
    OAS31Validator.check_schema(tool["outputSchema"])


def test_a_chats_own_arguments_come_before_inputs_of_their_names() -> None:
    variables = form(("text-input", "query", {"required": True}), ("number", "conversation_id", {}), ("number", "n", {}))
    [tool, _] = listed(App("chat", form=variables))
    assert tool["inputSchema"] == schema({"n": {"type": "number"}}, query={**QUERY, "pattern": r"\S"})
    [tool, _] = listed(App("workflow", form=variables), settings={"api_key": KEY, "apps": f"w={THIRD}, v={OTHER}"})
    whole = {"query": {"type": "string"}, "conversation_id": {"type": "number"}, "n": {"type": "number"}}
    assert tool["inputSchema"] == schema(whole, "query")


@pytest.mark.parametrize("default", [APP, OTHER])
def test_what_the_owner_has_preset_need_not_be_given(default: str, state: State) -> None:
    state.memory.kinds[APP] = "workflow"
    variables = form(*((control, name, {"required": True}) for control, name in [("paragraph", "a"), ("paragraph", "b")]))
    settings = {**SETTINGS, "default_app": {"app_id": default, "inputs": {"a": "mine", "b": "", "c": 1}}}
    dify = App("workflow", form=variables, stream=sample("workflow"))
    is_default = default == APP
    [tool] = listed(dify, app="talk", settings=settings)
    assert tool["inputSchema"]["required"] == (["b"] if is_default else ["a", "b"])
    response = result(use(dify, {"b": "B"}, settings=settings))
    assert response["isError"] is not is_default
    assert [call["inputs"] for call in dify.calls] == ([{"a": "mine", "b": "B"}] if is_default else [])


def test_an_app_whose_form_cannot_be_had_is_a_tool_all_the_same() -> None:
    dify = App("chat", form=Exception("fetch app failed: x"), stream=sample("chat"))
    [tool, _] = listed(dify)
    assert tool == {
        "name": "talk",
        "title": "talk",
        "description": "Runs the app talk in Dify.",
        "inputSchema": schema({}, query=QUERY),
        "outputSchema": CHAT_OUTPUT,
    }
    assert not result(use(dify, {"query": "Hi"}))["isError"]


# What a list costs


class Workspace(App):
    """Many apps. Their forms are fetched one after the other by each of eight threads; one of them may hang."""

    def __init__(self, ids: list[str], hanging: str = "") -> None:
        super().__init__("chat", form=NO_FORM)
        self.settings = {"api_key": KEY, "apps": ",".join(ids)}
        self.hanging = hanging
        self.released = threading.Event()
        self.active = self.most = 0
        self._together = threading.Barrier(8)
        self._lock = threading.Lock()

    def _fetch_app(self, app_id: str) -> Any:
        with self._lock:
            self.fetched.append(app_id)
            self.active += 1
            self.most = max(self.most, self.active)
            number = len(self.fetched)
        if number <= 8:
            self._together.wait(timeout=10)
        if app_id == self.hanging:
            self.released.wait(timeout=10)
        with self._lock:
            self.active -= 1
        return {**NO_FORM, "opening_statement": "Hello!"}


IDS = sorted(str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in range(100))


def test_a_list_asks_once_for_each_app_eight_at_a_time_and_runs_nothing() -> None:
    dify = Workspace(IDS)
    found = [listed(dify, settings=dify.settings) for _ in range(2)]
    assert [tool["name"] for tool in found[0]] == IDS
    assert {tool["description"] for tool in found[0]} == {"Hello!"}
    assert found[0] == found[1]
    assert Counter(dify.fetched) == Counter(IDS)
    assert (dify.most, dify.calls, dify.kind_calls) == (8, [], [])


def test_a_failed_form_is_not_fetched_again_for_the_list() -> None:
    dify = App("chat", form=Exception("fetch app failed: x"))
    assert len(listed(dify)) == len(listed(dify)) == 2
    assert sorted(dify.fetched) == sorted([APP, OTHER])


def test_a_list_does_not_wait_for_an_app_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.LISTING_S == 2
    monkeypatch.setattr(limits, "LISTING_S", 0.5)
    dify = Workspace(IDS, hanging=IDS[0])
    began = time.monotonic()
    tools = listed(dify, settings=dify.settings)
    assert time.monotonic() - began < 2
    dify.released.set()
    assert [tool["description"] for tool in tools] == [f"Runs the app {IDS[0]} in Dify.", *["Hello!"] * 99]


def test_a_call_waits_longer_for_the_form_than_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LISTING_S", 0)
    dify = App("chat", form=form(("text-input", "city", {})), stream=sample("chat"))
    assert not result(use(dify, {"query": "Hi", "city": "Rome"}))["isError"]
    assert [call["inputs"] for call in dify.calls] == [{"city": "Rome"}]


# A tool's schema allows exactly what a run takes


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["", " ", "a", "b"]
)
NAMES = ["a", "b", "query", "conversation_id"]
VARIABLES = st.lists(
    st.tuples(
        st.sampled_from(["text-input", "paragraph", "select", "number", "checkbox", "json_object", "external_data_tool", "new"]),
        st.sampled_from(NAMES),
        st.fixed_dictionaries({}, optional={"required": st.booleans(), "max_length": st.integers(0, 4)}).flatmap(
            lambda more: st.lists(TEXTS.filter(str.strip), min_size=1, max_size=2).map(
                lambda options: {**more, "options": options}
            )
        ),
    ),
    max_size=4,
    unique_by=lambda variable: variable[1],
)
VALUES: st.SearchStrategy[Any] = (
    st.sampled_from(["a", "b", "", " ", "abcd", "abcde", 5, 1.5, True, False, None, {}, [], {"a": 1}, "5", "true"])
    | TEXTS
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
)
ARGUMENTS = st.dictionaries(st.sampled_from([*NAMES[:3], "other"]), VALUES, max_size=4)
LIKELY = st.fixed_dictionaries({"query": TEXTS}, optional={"a": VALUES, "b": VALUES})


@given(VARIABLES, ARGUMENTS | LIKELY, st.sampled_from(["chat", "workflow"]), st.sampled_from([KEY, None]))
def test_a_schema_allows_exactly_the_arguments_that_a_run_takes(
    variables: Any, arguments: Any, kind: Any, key: str | None
) -> None:
    state = State()
    states.use(state)
    state.clock, state.memory.kinds[APP] = NoSleepClock(), kind
    if kind == "chat" and any(name in NAMES[2:] and more.get("required") for _, name, more in variables):
        return  # such a chat cannot be run as a tool
    dify = Dify(form=form(*variables), stream=sample(kind))
    dify.app.chat = dify.app.workflow = dify
    [tool] = listed(dify, app="talk", key=key)
    is_valid = OAS31Validator(tool["inputSchema"]).is_valid(arguments)
    response = result(use(dify, arguments, key=key))
    assert (not response["isError"], len(dify.calls)) == (is_valid, is_valid), response


@pytest.mark.parametrize(
    "control", ["text-input", "paragraph", "select", "number", "checkbox", "json_object", "file", "file-list", "new"]
)
@pytest.mark.parametrize("required", [False, True])
def test_null_is_no_value(control: str, required: bool, state: State) -> None:
    state.memory.kinds[APP] = "workflow"
    dify = App("workflow", form=form((control, "x", {"options": ["a"], "required": required})))
    [tool] = listed(dify, app="talk")
    assert not OAS31Validator(tool["inputSchema"]).is_valid({"x": None})
    assert result(use(dify, {"x": None}))["isError"]
    assert dify.calls == []


def test_all_that_is_wrong_is_told_by_the_names_of_the_arguments() -> None:
    fields = form(
        ("text-input", "a", {"max_length": 3}), ("number", "n", {}), ("select", "s", {"options": ["x", "y"]}), ("file", "f", {}),
        ("file-list", "l", {}), ("checkbox", "c", {}), ("json_object", "o", {}), ("text-input", "hidden", {"hide": True}),
    )  # fmt: skip
    wrong = {"a": 1, "n": "1", "s": "z", "f": 1, "l": ["a", 1], "c": 1, "o": [], "hidden": "x", "conversation_id": 1}
    dify = App("chat", form=fields)
    text = result(use(dify, wrong))["content"][0]["text"]
    assert text.split("; ") == [
        "a: must be a text",
        "n: must be a number",
        "s: must be one of x, y",
        "f: must be a text",
        "l: must be a list of links",
        "c: must be true or false",
        "o: must be an object",
        "hidden: no such argument",
        "this tool takes query, a, n, s, f, l, c, o, conversation_id",
        "conversation_id: must be a text",
        "query: required",
    ]
    text = result(use(dify, {"query": "Hi", "a": "long", "f": "nowhere"}))["content"][0]["text"]
    assert text.startswith("a: at most 3 characters, this has 4; f: must be a file: a link")
    assert dify.calls == []


def test_a_tool_may_take_nothing(state: State) -> None:
    state.memory.kinds[APP] = "workflow"
    dify = App("workflow", form=NO_FORM)
    assert result(use(dify, {"a": 1}))["content"][0]["text"] == "a: this tool takes none"


def test_a_form_from_the_cache_is_fetched_anew_before_anything_is_refused() -> None:
    forms = [form(("text-input", "city", {})), form(("text-input", "town", {}))]
    dify = App("chat", form=iter(forms).__next__, stream=sample("chat"))
    listed(dify, app="talk")
    assert not result(use(dify, {"query": "Hi", "town": "Rome"}))["isError"]
    assert (len(dify.fetched), len(dify.calls)) == (2, 1)


@pytest.mark.parametrize("link", ["https://x.example/a.png", "data:image/png;base64,iVBORw0KGgo="])
def test_files_are_links(link: str) -> None:
    of_files = {"allowed_file_types": ["image"]}
    dify = App("chat", form=form(("file", "f", of_files), ("file-list", "l", of_files)), stream=sample("chat"))
    assert not result(use(dify, {"query": "Hi", "f": link, "l": [link]}))["isError"]
    inputs = dify.calls[0]["inputs"]
    assert [inputs["f"]] == inputs["l"]
    assert inputs["f"]["type"] in {"image", "document"}
    assert len(dify.uploaded) == (2 if link.startswith("data:") else 0)


def test_a_file_that_cannot_be_uploaded_is_told_to_the_model() -> None:
    error = http_error(500, "unknown", "oh")
    dify = App("chat", form=form(("file", "f", {})), upload_error=error)
    assert result(use(dify, {"query": "Hi", "f": "data:image/png;base64,iVBORw0KGgo="}))["isError"]
    assert dify.calls == []
