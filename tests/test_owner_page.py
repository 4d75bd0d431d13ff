"""An app's page wears its owner's face: what Dify's `/site` says, as far as it is safe."""

import base64
import hashlib
from typing import Any

import httpx
import pytest
from werkzeug import Response

from duck.dify.site import Site
from duck.faces.api import serve
from duck.faces.page.view import View
from tests.api import INFO, SETTINGS, SITE, Api, refused
from tests.support import APP, BROWSER, Dify, body_of, call, make_request, page_of, parsed
from tests.test_formats import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"
HOOK = {"Dify-Hook-Id": "hook", "Dify-Hook-Url": f"https://dify.example.com/e/hook/chat/{APP}"}
GUESTS = {**SETTINGS, "public_apps": APP}


def opened(site: Any, api: Api, **options: Any) -> Response:
    """The page of an app with this site."""
    api.answers["/site"] = site
    options = {"settings": SETTINGS, "method": "GET", "headers": {"Accept": BROWSER, **HOOK}, **options}
    return call(Dify(), **options)


def text(element: Any) -> str:
    return "".join(element.itertext())


def policy_of(response: Response) -> dict[str, str]:
    return dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))


def icon_of(page: Any) -> str:
    """The address of the icon in the browser's tab."""
    [link] = page.findall(".//link[@rel='icon']")
    return str(link.get("href"))


def test_the_page_is_called_as_its_owner_wants_and_shows_the_icon(api: Api) -> None:
    for settings in (SETTINGS, GUESTS):
        site = {**SITE, "title": "Front desk", "description": "Asks back."}
        page = page_of(opened(site, api, settings=settings, key=None if settings is GUESTS else "another-right-key"))
        assert page.findtext(".//h1") == page.findtext(".//title") == "Front desk"
        assert page.findtext(".//main/p") == "Asks back."
        mark = page.find(f".//header/{SVG}svg")
        assert (text(mark), mark.find(f"{SVG}rect").get("fill"), mark.get("aria-hidden")) == ("🤖", "#ffead5", "true")
        assert icon_of(page) == "../favicon.ico?icon=%F0%9F%A4%96&background=ffead5"


def test_the_icon_is_beside_each_answer_if_the_owner_wants_that(api: Api) -> None:
    for wanted in (True, False):
        page = page_of(
            opened(
                {**SITE, "use_icon_as_answer_icon": wanted},
                api,
                method="POST",
                data={"query": "hi", "duck.turns": '[["1","one"]]'},
            )
        )
        assert len(page.findall(f".//article//p/{SVG}svg")) == 2 * wanted
        assert page.find(".//body").get("class") == ("chat with-icons" if wanted else "chat")


def test_a_picture_on_the_pages_own_origin_is_the_icon(api: Api) -> None:
    url = "https://dify.example.com/files/1/file-preview?sign=a&b"
    page = page_of(opened({"icon_type": "image", "icon_url": url}, api))
    assert [image.get("src") for image in page.findall(".//header/img")] == [url]
    assert icon_of(page) == url
    page = page_of(opened({"icon_type": "image", "icon_url": "https://elsewhere.example/x.png"}, api))
    assert page.find(".//header/img") is None


@pytest.mark.parametrize(
    "site",
    [
        refused(403, "forbidden", "You don't have the permission to access the requested resource."),
        httpx.ReadTimeout(""),
        httpx.Response(200, text="<html>"),
        dict.fromkeys(SITE, HOSTILE),
        dict.fromkeys(SITE, 5),
    ],
    ids=["without a site", "silent", "no JSON", "markup", "no texts"],
)
def test_whatever_dify_says_the_page_stands(api: Api, site: Any) -> None:
    response = opened(site, api)
    page = page_of(response)
    title = HOSTILE if isinstance(site, dict) and site["title"] == HOSTILE else INFO["name"]
    assert (response.status_code, page.findtext(".//h1")) == (200, title)
    assert len(page.findall(".//script")) == len(page.findall(".//style")) == 1
    assert page.find(".//textarea[@name='query']") is not None


def test_an_app_without_a_key_of_its_own_has_a_plain_mark_and_no_duck(api: Api) -> None:
    page = page_of(call(Dify(), method="GET", headers={"Accept": BROWSER}))
    marks = page.findall(f".//header/{SVG}svg")
    assert [mark.get("class") for mark in marks] == ["mark"]
    assert api.requests == []
    assert page.find(".//footer") is None


