"""Duck with apps to look at, and somebody who looks."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from playwright.sync_api import Browser, BrowserContext

from devhost import App, demo
from devhost.demo.forms import UPLOADS, basic, form, variable
from tests.e2e.conftest import DEADLINE_S, Duck
from tests.e2e.page.visitor import (
    ASKING,
    CHAT,
    GATED,
    HOSTILE_APP,
    PLAIN,
    STRICT,
    Visit,
    Visitor,
    said,
)


@pytest.fixture(scope="module")
def duck(local: Duck) -> Iterator[Duck]:
    """Duck with the demo's apps and a few more, all public."""
    count, document = basic("number", "count", "Count"), variable("file", "document", "Document", **UPLOADS)
    local.host.apps.update(demo.apps(pace=0))
    local.host.apps[STRICT] = App(
        mode="workflow", script=[], form=form(basic("text-input", "city", "City", max_length=5), count, document)
    )
    local.host.apps[ASKING] = App(mode="chat", script=[said("Hi"), CHAT[-1]], form=form(basic("text-input", "name", "Name")))
    local.host.app_keys.update(demo.app_keys())
    more = {"gated": GATED, "plain": PLAIN, "strict": STRICT, "asking": ASKING, "hostile": HOSTILE_APP}
    named = demo.settings() | demo.own_keys(local.host.api_url)
    named["apps"] += "".join(f", {name}={app_id}" for name, app_id in more.items())
    public = ", ".join([*demo.IDS.values(), *more.values()])
    with patch.dict(local.host.settings, named, public_apps=public, public_rate="999999"):
        yield local


@pytest.fixture
def visit(browser: Browser, duck: Duck) -> Iterator[Visit]:
    """Opens an app's page. At the end none may have tried what its policy forbids, or have asked another host for anything."""
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def visit(path: str, *, scripts: bool = True, **options: Any) -> Visitor:
        context = browser.new_context(java_script_enabled=scripts, **options)
        context.set_default_timeout(DEADLINE_S * 1000)
        contexts.append(context)
        visitor = Visitor(context, context.new_page())
        visitors.append(visitor)
        visitor.page.on("console", lambda told: visitor.complaints.append(told.text) if "Security Policy" in told.text else None)
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        visitor.page.on("request", lambda request: visitor.requests.append(request.url))
        visitor.page.goto(duck.host.url + path)
        return visitor

    yield visit
    for context in contexts:
        context.close()
    assert [visitor.complaints for visitor in visitors if visitor.complaints] == []
    assert [url for visitor in visitors for url in visitor.requests if not url.startswith(("http://127.0.0.1:", "blob:"))] == []
