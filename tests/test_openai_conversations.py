"""How OpenAI's clients continue conversations: by what was said, by ids, or by sending all of it again."""

import itertools
from typing import Any

import pytest

from duck import limits
from duck.dify.memory import Conversations
from duck.faces import asking
from duck.state import State
from tests.openai_calls import CITY, OTHER_KEY, App, Talk, assistant, chat, events_of, fault, respond, user
from tests.support import KEY, NoSleepClock, http_error, json_of, sample

SYSTEM = {"role": "system", "content": "Be short."}
REPLAY = "Conversation so far:\n\nuser: Hi\n\nassistant: No. 1\n\n----\n\nMore"
HELLO = [user("Hi"), assistant("No. 1"), user("More")]
TEXT = {"type": "text", "text": " No.  1"}
UUID = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(autouse=True)
def _no_sleep(state: State) -> None:
    state.clock = NoSleepClock()


def said(dify: Talk, *messages: Any, ask: Any = chat, **options: Any) -> str:
    """The text of an answer, as the client keeps it."""
    response = ask(dify, *messages, **options) if ask is chat else ask(dify, [*messages], **options)
    if options.get("stream"):
        events = events_of(response)
        if ask is respond:
            return str(events[-1]["response"]["output"][0]["content"][0]["text"])
        return "".join(choice["delta"].get("content", "") for event in events[:-1] for choice in event["choices"])
    whole = json_of(response)
    return str(whole["choices"][0]["message"]["content"] if ask is chat else whole["output"][0]["content"][0]["text"])


# By what was said


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ask", [chat, respond])
@pytest.mark.parametrize("more", [{}, {"user": "me"}, {"inputs": {"city": "Rome"}}])
def test_turns_without_an_id_go_on_in_one_conversation(ask: Any, stream: bool, more: Any) -> None:
    dify, messages = Talk(), [SYSTEM]
    for text in ("Hi", "More", "And more"):
        messages += [user(text)]
        messages += [assistant(said(dify, *messages, ask=ask, stream=stream, **more))]
    again = "Be short.\n\n" if ask is respond else ""  # `instructions` and their like are for one turn
    assert dify.conversations == [["Be short.\n\nHi", f"{again}More", f"{again}And more"]]


def test_blanks_and_parts_do_not_matter() -> None:
    dify = Talk()
    said(dify, user([{"type": "text", "text": "Hi\n"}, {"type": "text", "text": " there "}]))
    said(
        dify,
        user("Hi"),
        user("there"),
        assistant([TEXT]),
        user("A"),
        user("B"),
    )
    assert dify.conversations == [["Hi\n\n\n there ", "A\n\nB"]]