def test_what_dify_says_of_an_app_is_asked_once_a_minute(api: Api) -> None:
    dify = Dify()
    for _ in range(3):
        call(dify, settings=SETTINGS, method="GET", headers={"Accept": BROWSER})
    assert sorted(api.paths()) == ["/info", "/parameters", "/site"]


# Colour


def test_the_owners_colour_is_a_sheet_of_its_own_which_the_policy_names(api: Api) -> None:
    plain, response = policy_of(opened(SITE, api)), opened({**SITE, "chat_color_theme": "#7A5AF8"}, api)
    _, sheet = [style.text for style in page_of(response).findall(".//style")]
    assert "--accent: #" in sheet
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    assert policy_of(response) == {**plain, "style-src": f"{plain['style-src']} 'sha256-{digest}'"}


def test_an_answer_and_an_error_have_the_colour_too(api: Api) -> None:
    site = {**SITE, "chat_color_theme": "#7A5AF8"}
    for options in ({"data": {"query": "hi"}}, {"data": {"query": ""}}):
        response = opened(site, api, method="POST", query_string="format=html", **options)
        page = parsed(body_of(response))
        assert len(page.findall(".//style")) == 2
        assert policy_of(response)["style-src"].count("'sha256-") == 2


# What the owner has to say


def test_legal_lines_stand_below(api: Api) -> None:
    site = {"copyright": "2025 Dify", "privacy_policy": "https://example.com/privacy", "custom_disclaimer": "May err."}
    footer = page_of(opened(site, api)).find(".//main/footer")
    assert [text(line).strip() for line in footer.findall("p")] == ["May err.", "© 2025 Dify Privacy policy"]
    [link] = footer.iter("a")
    assert (link.get("href"), link.get("rel")) == ("https://example.com/privacy", "noopener noreferrer")


@pytest.mark.parametrize(
    ("site", "lines"),
    [
        ({"copyright": "© Us", "privacy_policy": "javascript:alert(1)"}, ["© Us"]),
        ({"privacy_policy": "HTTP://example.com/"}, ["Privacy policy"]),
        ({"custom_disclaimer": HOSTILE}, [HOSTILE.strip()]),
        ({"privacy_policy": "ask us"}, []),
    ],
)
def test_an_address_is_one_on_the_web_and_a_text_is_a_text(api: Api, site: dict[str, str], lines: list[str]) -> None:
    page = page_of(opened(site, api))
    assert [text(line).strip() for line in page.findall(".//footer/p")] == lines


# Icons for tabs


def drawn(query: str) -> Response:
    return serve.favicon(make_request("GET", f"/favicon.ico?{query}", key=None))


def test_a_tab_shows_the_mark_that_its_address_describes() -> None:
    response = drawn("icon=%F0%9F%A4%96&background=FFEAD5")
    body = body_of(response).decode()
    assert response.headers["Content-Type"] == "image/svg+xml"
    assert policy_of(response)["default-src"] == "'none'"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert body.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert 'fill="#ffead5"' in body
    assert ">🤖</text>" in body


@pytest.mark.parametrize(
    "query", ["icon=", "icon=%3Cscript%3E", "icon=x&background=%22/%3E", "icon=%F0%9F%A4%96%3C", "icon=" + "%F0%9F%A4%96" * 99]
)
def test_an_address_that_describes_no_mark_gets_a_plain_one(query: str) -> None:
    assert body_of(drawn(query)) == body_of(drawn("icon="))
    assert b"<path" in body_of(drawn(query))


# The script for other websites


def test_other_websites_get_a_script_that_browsers_keep_for_an_hour() -> None:
    response = serve.embed(make_request("GET", "/embed.js", key=None))
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "max-age=3600"
    assert body_of(response).startswith(b"// Puts an app's page behind a button")
    assert b"innerHTML" not in body_of(response)


def test_a_page_knows_whether_steps_are_shown_and_what_an_empty_message_box_says() -> None:
    view = View(site=Site(shows_steps=False, placeholder="Ask away"))
    assert (view.shows_steps, view.placeholder) == (False, "Ask away")
    assert (View().shows_steps, View().placeholder) == (True, "")
