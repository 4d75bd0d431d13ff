"""The list of apps in a browser: cards, how programs call an app, and the first steps of an owner."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

import pytest

from duck.dify.site import Site
from duck.faces.api import serve
from duck.faces.page import curl
from duck.faces.page.index import landing_page
from duck.faces.page.words import WORDS
from duck.runs import forms
from tests.support import APP, BROWSER, KEY, SETTINGS, Dify, json_of, make_request, page_of, parsed
from tests.test_formats import HOSTILE
from tests.test_package import GROUP

ORIGIN = "https://dify.example.com"
URL = f"{ORIGIN}/e/h/"
SVG = "{http://www.w3.org/2000/svg}"
INDEX: Mapping[str, Any] = {"url": URL, "formats": ["json", "sse"], "apps": []}
DESK: Mapping[str, Any] = {"alias": "desk", "public": True, "name": "Desk", "description": "Helps.", "kind": "chat"}
REPORT: Mapping[str, Any] = {"alias": "report", "public": False, "kind": "workflow"}
OTHER = "3d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a44"
REQUIRED = {"user_input_form": [{"text-input": {"variable": "city", "required": True}}]}


def text(element: Any) -> str:
    return "".join(element.itertext())


def codes(page: Any) -> list[str]:
    """What can be copied from a page."""
    return [text(code) for code in page.findall(".//pre/code")]


def words_of(command: str) -> list[str]:
    """The words of a shell's command."""
    return shlex.split(command.replace("\\\n", ""))


def shown(index: Mapping[str, Any], **options: Any) -> Any:
    return parsed(landing_page(index, **{"language": "en", **options}))


def index(query: str = "", *, key: str | None = KEY, dify: Dify | None = None, **settings: str) -> Any:
    """The page of the whole request."""
    request = make_request("GET", f"/?{query}", key=key, headers={"Accept": BROWSER})
    return page_of(serve.index(request, {**SETTINGS, **settings}, (dify or Dify()).gateway()))


# Cards


def test_each_app_has_a_card_with_what_it_is_and_one_link() -> None:
    desk, report = shown({**INDEX, "apps": [DESK, REPORT]}).findall(".//ul[@class='apps']/li")
    assert [text(desk.find(".//h2")), text(desk.find(".//small")), text(desk.find("p"))] == [
        "Desk",
        "desk · Chat · public",
        "Helps.",
    ]
    assert [text(report.find(".//h2")), text(report.find(".//small")), report.find("p")] == ["report", "Workflow", None]
    links = [[(link.get("href"), text(link)) for link in card.iter("a")] for card in (desk, report)]
    assert links == [[("chat/desk", "Chat Desk")], [("workflow/report", "Run report")]]


def test_a_card_wears_what_the_owner_has_set() -> None:
    site = Site(title="Front desk", description="Asks back.", icon_type="emoji", icon="🛎", icon_background="#abc")
    card = shown({**INDEX, "apps": [{**DESK, "site": site}]}).find(".//li")
    assert [text(card.find(".//h2")), text(card.find("p")), text(card.find(f"{SVG}svg"))] == ["Front desk", "Asks back.", "🛎"]
    assert card.find(f"{SVG}svg/{SVG}rect").get("fill") == "#aabbcc"
    picture = Site(icon_type="image", icon_url=f"{ORIGIN}/files/1.png")
    for origin, source in ((ORIGIN, [f"{ORIGIN}/files/1.png"]), ("https://other.example", []), (None, [])):
        page = shown({**INDEX, "apps": [{**DESK, "site": picture}]}, origin=origin)
        assert [image.get("src") for image in page.iter("img")] == source


def test_what_apps_are_called_is_never_obeyed() -> None:
    hostile = {
        "alias": "desk",
        "public": True,
        "name": HOSTILE,
        "description": HOSTILE,
        "site": Site(icon_type="emoji", icon=HOSTILE),
    }
    page = shown({**INDEX, "apps": [hostile]}, chosen="desk")
    assert text(page.find(".//li//h2")) == text(page.find(".//li/p")) == HOSTILE
    assert len(page.findall(".//script")) == 1


def test_an_app_with_a_name_of_its_own_is_not_listed_as_the_default_as_well() -> None:
    default: dict[str, Any] = {"default_app": {"app_id": APP}}
    links = [link.get("href") for link in index(apps=f"desk={APP}", **default).findall(".//li//a")]
    assert links == ["chat/desk"]
    assert [link.get("href") for link in index(**default).findall(".//li//a")] == ["chat/default"]
    request = make_request("GET", "/")
    document = json_of(serve.index(request, {**SETTINGS, "apps": f"desk={APP}", **default}, Dify().gateway()))
    assert [app["alias"] for app in document["apps"]] == ["desk", "default"]
    assert all(app.keys() == {"alias", "public"} for app in document["apps"])


# From a program


def all_clients(name: str) -> list[str]:
    """The addresses of an app for clients of each protocol."""
    paths = ("v1", "", f"dify/{name}/v1", f"mcp/{name}", "mcp", f"agui/{name}", f"a2a/{name}")
    return [f"{URL}{path}" if path else URL.rstrip("/") for path in paths]


def test_a_key_holder_gets_a_command_and_all_addresses_of_an_app() -> None:
    page = shown({**INDEX, "apps": [DESK, REPORT]}, chosen="desk", format_name="sse")
    command, *addresses = codes(page)
    assert words_of(command) == [
        *("curl", "-N", f"{URL}chat/desk?format=sse", "-H", "Authorization: Bearer <key>"),
        *("-H", "Content-Type: application/json", "-d", '{"query":"Hello"}'),
    ]
    embed = f'<script src="{URL}embed.js" data-app="desk" defer></script>'
    assert addresses == [f"{URL}chat/desk", *all_clients("desk"), embed]
    assert {code.get("data-url") for code in page.findall(".//pre/code")} == {URL}, "the page's script knows it better"
    hints = [text(hint) for hint in page.findall(".//section/p/small")]
    assert hints == [
        "Model: desk",
        "Model: desk",
        "For a public app, on a website that is listed under “Allowed origins” (allowed_origins).",
    ]


