"""What pages show of webhooks: addresses for holders of a key, and what a sample of a delivery would fill in."""

import json
from collections.abc import Mapping
from typing import Any
from unittest.mock import Mock

import pytest
from werkzeug import Response

from duck import invocation
from duck.callers import senders, signatures
from duck.callers import settings as settings_
from duck.dify.session import SessionGateway
from duck.errors import DuckError
from duck.faces.api import serve as api
from duck.faces.page.hook import MAX_SAMPLE, MAX_SHOWN
from duck.faces.webhook import samples, serve
from tests.openai_calls import App
from tests.support import APP, BROWSER, KEY, Dify, basic, body_of, call, json_of, make_request, page_of
from tests.test_formats import HOSTILE
from tests.test_package import GROUP

OTHER = "3d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a44"
HOOK = {"Dify-Hook-Id": "h", "Dify-Hook-Url": "https://dify.example.com/e/h/webhook/desk"}
URL = "https://dify.example.com/e/h/"
SETTINGS: Mapping[str, Any] = {"api_key": f"{KEY}, another-right-key", "apps": f"desk={APP}, other={OTHER}"}
PUBLIC = {**SETTINGS, "public_apps": "desk"}
ISSUE = {"action": "opened", "issue": {"number": 7, "title": "It rains"}, "repository": {"full_name": "pond/duck"}}
FORM = {
    "user_input_form": [
        {"text-input": {"variable": "action", "label": "What has happened", "required": True}},
        {"json_object": {"variable": "issue", "label": ""}},
        {"number": {"variable": "count", "label": "Count"}},
        {"paragraph": {"variable": "secret_notes", "label": "Notes", "hide": True}},
    ]
}
NO_INPUTS: Mapping[str, Any] = {"user_input_form": []}


def capability(app_id: str = APP) -> str:
    return senders.capabilities(settings_.parse(SETTINGS), app_id)[0]


def text(element: Any) -> str:
    return "".join(element.itertext())


def copied(page: Any) -> list[str]:
    """What can be copied from a page."""
    return [text(code) for code in page.findall(".//pre/code")]


