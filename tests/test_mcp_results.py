"""Calls of MCP's tools: their results, how a conversation goes on, and the form of the answer."""

import json
import time
import uuid
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from duck.errors import DuckError
from duck.faces.mcp import rpc
from duck.faces.mcp.results import Results
from duck.faces.tokens import Signer
from duck.journal import Entry
from duck.state import State
from duck.streams import pump
from duck.streams.format import Event
from duck.streams.reader import End
from duck.streams.slots import Slots
from tests.mcp_calls import LEGACY, SERVER, SETTINGS, ask, error, message, messages, post, refusal, result, use
from tests.openai_calls import CITY, OTHER_KEY, App, Talk
from tests.support import APP, KEY, NoSleepClock, body_of, http_error, sample
from tests.test_openai_streams import AT_ONCE, RECORDINGS, end_of, recording
from tests.test_stream import World

NO_FORM: dict[str, Any] = {"user_input_form": []}
CHAT_ID = "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901"
FOX = "https://dify.example.com/files/tools/88888888-2222-4333-8444-555555555504.png"
HI = {"query": "Hi"}


@pytest.fixture(autouse=True)
def _no_sleep(state: State) -> None:
    state.clock = NoSleepClock()


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def id_note(conversation_id: str) -> dict[str, Any]:
    return {**text(f"conversation_id: {conversation_id}"), "annotations": {"audience": ["assistant"]}}


def link(url: str, name: str, **more: str) -> dict[str, Any]:
    return {"type": "resource_link", "uri": url, "name": name, **more}


# Results


RESULTS: list[tuple[str, Any, list[Any], Any]] = [
    ("chat", HI, [text("The Pro plan costs 20 USD per month.")], {}),
    ("advanced-chat", HI, [text("The Pro plan costs 20 USD per month.")], {}),
    (
        "agent-chat",
        HI,
        [
            text("I will draw it.\n\nHere is your fox."),
            link(FOX, "88888888-2222-4333-8444-555555555504.png", mimeType="image/png"),
        ],
        {},
    ),
    ("dify-1.16/moderated.plugin", HI, [text("No such answers.")], {}),
    ("dify-1.16/humanflow.plugin", HI, [text("[This app waits for a person in Dify.]")], {}),
    ("workflow", {}, [text("Rain is coming.")], {"outputs": {"summary": "Rain is coming."}}),
    ("workflow.paused", {}, [text("[This app waits for a person in Dify.]")], {"outputs": {}}),
]


def version(told: str | None) -> dict[str, str | None]:
    return {"MCP-Protocol-Version": told}


@pytest.mark.parametrize("modern", [False, True])
@pytest.mark.parametrize(("name", "arguments", "content", "more"), RESULTS)
def test_the_result_of_a_run(name: str, arguments: Any, content: Any, more: Any, modern: bool, state: State) -> None:
    response = use(recording(name, state), arguments, modern=modern, headers=None if modern else version(LEGACY[0]))
    found = result(response)
    [answer, *rest] = found["content"]
    begun = sample(name)[0]
    if arguments:
        [*links, note] = rest
        assert note == id_note(begun["conversation_id"])
        more = {**more, "conversation_id": begun["conversation_id"]}
    else:
        links = rest
    links = [{**each, "uri": each["uri"].partition("?")[0]} for each in links]
    assert [answer, *links] == content
    assert found == {"content": found["content"], "structuredContent": {"answer": answer["text"], **more}, "isError": False}
    assert (response.content_type, "X-Accel-Buffering" in response.headers) == ("application/json", True)


@pytest.mark.parametrize("told", [None, *LEGACY])
def test_a_client_that_knows_no_links_to_resources_has_them_in_the_text(told: str | None, state: State) -> None:
    found = result(use(recording("agent-chat", state), HI, modern=False, headers=version(told)))
    kinds = [part["type"] for part in found["content"]]
    if told in LEGACY[:2]:
        assert kinds == ["text", "resource_link", "text"]
    else:
        assert kinds == ["text", "text"]
        assert found["content"][0]["text"].startswith("I will draw it.\n\nHere is your fox.\n\n![")
        assert f"]({FOX}" in found["content"][0]["text"]
    assert found["structuredContent"]["answer"] == found["content"][0]["text"]


