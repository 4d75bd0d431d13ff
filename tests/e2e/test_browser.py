"""Pages of other origins, stored passwords and `EventSource`: what Chromium really sends decides."""

import contextlib
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from playwright.sync_api import Browser, Page

from devhost import App
from tests.e2e.conftest import Duck, eventually, site
from tests.support import KEY, blocking_sample, sample

PUBLIC, PRIVATE = "0b9a8c7d-1111-4222-8333-4444555566a1", "0b9a8c7d-1111-4222-8333-4444555566a2"
ANSWER = "The Pro plan costs 20 USD per month."

# Calls an app as a shop's page would, and gives what it can read of the answer.
FETCH = """async ([url, key]) => {
    const headers = {"Content-Type": "application/json", ...(key ? {Authorization: `Bearer ${key}`} : {})};
    try {
        const response = await fetch(url, {method: "POST", headers, body: JSON.stringify({query: "hi"})});
        return [response.status, await response.text()];
    } catch (error) {
        return [0, String(error)];
    }
}"""
LISTEN = """(url) => new Promise((resolve) => {
    const seen = [], source = new EventSource(url);
    source.onmessage = (message) => seen.push(JSON.parse(message.data).event);
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve(seen); };
})"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where other sites have an empty page."""
    with site("") as port:
        yield port


@pytest.fixture
def duck(local: Duck, port: int) -> Iterator[Duck]:
    """Duck with a public app and a private one, which a shop's pages may call."""
    for app_id in (PUBLIC, PRIVATE):
        local.host.apps[app_id] = App(mode="chat", script=sample("chat"), blocking=blocking_sample("chat"))
    shop = f"http://shop.localhost:{port}"
    with patch.dict(local.host.settings, public_apps=PUBLIC, public_rate="1000", allowed_origins=shop):
        yield local


@contextlib.contextmanager
def started(duck: Duck) -> Iterator[list[str]]:
    """The ids of the apps that are run meanwhile."""
    before, run = len(duck.host.calls), list[str]()
    yield run
    run += [call.app_id for call in duck.host.calls[before:]]


def visit(page: Page, port: int, name: str) -> Page:
    """The page, at a host of this name."""
    page.goto(f"http://{name}.localhost:{port}/")
    return page


# Pages of other origins


def test_a_page_of_a_listed_origin_calls_a_public_app_and_one_with_a_key_any(page: Page, duck: Duck, port: int) -> None:
    shop = visit(page, port, "shop")
    for app_id, key in ((PUBLIC, None), (PRIVATE, KEY)):
        status, text = shop.evaluate(FETCH, [f"{duck.host.url}/chat/{app_id}?format=text", key])
        assert (status, text) == (200, f"{ANSWER}\n")


def test_a_page_of_a_listed_origin_reads_errors_too(page: Page, duck: Duck, port: int) -> None:
    shop = visit(page, port, "shop")
    for path, key, code in (
        (f"/chat/{PRIVATE}", None, "unauthorized"),
        (f"/chat/{PUBLIC}", "wrong", "unauthorized"),
        ("/chat", None, "not_found"),
    ):
        _, text = shop.evaluate(FETCH, [duck.host.url + path, key])
        assert f'"{code}"' in text


@pytest.mark.parametrize("key", [None, KEY])
def test_a_page_of_another_origin_reads_nothing_and_without_a_key_runs_nothing(
    page: Page, duck: Duck, port: int, key: str | None
) -> None:
    evil = visit(page, port, "evil")
    with started(duck) as run:
        assert evil.evaluate(FETCH, [f"{duck.host.url}/chat/{PUBLIC}", key]) == [0, "TypeError: Failed to fetch"]
    assert run == []


def test_not_even_a_request_that_needs_no_preflight_runs_anything(page: Page, duck: Duck, port: int) -> None:
    evil = visit(page, port, "evil")
    with started(duck) as run:
        evil.evaluate(
            """async (url) => fetch(url, {method: "POST", mode: "no-cors", body: new URLSearchParams({query: "hi"})})""",
            f"{duck.host.url}/chat/{PUBLIC}",
        )
        evil.evaluate(
            """(url) => new Promise((resolve) => {
                const image = new Image();
                image.onerror = resolve;
                image.src = url;
            })""",
            f"{duck.host.url}/chat/{PUBLIC}?query=hi",
        )
    assert run == []


