"""How Anthropic's clients continue conversations: by what was said, by an id, or by sending all of it again."""

from typing import Any

import pytest

from duck.state import State
from tests.anthropic_calls import ask, events_of, place, streamed, text_of
from tests.openai_calls import CITY, OTHER_KEY, App, Talk, assistant, chat, user
from tests.support import KEY, NoSleepClock, http_error, json_of, sample

HELLO = [user("Hi"), assistant("No. 1"), user("More")]
REPLAY = "Conversation so far:\n\nuser: Hi\n\nassistant: No. 1\n\n----\n\nMore"
UUID = "11111111-2222-4333-8444-555555555555"
OF_AGENTS = http_error(400, "invalid_param", "Agent Chat App does not support blocking mode")


@pytest.fixture(autouse=True)
def _no_sleep(state: State) -> None:
    state.clock = NoSleepClock()


def said(dify: App, *messages: Any, **options: Any) -> str:
    """The text of an answer, as the client keeps it."""
    response = ask(dify, *messages, **options)
    return streamed(events_of(response)) if options.get("stream") else text_of(response)


# By what was said


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("more", [{}, {"metadata": {"user_id": "me"}}, {"inputs": {"city": "Rome"}}])
def test_turns_without_an_id_go_on_in_one_conversation(stream: bool, more: Any) -> None:
    dify, messages = Talk(), list[Any]()
    for text in ("Hi", "More", "And more"):
        messages += [user(text)]
        answer = said(dify, *messages, system="Be short.", stream=stream, **more)
        messages += [assistant([{"type": "text", "text": answer}])]
    assert dify.conversations == [["Be short.\n\nHi", "More", "And more"]]


def test_a_conversation_is_known_to_the_clients_of_both_apis() -> None:
    dify = Talk()
    said(dify, user("Hi"))
    assert chat(dify, *HELLO).status_code == 200
    assert dify.conversations == [["Hi", "More"]]


@pytest.mark.parametrize(
    "messages",
    [
        [user("Hi"), assistant("No. 2"), user("More")],
        [user("Ho"), assistant("No. 1"), user("More")],
        [user("Hi"), user([{"type": "tool_result", "content": "4"}]), assistant("No. 1"), user("More")],
    ],
)
def test_an_edited_history_is_sent_again(messages: list[Any]) -> None:
    dify = Talk()
    said(dify, user("Hi"))
    said(dify, *messages)
    turns = [("tool: 4" if isinstance(each["content"], list) else f"{each['role']}: {each['content']}") for each in messages[:-1]]
    assert dify.conversations == [["Hi"], ["\n\n".join(["Conversation so far:", *turns, "----", "More"])]]


def test_a_conversation_is_continued_once_and_then_sent_again() -> None:
    dify = Talk()
    said(dify, user("Hi"))
    for _ in range(2):
        said(dify, *HELLO)
    assert dify.conversations == [["Hi", "More"], [REPLAY]]


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ({"key": KEY}, {"key": OTHER_KEY}),
        ({"key": None}, {"key": None}),
        ({"metadata": {"user_id": "me"}}, {"metadata": {"user_id": "you"}}),
        ({"model": "talk"}, {"model": "other"}),
        ({"system": "Be short."}, {"system": "Be long."}),
    ],
)
def test_strangers_who_say_the_same_share_no_conversation(one: Any, another: Any) -> None:
    dify = Talk()
    said(dify, user("Hi"), **one)
    said(dify, *HELLO, **another)
    assert [len(conversation) for conversation in dify.conversations] == [1, 1]


@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_run_is_not_remembered(stream: bool) -> None:
    ids = {"conversation_id": UUID, "message_id": UUID}
    events = [{"event": "message", **ids, "answer": "No. 1"}, {"event": "error", "message": "It broke."}]
    dify = App(stream=events, blocking=OF_AGENTS)
    for messages in ([user("Hi")], HELLO):
        ask(dify, *messages, stream=stream).get_data()
    assert [call["conversation_id"] for call in dify.calls if call["response_mode"] == "streaming"] == ["", ""]


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_that_was_taken_back_is_remembered_as_the_client_has_it(stream: bool) -> None:
    ids = {"conversation_id": UUID, "message_id": UUID}
    events = [
        {"event": "message", **ids, "answer": "Bad"},
        {"event": "message_replace", **ids, "answer": "Good"},
        {"event": "message_end", **ids},
    ]
    dify = App(stream=events, blocking=OF_AGENTS)
    answer = said(dify, user("Hi"), stream=stream)
    assert answer == ("Bad\n\nGood" if stream else "Good")
    said(dify, user("Hi"), assistant(answer), user("More"), stream=stream)
    assert (dify.calls[-1]["query"], dify.calls[-1]["conversation_id"]) == ("More", UUID)


# The system prompt


@pytest.mark.parametrize(
    ("form", "query", "inputs"),
    [
        (CITY, "Be short.\n\nBe kind.\n\nHi", {}),
        ({"user_input_form": [{"text-input": {"variable": "system"}}]}, "Hi", {"system": "Be short.\n\nBe kind."}),
    ],
)
def test_the_system_prompt_stands_before_messages_of_the_system(form: Any, query: str, inputs: Any) -> None:
    dify = Talk(form=form)
    said(dify, {"role": "system", "content": "Be kind."}, user("Hi"), system=[{"type": "text", "text": "Be short."}])
    assert (dify.calls[0]["query"], dify.calls[0]["inputs"]) == (query, inputs)


# By an id


def test_holders_of_a_key_get_and_give_difys_own_id() -> None:
    dify = Talk()
    id_ = json_of(ask(dify))["conversation_id"]
    assert [id_] == [*dify.said]
    for given in (id_, id_.upper(), id_.replace("-", "")):
        assert json_of(ask(dify, *HELLO, conversation_id=given))["conversation_id"] == id_
    assert dify.conversations == [["Hi", "More", "More", "More"]]


def test_guests_get_and_give_tokens() -> None:
    dify = Talk()
    token = json_of(ask(dify, key=None))["conversation_id"]
    again = events_of(ask(dify, *HELLO, key=None, conversation_id=token, stream=True))[0]["message"]["conversation_id"]
    assert next(iter(dify.said)) not in (token, again)
    for key in (None, KEY):
        assert place(ask(dify, user("Last"), key=key, conversation_id=again)) == (200, "")
    assert dify.conversations == [["Hi", "More", "Last", "Last"]]


def test_an_id_is_valid_for_its_own_caller_app_and_api_only() -> None:
    dify = Talk()
    refused = {
        "a holder's": json_of(ask(dify))["conversation_id"],
        "another app's": json_of(ask(dify, key=None, model="other"))["conversation_id"],
        "another API's": json_of(chat(dify, key=None))["conversation_id"],
        "nobody's": "x",
    }
    runs = len(dify.calls)
    answers = {name: place(ask(dify, key=None, conversation_id=id_)) for name, id_ in refused.items()}
    assert answers == dict.fromkeys(refused, (400, "conversation_id"))
    assert len(dify.calls) == runs


def test_a_workflows_ids_have_no_effect() -> None:
    dify = App("workflow", stream=sample("workflow"), form={"user_input_form": [{"text-input": {"variable": "query"}}]})
    events = events_of(ask(dify, *HELLO, conversation_id=UUID, stream=True))
    assert events[-1] == {"type": "message_stop"}
    assert [call["inputs"] for call in dify.calls] == [{"query": "More"}]