def test_files_of_a_workflow_are_links_of_a_kind_that_is_told_or_known(state: State) -> None:
    files = [
        {"url": "https://x.example/a.pdf?s=1", "type": "document", "filename": "A.pdf", "mime_type": "application/x-pdf"},
        {"url": "https://x.example/b", "type": "", "filename": ""},
        {"url": "https://x.example/", "type": ""},
        {"url": "/files/c.pdf", "type": "document"},
    ]
    data = {"status": "succeeded", "outputs": {"n": 1}, "files": files}
    events = [{"event": "workflow_finished", "workflow_run_id": "r", "task_id": "t", "data": data}]
    state.memory.kinds[APP] = "workflow"
    found = result(use(App("workflow", form=NO_FORM, stream=events), {}))
    assert found["content"] == [
        text("1"),
        link("https://x.example/a.pdf?s=1", "A.pdf", mimeType="application/x-pdf"),
        link("https://x.example/b", "b"),
        link("https://x.example/", "https://x.example/"),
    ]
    assert found["structuredContent"] == {"answer": "1", "outputs": {"n": 1}}


@pytest.mark.parametrize("name", [name for name in RECORDINGS if name != AT_ONCE])
@pytest.mark.parametrize("key", [KEY, None], ids=["holder", "guest"])
@pytest.mark.parametrize("token", [None, "t"])
def test_every_recorded_run_is_a_result_that_fits_its_schema(name: str, key: str | None, token: str | None, state: State) -> None:
    dify = recording(name, state)
    kind = state.memory.kinds[APP]
    [tool] = result(ask(dify, "tools/list", app="talk", key=key))["tools"]
    response = use(dify, HI if kind == "chat" else {}, key=key, token=token)
    response.set_data(body_of(response))  # to be read twice
    if token:
        assert response.content_type == "text/event-stream"
        notes = messages(response)[:-1]
        assert [note["params"]["progress"] for note in notes] == [*range(1, len(notes) + 1)]
    found = result(response)
    assert found["isError"] == (not isinstance(end_of(name, key), str))
    assert found["content"][0]["text"] or not found["isError"]
    if found["isError"]:
        assert found.keys() == {"content", "isError"}
    else:
        OAS31Validator(tool["outputSchema"]).validate(found["structuredContent"])
        assert all(item["uri"].startswith("http") for item in found["content"] if item["type"] == "resource_link")
    assert len(dify.calls) == 1
    assert len(state.slots) == 0


RATE = http_error(400, "invalid_param", "Rate Limit Error")
CUT = Exception("read app failed: ")
FAILURES: list[tuple[list[Any], str]] = [
    ([http_error(400, "invalid_param", "city in input form must be a string")], "city in input form"),
    ([http_error(400, "invalid_param", "app not found")], "No such app here."),
    ([http_error(400, "invalid_param", "Workflow not published")], "not been published"),
    ([RATE], "Rate Limit Error"),
    ([http_error(500, "unknown", "oh")], "oh"),
    ([CUT], "broke off"),
    ([Exception("invocation exited without response after 250 s")], "240 seconds"),
    ([*sample("chat")[:2], RATE], "Rate Limit Error"),
    ([*sample("chat")[:2], CUT], "broke off"),
    (
        [*sample("chat")[:2], {**sample("chat")[0], "event": "error", "code": "x", "message": "It broke.", "status": 400}],
        "It broke.",
    ),
    (sample("advanced-chat.failed"), ""),
]


@pytest.mark.parametrize("token", [None, 1])
@pytest.mark.parametrize(("stream", "told"), FAILURES)
def test_a_run_that_fails_is_a_result_that_says_why(stream: Any, told: str, token: Any) -> None:
    dify = App("chat", stream=stream)
    assert told in refusal(use(dify, HI, token=token))
    assert len(dify.calls) == 1


@pytest.mark.parametrize("name", ["workflow.failed", "dify-1.16/failing.plugin"])
def test_a_failed_workflow_says_why(name: str, state: State) -> None:
    assert refusal(use(recording(name, state), {}))


def test_a_workflow_that_was_stopped_says_so(state: State) -> None:
    data = {"status": "stopped", "error": "Aborted: User requested stop"}
    stopped = {"event": "workflow_finished", "workflow_run_id": "r", "task_id": "t", "data": data}
    assert refusal(use(recording("workflow", state, [stopped]), {})) == "Aborted: User requested stop"


