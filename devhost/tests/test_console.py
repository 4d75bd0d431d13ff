"""The page in the place of Dify's console: what it shows, and what its form makes of the settings."""

from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from devhost import App, Devhost
from devhost.console import entered, render
from devhost.declaration import Declaration
from devhost.schema import Setting
from devhost.tests.support import HTTP

ID, OTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
APPS = {ID: App(mode="chat", script=[], name="Ann & Bob"), OTHER: App(mode="workflow", script=[])}
CHOSEN = {"app_id": ID, "inputs": {"city": "Oslo"}}


def setting(kind: str, **more: object) -> Setting:
    return Setting.model_validate({"name": "x", "type": kind, "label": {"en_US": "The <label>"}, **more})


SELECT = setting("select", options=[{"value": "a", "label": {"en_US": "An A"}}, {"value": "b", "label": {"en_US": "A B"}}])


class Form(HTMLParser):
    """The controls of the page's form: their attributes, and of a select the options; `chosen` are the values it would send."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.controls: dict[str, dict[str, str | None]] = {}
        self.options: dict[str, list[str]] = {}
        self.chosen: dict[str, str] = {}
        self._select = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        match tag:
            case "input" | "select":
                self._select = str(given["name"])
                self.controls[self._select] = given
                self.chosen[self._select] = given.get("value") or ""
            case "option":
                self.options.setdefault(self._select, []).append(str(given["value"]))
                if "selected" in given:
                    self.chosen[self._select] = str(given["value"])


def shown(declaration: Declaration, value: object = None, fault: str = "") -> str:
    settings = {} if value is None else {"x": value}
    return render(declaration, "http://h/e/p", settings, APPS, api_url="http://h/v1", app_keys={"app-1": ID}, fault=fault)


@pytest.fixture(scope="session")
def declared(served: Devhost) -> Declaration:
    assert served.runtime.declaration
    return served.runtime.declaration


def declaring(declared: Declaration, *settings: Setting) -> Declaration:
    return Declaration(
        manifest=declared.manifest, permissions=frozenset(), storage_size=0, settings=settings, routes=declared.routes
    )


@pytest.mark.parametrize(
    ("one", "value", "sent"),
    [
        (setting("text-input"), None, ""),
        (setting("text-input"), 'a "quoted" <text>', 'a "quoted" <text>'),
        (setting("text-input", default="d"), None, "d"),
        (setting("text-input", default="d"), "", ""),
        (setting("secret-input"), "s3cret", "******"),
        (setting("secret-input"), "a-long-secret", "a-***et"),
        (SELECT, None, ""),
        (SELECT, "b", "b"),
        (setting("boolean"), None, ""),
        (setting("boolean"), False, "false"),
        (setting("boolean", default=True), None, "true"),
        (setting("app-selector"), None, ""),
        (setting("app-selector"), CHOSEN, ID),
    ],
)
def test_a_control_shows_the_value(declared: Declaration, one: Setting, value: object, sent: str) -> None:
    assert Form(shown(declaring(declared, one), value)).chosen == {"x": sent}


def test_a_setting_has_its_label_help_and_placeholder(declared: Declaration) -> None:
    texts = {"help": {"en_US": "What <it> is for."}, "placeholder": {"en_US": "such as <this>"}, "url": "https://docs.example/"}
    html = shown(declaring(declared, setting("text-input", required=True, **texts)))
    assert '<label for="x">The &lt;label&gt; * <code>x</code></label>' in html
    assert "What &lt;it&gt; is for." in html
    assert '<a href="https://docs.example/">' in html
    assert Form(html).controls["x"]["placeholder"] == "such as <this>"


def test_a_select_offers_the_options_and_the_selector_the_apps(declared: Declaration) -> None:
    assert Form(shown(declaring(declared, SELECT))).options == {"x": ["", "a", "b"]}
    html = shown(declaring(declared, setting("app-selector")))
    assert Form(html).options == {"x": ["", *APPS]}
    assert "Ann &amp; Bob (chat)" in html
    assert f"{OTHER} (workflow)" in html


def test_what_the_form_cannot_change_is_shown(declared: Declaration) -> None:
    html = shown(declaring(declared, setting("array[tools]")), [{"tool_name": "a<b"}])
    assert "a&lt;b" in html
    assert Form(html).controls == {}


def test_apps_are_shown_with_their_keys_and_the_service_api(declared: Declaration) -> None:
    html = shown(declared)
    assert f"<td>Ann &amp; Bob</td><td>chat</td><td><code>{ID}</code></td><td><code>app-1</code></td>" in html
    assert "http://h/v1" in html


def test_a_fault_is_told(declared: Declaration) -> None:
    assert '<p role="alert">not &lt;this&gt;</p>' in shown(declared, fault="not <this>")


@pytest.mark.parametrize(
    ("one", "sent", "old", "new"),
    [
        (setting("text-input"), "a", None, "a"),
        (setting("text-input"), "", None, None),
        (setting("text-input"), "", "a", ""),
        (setting("secret-input"), "******", "s3cret", "s3cret"),
        (setting("secret-input"), "*****", "s3cret", "*****"),
        (setting("secret-input"), "", "s3cret", ""),
        (SELECT, "b", "a", "b"),
        (SELECT, "", "a", None),
        (setting("boolean"), "true", None, True),
        (setting("boolean"), "false", True, False),
        (setting("boolean"), "", True, None),
        (setting("app-selector"), ID, CHOSEN, CHOSEN),
        (setting("app-selector"), OTHER, CHOSEN, {"app_id": OTHER}),
        (setting("app-selector"), "", CHOSEN, None),
        (setting("array[tools]"), "x", [1], [1]),
    ],
)
def test_the_form_is_read_as_in_difys_console(one: Setting, sent: str, old: Any, new: Any) -> None:
    settings = {"undeclared": 1} | ({} if old is None else {"x": old})
    assert entered([one], {"x": sent}, settings) == {"undeclared": 1} | ({} if new is None else {"x": new})


def test_what_is_not_in_the_form_stays_as_it_was() -> None:
    assert entered([setting("text-input")], {"unknown": "y"}, {"x": "a"}) == {"x": "a"}


@pytest.fixture
def console(served: Devhost) -> Iterator[str]:
    """The page's address, of a plugin with the settings `secret`, `text` and `flag`."""
    before = dict(served.settings)
    yield f"{served.files.base_url}/"
    served.settings.clear()
    served.settings.update(before)


