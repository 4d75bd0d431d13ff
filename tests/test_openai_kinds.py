"""OpenAI's routes in front of every kind of app: where texts and files go, and how a kind is found out."""

from typing import Any

import httpx
import pytest

from duck.state import State
from tests import api as service
from tests.api import Api
from tests.openai_calls import CITY, App, Talk, assistant, chat, events_of, fault, respond, user
from tests.support import APP, KEY, NoSleepClock, blocking_sample, http_error, json_of, recorded, sample

CHAT, WORKFLOW = blocking_sample("chat"), blocking_sample("workflow")
NO_FORM: dict[str, Any] = {"user_input_form": []}
PLACE = "messages[0].content[1]"  # of a file beside a text
PNG, WAV, PDF = ("data:image/png;base64,iVBORw0KGgo=", "aGk=", "data:application/pdf;base64,aGk=")
IMAGE = {"type": "image_url", "image_url": {"url": PNG}}
LINK = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}
FILE = {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}
TEXT = {"type": "text", "text": "Look"}
NOT_BLOCKING = http_error(400, "invalid_param", "Agent Chat App does not support blocking mode")


@pytest.fixture(autouse=True)
def _no_sleep(state: State) -> None:
    state.clock = NoSleepClock()


def form(*variables: Any, **more: Any) -> dict[str, Any]:
    """A form of variables, each given as (control, name, more)."""
    return {"user_input_form": [{control: {"variable": name, **rest}} for control, name, rest in variables], **more}


def text(name: str, **more: Any) -> tuple[str, str, Any]:
    return "paragraph", name, more


def of_files(name: str, *kinds: str, control: str = "file", **more: Any) -> tuple[str, str, Any]:
    return control, name, {"allowed_file_types": [*kinds], **more}


# The kind of an app


@pytest.mark.parametrize("ask", [chat, respond])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "variables", "refused", "run"),
    [
        ("chat", CITY, ["workflow"], "chat"),
        ("workflow", CITY, ["workflow"], "workflow"),
        ("chat", NO_FORM, ["workflow"], "chat"),
        ("workflow", NO_FORM, [], "workflow"),
        ("chat", Exception("fetch app failed: x"), ["workflow"], "chat"),
    ],
)
def test_the_kind_is_found_out_without_a_run_and_once(
    kind: Any, variables: Any, refused: list[str], run: str, stream: bool, ask: Any
) -> None:
    answer = CHAT if kind == "chat" else WORKFLOW
    dify = App(kind, form=variables, blocking=answer, stream=sample(kind))
    for _ in range(2):
        response = ask(dify, stream=stream)
        assert response.status_code == 200
        assert b"server_error" not in b"".join(response.iter_encoded())
    assert [call["kind"] for call in dify.refused] == refused
    assert ["query" in call for call in dify.refused] == [False] * len(refused)
    assert [call["kind"] for call in dify.calls] == [run] * 2


def test_an_unknown_kind_is_no_second_try_for_another_failure() -> None:
    dify = App("workflow", form=NO_FORM, blocking=http_error(500, "unknown", "oh"))
    assert fault(chat(dify))[:2] == (502, "completion_request_error")
    assert len(dify.calls) == 1


def test_a_known_workflow_that_has_become_a_chat_is_not_tried_again(state: State) -> None:
    dify = App("chat", blocking=CHAT)
    state.memory.kinds[APP] = "workflow"
    assert fault(chat(dify))[:2] == (400, "not_workflow_app")
    assert dify.calls == []


def test_a_text_generator_needs_its_own_key() -> None:
    dify = App("completion")
    assert fault(chat(dify))[:2] == (502, "completion_unavailable")


# The text


@pytest.mark.parametrize(
    ("variables", "more", "inputs"),
    [
        ([text("city"), text("prompt"), text("query")], {}, {"query": "S\n\nHi"}),
        ([text("message"), text("a", required=False)], {}, {"message": "S\n\nHi"}),
        ([text("a"), ("text-input", "b", {"required": True})], {}, {"b": "S\n\nHi"}),
        ([text("a")], {}, {"a": "S\n\nHi"}),
        ([text("a"), text("b")], {}, {}),
        ([text("query", hide=True), text("a"), ("number", "input", {})], {}, {"a": "S\n\nHi"}),
        ([text("system"), text("a")], {}, {"system": "S", "a": "Hi"}),
        ([text("query"), text("a")], {"query": "mine"}, {"query": "mine", "a": "S\n\nHi"}),
        ([text("query"), text("a")], {"query": None, "a": "b"}, {"query": "S\n\nHi", "a": "b"}),
        ([], {}, {}),
    ],
)
def test_the_text_goes_into_a_variable_of_a_workflow(variables: Any, more: Any, inputs: Any, state: State) -> None:
    state.memory.kinds[APP] = "workflow"
    dify = App("workflow", form=form(*variables), blocking=WORKFLOW)
    messages = [{"role": "system", "content": "S"}, user("Old"), assistant("Old"), user("Hi")]
    assert fault(chat(dify, *messages, inputs=more)) == (200, None, None)
    assert [call["inputs"] for call in dify.calls] == [inputs]


