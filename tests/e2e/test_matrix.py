"""Who gets what: each way to bring a key, for each way to name an app, on each route, through the real process."""

import base64
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import html5lib
import httpx
import pytest

import duck
from devhost import App
from devhost.apps import MINIMAL_FORM
from tests.e2e.conftest import DEADLINE_S, Duck
from tests.support import KEY, blocking_sample, sample

SECOND_KEY = "a-second-key"


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


CALLERS: dict[str, dict[str, Any]] = {
    "none": {},
    "wrong": {"headers": {"Authorization": "Bearer a-wrong-key"}},
    "right": {"headers": {"Authorization": f"Bearer {KEY}"}},
    "second": {"headers": {"X-API-Key": SECOND_KEY}},
    "Basic": {"headers": {"Authorization": basic(KEY)}},
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
default   GET     /completion  401     401     no-text no-text button  no-text 401
default   GET     /parameters  401     401     form    form    form    form    401
"""


def error(status: int, code: str, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"code": code, "message": message, "status": status}


def offers(*apps: tuple[str, bool]) -> tuple[int, dict[str, Any]]:
    return 200, {
        "name": "duck",
        "version": duck.__version__,
        "apps": [{"alias": alias, "public": public} for alias, public in apps],
        "formats": ["json", "ndjson", "sse", "html", "text"],
    }


PUBLIC = [("public-chat", True), ("public-workflow", True), ("public-completion", True)]
IDENTITY = {
    "event": "message",
    "task_id": "0f3c9d52-7a41-4c1e-9b7e-3a1d5e2f8c10",
    "id": "a41c2e7b-5d0f-4b8e-9c33-1f6a7d2b9e04",
    "message_id": "a41c2e7b-5d0f-4b8e-9c33-1f6a7d2b9e04",
}

# Status and body of each word: of JSON the document, of a page its text.
CELLS: dict[str, tuple[int, Any]] = {
    "all": offers(("listed-chat", False), ("listed-workflow", False), ("listed-completion", False), *PUBLIC, ("default", False)),
    "offers": offers(*PUBLIC),
    "chat": (200, blocking_sample("chat")),
    "chat-": (
        200,
        {
            **IDENTITY,
            "conversation_id": "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901",
            "mode": "chat",
            "answer": "The Pro plan costs 20 USD per month.",
            "metadata": {"retriever_resources": [{"position": 1, "document_name": "pricing.md", "title": None}]},
            "created_at": 1784000000,
        },
    ),
    "flow": (200, blocking_sample("workflow")),
    "flow-": (
        200,
        {
            "task_id": "0f3c9d52-7a41-4c1e-9b7e-3a1d5e2f8c10",
            "workflow_run_id": "5b2f6c1d-0e9a-4f37-8a6b-7c4d3e2f1a00",
            "data": {
                "id": "5b2f6c1d-0e9a-4f37-8a6b-7c4d3e2f1a00",
                "workflow_id": "e19d4c7a-2b3f-4a58-9d61-0c8b7a6f5e4d",
                "status": "succeeded",
                "outputs": {"summary": "Rain is coming."},
                "elapsed_time": 3.204118,
                "total_steps": 3,
                "created_at": 1784000000,
                "finished_at": 1784000003,
            },
        },
    ),
    "text": (200, blocking_sample("completion")),
    "text-": (
        200,
        {
            **IDENTITY,
            "mode": "completion",
            "answer": "A haiku about rain:\nsoft drops on the roof",
            "metadata": {"retriever_resources": []},
            "created_at": 1784000000,
        },
    ),
    "result": (
        200,
        "Result: summary Rain is coming.",
    ),
    "button": (200, "the app's page"),
    "form": (200, MINIMAL_FORM),
    "form-": (
        200,
        {
            "opening_statement": "",
            "suggested_questions": [],
            "file_upload": MINIMAL_FORM["file_upload"],
            "system_parameters": MINIMAL_FORM["system_parameters"],
            "user_input_form": [],
        },
    ),
    "no-chat": error(400, "not_chat_app", "This app is of another kind: call /workflow/<app_id>."),
    "no-text": error(400, "not_completion_app", "This app is of another kind: call /workflow/<app_id>."),
    "401": error(
        401,
        "unauthorized",
        "Send a valid API key: as Authorization: Bearer, as X-API-Key, or as the password of Basic authentication.",
    ),
    "404": error(404, "app_not_found", "No such app here. Check its id or alias, and that it has been published in Dify."),
    "405": error(405, "method_not_allowed", "This route takes GET, HEAD, OPTIONS."),
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
    """Status and body of the answer to a program that names no format."""
    query = {"query": "hi"} if path.startswith("/chat") else {}
    if method == "POST":
        options["json"] = query
    else:
        options["params"] = options.get("params", {}) | query
    response = httpx.request(method, running.host.url + path, timeout=DEADLINE_S, **options)
    if response.headers["Content-Type"].startswith("text/html"):
        document = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(response.text)
        rows = [" ".join("".join(cell.itertext()).strip() for cell in row) for row in document.findall(".//*[@slot='final']/dl")]
        return response.status_code, f"Result: {rows[0]}" if rows else "the app's page" if document.find(
            ".//form"
        ) is not None else "a page"
    found = response.json()
    found.pop("url", None)  # of this run's port
    return response.status_code, found