def test_guests_do_not_read_difys_own_words() -> None:
    for stream in ([http_error(500, "unknown", "SECRET")], [*sample("chat")[:2], http_error(500, "unknown", "SECRET")]):
        assert "SECRET" not in refusal(use(App("chat", stream=stream), HI, key=None))


def test_a_defect_is_told_without_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duck.faces.mcp.serve.asking.signer", lambda *_: 1 / 0)
    assert refusal(use(App("chat", stream=sample("chat")), HI)).startswith("Duck failed. Its log has the reason under ")


# Too much at a time


def test_without_a_slot_the_status_says_so(state: State) -> None:
    state.slots = Slots(0)
    response = use(App("chat", stream=sample("chat")), HI)
    assert error(response) == (503, 1, 503)
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("modern", [False, True])
def test_the_guests_rate_is_a_status_before_a_run(modern: bool) -> None:
    dify = App("chat", stream=sample("chat"))
    settings = {**SETTINGS, "public_rate": "1"}
    first, second = (use(dify, HI, key=None, settings=settings, modern=modern) for _ in range(2))
    assert not result(first)["isError"]
    assert error(second) == (429, 1, 429)
    assert int(second.headers["Retry-After"]) > 0
    assert len(dify.calls) == 1


# Conversations


def said(dify: Talk, query: str, conversation_id: Any = None, **options: Any) -> Any:
    given = {} if conversation_id is None else {"conversation_id": conversation_id}
    return result(use(dify, {"query": query, **given}, **options))


@pytest.mark.parametrize("key", [KEY, None])
def test_a_conversation_goes_on(key: str | None) -> None:
    dify = Talk()
    first = said(dify, "One", "", key=key)
    shown = first["structuredContent"]["conversation_id"]
    assert first["content"] == [text("No. 1"), id_note(shown)]
    assert (shown in dify.said) is (key is not None)
    assert said(dify, "Two", shown, key=key)["structuredContent"]["answer"] == "No. 2"
    assert said(dify, "Three", shown.upper() if key else shown, key=key)["structuredContent"]["answer"] == "No. 3"
    assert dify.conversations == [["One", "Two", "Three"]]


def test_a_guests_conversation_goes_on_with_a_key_but_not_the_other_way_round() -> None:
    dify = Talk()
    token = said(dify, "One", key=None)["structuredContent"]["conversation_id"]
    assert not said(dify, "Two", token, key=OTHER_KEY)["isError"]
    own = said(dify, "One")["structuredContent"]["conversation_id"]
    assert said(dify, "Two", own, key=None)["isError"]


@pytest.mark.parametrize("key", [KEY, None])
def test_ids_that_are_not_valid_here_start_nothing(key: str | None) -> None:
    dify = Talk()

    def signed(**other: Any) -> str:
        ours = {"face": "mcp", "app_id": APP, "guest": True, "endpoint_id": dify.endpoint_id, "keys": (KEY, OTHER_KEY)}
        return Signer(**{**ours, **other}).sign(CHAT_ID, str(uuid.uuid4()))

    token = signed()
    wrong = [
        token[:-1] + ("A" if token[-1] != "A" else "E"),
        ("A" if token[0] != "A" else "B") + token[1:],
        token[:-1],
        token + "A",
        signed(face="chat"),
        signed(app_id=CHAT_ID),
        signed(endpoint_id="x"),
        signed(keys=("other-key",)),
        "nonsense",
        " ",
        *([CHAT_ID, signed(guest=False)] if key is None else []),
    ]
    expected = "conversation_id: no such conversation. Leave it out to start one"
    assert [refusal(use(dify, {**HI, "conversation_id": each}, key=key)) for each in wrong] == [expected] * len(wrong)
    assert dify.calls == []
    assert not said(dify, "Hi", token, key=key)["isError"]


# Kinds


@pytest.mark.parametrize(
    ("kind", "variables", "refused"),
    [
        ("chat", CITY, ["workflow"]),
        ("workflow", CITY, ["workflow"]),
        ("chat", NO_FORM, ["workflow"]),
        ("workflow", NO_FORM, []),
        ("chat", Exception("fetch app failed: x"), ["workflow"]),
    ],
)
def test_nothing_runs_twice_to_find_out_the_kind(kind: Any, variables: Any, refused: list[str]) -> None:
    dify = App(kind, form=variables, stream=sample(kind))
    for _ in range(2):
        arguments = {} if kind == "workflow" and (variables is CITY or dify.calls) else HI
        found = result(use(dify, arguments))["structuredContent"]
        assert found.keys() == {"answer", "conversation_id" if kind == "chat" else "outputs"}
    assert [call["kind"] for call in dify.refused] == refused
    assert [call["kind"] for call in dify.calls] == [kind] * 2
    assert [call.get("query") for call in dify.calls] == ["Hi" if kind == "chat" else None] * 2