def picture(name: str) -> dict[str, Any]:
    return user([{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": f"https://x.example/{name}.png"}}])


def test_conversations_that_differ_in_their_pictures_alone_are_told_apart() -> None:
    dify = Talk(form={"user_input_form": [{"file-list": {"variable": "pictures", "allowed_file_types": ["image"]}}]})
    answers = {name: said(dify, picture(name)) for name in "AB"}
    for name in "AB":
        said(dify, picture(name), assistant(answers[name]), user("What is it?"))
    assert dify.conversations == [["Look", "What is it?"], ["Look", "What is it?"]]


def test_a_request_that_is_refused_before_it_runs_may_be_sent_again() -> None:
    dify = Talk()
    first = said(dify, user("Hi"))
    large = chat(dify, user("Hi"), assistant(first), user("x" * 6_000_000))
    no_picture = chat(dify, user("Hi"), assistant(first), picture("A"))  # the app takes none
    assert (large.status_code, no_picture.status_code) == (413, 400)
    said(dify, user("Hi"), assistant(first), user("More"))
    assert dify.conversations == [["Hi", "More"]]


FORKS = [
    ("another answer", [user("Hi"), assistant("No. 2"), user("More")]),
    ("another question", [user("Ho"), assistant("No. 1"), user("More")]),
    ("a system prompt", [SYSTEM, *HELLO]),
    ("a tool", [user("Hi"), {"role": "tool", "content": "4"}, assistant("No. 1"), user("More")]),
]


@pytest.mark.parametrize("messages", [messages for _, messages in FORKS], ids=[name for name, _ in FORKS])
def test_an_edited_history_is_sent_again(messages: list[Any]) -> None:
    dify = Talk()
    said(dify, user("Hi"))
    said(dify, *messages)
    system = "".join(f"{message['content']}\n\n" for message in messages if message["role"] == "system")
    turns = "".join(f"{message['role']}: {message['content']}\n\n" for message in messages[:-1] if message["role"] != "system")
    assert dify.conversations == [["Hi"], [f"{system}Conversation so far:\n\n{turns}----\n\nMore"]]


def test_a_conversation_is_continued_once_and_then_sent_again() -> None:
    dify = Talk()
    said(dify, user("Hi"))
    for _ in range(3):
        said(dify, *HELLO)
    assert dify.conversations == [["Hi", "More"], [REPLAY], [REPLAY]]


def test_a_conversation_that_was_sent_again_goes_on() -> None:
    dify = Talk()
    answer = said(dify, *HELLO)
    said(dify, *HELLO, assistant(answer), user("And more"))
    assert dify.conversations == [[REPLAY, "And more"]]


STRANGERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"key": KEY}, {"key": OTHER_KEY}),
    ({"key": KEY}, {"key": None}),
    ({"key": None}, {"key": KEY}),
    ({"key": None}, {"key": None}),
    ({"user": "me"}, {"user": "you"}),
    ({"user": "me"}, {}),
    ({"model": "talk"}, {"model": "other"}),
    ({"inputs": {"city": "Rome"}}, {"inputs": {"city": "Oslo"}}),
]


@pytest.mark.parametrize(("one", "another"), STRANGERS)
@pytest.mark.parametrize(("first", "second"), [*itertools.product([chat, respond], repeat=2)])
def test_strangers_who_say_the_same_share_no_conversation(first: Any, second: Any, one: Any, another: Any) -> None:
    dify = Talk()
    said(dify, user("Hi"), ask=first, **one)
    said(dify, *HELLO, ask=second, **another)
    assert dify.conversations == [["Hi"], [REPLAY]]


@pytest.mark.parametrize("by", ["conversation_id", "previous_response_id"])
def test_a_conversation_that_went_on_by_its_id_is_known_by_what_was_said_no_more(by: str) -> None:
    dify = Talk()
    ask: Any = chat if by == "conversation_id" else respond
    first = json_of(ask(dify, user("Hi")) if ask is chat else ask(dify, [user("Hi")]))
    ask(dify, **{by: first["conversation_id" if ask is chat else "id"]})
    said(dify, *HELLO)
    assert dify.conversations == [["Hi", "Hi"], [REPLAY]], "whoever says the same must not read what was said since"


def test_guests_are_not_remembered_since_one_may_hold_the_id_of_what_another_goes_on_in() -> None:
    dify = Talk()
    token = json_of(chat(dify, key=None))["conversation_id"]
    said(dify, *HELLO, key=None)
    said(dify, user("What was said?"), key=None, conversation_id=token)
    assert dify.conversations == [["Hi", "What was said?"], [REPLAY]]


@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_run_is_not_remembered(stream: bool) -> None:
    ids = {"conversation_id": UUID, "message_id": UUID}
    dify = App(
        stream=[{"event": "message", **ids, "answer": "No. 1"}, {"event": "error", "message": "It broke."}],
        blocking=http_error(400, "invalid_param", "Agent Chat App does not support blocking mode"),
    )
    chat(dify, stream=stream).get_data()
    chat(dify, *HELLO, stream=stream).get_data()
    assert [call["conversation_id"] for call in dify.calls if call["response_mode"] == "streaming"] == ["", ""]


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_said_is_sent_again_if_dify_has_lost_the_conversation(stream: bool) -> None:
    dify = Talk()
    said(dify, user("Hi"))
    invoke = dify.invoke
    dify.invoke = lambda **call: invoke(**{**call, "conversation_id": ""})  # type: ignore[method-assign]
    said(dify, *HELLO, stream=stream)
    assert [call["query"] for call in dify.calls] == ["Hi", "More", REPLAY]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("ask", "keeps"), [(chat, "sent"), (respond, "final")])