def test_any_origin_reads_a_public_app_where_the_settings_say_so(page: Page, duck: Duck, port: int) -> None:
    duck.host.settings["allowed_origins"] = "*"
    evil = visit(page, port, "evil")
    assert evil.evaluate(FETCH, [f"{duck.host.url}/chat/{PUBLIC}?format=text", None]) == [200, f"{ANSWER}\n"]
    assert evil.evaluate(FETCH, [f"{duck.host.url}/chat/{PRIVATE}", None])[0] == 0


# A stored password


@pytest.fixture
def known(browser: Browser, duck: Duck) -> Iterator[Page]:
    """A page of a browser that has been told the key once, and sends it along by itself from then on."""
    context = browser.new_context(http_credentials={"username": "me", "password": KEY})
    page = context.new_page()
    page.goto(f"{duck.host.url}/chat/{PRIVATE}")
    assert page.get_by_role("button", name="Send").is_visible()
    yield page
    context.close()


SUBMIT = """(url) => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = url;
    form.innerHTML = '<input name="query" value="hi">';
    document.body.append(form);
    form.submit();
}"""
FOLLOW = """(url) => {
    const link = document.createElement("a");
    link.href = url;
    document.body.append(link);
    link.click();
}"""


def test_the_stored_password_runs_the_app_from_its_own_page(known: Page, duck: Duck) -> None:
    with started(duck) as run:
        known.get_by_label("Message").fill("hi")
        known.get_by_role("button", name="Send").click()
        known.locator("[slot=blocks]", has_text=ANSWER).wait_for()
    assert run == [PRIVATE]


@pytest.mark.parametrize("name", ["evil", "shop"])
def test_a_cross_site_form_starts_nothing_unless_its_origin_is_listed(known: Page, duck: Duck, port: int, name: str) -> None:
    page = visit(known, port, name)
    with started(duck) as run, page.expect_navigation() as navigation:
        page.evaluate(SUBMIT, f"{duck.host.url}/chat/{PRIVATE}")
    # A browser that had sent no password would have been answered 401.
    assert navigation.value.status == (200 if name == "shop" else 403)
    assert run == ([PRIVATE] if name == "shop" else [])


@pytest.mark.parametrize("name", ["evil", "shop"])
@pytest.mark.parametrize(("query", "status"), [("", 200), ("&format=json", 403)])
def test_a_cross_site_link_starts_nothing(known: Page, duck: Duck, port: int, name: str, query: str, status: int) -> None:
    page = visit(known, port, name)
    with started(duck) as run, page.expect_navigation() as navigation:
        page.evaluate(FOLLOW, f"{duck.host.url}/chat/{PRIVATE}?query=hi{query}")
    assert (navigation.value.status, run) == (status, [])


def test_a_cross_site_link_to_the_original_route_starts_nothing(known: Page, duck: Duck, port: int) -> None:
    page = visit(known, port, "evil")
    with started(duck) as run, page.expect_navigation():
        page.evaluate(FOLLOW, f"{duck.host.url}/duck/{PUBLIC}?text=hi")
    assert run == []
    assert page.get_by_role("button", name="Run").is_visible()


EMBED = """(url) => new Promise((done) => {
    const image = new Image();
    image.onload = image.onerror = done;
    image.src = url;
    document.body.append(image);
})"""


@pytest.mark.parametrize(("query", "status"), [("", 200), ("&format=json", 403)])
def test_a_picture_of_the_same_origin_starts_nothing(known: Page, duck: Duck, query: str, status: int) -> None:
    with started(duck) as run, known.expect_response("**query=hi*") as answer:
        known.evaluate(EMBED, f"{duck.host.url}/chat/{PRIVATE}?query=hi{query}")
    assert (answer.value.status, run) == (status, [])
    assert answer.value.request.all_headers()["sec-fetch-site"] == "same-origin"


# EventSource


def test_an_event_source_runs_an_app_exactly_once(page: Page, duck: Duck, port: int) -> None:
    shop = visit(page, port, "shop")
    with started(duck) as run:
        seen = shop.evaluate(LISTEN, f"{duck.host.url}/chat/{PUBLIC}?query=hi")
    assert seen == [event["event"] for event in sample("chat")]
    assert run == [PUBLIC]


def test_a_page_may_be_embedded_by_a_listed_origin_alone(page: Page, duck: Duck, port: int) -> None:
    for name, shown in (("shop", 1), ("evil", 0)):
        visit(page, port, name)
        page.set_content(f'<iframe src="{duck.host.url}/chat/{PUBLIC}"></iframe>')
        frame = page.frame_locator("iframe")
        assert eventually(lambda: page.frames[-1].url != "about:blank")
        page.wait_for_load_state("networkidle")
        assert frame.get_by_role("button", name="Send").count() == shown