def test_a_workflow_that_was_not_known_gets_the_input_that_is_called_query(state: State) -> None:
    field = {"user_input_form": [{"paragraph": {"variable": "query", "required": True}}]}
    dify = App("workflow", form=field, stream=sample("workflow"))
    state.memory.probes.answer_if_any((dify.endpoint_id, APP), dict)  # as if the probe had timed out
    assert not result(use(dify, HI))["isError"]
    assert [call["inputs"] for call in dify.calls] == [HI]


@pytest.mark.parametrize("query", ["", " \n"])
def test_a_blank_query_is_refused_for_known_chats_only(query: str, state: State) -> None:
    dify = App("workflow", form=NO_FORM, stream=sample("workflow"))
    assert not result(use(dify, {"query": query}))["isError"]
    chat = App("chat", form=NO_FORM, stream=sample("chat"))
    state.memory.kinds.clear()
    assert not result(use(chat, {"query": query}))["isError"]
    assert refusal(use(chat, {"query": query})) == "query: must not be blank"
    assert [len(each.calls) for each in (dify, chat)] == [1, 1]


def test_a_text_generator_needs_its_own_key() -> None:
    assert refusal(use(App("completion", form=NO_FORM), HI))


def test_any_run_is_a_streaming_one() -> None:
    dify = App("chat", stream=sample("chat"))
    use(dify, HI)
    assert [call["response_mode"] for call in dify.calls] == ["streaming"]


# The form of the answer, on a clock that the test moves


def writer(token: Any = None) -> Results:
    params = {} if token is None else {"_meta": {"progressToken": token}}
    call = rpc.read(message("tools/call", params, modern=False), None)
    return Results(call, SERVER, lambda reply: {"said": reply.text, "isError": False})


def said_event(answer: str) -> Event:
    return {"event": "message", "conversation_id": "c", "answer": answer}


def step(title: str, event: str = "node_started", **data: Any) -> Event:
    return {"event": event, "conversation_id": "c", "data": {"id": title, "title": title, **data}}


def written(*script: tuple[float, Event | End], token: Any = None) -> list[tuple[float, Any]]:
    """The messages of a stream with their times."""
    world = World(*script)
    return [(at, each) for at, chunk in world.written_by(writer(token)) for each in messages(chunk)]


def note(number: int, text: str, token: Any) -> dict[str, Any]:
    params = {"progressToken": token, "progress": number, "message": text}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


