"""Who gets what: each way to bring a key, for each way to name an app, on each route, through the real process."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import html5lib
import httpx
import pytest

from devhost import App
from devhost.apps import MINIMAL_FORM
from tests.e2e.conftest import DEADLINE_S, Duck
from tests.support import KEY, basic, blocking_sample, sample

SECOND_KEY = "a-second-key"


CALLERS: dict[str, dict[str, Any]] = {
    "none": {},
    "wrong": {"headers": {"Authorization": "Bearer a-wrong-key"}},
    "right": {"headers": {"Authorization": f"Bearer {KEY}"}},
    "second": {"headers": {"X-API-Key": SECOND_KEY}},
    "Basic": {"headers": basic(KEY)},
    "both": {"headers": {"Authorization": "Bearer a-wrong-key", "X-API-Key": KEY}},
    "URL": {"params": {"api_key": KEY}},
}

# Three apps for each way to name one, since each route takes one kind. `ID` is the listed app by its id, in capitals; `public` is
# the alias of one that needs no key; `default` is a workflow, whatever the route.
KINDS = {"duck": "workflow", "chat": "chat", "workflow": "workflow", "completion": "completion", "parameters": "chat"}
IDS = {
    ("listed", "chat"): "0b9a8c7d-1111-4222-8333-44445555aa01",
    ("listed", "workflow"): "0b9a8c7d-1111-4222-8333-44445555aa02",
    ("listed", "completion"): "0b9a8c7d-1111-4222-8333-44445555aa03",
    ("unlisted", "chat"): "0b9a8c7d-1111-4222-8333-44445555bb01",
    ("unlisted", "workflow"): "0b9a8c7d-1111-4222-8333-44445555bb02",
    ("public", "chat"): "0b9a8c7d-1111-4222-8333-44445555cc01",
    ("public", "workflow"): "0b9a8c7d-1111-4222-8333-44445555cc02",
    ("public", "completion"): "0b9a8c7d-1111-4222-8333-44445555cc03",
    ("default", "workflow"): "0b9a8c7d-1111-4222-8333-44445555dd02",
}
SETTINGS = {
    "api_key": f"{KEY}, {SECOND_KEY}",
    "default_app": {"app_id": IDS["default", "workflow"]},
    "apps": ", ".join(f"{name}-{kind}={app_id}" for (name, kind), app_id in IDS.items() if name in {"listed", "public"}),
    "public_apps": ", ".join(f"public-{kind}" for kind in ("chat", "workflow", "completion")),
    "public_rate": "999999",
}

# What a cell's word stands for is below. A GET without a key to show, on an app that it may have, gets the page with the button:
# curl names no format, and no browser says that somebody means it. `alias` has every route; the others have those that show a
# difference.
TABLE = """
app       method  path         none    wrong   right   second  Basic   both    URL

-         GET     /            offers  401     all     all     all     all     offers
-         POST    /            405     405     405     405     405     405     405

alias     GET     /duck        401     401     result  result  button  result  401
alias     POST    /duck        405     405     405     405     405     405     405
alias     GET     /chat        401     401     chat    chat    button  chat    401
alias     POST    /chat        401     401     chat    chat    chat    chat    401
alias     GET     /workflow    401     401     flow    flow    button  flow    401
alias     POST    /workflow    401     401     flow    flow    flow    flow    401
alias     GET     /completion  401     401     text    text    button  text    401
alias     POST    /completion  401     401     text    text    text    text    401
alias     GET     /parameters  401     401     form    form    form    form    401
alias     POST    /parameters  405     405     405     405     405     405     405

ID        POST    /chat        401     401     chat    chat    chat    chat    401

unlisted  GET     /duck        401     401     404     404     404     404     401
unlisted  POST    /chat        401     401     404     404     404     404     401
unlisted  GET     /parameters  401     401     404     404     404     404     401

public    GET     /duck        button  401     result  result  button  result  button
public    GET     /chat        button  401     chat    chat    button  chat    button
public    POST    /chat        chat-   401     chat    chat    chat    chat    chat-
public    GET     /workflow    button  401     flow    flow    button  flow    button
public    POST    /workflow    flow-   401     flow    flow    flow    flow    flow-
public    GET     /completion  button  401     text    text    button  text    button
public    POST    /completion  text-   401     text    text    text    text    text-
public    GET     /parameters  form-   401     form    form    form    form    form-

