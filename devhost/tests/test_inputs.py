"""The inputs of a run, by the rules of Dify's own validation."""

import json
from typing import Any

import pytest

from devhost.apps import App, Call, Event, Failure, Mode
from devhost.dify import Dify
from devhost.files import Files
from devhost.tests.support import SAMPLES
from devhost.wire import Reply

APP = "00000000-0000-4000-8000-0000000000aa"
PICTURE = {"type": "image", "transfer_method": "remote_url", "url": "https://example.org/a%20duck.png?size=1"}
LETTER = {"type": "document", "transfer_method": "remote_url", "url": "https://example.org/letter.pdf"}
UNREACHABLE = "https://nowhere.invalid:8443/a.png"
TYPE_MISMATCH = "Detected file type does not match the specified type. Please verify the file."


def variable(control: str, **more: Any) -> Event:
    files = {"allowed_file_types": ["image", "custom"], "allowed_file_extensions": [".heic"]}
    return {control: {"variable": "v", "label": "V", "type": control, "required": False, **files, **more}}


def run(form: list[Event], inputs: Any, *, mode: Mode = "workflow", files: Files | None = None) -> list[Reply]:
    """The replies of a run whose only event has the inputs that the script got."""

    def script(call: Call) -> list[Event]:
        return [{"inputs": call.inputs}]

    app = App(mode=mode, script=script, form={"user_input_form": form}, for_plugins=True)
    dify = Dify({APP: app}, frozenset({"app"}), [], files=files or Files())
    request = {"app_id": APP, "query": "q", "inputs": inputs, "response_mode": "streaming"}
    return [reply for reply in dify.answer("app", request) if isinstance(reply, Reply)]


def seen(form: list[Event], inputs: Any, **options: Any) -> Any:
    [reply] = run(form, inputs, **options)
    assert reply.event == "response", reply.message
    return reply.data["inputs"]


def refusal(form: list[Event], inputs: Any, **options: Any) -> str:
    [reply] = run(form, inputs, **options)
    assert reply.event == "error"
    return reply.message


def http(text: str, status: int = 400, code: str = "invalid_param") -> str:
    return Failure.http(status, code, text).text


@pytest.mark.parametrize(
    ("control", "about", "value", "expected"),
    [
        ("text-input", {"required": True}, "", ""),
        ("text-input", {"max_length": 3}, "abc", "abc"),
        ("text-input", {"default": "d"}, None, "d"),
        ("text-input", {}, None, None),
        ("paragraph", {"default": ""}, None, ""),
        ("select", {"options": ["a", "b"]}, "b", "b"),
        ("select", {"options": ["a", "b"], "default": "a"}, None, "a"),
        ("number", {}, 2.5, 2.5),
        ("number", {}, "12", 12),
        ("number", {}, " 1.5 ", 1.5),
        ("number", {}, "", None),
        ("number", {"default": "3"}, None, 3),
        ("number", {"default": ""}, None, None),
        ("checkbox", {}, True, True),
        ("checkbox", {}, " Yes", True),
        ("checkbox", {}, "on", True),
        ("checkbox", {}, 1, True),
        ("checkbox", {}, "off", False),
        ("checkbox", {}, 0, False),
        ("checkbox", {}, "perhaps", "perhaps"),
        ("checkbox", {}, 2, 2),
        ("checkbox", {"default": "true"}, None, True),
        ("file", {}, "", None),
        ("file", {}, None, None),
        ("text-input", {}, "a\0b", "ab"),
        ("paragraph", {"default": "\0d"}, None, "d"),
        ("file-list", {}, [], []),
        ("file-list", {}, [{}], []),
        ("file-list", {}, [{"type": "image"}, {"transfer_method": "remote_url", "url": ""}], []),
        ("json_object", {}, {"a": 1}, {"a": 1}),
    ],
)
def test_a_value_that_fits_reaches_the_app(control: str, about: Event, value: Any, expected: Any) -> None:
    got = seen([variable(control, **about)], {} if value is None else {"v": value})
    assert got == {"v": expected}
    assert type(got["v"]) is type(expected)