def test_the_page_shows_routes_and_settings_but_no_secret(served: Devhost, console: str) -> None:
    page = HTTP.get(console)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "witness 0.0.1" in page.text
    assert f"{served.url}/deep/&lt;path:act&gt;" in page.text
    assert f'<a href="{served.url}/">' in page.text
    assert "s3cret" not in page.text
    assert all(app_id in page.text for app_id in served.apps)


def echoed(served: Devhost) -> Mapping[str, Any]:
    """The settings that the plugin gets."""
    found: Mapping[str, Any] = HTTP.get(served.url + "/echo").json()["settings"]
    return found


def test_what_is_saved_is_what_the_plugin_gets(served: Devhost, console: str) -> None:
    form = Form(HTTP.get(console).text).chosen | {"text": "Straße & Co"}
    saved = HTTP.post(console, data=form)
    assert (saved.status_code, saved.headers["Location"]) == (303, "/")
    assert echoed(served) == {"secret": "s3cret", "text": "Straße & Co", "flag": True}
    assert Form(HTTP.get(console).text).chosen == form


def test_what_dify_refuses_is_not_saved_and_stays_in_the_form(
    served: Devhost, console: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devhost.settings.MAX_SETTINGS", 1)
    refused = HTTP.post(console, data={"text": "typed"})
    assert (refused.status_code, Form(refused.text).chosen["text"]) == (400, "typed")
    assert '<p role="alert">failed to validate settings: too many setting fields</p>' in refused.text
    assert echoed(served) == {"secret": "s3cret"}


def test_pages_of_other_websites_cannot_save(served: Devhost, console: str) -> None:
    def post(origin: str) -> httpx.Response:
        return HTTP.post(console, data={"text": "theirs"}, headers={"Origin": origin})

    for origin in ("https://evil.example", f"http://evil.example:{served.port}", "null"):
        assert post(origin).status_code == 403
    assert echoed(served) == {"secret": "s3cret"}
    for origin in (f"http://127.0.0.1:{served.port}", f"http://localhost:{served.port}"):
        assert post(origin).status_code == 303