default   GET     /duck        401     401     result  result  button  result  401
default   POST    /chat        401     401     no-chat no-chat no-chat no-chat 401
default   POST    /workflow    401     401     flow    flow    flow    flow    401
default   GET     /completion  401     401     no-text no-text other   no-text 401
default   GET     /parameters  401     401     form    form    form    form    401
"""


PUBLIC = ["public-chat", "public-workflow", "public-completion"]
ANSWER, OUTPUT, TEXT = "The Pro plan costs 20 USD per month.", "Rain is coming.", "A haiku about rain:\nsoft drops on the roof"
# Status and essence of each word's answer.
CELLS: dict[str, tuple[int, Any]] = {
    "all": (200, ["listed-chat", "listed-workflow", "listed-completion", *PUBLIC, "default"]),
    "offers": (200, PUBLIC),
    "chat": (200, (ANSWER, "with its cost")),
    "chat-": (200, (ANSWER, "without")),
    "flow": (200, (OUTPUT, "with its cost")),
    "flow-": (200, (OUTPUT, "without")),
    "text": (200, (TEXT, "with its cost")),
    "text-": (200, (TEXT, "without")),
    "result": (200, f"Result: summary {OUTPUT}"),
    "button": (200, "the app's page"),
    "form": (200, MINIMAL_FORM),
    "form-": (200, ["file_upload", "opening_statement", "suggested_questions", "system_parameters", "user_input_form"]),
    "no-chat": (400, "not_chat_app"),
    "no-text": (400, "not_completion_app"),
    "other": (400, "not_completion_app"),
    "401": (401, "unauthorized"),
    "404": (404, "app_not_found"),
    "405": (405, "method_not_allowed"),
}
RUNS = {"chat", "chat-", "flow", "flow-", "text", "text-", "result", "no-chat", "no-text"}  # the others ask nothing of any app
ROWS = [line.split() for line in TABLE.splitlines()[2:] if line]


@pytest.fixture(scope="module")
def open_to_guests(local: Duck) -> Iterator[Duck]:
    """Duck with these settings and apps."""
    for (_, kind), app_id in IDS.items():
        local.host.apps[app_id] = App(mode=kind, script=sample(kind), blocking=blocking_sample(kind), for_plugins=True)  # type: ignore[arg-type]
    with patch.dict(local.host.settings, SETTINGS):
        yield local


@pytest.mark.parametrize(
    ("app", "method", "path", "cells"), [(*row[:3], row[3:]) for row in ROWS], ids=[" ".join(row[:3]) for row in ROWS]
)
def test_each_caller_gets_what_the_table_says(open_to_guests: Duck, app: str, method: str, path: str, cells: list[str]) -> None:
    found, runs = [], []
    for options in CALLERS.values():
        asked = len(open_to_guests.host.calls)
        found.append(send(open_to_guests, method, address(app, path), **options))
        runs.append(len(open_to_guests.host.calls) > asked)
    assert found == [CELLS[cell] for cell in cells]
    assert runs == [cell in RUNS for cell in cells]


def test_the_table_has_every_caller_and_route() -> None:
    assert TABLE.splitlines()[1].split()[3:] == list(CALLERS)
    assert {len(row) for row in ROWS} == {3 + len(CALLERS)}
    assert {(method, path) for app, method, path, *_ in ROWS if app == "alias"} == {
        (method, f"/{name}") for method in ("GET", "POST") for name in KINDS
    }


def address(app: str, path: str) -> str:
    """The path to an app on a route: to one of the kind that the route takes, but for the default one."""
    kind = KINDS.get(path.strip("/"), "")
    match app:
        case "alias":
            return f"{path}/listed-{kind}"
        case "ID":
            return f"{path}/{IDS['listed', kind].upper()}"
        case "unlisted":
            return f"{path}/{IDS['unlisted', kind]}"
        case "public":
            return f"{path}/public-{kind}"
        case "default":
            return f"{path}/default"
    return path


def send(running: Duck, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Status and essence of the answer to a program that names no format."""
    query = {"query": "hi"} if path.startswith("/chat") else {}
    if method == "POST":
        options["json"] = query
    else:
        options["params"] = options.get("params", {}) | query
    response = httpx.request(method, running.host.url + path, timeout=DEADLINE_S, **options)
    is_page = response.headers["Content-Type"].startswith("text/html")
    return response.status_code, of_page(response.text) if is_page else of_document(response.json())


def of_page(text: str) -> str:
    page = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    rows = [" ".join("".join(cell.itertext()).strip() for cell in row) for row in page.findall(".//*[@slot='final']/dl")]
    return f"Result: {rows[0]}" if rows else "the app's page" if page.find(".//form") is not None else "a page"


def of_document(document: Any) -> Any:
    match document:
        case {"code": code}:
            return code
        case {"apps": apps}:
            return [app["alias"] for app in apps]
        case {"data": {"outputs": {"summary": summary}, **data}}:
            return summary, "with its cost" if "total_tokens" in data else "without"
        case {"answer": answer, "metadata": metadata}:
            return answer, "with its cost" if "usage" in metadata else "without"
    return document if document == MINIMAL_FORM else sorted(document)