def response(said: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": {"said": said, "isError": False}}


@pytest.mark.parametrize("over_at", [0.0, 5.0, 9.9])
def test_a_run_that_is_over_before_the_first_keep_alive_is_one_document(over_at: float, state: State) -> None:
    world, results = World((0, said_event("Hi")), (over_at, End())), writer()
    body = pump.Pump(world, results, world.entry, state.slots, world).body()
    assert isinstance(body, bytes)
    assert json.loads(body) == response("Hi")
    assert (results.is_document, world.time) == (True, over_at)


@pytest.mark.parametrize("began_at", [0.0, 9.0, 15.0])
def test_without_a_token_a_longer_run_is_a_stream_of_comments_and_the_response(began_at: float) -> None:
    found = written((began_at, said_event("Hi")), (25, step("LLM")), (33, End()))
    assert found == [(10, ": ping"), (20, ": ping"), (30, ": ping"), (33, response("Hi"))]


def test_with_a_token_a_quick_run_is_a_stream_too(state: State) -> None:
    world, results = World((0, said_event("Hi")), (0, End())), writer("t")
    body = pump.Pump(world, results, world.entry, state.slots, world).body()
    assert isinstance(body, bytes)
    assert (messages(body), results.is_document) == ([note(1, "Hi", "t"), response("Hi")], False)


@pytest.mark.parametrize("token", ["t", "", 0, 7, 1.5])
def test_progress_is_steps_text_and_signs_of_life(token: Any) -> None:
    found = written(
        (1, step("Start")),
        (2, step("Start", "node_finished")),
        (3, step("Loop", "loop_started")),
        (3, step("Loop", "loop_next", index=1)),
        (4, step("Inner", loop_id="Loop")),
        (14.5, said_event("Hi")),
        (15, said_event(" there")),
        (26, said_event("!")),
        (27, End()),
        token=token,
    )
    expected = [
        (1, "Start"), (3, "Loop"), (4, "Inner"), (14, "working"), (14.5, "Hi"), (24.5, "Hi there"),
    ]  # fmt: skip
    notes = [(at, note(number, text, token)) for number, (at, text) in enumerate(expected, 1)]
    assert found == [*notes, (27, response("Hi there!"))]
    assert all(type(each["params"]["progressToken"]) is type(token) for _, each in found[:-1])


def test_text_is_told_first_and_with_each_200_further_characters() -> None:
    whole = "".join(chr(0x4E00 + number) for number in range(5000))
    results = writer("t")
    found = messages(b"".join(results.event(said_event(letter)) for letter in whole) + results.tail())
    counts = [1, *range(201, 5000, 200)]
    assert found == [
        *(note(number, whole[max(0, end - 200) : end], "t") for number, end in enumerate(counts, 1)),
        response(whole),
    ]
    assert len(counts) == 25


@pytest.mark.parametrize("token", [True, None, [1], {}, "t" * 257])
def test_what_is_no_token_asks_for_no_progress(token: Any) -> None:
    body = message("tools/call", {"name": "talk", "arguments": HI, "_meta": {"progressToken": token}}, modern=False)
    answer = post(App("chat", stream=sample("chat")), body)
    assert answer.content_type == "application/json"
    assert not result(answer)["isError"]


SCRIPT = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["node_started", "message", "node_finished", "ping"]), st.integers(0, 500)),
    max_size=8,
)


@given(SCRIPT, st.sampled_from(["t", 1]), st.integers(0, 30), st.booleans())
def test_progress_counts_without_gaps_is_never_late_and_the_response_is_last(
    script: Any, token: Any, rest: int, fails: bool
) -> None:
    now, events = 0.0, []
    for seconds, name, size in script:
        now += seconds
        events.append((now, {**step("LLM", name), "answer": "a" * size}))
    over = End(DuckError(504, "timeout", "Too slow.")) if fails and events else End()
    world, results = World(*events, (now + rest, over)), writer(token)
    body = pump.Pump(world, results, Entry(method="POST", route="/mcp"), Slots(1), world).body()
    chunks = [(world.time, body)] if isinstance(body, bytes) else [(world.time, chunk) for chunk in body]
    found = [each for _, chunk in chunks for each in messages(chunk)]
    notes = [each["params"] for each in found[:-1]]
    assert [each["progress"] for each in notes] == [*range(1, len(notes) + 1)]
    assert all(each["progressToken"] == token and 0 < len(each["message"]) <= 200 for each in notes)
    assert found[-1]["id"] == 1
    assert found[-1]["result"]["isError"] is (over.error is not None)
    times = [0.0, *(at for at, chunk in chunks if chunk)]
    assert all(later - earlier <= 10 for earlier, later in pairwise(times))


@pytest.mark.parametrize("token", [None, "t"])
@pytest.mark.parametrize(
    ("script", "told"), [([(0, said_event("Hi"))], "240 seconds"), ([(at, said_event("a")) for at in range(700)], "590")]
)
def test_the_pumps_own_errors_are_results(script: Any, told: str, token: Any) -> None:
    found = written(*((float(at), event) for at, event in script), (1000, End()), token=token)
    document = found[-1][1]["result"]
    assert document["isError"] is True
    assert told in document["content"][0]["text"]
    assert not any("result" in each for _, each in found[:-1] if isinstance(each, dict))


def test_a_slow_run_is_answered_as_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Results, "keep_alive_s", 0.01)

    def slowly() -> Iterator[Any]:
        for event in sample("chat"):
            time.sleep(0.03)
            yield event

    answer = use(App("chat", stream=slowly), HI)
    assert (answer.content_type, answer.headers["X-Accel-Buffering"]) == ("text/event-stream", "no")
    *comments, last = messages(body_of(answer))
    assert set(comments) == {": ping"}
    assert last["result"]["structuredContent"]["conversation_id"] == CHAT_ID