def test_a_text_that_was_taken_back_is_remembered_as_the_client_has_it(ask: Any, keeps: str, stream: bool) -> None:
    ids = {"conversation_id": UUID, "message_id": UUID}
    events = [
        {"event": "message", **ids, "answer": "Bad"},
        {"event": "message_replace", **ids, "answer": "Good"},
        {"event": "message_end", **ids},
    ]
    dify = App(stream=events, blocking=http_error(400, "invalid_param", "Agent Chat App does not support blocking mode"))
    answer = said(dify, user("Hi"), ask=ask, stream=stream)  # type: ignore[arg-type]
    assert answer == ("Bad\n\nGood" if stream and keeps == "sent" else "Good")
    said(dify, user("Hi"), assistant(answer), user("More"), ask=ask, stream=stream)  # type: ignore[arg-type]
    assert (dify.calls[-1]["query"], dify.calls[-1]["conversation_id"]) == ("More", UUID)


def test_a_conversation_that_is_too_long_is_refused() -> None:
    dify, long = Talk(), "x" * (asking.MAX_REPLAY - len(REPLAY) + 2)
    for text, expected in ((long, (200, None, None)), (long + "x", (400, "context_length_exceeded", None))):
        assert fault(chat(dify, user(text), assistant("No. 1"), user("More"))) == expected
    assert len(dify.calls[0]["query"]) == asking.MAX_REPLAY
    assert len(dify.calls) == 1


def test_the_oldest_conversations_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CONVERSATIONS", 2)
    conversations = Conversations()
    for digest, id_ in (("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")):
        conversations.put(digest, id_)
    assert [conversations.take(digest) for digest in "abca"] == ["3", None, "4", None]


# The system prompt


NAMED = {"user_input_form": [{"paragraph": {"variable": "x"}}, {"text-input": {"variable": "system_prompt"}}]}
HIDDEN = {"user_input_form": [{"text-input": {"variable": "system", "hide": True}}]}


@pytest.mark.parametrize(
    ("form", "more", "query", "inputs"),
    [
        (CITY, {}, "Be short.\n\nHi", {}),
        (NAMED, {}, "Hi", {"system_prompt": "Be short."}),
        (NAMED, {"inputs": {"system_prompt": "Mine."}}, "Be short.\n\nHi", {"system_prompt": "Mine."}),
        (HIDDEN, {}, "Be short.\n\nHi", {}),
        ({"user_input_form": [{"number": {"variable": "system"}}]}, {}, "Be short.\n\nHi", {}),
        (CITY, {"conversation_id": UUID}, "Hi", {}),
        (NAMED, {"conversation_id": UUID}, "Hi", {"system_prompt": "Be short."}),
    ],
)
def test_the_system_prompt_of_a_chat(form: Any, more: Any, query: str, inputs: Any) -> None:
    dify = Talk(form=form)
    said(dify, SYSTEM, user("Hi"), **more)
    assert (dify.calls[0]["query"], dify.calls[0]["inputs"]) == (query, inputs)


def test_instructions_stand_before_system_messages_and_are_sent_with_each_turn() -> None:
    dify = Talk()
    first = json_of(respond(dify, [{"role": "developer", "content": "B"}, user("Hi")], instructions="A"))
    second = json_of(respond(dify, "More", instructions="C", previous_response_id=first["id"]))
    assert (first["instructions"], second["instructions"]) == ("A", "C")
    assert dify.conversations == [["A\n\nB\n\nHi", "C\n\nMore"]]


# By ids


def test_key_holders_get_and_give_difys_own_id() -> None:
    dify = Talk()
    id_ = json_of(chat(dify))["conversation_id"]
    assert [id_] == [*dify.said]
    for given in (id_, id_.upper(), id_.replace("-", "")):
        assert json_of(chat(dify, user("Old"), assistant("Old"), user("More"), conversation_id=given))["conversation_id"] == id_
    assert dify.conversations == [["Hi", "More", "More", "More"]]


