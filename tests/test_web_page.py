"""Whole requests of browsers: what they get to see, and what a page's form sends."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug import Response

from duck.faces.api import serve
from tests.support import (
    APP,
    BROWSER,
    KEY,
    SETTINGS,
    Dify,
    basic,
    body_of,
    call,
    http_error,
    make_request,
    page_of,
    sample,
)

FORM = {
    "opening_statement": "Hello!",
    "suggested_questions": ["Why?"],
    "user_input_form": [
        {"text-input": {"variable": "city", "label": "City", "max_length": 5}},
        {"checkbox": {"variable": "loud", "label": "Loud", "default": True}},
    ],
}
CHAT = sample("chat")


def submit(dify: Dify, fields: dict[str, Any], **options: Any) -> Response:
    """Sends a form as a page does."""
    headers = {"Accept": BROWSER, **options.pop("headers", {})}
    return call(dify, data=fields, headers=headers, path=f"/chat/{APP}", **options)


def test_a_browser_that_opens_an_app_gets_its_form_filled_in_from_the_query_string() -> None:
    path = f"/chat/{APP}?query=hi&city=Oslo"
    page = page_of(call(Dify(form=FORM), method="GET", path=path, headers={"Accept": BROWSER}))
    assert page.find(".//textarea[@name='query']").text == "hi"
    assert page.find(".//input[@name='inputs.city']").get("value") == "Oslo"


def test_a_suggestion_says_what_is_anthropic_client() -> None:
    dify = Dify(stream=CHAT, form=FORM)
    assert submit(dify, {"query": "", "duck.say": "Why?"}).status_code == 200
    assert dify.calls[0]["query"] == "Why?"


@pytest.mark.parametrize(("fields", "loud"), [({}, False), ({"inputs.loud": "true"}, True), ({"loud": "true"}, True)])
def test_a_box_that_is_not_ticked_is_false(fields: dict[str, str], loud: bool) -> None:
    dify = Dify(stream=CHAT, form=FORM)
    submit(dify, {"query": "hi", "duck.off": "loud", **fields})
    assert dify.calls[0]["inputs"] == {"loud": loud}


def test_an_answer_follows_the_turns_before_it() -> None:
    turns = json.dumps([["1", "**one**"]])
    page = page_of(submit(Dify(stream=CHAT, form=FORM), {"query": "2", "duck.turns": turns}))
    assert len(page.findall(".//article")) == 2
    assert json.loads(page.find(".//input[@name='duck.turns']").get("value")) == [
        ["1", "**one**"],
        ["2", "The Pro plan costs 20 USD per month."],
    ]
    assert page.find(".//input[@name='conversation_id']").get("value") == CHAT[0]["conversation_id"]


@pytest.mark.parametrize("query", ["", "&format=html"])
def test_a_link_cannot_make_up_a_conversation(query: str) -> None:
    turns = quote('[["Who are you?", "[Sign in again](https://evil.example)"]]')
    for headers in ({}, {"Sec-Fetch-Site": "none"}):
        path = f"/chat/{APP}?query=hi&duck.turns={turns}{query}"
        body = body_of(call(Dify(stream=CHAT, form=FORM), method="GET", path=path, headers={"Accept": BROWSER, **headers}))
        assert b"evil.example" not in body
        assert b"<form" in body


@pytest.mark.parametrize("more", ["", "&format=html"])
@pytest.mark.parametrize("key", [KEY, None])
def test_a_link_leads_nobody_into_a_conversation(more: str, key: str | None) -> None:
    dify = Dify(stream=CHAT, form=FORM)
    path = f"/chat/{APP}?query=hi&conversation_id=c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a902{more}"
    headers = {"Accept": BROWSER, "Sec-Fetch-Site": "none"}
    response = call(dify, method="GET", path=path, headers=headers, key=key, settings={**SETTINGS, "public_apps": APP})
    assert b"62b5d4c3a902" not in body_of(response)
    assert [made["conversation_id"] for made in dify.calls] == [""] * len(dify.calls)


def test_a_conversation_that_dify_starts_anew_is_the_one_that_goes_on() -> None:
    unknown = "11111111-2222-4333-8444-555555555555"
    page = page_of(submit(Dify(stream=CHAT, form=FORM), {"query": "hi", "conversation_id": unknown}))
    assert page.find(".//input[@name='conversation_id']").get("value") == CHAT[0]["conversation_id"]


def test_of_what_a_page_cannot_show_its_script_gets_the_error_alone() -> None:
    headers = {"Accept": BROWSER, "X-Duck-Part": "1", "Content-Type": "application/json"}
    body = body_of(call(Dify(), data=b"{", headers=headers)).decode()
    assert body.startswith('<div slot="alert" role="alert">')
    assert "<header" not in body


def test_a_page_that_stays_gets_the_part_alone() -> None:
    body = body_of(submit(Dify(stream=CHAT, form=FORM), {"query": "2"}, headers={"X-Duck-Part": "1"}))
    assert body.lstrip().startswith(b"<article>")
    assert b"<html" not in body


def test_mistakes_come_back_with_all_that_was_filled_in() -> None:
    response = submit(Dify(form=FORM), {"query": "hi", "inputs.city": "Reykjavik", "duck.turns": '[["1","one"]]'})
    assert response.status_code == 400
    page = page_of(response)
    city = page.find(".//input[@name='inputs.city']")
    assert (city.get("value"), city.get("aria-invalid")) == ("Reykjavik", "true")
    assert page.find(".//textarea[@name='query']").text == "hi"
    assert len(page.findall(".//article")) == 1


def test_a_run_that_fails_at_once_can_be_sent_again() -> None:
    failure = http_error(400, "completion_request_error", "The model is gone.")
    response = submit(Dify(stream=[failure], form=FORM), {"query": "hi"})
    assert response.status_code == 502
    page = page_of(response)
    assert "".join(page.find(".//*[@role='alert']").itertext()) == "Something went wrongThe model is gone."
    assert page.find(".//textarea[@name='query']").text == "hi"


def test_a_request_that_cannot_be_read_is_a_page_of_its_own() -> None:
    headers = {"Accept": BROWSER, "Content-Type": "application/json"}
    page = page_of(call(Dify(), data=b"{", headers=headers))
    assert "not valid JSON" in "".join(page.find(".//*[@role='alert']").itertext())
    assert page.find(".//form") is None


@pytest.mark.parametrize(
    ("path", "key", "settings", "links"),
    [
        ("/chat/nobody", KEY, SETTINGS, ["../"]),
        ("/chat/nobody", None, {**SETTINGS, "public_apps": APP}, ["../"]),
        ("/chat/nobody", None, SETTINGS, []),
        ("/chat/nobody", KEY, {**SETTINGS, "apps": "nonsense"}, []),
    ],
)
def test_a_page_without_an_app_leads_to_those_that_there_are(
    path: str, key: str | None, settings: dict[str, Any], links: list[str]
) -> None:
    request = make_request("GET", path, key=key, headers={"Accept": BROWSER})
    page = page_of(serve.serve(request, path.rpartition("/")[2], settings, Dify().gateway(), kind="chat"))
    assert [link.get("href") for link in page.findall(".//header/a")] == links


@pytest.mark.parametrize(
    ("accepted", "language", "send"),
    [
        (None, "en", "Send"),
        ("en-GB,en;q=0.9", "en", "Send"),
        ("fr,de;q=0.9", "en", "Send"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans", "发送"),
        ("zh-TW", "zh-Hans", "发送"),
        ("ja", "ja", "送信"),
        ("pt-BR,pt;q=0.9", "pt-BR", "Enviar"),
        ("fr, pt;q=0.5, en;q=0.4", "pt-BR", "Enviar"),
        ("*", "en", "Send"),
    ],
)
def test_the_page_speaks_the_readers_language(accepted: str | None, language: str, send: str) -> None:
    headers = {"Accept": BROWSER, **({"Accept-Language": accepted} if accepted else {})}
    page = page_of(call(Dify(form=FORM), method="GET", path=f"/chat/{APP}", headers=headers))
    assert (page.get("lang"), page.find(".//button[@class='go']").text) == (language, send)


def test_the_index_is_a_page_for_browsers() -> None:
    request = make_request("GET", "/", headers={"Accept": BROWSER})
    page = page_of(serve.index(request, {**SETTINGS, "apps": f"support={APP}"}, Dify().gateway()))
    assert [link.get("href") for link in page.findall(".//li//a")] == ["chat/support"]


@pytest.mark.parametrize(("key", "text"), [(None, "Sign in with the key as the password."), ("wrong", "Sign in with the key")])
def test_who_cannot_get_in_reads_what_to_do_and_can_try_again(key: str | None, text: str) -> None:
    page = page_of(call(Dify(), method="GET", key=key, headers={"Accept": BROWSER}))
    alert = "".join(page.find(".//*[@role='alert']").itertext())
    assert text in alert
    assert "Bearer" not in alert
    assert page.find(".//*[@role='alert']//a").get("href") == ""
    response = call(Dify(), method="GET", key=key, headers={"Accept": BROWSER}, settings={})
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="Duck"', "a browser asks for no password that there is not"
    closed = page_of(response)
    assert "No API key is set" in "".join(closed.find(".//*[@role='alert']").itertext())
    assert closed.find(".//*[@role='alert']//a") is None


@pytest.mark.parametrize("query", ["format=bad", "format=", "%ff=1&format=bad", "format=html&format=bad"])
def test_a_browser_never_sees_json_for_an_error(query: str) -> None:
    response = call(Dify(form=FORM), method="GET", path=f"/chat/{APP}?{query}", headers={"Accept": BROWSER})
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert call(Dify(), path="/x?format=bad").headers["Content-Type"] == "application/json"


def test_faults_of_inputs_and_errors_are_in_the_language_of_the_page() -> None:
    chinese = {"Accept-Language": "zh-CN"}
    page = page_of(submit(Dify(form=FORM), {"query": "", "inputs.city": "Reykjavik", "inputs.town": "x"}, headers=chinese))
    told = ["".join(element.itertext()) for element in page.findall(".//*[@role='alert']")]
    assert told == ["出错了inputs.town: 没有这个输入；该应用接受 city, loud", "最多 5 个字符，现有 9 个", "必填"]
    page = page_of(submit(Dify(form=FORM, stream=[http_error(429, "rate_limit_error", "")]), {"query": "hi"}, headers=chinese))
    assert "模型暂时无法接受更多请求。" in "".join(page.find(".//*[@role='alert']").itertext())
    page = page_of(submit(Dify(form=FORM, stream=CHAT[:1]), {"query": "hi"}, headers=chinese))
    assert "Dify 的回答提前中断。" in "".join(page.find(".//*[@role='alert']").itertext())


def test_who_may_not_see_the_index_is_asked_for_a_password_and_told_nothing() -> None:
    response = serve.index(
        make_request("GET", "/", key=None, headers={"Accept": BROWSER}), {**SETTINGS, "apps": f"hidden={APP}"}, Dify().gateway()
    )
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic ")
    assert b">hidden<" not in body_of(response)


def test_pictures_are_shown_from_the_address_that_the_page_is_read_at() -> None:
    url = "https://dify.example.com/files/a.png"
    file = {"event": "message_file", "conversation_id": "2", "id": "1", "type": "image", "belongs_to": "assistant", "url": url}
    headers = {"Dify-Hook-Id": "h", "Dify-Hook-Url": "https://dify.example.com/e/h/chat/x"}
    page = page_of(submit(Dify(stream=[file, CHAT[-1]], form=FORM), {"query": "hi"}, headers=headers))
    assert page.find(".//img").get("src") == url
    page = page_of(submit(Dify(stream=[file, CHAT[-1]], form=FORM), {"query": "hi"}))
    assert page.find(".//img") is None


def test_a_guest_can_sign_in_where_a_password_holds_for_all_pages() -> None:
    settings = {**SETTINGS, "apps": f"open={APP}, closed=0b9a8c7d-1111-4222-8333-444455556666", "public_apps": "open"}

    def index(path: str, key: str | None) -> Response:
        headers = {"Accept": BROWSER, **(basic(key) if key else {})}
        return serve.index(make_request("GET", path, key=None, headers=headers), settings, Dify().gateway())

    links = [link.get("href") for link in page_of(index("/", None)).iter("a")]
    assert "?sign-in" in links
    assert not any("closed" in link for link in links)
    asked = index("/?sign-in", None)
    assert (asked.status_code, asked.headers["WWW-Authenticate"].startswith("Basic ")) == (401, True)
    links = [link.get("href") for link in page_of(index("/?sign-in", KEY)).iter("a")]
    assert ("?sign-in" in links, "chat/closed" in links) == (False, True)


def test_the_index_links_an_app_that_has_run_by_its_kind_alone() -> None:
    settings = {**SETTINGS, "apps": f"desk={APP}"}

    def links() -> list[str]:
        page = page_of(serve.index(make_request("GET", "/", headers={"Accept": BROWSER}), settings, Dify().gateway()))
        return [link.get("href") for link in page.findall(".//li//a")]

    assert links() == ["chat/desk"]
    call(Dify(stream=CHAT, form=FORM), "workflow", json={"response_mode": "streaming"})
    assert links() == ["chat/desk"]


@pytest.mark.parametrize(("path", "home"), [("/nothing", "./"), ("/a/b/c", "../../"), ("/chat/x/", "../../")])
def test_who_is_lost_is_led_to_the_list(path: str, home: str) -> None:
    page = page_of(serve.unknown(make_request("GET", path, key=None, headers={"Accept": BROWSER}), SETTINGS))
    assert [link.get("href") for link in page.iter("a")] == [home]


def test_pages_lead_browsers_to_their_picture() -> None:
    shown = serve.favicon(make_request("GET", "/favicon.ico", key=None))
    assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/svg+xml")
    assert b"<title>Duck</title>" in body_of(shown)
    page = page_of(call(Dify(form=FORM), method="GET", headers={"Accept": BROWSER}))
    assert [link.get("href") for link in page.findall(".//link[@rel='icon']")] == ["../favicon.ico?icon="], "it is not a duck"
    request = make_request("GET", "/", headers={"Accept": BROWSER, **basic(KEY)})
    assert [
        link.get("href") for link in page_of(serve.index(request, SETTINGS, Dify().gateway())).findall(".//link[@rel='icon']")
    ] == ["favicon.ico"]
    request = make_request("GET", "/a/b", headers={"Accept": BROWSER}, key=None)
    icons = page_of(serve.unknown(request, SETTINGS)).findall(".//link[@rel='icon']")
    assert [link.get("href") for link in icons] == ["../favicon.ico"]


def test_a_holder_of_a_key_reads_why_there_is_no_form() -> None:
    def note(key: str | None) -> str:
        path, settings = f"/chat/{APP}", {**SETTINGS, "public_apps": APP}
        page = page_of(call(Dify(), method="GET", path=path, key=key, settings=settings, headers={"Accept": BROWSER}))
        return "".join(page.find(".//details[@class='inputs']").itertext())

    assert "The app's form could not be fetched from Dify just now." in note(None)
    assert ["No such app here. Check its id" in note(key) for key in (KEY, None)] == [True, False]