def test_a_workflow_whose_text_has_no_place_says_what_it_needs(state: State) -> None:
    state.memory.kinds[APP] = "workflow"
    dify = App("workflow", form=form(text("a", required=True), text("b", required=True)), blocking=WORKFLOW)
    assert fault(chat(dify)) == (400, "invalid_param", "inputs.a")
    assert "inputs.a: required; inputs.b: required" in json_of(chat(dify))["error"]["message"]


# Files


def kind_of_input(value: Any) -> Any:
    """An input in short: a link's or an upload's kind and method."""
    if isinstance(value, list):
        return [kind_of_input(item) for item in value]
    return f"{value['type']} {value.get('url') or value.get('tool_file_id')}" if isinstance(value, dict) else value


OTHER, OTHER_SENT = "https://x.example/b.png", "image https://x.example/b.png"
PNG_SENT, LINK_SENT = "image id of file.png", "image https://x.example/a.png"
PDF_SENT, WAV_SENT = "document id of a.pdf", "audio id of audio.wav"


EACH = [of_files("a", "document"), of_files("b", "audio"), of_files("c", "image")]
IMAGES = of_files("a", "image", control="file-list")


@pytest.mark.parametrize("kind", ["chat", "workflow"])
@pytest.mark.parametrize(
    ("variables", "parts", "more", "inputs"),
    [
        ([of_files("a", "image")], [IMAGE], {}, {"a": PNG_SENT}),
        ([of_files("a", "image")], [LINK], {}, {"a": LINK_SENT}),
        (
            [of_files("a", "document"), of_files("b", "audio"), of_files("c", "image")],
            [IMAGE, AUDIO, FILE],
            {},
            {"a": PDF_SENT, "b": WAV_SENT, "c": PNG_SENT},
        ),
        ([of_files("a", "image"), of_files("b", "image")], [IMAGE, LINK], {}, {"a": PNG_SENT, "b": LINK_SENT}),
        ([IMAGES], [IMAGE, LINK], {}, {"a": [PNG_SENT, LINK_SENT]}),
        (
            [IMAGES],
            [LINK],
            {"a": [OTHER]},
            {"a": [OTHER_SENT, LINK_SENT]},
        ),
        ([IMAGES], [LINK], {"a": None}, {"a": [LINK_SENT]}),
        (
            [of_files("a", "image"), of_files("b", "image")],
            [LINK],
            {"a": OTHER},
            {"a": OTHER_SENT, "b": LINK_SENT},
        ),
        ([of_files("a", "image", hide=True), of_files("b")], [LINK], {}, {"b": LINK_SENT}),
        ([of_files("a", "custom", allowed_file_extensions=[".png"])], [LINK], {}, {"a": "custom https://x.example/a.png"}),
    ],
)
def test_files_go_into_the_variables_that_take_them(
    variables: Any, parts: Any, more: Any, inputs: Any, kind: Any, state: State
) -> None:
    state.memory.kinds[APP] = kind
    dify = App(kind, form=form(*variables), blocking=CHAT if kind == "chat" else WORKFLOW)
    response = chat(dify, user([IMAGE, TEXT]), assistant("Yes"), user([*parts, TEXT]), inputs=more)
    assert fault(response) == (200, None, None)
    assert {name: kind_of_input(value) for name, value in dify.calls[0]["inputs"].items()} == inputs


@pytest.mark.parametrize(
    ("variables", "part", "more", "param", "message"),
    [
        ([text("a")], IMAGE, {}, PLACE, "this app takes no images: it has no variable for one"),
        ([of_files("a", "image")], AUDIO, {}, PLACE, "this app takes no sound"),
        ([of_files("a", "image")], FILE, {}, PLACE, "this app takes no files"),
        ([of_files("a", "image", hide=True)], IMAGE, {}, PLACE, "this app takes no images"),
        ([of_files("a", "image")], IMAGE, {"a": OTHER}, PLACE, "this app takes no images"),
        (
            [of_files("a", "image", control="file-list", max_length=1)],
            LINK,
            {"a": [OTHER]},
            "inputs.a",
            "takes one file",
        ),
        (
            [IMAGES],
            LINK,
            {"a": OTHER},
            "inputs.a",
            "must be a list of files",
        ),
        ([IMAGES], LINK, {"a": 5}, "inputs.a", "must be a list of files"),
    ],
)
def test_files_that_no_variable_takes_are_refused(variables: Any, part: Any, more: Any, param: str, message: str) -> None:
    dify = App(form=form(*variables), blocking=CHAT)
    response = chat(dify, user([TEXT, part]), inputs=more)
    assert fault(response) == (400, "invalid_param", param)
    assert message in json_of(response)["error"]["message"]
    assert (dify.calls, dify.uploaded) == ([], [])


