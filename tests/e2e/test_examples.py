"""A face of somebody's own, in the real plugin: it gets all that keeps everybody safe, in its own shape."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from bench.host import copy_duck
from devhost import App, Call, Devhost
from devhost.apps import Step, say
from tests.documents import blocks
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, ROOT
from tests.support import KEY, sample

EXAMPLE = ROOT / "docs/examples/parrot"
DEFAULT, PRIVATE, OWN, BROKEN, SLOW = (f"00000000-0000-4000-8000-00000000000{number}" for number in range(1, 6))
FORM = {"user_input_form": [{"text-input": {"variable": "city", "required": True, "max_length": 10}}]}
SETTINGS = {
    "api_key": KEY,
    "default_app": {"app_id": DEFAULT, "inputs": {"city": "Oslo"}},
    "public_apps": "default",
    "public_rate": "3",
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devhost]:
    """Duck with the example's face, added as docs/copy-me.md says."""
    folder = copy_duck(tmp_path_factory.mktemp("parrot"))
    shutil.copytree(EXAMPLE, folder / EXAMPLE.relative_to(ROOT))
    [install] = [block.text for block in blocks("docs/copy-me.md") if "rows.yaml" in block.text]
    subprocess.run(["bash", "-euc", install], cwd=folder, check=True)
    apps = {
        DEFAULT: App(mode="chat", script=say("In {city}: {query}", pace=0), form=FORM),
        PRIVATE: App(mode="chat", script=say("Private: {query}", pace=0)),
        OWN: App(mode="chat", script=say("By its own key: {query}", pace=0)),
        BROKEN: App(
            mode="chat", script=[sample("chat")[0], {"event": "error", "code": "x", "status": 400, "message": "It broke."}]
        ),
        SLOW: App(mode="chat", script=slow),
    }
    with patch.dict("os.environ", MAX_RUNS="1"), Devhost(folder, apps, dict(SETTINGS), limits=LIMITS) as running:
        yield running


begun, go_on = threading.Event(), threading.Event()


def slow(_: Call) -> Iterator[Step]:
    yield sample("chat")[0]
    begun.set()
    go_on.wait(DEADLINE_S)
    yield sample("chat")[-1]


def ask(host: Devhost, app: str, *, key: str | None = KEY, headers: Any = None, **body: Any) -> httpx.Response:
    sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
    return httpx.post(f"{host.url}/ask/{app}", json={"text": "hi", **body}, headers=sent, timeout=DEADLINE_S)


def told(response: httpx.Response) -> tuple[int, str]:
    """The status and the error, in the face's own shape and no other."""
    document = response.json()
    assert document.keys() == {"error", "field"}
    return response.status_code, document["error"]


def test_it_is_small() -> None:
    assert len((EXAMPLE / "duck/faces/parrot/__init__.py").read_text().splitlines()) < 80


def test_it_answers_whole_and_line_by_line_with_the_owners_preset(host: Devhost) -> None:
    assert ask(host, "default").json() == {"text": "In Oslo: hi"}
    lines = [json.loads(line) for line in ask(host, "default", stream=True, inputs={"city": "Bergen"}).text.splitlines()]
    assert "".join(line["text"] for line in lines) == "In Bergen: hi"


def test_who_may_not_is_refused(host: Devhost) -> None:
    assert told(ask(host, "default", key="a-wrong-key"))[0] == 401
    assert told(ask(host, PRIVATE, key=None))[0] == 401
    status, error = told(ask(host, "default", key=None, headers={"Origin": "https://evil.example"}))
    assert (status, "Pages of other websites" in error) == (403, True)
    assert told(ask(host, "00000000-0000-4000-8000-00000000000f"))[0] == 404
    assert (
        told(httpx.post(f"{host.url}/ask/default", content=b"{", headers={**AUTHORIZED, "Content-Type": "application/json"}))[0]
        == 400
    )
    assert (
        told(httpx.post(f"{host.url}/ask/default", content=b"x", headers={**AUTHORIZED, "Content-Type": "image/png"}))[0] == 415
    )


def test_what_does_not_fit_is_told(host: Devhost) -> None:
    assert told(ask(host, "default", inputs={"town": "x"})) == (400, "inputs.town: no such input; this app takes city")
    assert told(ask(host, "default", inputs={"city": "x" * 11}))[0] == 400
    assert told(ask(host, "default", text=" ")) == (400, "text: required")


def test_the_field_at_fault_is_named(host: Devhost) -> None:
    assert ask(host, "default", inputs={"town": "x"}).json()["field"] == "inputs.town"
    assert ask(host, PRIVATE, key=None).json()["field"] == ""


def test_unknown_paths_and_methods_are_answered_by_the_face(host: Devhost) -> None:
    wrong = httpx.get(f"{host.url}/ask/default", headers=AUTHORIZED)
    assert (told(wrong), wrong.headers["Allow"]) == ((405, "This route takes OPTIONS, POST."), "OPTIONS, POST")
    assert told(httpx.post(f"{host.url}/ask/default/more", headers=AUTHORIZED))[0] == 404


def test_guests_share_a_rate(host: Devhost) -> None:
    statuses = [ask(host, "default", key=None).status_code for _ in range(5)]
    assert (statuses[0], statuses[-1]) == (200, 429)
    last = ask(host, "default", key=None)
    assert (told(last)[0], int(last.headers["Retry-After"]) > 0) == (429, True)


def test_an_app_is_reached_by_its_own_key(host: Devhost) -> None:
    host.app_keys["app-of-parrot"] = OWN
    with patch.dict(host.settings, app_keys=f"{OWN}=app-of-parrot", service_api_url=host.api_url):
        assert ask(host, OWN).json() == {"text": "By its own key: hi"}
    assert host.calls[-1].by_key


def test_an_error_in_mid_stream_is_a_last_line(host: Devhost) -> None:
    assert json.loads(ask(host, BROKEN, stream=True).text.splitlines()[-1]) == {"error": "It broke."}


def test_a_full_house_is_told_of(host: Devhost) -> None:
    thread = threading.Thread(target=ask, args=(host, SLOW), kwargs={"stream": True})
    thread.start()
    assert begun.wait(DEADLINE_S)
    try:
        refused = ask(host, PRIVATE)
        assert (told(refused)[0], refused.headers["Retry-After"]) == (503, "5")
    finally:
        go_on.set()
        thread.join()


def test_settings_that_cannot_be_read_are_told_of(host: Devhost) -> None:
    with patch.dict(host.settings, public_rate="many"):
        assert told(ask(host, "default"))[0] == 500