def request(
    path: str = "/webhook/desk",
    method: str = "GET",
    *,
    dify: Dify | None = None,
    settings: Mapping[str, Any] = SETTINGS,
    accept: str | None = BROWSER,
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> Response:
    """A request for a route of webhooks."""
    accepting = {"Accept": accept} if accept else {}
    made = make_request(method, path, headers={**HOOK, **accepting, **(headers or {})}, **options)
    name, _, rest = made.path.removeprefix("/webhook/").partition("/")
    handler = serve.preview if method == "POST" and rest == "preview" else serve.deliver
    parts = {"app_id": name, **({"capability": rest} if rest else {})}
    return handler(made, parts, settings, SessionGateway(dify or App("workflow", form=FORM)))


def tried(sample: str, dify: Dify | None = None, *, name: str = "desk", **options: Any) -> Any:
    """The page for a sample, which has not been run."""
    dify = dify or App("workflow", form=FORM)
    options = {"data": {"duck.sample": sample}, "content_type": "multipart/form-data", **options}
    page = page_of(request(f"/webhook/{name}/preview", "POST", dify=dify, **options))
    assert (dify.calls, dify.uploaded) == ([], [])
    return page


def filled(page: Any) -> dict[str, str]:
    """What a page says that the inputs would get."""
    section = page.find(".//section[@id='result']/dl")
    names, values = ([text(each) for each in section.iter(tag)] for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def alerts(page: Any) -> list[str]:
    return [text(each) for each in page.findall(".//section[@id='result']/div[@role='alert']/p")]


def nothing(page: Any) -> list[str]:
    """The inputs that a page says get nothing."""
    return [text(code) for code in page.findall(".//section[@id='result']/p/code")]


# The list of apps


def index(**options: Any) -> Any:
    made = make_request(
        "GET", f"/?app={options.pop('app', 'desk')}", headers={**HOOK, "Accept": BROWSER}, key=options.pop("key", KEY)
    )
    return page_of(api.index(made, {**SETTINGS, **options}, Dify().gateway()))


def test_the_list_has_the_address_of_the_chosen_apps_webhook() -> None:
    for app, app_id in (("desk", APP), ("other", OTHER)):
        page = index(app=app, public_url="https://public.example/e/h/")
        assert f"https://public.example/e/h/webhook/{app}/{capability(app_id)}" in copied(page)
        assert f"webhook/{app}" in [link.get("href") for link in page.findall(".//section/p/a")]
        assert (
            "Whoever knows this address can run the app: signatures are not checked here. It changes with the API key."
            in text(page.find(".//section"))
        )


def test_a_guests_list_has_none() -> None:
    page = index(key=None, public_apps="desk")
    assert "webhook" not in "".join(copied(page))
    assert "Webhook" not in text(page.find(".//main"))


def test_programs_get_the_list_without_it() -> None:
    response = api.index(make_request("GET", "/", headers=HOOK), SETTINGS, Dify().gateway())
    assert capability() not in body_of(response).decode()


def test_the_script_leaves_an_address_alone_that_the_owner_has_set() -> None:
    def bases(page: Any) -> set[tuple[str | None, str | None]]:
        return {(code.get("data-url"), code.get("data-root")) for code in page.findall(".//pre/code")}

    def asked(path: str, **options: Any) -> Any:
        return page_of(request(path, **options))

    public = {**SETTINGS, "public_url": "https://public.example/e/h"}
    assert bases(index(public_url="https://public.example/e/h")) == {(None, None)}
    assert bases(asked("/webhook/desk", settings=public)) == {(None, None)}
    assert bases(asked("/webhook/desk")) == {(URL, "../")}
    assert bases(asked("/webhook/desk/preview")) == {(URL, "../../")}
    assert bases(asked("/webhook/desk", headers={"Dify-Hook-Id": ""})) == {("https://<dify>/e/<hook>/", "../")}


# An app's page


def opened(**options: Any) -> Any:
    options = {"method": "GET", "headers": {**HOOK, "Accept": BROWSER}, "settings": SETTINGS, **options}
    return page_of(call(options.pop("dify", Dify()), **options))


@pytest.mark.parametrize("kind", ["chat", "workflow", "completion"])
def test_an_apps_page_has_the_address_folded_away(kind: Any) -> None:
    page = opened(kind=kind, app="desk")
    [details] = page.findall(".//header/details")
    assert (details.get("open"), details.findtext("summary")) == (None, "Webhook")
    assert copied(details) == [f"{URL}webhook/desk/{capability()}"]
    assert details.find(".//pre/code").get("data-root") == "../"
    assert [link.get("href") for link in details.iter("a")] == ["../webhook/desk"]


def test_guests_parts_and_answers_do_not_have_it() -> None:
    guest = opened(app="desk", settings=PUBLIC, key=None)
    assert (guest.find(".//header/details"), capability() in text(guest)) == (None, False)
    browser = {**HOOK, "Accept": BROWSER, "Sec-Fetch-Site": "same-origin"}
    for headers in (browser, {**browser, "X-Duck-Part": "1"}):
        answer = call(Dify(blocking={}, stream=[]), app="desk", settings=SETTINGS, headers=headers, data={"query": "hi"})
        assert capability() not in body_of(answer).decode()
    part = call(Dify(), app="desk", settings=SETTINGS, method="GET", headers={**browser, "X-Duck-Part": "1"})
    assert capability() not in body_of(part).decode()


# The webhook's own page


def test_a_webhook_has_a_page_that_tells_its_addresses_and_who_can_sign() -> None:
    page = page_of(request(settings={**SETTINGS, "webhook_secrets": "desk=a-secret-of-a-sender, desk=an-older-secret"}))
    assert page.findtext(".//h1") == page.findtext(".//title") == "Webhook: desk"
    assert copied(page) == [f"{URL}webhook/desk/{capability()}", f"{URL}webhook/desk"]
    said = text(page.find(".//main"))
    assert "under “Webhook secrets” (webhook_secrets), as desk=…" in said
    assert "Secrets of this app so far: 2" in said
    assert "a-secret-of-a-sender" not in text(page)
    titles = "Feishu (Lark) · GitHub · GitLab · Meta · Shopify · Slack · Standard Webhooks · Stripe · Svix · Telegram"
    titles += " · Typeform · Zoom"
    assert titles in said
    assert len(titles.split(" · ")) == len(signatures.SENDERS)
    form = page.find(".//form")
    assert (form.get("method"), form.get("action")) == ("post", "../webhook/desk/preview#result")
    assert form.find(".//textarea").get("name") == "duck.sample"
    assert [link.get("href") for link in page.iter("a")] == ["../", "../workflow/desk"]


def test_who_opens_an_address_that_takes_post_alone_gets_the_page_with_the_form() -> None:
    for path in ("/webhook/desk/preview", "/webhook/desk/an-address-of-old"):
        page = page_of(request(path))
        assert copied(page)[0] == f"{URL}webhook/desk/{capability()}"
        assert page.find(".//form").get("action") == "../../webhook/desk/preview#result"


def test_the_page_is_for_browsers_with_a_key() -> None:
    for accept in (None, "application/json", "text/plain"):
        assert request(accept=accept).status_code == 405
    for settings in (SETTINGS, PUBLIC):
        refused = request(key=None, settings=settings)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic")
        assert "Sign in with the key as the password." in text(page_of(refused))
        assert json_of(request(key=None, settings=PUBLIC, accept="application/json"))["code"] == "method_not_allowed"
    assert request(key=None, headers=basic(KEY)).status_code == 200
    assert request(f"/webhook/desk/{capability()}").status_code == 405, "whoever has the address need not have the key"
    assert request("/webhook/nobody").status_code == 404


def test_a_handshake_is_answered_all_the_same() -> None:
    response = request(query_string="hub.mode=subscribe&hub.challenge=1234")
    assert body_of(response) == b"1234"


def test_an_app_that_dify_has_lost_has_a_page_all_the_same() -> None:
    page = page_of(request(dify=Dify()))
    assert [link.get("href") for link in page.findall(".//main/p/a")] == ["../chat/desk"]


# Samples


def test_a_sample_shows_which_input_gets_what_and_runs_nothing() -> None:
    page = tried(json.dumps(ISSUE))
    assert filled(page) == {"action What has happened": "opened", "issue": '{\n  "number": 7,\n  "title": "It rains"\n}'}
    assert nothing(page) == ["count", "secret_notes"]
    assert alerts(page) == []
    assert json.loads(page.findtext(".//textarea")) == ISSUE
    assert "The sample counts as application/json" in text(page)
    assert [link.get("href") for link in page.iter("a")] == ["../../", "../../workflow/desk"]


def test_a_sample_of_what_the_app_refuses_shows_each_fault() -> None:
    page = tried('{"count": "many"}')
    assert sorted(alerts(page)) == ["inputs.action: required", "inputs.count: must be a number"]
    assert filled(page) == {"count Count": "many"}
    assert alerts(tried('{"count": "many"}', headers={"Accept-Language": "zh"}))[0].startswith("inputs.")
    assert "inputs.count: 必须是数字" in alerts(tried('{"count": "many"}', headers={"Accept-Language": "zh"}))


def test_a_sample_shows_what_a_chat_is_anthropic_client() -> None:
    dify = App("chat", form={"user_input_form": [{"text-input": {"variable": "city"}}]})
    assert filled(tried("text=Why%3F&city=Bonn", dify)) == {"Question to the chat": "Why?", "city": "Bonn"}
    page = tried(" ", dify)
    assert [alert.partition(":")[0] for alert in alerts(page)] == ["query"]
    assert (page.find(".//section/dl"), nothing(page)) == (None, ["city"])


def test_an_app_without_inputs_says_so() -> None:
    page = tried("hello", App("chat", form=NO_INPUTS))
    assert "The app takes no inputs." in text(page)
    assert filled(page) == {"Question, if the app is a chat": "hello"}
    assert "These inputs get nothing" not in text(page)
    found = request("/webhook/desk/preview", "POST", dify=App("chat", form=NO_INPUTS), data=b"hello", accept=None)
    assert json_of(found) == {"kind": None, "query": "hello", "inputs": {}, "faults": []}, "nothing tells before its first run"


def test_broken_json_is_a_text_and_the_page_says_why() -> None:
    page = tried('{"action": ', App("chat", form=NO_INPUTS))
    note = text(page.find(".//section/div[@class='note']"))
    assert note.startswith("This is no valid JSON, so it reaches the app as text")
    assert "not valid JSON" in note
    assert filled(page) == {"Question, if the app is a chat": '{"action":'}


def test_an_error_that_is_not_about_the_sample_is_told_as_on_other_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = DuckError(502, "app_unavailable", "Dify failed.")
    monkeypatch.setattr(invocation, "rehearse", Mock(side_effect=failing))
    response = request("/webhook/desk/preview", "POST", data={"duck.sample": "{}"})
    assert (response.status_code, text(page_of(response).find(".//div[@role='alert']/p"))) == (502, "Dify failed.")


def test_a_sample_has_no_headers_of_the_browser_that_sends_it() -> None:
    form = {"user_input_form": [{"json_object": {"variable": "headers"}}]}
    page = tried("{}", App("workflow", form=form), headers={"User-Agent": "a browser", "X-GitHub-Event": "issues"})
    assert json.loads(filled(page)["headers"]) == {"content-type": "application/json; charset=utf-8", "content-length": "2"}


def test_a_long_sample_is_not_repeated_in_full() -> None:
    page = tried(json.dumps({"action": "x" * MAX_SHOWN, "issue": {"y": "z" * MAX_SAMPLE}}))
    assert page.findtext(".//textarea").strip() == ""
    values = filled(page)
    assert values["action What has happened"] == "x" * MAX_SHOWN
    assert len(values["issue"]) == MAX_SHOWN + 2


def test_what_a_sample_says_is_never_obeyed() -> None:
    page = tried(json.dumps({"action": HOSTILE, "issue": {HOSTILE: HOSTILE}}))
    assert filled(page)["action What has happened"] == HOSTILE
    assert HOSTILE in json.loads(page.findtext(".//textarea"))["issue"]
    assert len(page.findall(".//script")) == 1


def test_a_sample_that_its_sender_sends_encrypted_or_with_a_secret_is_shown_as_the_app_gets_it() -> None:
    form = {"user_input_form": [{"json_object": {"variable": "payload"}}]}
    event = {"type": "event_callback", "token": "a-verify-token", "event": {"text": "hi"}}
    settings = {**SETTINGS, "webhook_secrets": "desk=a-verify-token"}
    page = tried(json.dumps(event), App("workflow", form=form), settings=settings)
    assert json.loads(filled(page)["payload"]) == {"type": "event_callback", "event": {"text": "hi"}}
    found = request("/webhook/desk/preview", "POST", dify=App("workflow", form=form), settings=settings, accept=None, json=event)
    assert json_of(found)["inputs"] == {"payload": {"type": "event_callback", "event": {"text": "hi"}}}, "for programs, too"


def test_programs_get_a_document_whatever_they_send() -> None:
    expected = {"kind": "workflow", "inputs": {"action": "opened"}, "faults": []}
    for options in (
        {"json": {"action": "opened"}, "accept": None},
        {"json": {"action": "opened"}},
        {"data": {"action": "opened"}},
        {"data": {"action": "opened", "duck.sample": "{}"}, "accept": None},
    ):
        assert json_of(request("/webhook/desk/preview", "POST", **options)) == expected


def test_a_sample_is_for_holders_of_a_key_and_not_for_pages_of_other_sites() -> None:
    options: dict[str, Any] = {"data": {"duck.sample": "{}"}}
    for settings in (SETTINGS, PUBLIC):
        refused = request("/webhook/desk/preview", "POST", key=None, settings=settings, **options)
        assert (refused.status_code, refused.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200)):
        headers = {**basic(KEY), "Sec-Fetch-Site": site}
        assert request("/webhook/desk/preview", "POST", key=None, headers=headers, **options).status_code == status


def test_the_form_of_the_page_is_broken() -> None:
    response = request("/webhook/desk/preview", "POST", data=b"--x", content_type="multipart/form-data; boundary=x")
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("sample", "mimetype", "body"),
    [
        ('{"a": 1}', samples.JSON, b'{"a": 1}'),
        ('\n [{"a": 1}]\n', samples.JSON, b'[{"a": 1}]'),
        ("{broken", samples.JSON, b"{broken"),
        ("a=b&c=d", samples.FORM, b"a=b&c=d"),
        (" payload=%7B%7D\n", samples.FORM, b"payload=%7B%7D"),
        ("a=", samples.FORM, b"a="),
        ("a=b&&c=1=2&", samples.FORM, b"a=b&&c=1=2&"),
        ("a = b", samples.TEXT, b"a = b"),
        ("=b", samples.TEXT, b"=b"),
        ("a&b", samples.TEXT, b"a&b"),
        ("Rain, and more\n", samples.TEXT, b"Rain, and more\n"),
        ("<a>ü</a>", samples.TEXT, "<a>ü</a>".encode()),
        ("", samples.TEXT, b""),
    ],
)
def test_a_sample_is_taken_for_what_it_looks_like(sample: str, mimetype: str, body: bytes) -> None:
    made = samples.as_request(sample)
    assert (made.method, made.mimetype, made.get_data()) == ("POST", mimetype, body)


@pytest.mark.parametrize("language", ["en", "zh", "ja", "pt"])
def test_the_page_calls_the_setting_what_the_console_calls_it(language: str) -> None:
    [labels] = [setting["label"] for setting in GROUP["settings"] if setting["name"] == "webhook_secrets"]
    [label] = [label for code, label in labels.items() if code.startswith(language)]
    said = text(page_of(request(headers={"Accept-Language": language})).find(".//main"))
    assert any(f"{left}{label}{right}" in said for left, right in ("“”", "「」"))