def test_guests_get_and_give_tokens() -> None:
    dify = Talk()
    token = json_of(chat(dify, key=None))["conversation_id"]
    again = events_of(chat(dify, *HELLO, key=None, conversation_id=token, stream=True))[0]["conversation_id"]
    assert next(iter(dify.said)) not in (token, again)
    for key in (None, KEY):
        assert fault(chat(dify, user("Last"), key=key, conversation_id=again))[0] == 200
    assert dify.conversations == [["Hi", "More", "Last", "Last"]]


def ids_of(dify: Talk) -> dict[str, str]:
    """Ids by which conversations are continued, by what they are of and whose they are."""
    callers: dict[str, Any] = {"holder": {}, "guest": {"key": None}, "guest of another app": {"key": None, "model": "other"}}
    found = {}
    for name, caller in callers.items():
        found[f"chat of a {name}"] = json_of(chat(dify, **caller))["conversation_id"]
        response = json_of(respond(dify, **caller))
        found |= {f"response of a {name}": response["id"], f"item of a {name}": response["output"][0]["id"]}
    return found


def by_item(dify: Talk, key: str | None, item: str) -> Any:
    return respond(dify, [user("Old"), {"type": "item_reference", "id": item}, user("More")], key=key)


@pytest.mark.parametrize(
    ("what", "ask", "expected"),
    [
        ("chat", lambda dify, key, id_: chat(dify, key=key, conversation_id=id_), ("invalid_param", "conversation_id")),
        (
            "response",
            lambda dify, key, id_: respond(dify, key=key, previous_response_id=id_),
            ("previous_response_not_found", "previous_response_id"),
        ),
        ("item", by_item, ("invalid_param", "input[1]")),
    ],
)
@pytest.mark.parametrize(("key", "whose"), [(KEY, {"holder", "guest"}), (None, {"guest"})])
def test_an_id_is_valid_for_its_own_caller_app_and_place_only(
    what: str, ask: Any, expected: tuple[str, str], key: str | None, whose: set[str]
) -> None:
    dify = Talk()
    given = {**ids_of(dify), "none": "x", "cut": "resp_", "empty": "msg_"}
    runs, valid = len(dify.calls), {f"{what} of a {caller}" for caller in whose}
    faults = {name: fault(ask(dify, key, id_)) for name, id_ in given.items()}
    assert {name for name, found in faults.items() if found[0] == 200} == valid
    assert {found for name, found in faults.items() if name not in valid} == {(400, *expected)}
    assert len(dify.calls) - runs == len(valid)


def test_a_response_continues_the_conversation_of_the_previous_one_whatever_else_is_sent() -> None:
    dify = Talk()
    first = json_of(respond(dify))
    *_, last = events_of(respond(dify, HELLO, previous_response_id=first["id"], stream=True))
    third = json_of(respond(dify, "Last", previous_response_id=last["response"]["id"]))
    assert (first["previous_response_id"], third["previous_response_id"]) == (None, last["response"]["id"])
    assert dify.conversations == [["Hi", "More", "Last"]]


def test_the_last_item_that_a_client_refers_to_stands_for_all_before_it() -> None:
    dify = Talk()
    items: list[Any] = [user("Hi")]
    for text in ("More", "And more"):
        answer = json_of(respond(dify, items))["output"][0]
        items += [{"id": answer["id"]}, user(text)]
    last = events_of(respond(dify, items, stream=True))[-1]["response"]
    respond(dify, [*items, {"type": "item_reference", "id": last["output"][0]["id"]}, user("Last")])
    assert dify.conversations == [["Hi", "More", "And more", "Last"]]


def test_a_workflows_ids_have_no_effect() -> None:
    form = {"user_input_form": [{"text-input": {"variable": "query"}}]}
    dify = App("workflow", stream=sample("workflow"), blocking=http_error(500, "x", "x"), form=form)
    first = events_of(respond(dify, stream=True))[-1]["response"]
    chunk, *_ = events_of(chat(dify, *HELLO, conversation_id=UUID, stream=True))
    events_of(respond(dify, HELLO, previous_response_id=first["id"], stream=True))
    assert "conversation_id" not in chunk
    assert [call["inputs"] for call in dify.calls] == [{"query": "Hi"}, {"query": "More"}, {"query": "More"}]