def test_a_workflow_is_no_chat_on_a_website() -> None:
    command, *addresses = codes(shown({**INDEX, "apps": [REPORT]}, chosen="report"))
    assert words_of(command)[:2] == ["curl", f"{URL}workflow/report?format=json"]
    assert addresses == [f"{URL}workflow/report", *all_clients("report")]


def test_app_and_format_are_chosen_by_a_form_that_needs_no_script() -> None:
    page = index(f"app={OTHER}&as=text", apps=f"desk={APP}, {OTHER}")
    form = page.find(".//form[@class='choice']")
    chosen = {
        select.get("name"): [option.get("value", option.text) for option in select if option.get("selected") is not None]
        for select in form.iter("select")
    }
    assert (form.get("method", "get"), chosen) == ("get", {"app": [OTHER], "as": ["text"]})
    assert f"/chat/{OTHER}?format=text" in codes(page)[0]


@pytest.mark.parametrize("query", ["", "app=nobody&as=nothing", "app=&as="])
def test_without_a_valid_choice_it_is_the_first_app_in_the_first_format(query: str) -> None:
    assert "/chat/desk?format=json" in codes(index(query, apps=f"desk={APP}, {OTHER}"))[0]


def test_the_command_has_the_inputs_that_the_app_requires() -> None:
    command = codes(index(apps=f"desk={APP}", dify=Dify(form=REQUIRED)))[0]
    assert json.loads(words_of(command)[-1]) == {"query": "Hello", "inputs": {"city": "…"}}


def test_a_guest_gets_a_command_without_a_key_and_no_addresses() -> None:
    page = index(f"app={OTHER}", key=None, apps=f"desk={APP}, {OTHER}", public_apps="desk")
    [command] = codes(page)
    assert "Authorization" not in command
    assert "/chat/desk?format=json" in command
    assert OTHER not in text(page)
    assert page.find(".//select") is None
    assert [link.get("href") for link in page.findall(".//main/p/a")] == ["?sign-in"]


@pytest.mark.parametrize(
    ("control", "about", "example"),
    [
        ("text-input", {}, "…"),
        ("text-input", {"default": ""}, "…"),
        ("paragraph", {}, "…"),
        ("select", {"options": ["a", "b"]}, "a"),
        ("select", {}, ""),
        ("number", {}, 1),
        ("checkbox", {}, True),
        ("json_object", {}, {}),
        ("file", {}, "https://example.com/file.pdf"),
        ("file-list", {}, ["https://example.com/file.pdf"]),
        ("of-tomorrow", {}, "…"),
    ],
)
def test_a_command_has_an_example_for_each_sort_of_input(control: str, about: Mapping[str, Any], example: Any) -> None:
    form = forms.read({"user_input_form": [{control: {"variable": "it's", "required": True, **about}}]})
    command = curl.command(URL, "workflow", "x", "json", form, with_key=False)
    assert json.loads(words_of(command)[-1]) == {"inputs": {"it's": example}}


@pytest.mark.parametrize("about", [{"required": False}, {"default": "x"}, {"default": []}, {"hide": True}])
def test_what_is_not_required_is_not_in_the_command(about: Mapping[str, Any]) -> None:
    form = forms.read({"user_input_form": [{"text-input": {"variable": "x", "required": True, **about}}]})
    assert json.loads(words_of(curl.command(URL, "chat", "x", "json", form, with_key=False))[-1]) == {"query": "Hello"}
    assert json.loads(words_of(curl.command(URL, "workflow", "x", "json", form, with_key=False))[-1]) == {"inputs": {}}


# The first steps


def test_an_owner_who_has_named_no_app_is_led_to_the_first_one() -> None:
    page = index()
    assert text(page.find(".//main/h2")) == "Your first app"
    steps = [text(step) for step in page.findall(".//ol/li")]
    assert len(steps) == 4
    assert "after /app/" in steps[0]
    assert "support=2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43" in steps[1]
    assert "the key that you have signed in with" in steps[2]
    assert "https://<dify>/e/<hook>/chat/support" in steps[3]
    assert page.find(".//section") is None


def test_the_first_address_is_the_endpoints_own() -> None:
    assert codes(shown(INDEX, language="pt"))[-1] == f"{URL}chat/support"
    assert "Nenhum app tem nome ainda" in text(shown(INDEX, language="pt"))


def test_a_default_app_alone_is_there_and_the_page_says_how_to_name_others() -> None:
    page = shown({**INDEX, "apps": [{**DESK, "alias": "default"}]}, chosen="default")
    assert page.find(".//ol") is None
    assert "No app has a name yet." in text(page.find(".//main"))
    assert "No app has a name yet." not in text(shown({**INDEX, "apps": [DESK]}))


@pytest.mark.parametrize("language", ["en", "zh", "ja", "pt"])
@pytest.mark.parametrize(
    ("word", "name"), [("first_name", "apps"), ("first_key", "public_apps"), ("embed_hint", "allowed_origins")]
)
def test_the_page_calls_settings_what_the_console_calls_them(language: str, word: str, name: str) -> None:
    [labels] = [setting["label"] for setting in GROUP["settings"] if setting["name"] == name]
    [label] = [label for code, label in labels.items() if code.startswith(language)]
    told = WORDS[language][word]
    assert any(f"{left}{label}{right}" in told for left, right in ("“”", "「」"))
    assert f"<code>{name}</code>" in told