def test_the_form_that_cannot_be_fetched_takes_no_files(state: State) -> None:
    state.memory.kinds[APP] = "chat"
    assert fault(chat(App(form=Exception("fetch app failed: x")), user([TEXT, IMAGE]))) == (
        400,
        "invalid_param",
        PLACE,
    )


def test_a_pdf_by_its_link_with_a_name() -> None:
    dify = App(form=form(of_files("a", "document")), blocking=CHAT)
    part = {"type": "input_file", "file_url": "https://x.example/?id=1", "filename": "a.pdf"}
    assert fault(respond(dify, [user([{"type": "input_text", "text": "Look"}, part])])) == (200, None, None)
    assert kind_of_input(dify.calls[0]["inputs"]["a"]) == "document https://x.example/?id=1"


# Agents


def test_an_agent_that_refuses_blocking_answers_gives_its_whole_stream_with_links() -> None:
    dify = App(stream=sample("agent-chat"), blocking=NOT_BLOCKING)
    contents = [json_of(chat(dify))["choices"][0]["message"]["content"] for _ in range(2)]
    streamed = events_of(chat(dify, stream=True))[:-1]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in streamed) == contents[0] == contents[1]
    assert "![" in contents[0]
    assert [call["response_mode"] for call in dify.calls] == ["blocking", "streaming", "streaming", "streaming"]


def test_an_agent_that_may_not_read_uploads_gets_links() -> None:
    refused = http_error(400, "invalid_param", "ToolFile x not found")
    dify = Talk(refused, form=form(of_files("a", "image")))
    assert fault(chat(dify, user([TEXT, IMAGE]))) == (200, None, None)
    assert [kind_of_input(call["inputs"]["a"]) for call in dify.calls] == [PNG_SENT, "image https://dify/files/file.png"]


# Apps with keys of their own


OWN = {**service.SETTINGS, "apps": f"talk={APP}", "public_apps": APP}


def own(*messages: Any, **body: Any) -> Any:
    return chat(App(), *messages, settings=OWN, **body)


@pytest.mark.parametrize(
    ("mode", "path"),
    [("advanced-chat", "/chat-messages"), ("workflow", "/workflows/run"), ("completion", "/completion-messages")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_app_with_a_key_of_its_own_is_of_the_kind_that_dify_says(mode: str, path: str, stream: bool, api: Api) -> None:
    api.answers["/info"] = {"name": "x", "mode": mode}
    api.answers["/parameters"] = form(text("query"))
    blocking = {"/workflows/run": WORKFLOW, "/completion-messages": recorded("completion.blocking")}
    if path in blocking and not stream:
        api.answers[path] = blocking[path]
    assert b"server_error" not in b"".join(own(stream=stream, user="me").iter_encoded())
    [body] = api.bodies(path)
    assert body["user"] == "me"
    assert body.get("query", body["inputs"].get("query")) == "Hi"


@pytest.mark.parametrize("key", [KEY, None])
def test_files_besides_the_inputs_need_the_apps_own_key(api: Api, key: str | None) -> None:
    api.answers["/parameters"] = {
        **NO_FORM,
        "file_upload": {"enabled": True, "allowed_file_types": ["image"], "number_limits": 3},
    }
    api.answers["/files/upload"] = lambda _: httpx.Response(201, json={"id": "u1"})
    assert fault(own(user([TEXT, IMAGE, LINK]), key=key)) == (200, None, None)
    [body] = api.bodies("/chat-messages")
    assert body["files"] == [
        {"type": "image", "transfer_method": "local_file", "upload_file_id": "u1"},
        {"type": "image", "transfer_method": "remote_url", "url": "https://x.example/a.png"},
    ]
    assert body["user"].startswith("key-") if key else body["user"] == "public"
    assert fault(own(user([TEXT, AUDIO]))) == (400, "invalid_param", PLACE)
    assert fault(own(user([TEXT, IMAGE, IMAGE, IMAGE, IMAGE]))) == (400, "invalid_param", "files")


def test_an_apps_file_variables_come_after_its_files(api: Api) -> None:
    upload = {"enabled": True, "allowed_file_types": ["image"]}
    api.answers["/parameters"] = form(of_files("doc", "document"), file_upload=upload)
    link = {"type": "file", "file": {"file_data": "https://x.example/a.pdf"}}
    assert fault(own(user([TEXT, LINK, link]))) == (200, None, None)
    [body] = api.bodies("/chat-messages")
    assert (len(body["files"]), kind_of_input(body["inputs"]["doc"])) == (1, "document https://x.example/a.pdf")


def test_a_conversation_that_an_app_does_not_have_is_a_fault_of_the_request(api: Api) -> None:
    api.answers["/chat-messages"] = service.refused(404, "not_found", "Conversation Not Exists.")
    response = own(conversation_id="11111111-2222-4333-8444-555555555555")
    assert fault(response) == (400, "invalid_param", "conversation_id")
