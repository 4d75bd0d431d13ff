"""What Dify stores of runs: conversations and messages, each of an end user."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx

from devhost import App, Call, Devhost, Pause, demo
from devhost.apps import Message, Step
from devhost.tests.service_api import add, conforms, error_of, key
from devhost.tests.support import DEADLINE_S, HTTP, eventually
from devhost.users import PLUGINS as PLUGINS_USER

CHATBOT = key("demo-chatbot")
CONVERSATION = "/conversations/{conversation_id}"
NOBODY = "3f1d0c7a-5b2e-4a90-8c61-7e4f2b9d1a55"


def ask(client: httpx.Client, query: str = "hi", headers: dict[str, str] = CHATBOT, **body: Any) -> dict[str, Any]:
    asked = {"query": query, "inputs": {}, "user": "ann", **body}
    answer: dict[str, Any] = client.post("/chat-messages", headers=headers, json=asked).json()
    return answer


def listed(client: httpx.Client, path: str, headers: dict[str, str] = CHATBOT, **query: Any) -> list[dict[str, Any]]:
    response = client.get(path, headers=headers, params={"user": "ann", **query})
    items: list[dict[str, Any]] = conforms(response, path, "get")["data"]
    return items


def test_a_conversation_is_listed_with_its_messages_for_its_user_alone(client: httpx.Client) -> None:
    first = ask(client, "What is a duck, and what does it eat?", user="carol")
    ask(client, "And then?", user="carol", conversation_id=first["conversation_id"])
    [conversation] = listed(client, "/conversations", user="carol")
    assert (conversation["id"], conversation["name"]) == (first["conversation_id"], "What is a duck, and what")
    messages = listed(client, "/messages", user="carol", conversation_id=first["conversation_id"])
    assert [message["query"] for message in messages] == ["What is a duck, and what does it eat?", "And then?"]
    assert messages[0]["answer"] == first["answer"]
    assert messages[0]["total_tokens"] > 0
    assert listed(client, "/conversations", user="dave") == []
    others = client.get("/messages", headers=CHATBOT, params={"user": "dave", "conversation_id": first["conversation_id"]})
    conforms(others, "/messages", "get")
    assert error_of(others) == (404, "not_found", "Conversation Not Exists.")


def test_lists_have_pages(client: httpx.Client) -> None:
    ids = [ask(client, f"q{number}", user="erin")["conversation_id"] for number in range(3)]
    for number in range(2):
        ask(client, f"more {number}", user="erin", conversation_id=ids[0])

    def conversations(**query: Any) -> tuple[list[str], bool]:
        page = conforms(client.get("/conversations", headers=CHATBOT, params={"user": "erin", **query}), "/conversations", "get")
        return [each["id"] for each in page["data"]], page["has_more"]

    assert conversations() == ([ids[0], ids[2], ids[1]], False), "the one that was used last comes first"
    assert conversations(sort_by="created_at", limit=2) == (ids[:2], True)
    assert conversations(sort_by="created_at", limit=2, last_id=ids[1]) == (ids[2:], False)

    def messages(**query: Any) -> tuple[list[dict[str, Any]], bool]:
        asked = {"user": "erin", "conversation_id": ids[0], **query}
        page = conforms(client.get("/messages", headers=CHATBOT, params=asked), "/messages", "get")
        return page["data"], page["has_more"]

    latest, has_more = messages(limit=2)
    assert ([message["query"] for message in latest], has_more) == (["more 0", "more 1"], True)
    before, has_more = messages(limit=2, first_id=latest[0]["id"])
    assert ([message["query"] for message in before], has_more) == (["q0"], False)


def test_a_conversation_is_named_and_deleted(client: httpx.Client) -> None:
    conversation = ask(client, "Why do ducks quack at night?", auto_generate_name=False)["conversation_id"]
    assert next(each["name"] for each in listed(client, "/conversations") if each["id"] == conversation) == "New conversation"
    path, described = f"/conversations/{conversation}", f"{CONVERSATION}/name"

    def rename(**body: Any) -> httpx.Response:
        return client.post(f"{path}/name", headers=CHATBOT, json={"user": "ann", **body})

    assert conforms(rename(auto_generate=True), described)["name"] == "Why do ducks quack at night?"
    assert conforms(rename(name="Nights"), described)["name"] == "Nights"
    assert error_of(rename())[:2] == (400, "invalid_param")
    for user, status in (("bob", 404), ("ann", 204), ("ann", 404)):
        conforms(response := client.request("DELETE", path, headers=CHATBOT, json={"user": user}), CONVERSATION, "delete")
        assert response.status_code == status
    assert error_of(rename(name="x")) == (404, "not_found", "Conversation Not Exists.")
    body = {"query": "hi", "inputs": {}, "user": "ann", "conversation_id": conversation}
    assert client.post("/chat-messages", headers=CHATBOT, json=body).status_code == 404


def test_a_message_is_rated_by_its_user(client: httpx.Client) -> None:
    answer = ask(client)
    path, described = f"/messages/{answer['message_id']}/feedbacks", "/messages/{message_id}/feedbacks"

    def rate(rating: str | None, user: str = "ann") -> int:
        response = client.post(path, headers=CHATBOT, json={"rating": rating, "user": user, "content": "c"})
        conforms(response, described)
        return response.status_code

    assert [rate("like", "bob"), rate(None), rate("great"), rate("like")] == [404, 400, 400, 200]
    [message] = listed(client, "/messages", conversation_id=answer["conversation_id"])
    assert message["feedback"] == {"rating": "like"}
    assert rate(None) == 200


def test_questions_are_suggested_if_the_app_does_so(host: Devhost, client: httpx.Client) -> None:
    described = "/messages/{message_id}/suggested"
    chatbot = demo.apps(pace=0)[demo.IDS["chatbot"]]
    talkative = add(host, App(mode="chat", script=chatbot.script, follow_ups=["And then?"]))

    def suggested(headers: dict[str, str], user: str = "ann") -> httpx.Response:
        path = f"/messages/{ask(client, headers=headers)['message_id']}/suggested"
        conforms(response := client.get(path, headers=headers, params={"user": user}), described, "get")
        return response

    assert suggested(talkative).json() == {"result": "success", "data": ["And then?"]}
    assert error_of(suggested(CHATBOT)) == (400, "bad_request", "Suggested Questions Is Disabled.")
    assert error_of(suggested(talkative, user="bob")) == (404, "not_found", "Message Not Exists.")


def test_the_variables_of_a_conversation_are_read_and_changed(host: Devhost, client: httpx.Client) -> None:
    chatflow = demo.apps(pace=0)[demo.IDS["chatflow"]]
    app = App(mode="advanced-chat", script=chatflow.script, variables={"mood": "calm", "ducks": 3, "names": ["Ada"]})
    headers = add(host, app)
    conversation = ask(client, headers=headers)["conversation_id"]
    path, described = f"/conversations/{conversation}/variables", f"{CONVERSATION}/variables"

    def variables(**query: Any) -> list[dict[str, Any]]:
        page = conforms(client.get(path, headers=headers, params={"user": "ann", **query}), described, "get")
        items: list[dict[str, Any]] = page["data"]
        return items

    shown = [(each["name"], each["value_type"], each["value"]) for each in variables()]
    assert shown == [("mood", "string", "calm"), ("ducks", "number", "3"), ("names", "array[string]", '["Ada"]')]
    [mood] = variables(variable_name="mood")

    def change(value: Any, variable: str = mood["id"], user: str = "ann") -> httpx.Response:
        response = client.put(f"{path}/{variable}", headers=headers, json={"value": value, "user": user})
        conforms(response, f"{CONVERSATION}/variables/{{variable_id}}", "put")
        return response

    assert change("merry").json()["value"] == "merry"
    mismatch = "Type mismatch: variable 'mood' expects string, but got number type"
    assert error_of(change(3)) == (400, "bad_request", mismatch)
    assert error_of(change("x", NOBODY)) == (404, "not_found", "Conversation Variable Not Exists.")
    assert error_of(change("x", user="bob"))[0] == 404
    assert [each["value"] for each in variables(limit=1)] == ["merry"]


def test_an_upload_is_shown_once_a_message_has_it(client: httpx.Client) -> None:
    files = {"file": ("a.png", b"PNG", "image/png")}
    stored = client.post("/files/upload", headers=CHATBOT, files=files, data={"user": "ann"}).json()
    path, described = f"/files/{stored['id']}/preview", "/files/{file_id}/preview"
    early = client.get(path, headers=CHATBOT)
    conforms(early, described, "get")
    assert error_of(early) == (403, "file_access_denied", "Access to the requested file is denied.")
    file = {"type": "image", "transfer_method": "local_file", "upload_file_id": stored["id"]}
    answer = ask(client, files=[file, {"type": "image", "transfer_method": "remote_url", "url": "https://x.example/b.png"}])
    shown = client.get(path, headers=CHATBOT, params={"as_attachment": "true"})
    assert (shown.content, shown.headers["content-type"]) == (b"PNG", "image/png")
    assert "a.png" in shown.headers["content-disposition"]
    assert client.get(path, headers=key("demo-agent")).status_code == 403, "another app's"
    assert error_of(client.get(f"/files/{NOBODY}/preview", headers=CHATBOT))[:2] == (404, "file_not_found")
    [message] = listed(client, "/messages", conversation_id=answer["conversation_id"])
    assert [each["filename"] for each in message["message_files"]] == ["a.png", "b.png"]


def test_the_thoughts_and_files_of_an_agent_are_stored(client: httpx.Client) -> None:
    headers = key("demo-agent")
    body = {"query": "a fox", "inputs": {}, "user": "ann", "response_mode": "streaming"}
    assert client.post("/chat-messages", headers=headers, json=body).status_code == 200
    [conversation] = listed(client, "/conversations", headers)
    [message] = listed(client, "/messages", headers, conversation_id=conversation["id"])
    assert [thought["tool"] for thought in message["agent_thoughts"]] == ["text2image", ""]
    assert [file["belongs_to"] for file in message["message_files"]] == ["assistant"]
    assert message["answer"].startswith("I will draw")


# Callers that hang up


def gate(go: threading.Event, closed: threading.Event) -> App:
    """A chat that goes on when it may, and tells when it is closed."""

    def script(call: Call) -> Iterator[Step]:
        message = Message(call if call.conversation_id else Call(**{**fields(call), "conversation_id": NOBODY}))
        try:
            yield message.event("message", id=message.id, answer="One ", from_variable_selector=[])
            while not go.wait(0.01):
                yield Pause(0)
            yield message.event("message", id=message.id, answer="two", from_variable_selector=[])
            yield message.end("One two")
        finally:
            closed.set()

    return App(mode="chat", script=script)


def fields(call: Call) -> dict[str, Any]:
    return {name: getattr(call, name) for name in Call.__dataclass_fields__}


def test_who_hangs_up_on_a_chat_leaves_a_message_without_an_answer(host: Devhost, client: httpx.Client) -> None:
    go, closed = threading.Event(), threading.Event()
    headers = add(host, gate(go, closed))
    body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
    with client.stream("POST", "/chat-messages", headers=headers, json=body) as response:
        lines = response.iter_lines()
        assert next(lines) == "event: ping"
        next(line for line in lines if line.startswith("data: "))
        [message] = listed(client, "/messages", headers, conversation_id=NOBODY)
        assert message["answer"] == ""
    assert closed.wait(DEADLINE_S)
    go.set()
    client.post("/chat-messages", headers=headers, json={**body, "conversation_id": NOBODY})
    messages = listed(client, "/messages", headers, conversation_id=NOBODY)
    assert [(message["answer"], message["status"]) for message in messages] == [("", "normal"), ("One two", "normal")]


def test_what_is_stopped_is_stored_as_far_as_it_came(host: Devhost, client: httpx.Client) -> None:
    headers = add(host, gate(threading.Event(), threading.Event()))
    body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
    with client.stream("POST", "/chat-messages", headers=headers, json=body) as response:
        lines = response.iter_lines()
        event = next(line for line in lines if line.startswith("data: "))
        task = event.partition('"task_id":"')[2].partition('"')[0]
        client.post(f"/chat-messages/{task}/stop", headers=headers, json={"user": "ann"})
        assert [*lines], "the run has ended"
        [message] = listed(client, "/messages", headers, conversation_id=NOBODY)
    assert message["answer"] == "One "


def test_a_plugin_whose_client_hangs_up_leaves_a_message_without_an_answer(served: Devhost) -> None:
    go, closed = threading.Event(), threading.Event()
    headers = add(served, gate(go, closed))
    app_id = headers["Authorization"].removeprefix("Bearer app-")

    def answers() -> list[str]:
        query = {"user": PLUGINS_USER, "conversation_id": NOBODY}
        page = HTTP.get(f"{served.api_url}/messages", headers=headers, params=query).json()
        return [message["answer"] for message in page.get("data", [])]

    with HTTP.stream("GET", f"{served.url}/chat?app={app_id}") as response:
        lines = response.iter_lines()
        next(lines)
        assert answers() == [""]
    assert closed.wait(DEADLINE_S)
    go.set()
    with HTTP.stream("GET", f"{served.url}/chat?app={app_id}") as response:
        assert response.read()
    assert eventually(lambda: answers() == ["", "One two"])
