"""A captured dialogue between a daemon and the SDK, replayed with devhost."""

import http.client
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devhost import App, Devhost
from devhost.limits import Limits
from devhost.tests.support import HERE

SESSION = [json.loads(line) for line in (HERE / "stdio-session.ndjson").read_text().splitlines()]
HOOK = "Xk3hT0aB9cD2eF4g"  # as captured: the requests must be the same
APP = "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43"
SETTINGS = {"api_key": "k", "app": {"app_id": APP}}
type Replaying = tuple[Devhost, list[Mapping[str, Any]]]
IDS = re.compile(r'"(session_id|endpoint_id|backwards_request_id)": ?"[^"]*"')

# The plugin of the capture: it streams a chat, or fetches a form.
PLUGIN = """
import json

from dify_plugin import Endpoint
from werkzeug import Response


class Captured(Endpoint):
    def _invoke(self, r, values, settings):
        app_id = settings["app"]["app_id"]
        if values["act"] == "up":
            return Response(json.dumps(self.session.app.fetch_app(app_id)), content_type="application/json")

        def lines():
            for event in self.session.app.chat.invoke(app_id, "hi", {"city": "Oslo"}, "streaming", "", "u1"):
                yield f"data: {json.dumps(event)}\\n\\n"

        return Response(lines(), content_type="text/event-stream")
"""


def dialogues() -> list[list[dict[str, Any]]]:
    """The captured lines, a list for each request."""
    found: list[list[dict[str, Any]]] = []
    for row in SESSION:
        if row["line"].get("event") == "request":
            found.append([])
        if found:
            found[-1].append(row)
    return found


STREAMED, REFUSED, FETCHED = dialogues()


def without_ids(message: Mapping[str, Any]) -> Any:
    return json.loads(IDS.sub(r'"\1": "…"', json.dumps(message)))


@contextmanager
def serve(folder: Path) -> Iterator[Replaying]:
    """The plugin of the capture behind devhost, in a copy of the witness's folder."""
    (folder / "endpoints/witness.py").write_text(PLUGIN)
    group = (folder / "group/witness.yaml").read_text()
    (folder / "group/witness.yaml").write_text(group.replace('"/<act>"', '"/t/<act>"'))
    events = [row["line"]["data"]["data"] for row in STREAMED if row["line"]["event"] == "backwards_response"]
    form = next(row["line"]["data"]["data"] for row in FETCHED if row["line"]["event"] == "backwards_response")
    app = App(mode="chat", script=[event for event in events if event], form=form)
    messages: list[Mapping[str, Any]] = []
    with Devhost(folder, {APP: app}, SETTINGS, hook=HOOK, limits=Limits(race_s=0), trace=messages.append) as host:
        yield host, messages


@pytest.fixture(scope="module")
def permitted(witness: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replaying]:
    with serve(shutil.copytree(witness, tmp_path_factory.mktemp("permitted") / "plugin")) as replaying:
        yield replaying


def replay(captured: list[dict[str, Any]], host: Devhost) -> None:
    """Sends the captured request."""
    raw = bytes.fromhex(captured[0]["line"]["data"]["raw_http_request"]).decode()
    head, _, body = raw.partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=30)
    connection.putrequest("POST", f"/e/{HOOK}{first.split()[1]}", skip_host=True, skip_accept_encoding=True)
    for field in fields:
        connection.putheader(*field.split(": ", 1))
    connection.endheaders(body.encode())
    connection.getresponse().read()
    connection.close()


def compare(replaying: Replaying, captured: list[dict[str, Any]]) -> None:
    """Sends the captured request; devhost must write the captured lines."""
    host, messages = replaying
    messages.clear()
    replay(captured, host)
    sent = [without_ids(message) for message in messages if message.get("event") in {"request", "backwards_response"}]
    assert sent == [without_ids(row["line"]) for row in captured if row["dir"] == "daemon->plugin"]


@pytest.mark.parametrize("captured", [STREAMED, FETCHED], ids=["a stream", "a form"])
def test_devhosts_lines_are_those_of_the_capture(permitted: Replaying, captured: list[dict[str, Any]]) -> None:
    compare(permitted, captured)


def test_without_the_permission_a_call_is_refused_as_in_the_capture(witness: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(witness, tmp_path / "plugin")
    manifest = (folder / "manifest.yaml").read_text()
    (folder / "manifest.yaml").write_text(manifest.replace("app: {enabled: true}", "app: {enabled: false}"))
    with serve(folder) as replaying:
        compare(replaying, REFUSED)
        assert replaying[0].calls == []