@pytest.mark.parametrize(
    ("control", "about", "value", "text"),
    [
        ("text-input", {"required": True}, None, "v is required in input form"),
        ("file", {"required": True}, None, "v is required in input form"),
        ("text-input", {"required": True, "default": "d"}, None, "v is required in input form"),
        ("text-input", {}, 1, "(type 'text-input') v in input form must be a string"),
        ("paragraph", {}, {}, "(type 'paragraph') v in input form must be a string"),
        ("select", {"options": ["a"]}, ["a"], "(type 'select') v in input form must be a string"),
        ("text-input", {"max_length": 3}, "abcd", "v in input form must be less than 3 characters"),
        ("paragraph", {"max_length": 3, "default": "abcd"}, None, "v in input form must be less than 3 characters"),
        ("select", {"options": ["a", "b"]}, "c", "v in input form must be one of the following: ['a', 'b']"),
        ("select", {"options": ["a", "b"]}, "", "v in input form must be one of the following: ['a', 'b']"),
        ("select", {"options": ["a", "b"], "default": ""}, None, "v in input form must be one of the following: ['a', 'b']"),
        ("select", {"options": ["a"]}, "a\0", "v in input form must be one of the following: ['a']"),
        ("text-input", {"max_length": 3}, "abc\0", "v in input form must be less than 3 characters"),
        ("file-list", {"max_length": 1}, [{}, {}], "v in input form must be less than 1 files"),
        ("number", {}, "three", "v in input form must be a valid number"),
        ("number", {"default": "x"}, None, "v in input form must be a valid number"),
        ("file", {}, "x", "v in input form must be a file"),
        ("file", {}, [PICTURE], "v in input form must be a file"),
        ("file", {"required": True}, "", "v in input form must be a file"),
        ("file-list", {}, PICTURE, "v in input form must be a list of files"),
        ("file-list", {}, ["x"], "v in input form must be a list of files"),
        ("file-list", {"max_length": 1}, [PICTURE, PICTURE], "v in input form must be less than 1 files"),
        ("json_object", {}, "{}", "v in input form must be a dict"),
        ("checkbox", {}, {"a": 1}, "Invalid input type for ['v']"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(control: str, about: Event, value: Any, text: str) -> None:
    assert refusal([variable(control, **about)], {} if value is None else {"v": value}) == http(text)


@pytest.mark.parametrize("value", [[], {}])
def test_a_list_or_an_object_for_a_number_is_an_internal_error(value: Any) -> None:
    assert refusal([variable("number")], {"v": value}) == http("Internal Server Error", 500, "unknown")


def test_no_inputs_at_all_are_an_invalid_payload() -> None:
    [reply] = run([], None)
    assert (reply.event, '"message": "invalid payload: ' in reply.message) == ("error", True)


def test_unknown_keys_are_dropped() -> None:
    assert seen([variable("text-input")], {"v": "a", "w": "b"}) == {"v": "a"}


@pytest.mark.parametrize("mode", ["chat", "agent-chat", "completion"])
def test_defaults_of_basic_apps_are_not_used(mode: Mode) -> None:
    form = [variable("select", options=["a"], default="a"), {"number": {"label": "N", "variable": "n", "default": "3"}}]
    assert seen(form, {}, mode=mode) == {"v": None, "n": None}


def test_defaults_of_chatflows_are_used() -> None:
    assert seen([variable("number", default="3")], {}, mode="advanced-chat") == {"v": 3}


@pytest.mark.parametrize("mode", ["workflow", "advanced-chat"])
def test_a_select_without_a_valid_default_is_required(mode: Mode) -> None:
    refused = http("v in input form must be one of the following: ['a', 'b']")
    assert refusal([variable("select", options=["a", "b"], default="")], {}, mode=mode) == refused


def test_a_query_loses_its_nul_characters_too() -> None:
    app = App(mode="chat", script=lambda call: [{"query": call.query}])
    request = {"app_id": APP, "query": "a\0b", "inputs": {}, "response_mode": "streaming"}
    *_, reply = Dify({APP: app}, frozenset({"app"}), []).answer("app", request)
    assert reply == Reply("response", "stream", {"query": "ab"})


def test_an_external_data_tool_is_no_input() -> None:
    form = json.loads((SAMPLES / "fetch_app.chat.json").read_text())["user_input_form"]
    expected = {"city": "Oslo", "notes": None, "days": None, "lang": None, "short": None}
    assert seen(form, {"city": "Oslo", "crm": "x"}, mode="chat") == expected


def test_a_form_of_a_workflow_is_applied() -> None:
    form = json.loads((SAMPLES / "fetch_app.workflow.json").read_text())["user_input_form"]
    assert refusal(form, {}) == http("text is required in input form")
    assert refusal(form, {"text": "t"}) == http("tone is required in input form")  # its default does not apply
    values = seen(form, {"text": "t", "tone": "casual", "doc": LETTER, "pics": [PICTURE], "meta": {"k": "v"}})
    assert (values["count"], values["draft"], values["body"], values["meta"]) == (3, False, "", {"k": "v"})
    assert (values["doc"]["type"], [pic["filename"] for pic in values["pics"]]) == ("document", ["a duck.png"])


def test_an_app_without_a_form_gets_its_inputs_unchanged() -> None:
    app = App(mode="workflow", script=lambda call: [{"inputs": call.inputs}])
    request = {"app_id": APP, "inputs": {"any": [{}]}, "response_mode": "streaming"}
    assert [*Dify({APP: app}, frozenset({"app"}), []).answer("app", request)] == [
        Reply("response", "stream", {"inputs": {"any": [{}]}})
    ]


def test_a_link_becomes_a_file_of_a_workflow() -> None:
    url = PICTURE["url"]
    assert seen([variable("file")], {"v": PICTURE})["v"] == {
        "dify_model_identity": "__dify__file__",
        "id": None,
        "type": "image",
        "transfer_method": "remote_url",
        "remote_url": url,
        "reference": None,
        "filename": "a duck.png",
        "extension": ".png",
        "mime_type": "image/png",
        "size": -1,
        "related_id": None,
        "url": url,
    }


def test_the_fields_of_a_file_are_those_of_a_workflows_event() -> None:
    lines = (SAMPLES / "rare-events.workflow.ndjson").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    [file] = next(event["data"]["files"] for event in events if event.get("data", {}).get("files"))
    assert seen([variable("file")], {"v": PICTURE})["v"].keys() == file.keys()


@pytest.mark.parametrize(
    ("value", "about", "text"),
    [
        ({**PICTURE, "type": "document"}, {}, TYPE_MISMATCH),
        (LETTER, {}, "File validation failed for file: letter.pdf"),
        (PICTURE, {"allowed_file_upload_methods": ["local_file"]}, "File validation failed for file: a duck.png"),
        (
            {**PICTURE, "type": "custom", "url": "https://example.org/a.xyz"},
            {"allowed_file_types": ["custom"]},
            "File validation failed for file: a.xyz",
        ),
        ({"type": "image", "transfer_method": "local_file", "upload_file_id": APP}, {}, "Invalid upload file"),
        ({"type": "image", "transfer_method": "tool_file", "tool_file_id": APP}, {}, f"ToolFile {APP} not found"),
        ({"type": "image", "transfer_method": "remote_url"}, {}, "Invalid file url"),
        ({**PICTURE, "url": UNREACHABLE}, {}, f"Reached maximum retries (3) for URL {UNREACHABLE}"),
        ({"type": "image"}, {}, "transfer_method is required in file mapping"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(value: Event, about: Event, text: str) -> None:
    assert refusal([variable("file", **about)], {"v": value}) == http(text)


def test_the_type_of_a_file_in_a_list_is_not_validated() -> None:
    form = [variable("file-list", allowed_file_types=["document"])]
    [file] = seen(form, {"v": [{**PICTURE, "type": "document"}]})["v"]
    assert (file["type"], file["filename"]) == ("document", "a duck.png")


def test_a_custom_file_is_accepted_by_its_extension() -> None:
    form = [variable("file", allowed_file_extensions=[".xyz"])]
    value = {"type": "custom", "transfer_method": "remote_url", "url": "https://example.org/a.xyz"}
    assert seen(form, {"v": value})["v"]["type"] == "custom"


def test_an_uploaded_file_is_a_tool_file_whatever_the_form_restricts() -> None:
    files = Files()
    file = files.add("duck.png", "image/png", b"png", uploaded=True)
    value = {"type": "image", "transfer_method": "tool_file", "tool_file_id": file.id}
    form = [variable("file", allowed_file_upload_methods=["local_file"], allowed_file_types=["document"])]
    got = seen(form, {"v": value}, files=files)["v"]
    assert (got["filename"], got["size"], got["related_id"]) == ("duck.png", 3, file.id)


def test_an_upload_of_another_owner_is_not_found_and_its_preview_is_accepted() -> None:
    files = Files(foreign_owner=True)
    file = files.add("duck.png", "image/png", b"png", uploaded=True)
    tool_file = {"type": "image", "transfer_method": "tool_file", "tool_file_id": file.id}
    assert refusal([variable("file")], {"v": tool_file}, files=files) == http(f"ToolFile {file.id} not found")
    preview = {"type": "image", "transfer_method": "remote_url", "url": files.preview_url(file)}
    assert seen([variable("file")], {"v": preview}, files=files)["v"]["type"] == "image"
