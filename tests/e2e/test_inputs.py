"""Inputs and files the whole way: curl, the daemon's ways, the SDK's uploads, and a Dify that checks them itself."""

import json
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from devhost import App, Call, Devhost
from devhost.files import Files, Stored
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, ROOT, Duck
from tests.support import KEY, sample

WORKFLOW = sample("workflow")
BOTH = {"allowed_file_extensions": [], "allowed_file_upload_methods": ["local_file", "remote_url"]}
FORM: dict[str, Any] = {
    "user_input_form": [
        {"text-input": {"variable": "city", "required": True, "max_length": 10}},
        {"select": {"variable": "tone", "options": ["formal", "casual"], "default": "formal"}},
        {"number": {"variable": "days"}},
        {"checkbox": {"variable": "loud"}},
        {"file": {"variable": "doc", "allowed_file_types": ["document"], **BOTH}},
        {"file-list": {"variable": "pics", "allowed_file_types": ["image"], "max_length": 5, **BOTH}},
    ],
    "system_parameters": {"image_file_size_limit": 10, "file_size_limit": 15},
}
APP = App(mode="workflow", script=WORKFLOW, form=FORM)
PNG = b"\x89PNG\r\n\x1a\n"


def curl(duck: Duck, app_id: str, *arguments: str) -> tuple[int, Any]:
    """The status and the JSON that curl gets."""
    assert shutil.which("curl"), "curl is needed for this test"
    command = ["curl", "--silent", "--write-out", "\n%{http_code}", "--header", f"X-API-Key: {KEY}", *arguments]
    ended = subprocess.run([*command, f"{duck.host.url}/workflow/{app_id}"], capture_output=True, timeout=DEADLINE_S, check=True)
    body, _, status = ended.stdout.decode().rpartition("\n")
    return int(status), json.loads(body)


def calls_of(duck: Duck, app_id: str) -> list[Call]:
    return [call for call in duck.host.calls if call.app_id == app_id]


def stored_of(duck: Duck, value: dict[str, Any]) -> Stored:
    """The file that the input of a run names."""
    stored = duck.host.files.find(value["upload_file_id" if duck.way == "key" else "tool_file_id"])
    assert stored
    return stored


@pytest.fixture
def app_id(duck: Duck) -> str:
    return duck.add(APP)


def test_curl_sends_a_form_with_a_document_of_9_megabytes(duck: Duck, app_id: str, tmp_path: Path) -> None:
    size = 2_000_000 if duck.way == "serverless" else 9_000_000  # there the daemon takes 5 MiB, doubled by its hex
    content = b"%PDF-1.7\n" + b"x" * size
    (tmp_path / "report.pdf").write_bytes(content)
    fields = ["-F", "city=Oslo", "-F", "inputs.tone=casual", "-F", "days=3", "-F", "loud=on", "-F", f"doc=@{tmp_path}/report.pdf"]
    status, answer = curl(duck, app_id, *fields)
    assert (status, answer["data"]["status"]) == (200, "succeeded")
    [call] = calls_of(duck, app_id)
    doc = call.inputs.pop("doc")
    assert call.inputs == {"city": "Oslo", "tone": "casual", "days": 3, "loud": True}
    assert (doc["type"], doc["transfer_method"]) == ("document", "local_file" if duck.way == "key" else "tool_file")
    stored = stored_of(duck, doc)
    assert (stored.name, stored.mime_type, stored.content == content) == ("report.pdf", "application/pdf", True)


def test_curl_sends_five_pictures_at_once_and_inputs_as_json(duck: Duck, app_id: str, tmp_path: Path) -> None:
    names = ["a.png", "b.jpg", "图 片.png", "d.webp", "e.gif"]
    for name in names:
        (tmp_path / name).write_bytes(PNG + name.encode())
    parts = [part for name in names for part in ("-F", f"pics=@{tmp_path}/{name}")]
    status, _ = curl(duck, app_id, "-F", 'inputs={"city": "Oslo"}', *parts)
    assert status == 200
    [call] = calls_of(duck, app_id)
    assert call.inputs.keys() == {"city", "pics"}
    stored = [stored_of(duck, pic) for pic in call.inputs["pics"]]
    assert [(file.name, file.content) for file in stored] == [(name, PNG + name.encode()) for name in names]


@pytest.mark.parametrize(
    ("sent", "name"),
    [("报告 最终.pdf", "报告 最终.pdf"), ("../../x.pdf", "x.pdf"), ("..\\\\..\\\\x.pdf", "x.pdf"), ("a;b=c.pdf", "a;b=c.pdf")],
)
def test_a_file_arrives_under_a_name_that_is_safe(local: Duck, tmp_path: Path, sent: str, name: str) -> None:
    (tmp_path / "file").write_bytes(b"%PDF")
    app_id = local.add(APP)
    status, _ = curl(local, app_id, "-F", "city=Oslo", "-F", f'doc=@{tmp_path}/file;filename="{sent}"')
    assert status == 200
    [call] = calls_of(local, app_id)
    assert stored_of(local, call.inputs["doc"]).name == name


@pytest.mark.parametrize(
    ("parts", "needle"),
    [
        (["city=Oslo", "pics=@a.png", "doc=@empty.pdf"], "inputs.doc: empty.pdf is empty"),
        (["pics=@a.png", "days=soon", "tone=rude", "city=much too long"], "inputs.city: at most 10 characters"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_uploaded(
    local: Duck, tmp_path: Path, parts: list[str], needle: str
) -> None:
    for name, content in (("empty.pdf", b""), ("a.png", PNG)):
        (tmp_path / name).write_bytes(content)
    app_id, before = local.add(APP), len(local.host.files)
    parts = [part.replace("@", f"@{tmp_path}/") for part in parts]
    status, error = curl(local, app_id, *(argument for part in parts for argument in ("-F", part)))
    assert (status, error["code"]) == (400, "invalid_param")
    assert needle in error["message"]
    assert (calls_of(local, app_id), len(local.host.files)) == ([], before)


def test_json_gives_links(duck: Duck, app_id: str) -> None:
    link = {"type": "image", "transfer_method": "remote_url", "url": "https://example.org/b.png"}
    body = {"inputs": {"city": "Oslo", "doc": "https://example.org/a.pdf", "pics": ["https://example.org/a.png", link]}}
    assert duck.client.post(f"/workflow/{app_id}", json=body).status_code == 200
    [call] = calls_of(duck, app_id)
    assert call.inputs["doc"] == {**link, "type": "document", "url": "https://example.org/a.pdf"}
    assert call.inputs["pics"] == [{**link, "url": "https://example.org/a.png"}, link]


def test_a_form_that_hangs_costs_5_seconds_once(local: Duck) -> None:
    def hang() -> dict[str, Any]:
        threading.Event().wait(DEADLINE_S)
        return {}

    app_id, began = local.add(App(mode="workflow", script=WORKFLOW, form=hang)), time.monotonic()
    body = {"inputs": {"any": "thing"}}
    assert local.client.post(f"/workflow/{app_id}", json=body).status_code == 200
    first = time.monotonic() - began
    assert local.client.post(f"/workflow/{app_id}", json=body).status_code == 200
    assert first >= 4
    assert time.monotonic() - began - first < first / 2


def test_an_app_that_may_not_read_an_upload_gets_a_link_to_it() -> None:
    """As Dify 1.16 has it, where a plugin's upload belongs to another user than the run."""
    files, app_id = Files(foreign_owner=True), "00000000-0000-4000-8000-00000000000a"
    with (
        Devhost(ROOT, {app_id: APP}, {"api_key": KEY}, limits=LIMITS, files=files) as host,
        httpx.Client(base_url=host.url, headers=AUTHORIZED, timeout=DEADLINE_S) as client,
    ):
        for style in ("json", "ndjson"):
            options: dict[str, Any] = {"data": {"city": "Oslo"}, "files": {"doc": ("a.pdf", b"%PDF")}}
            response = client.post(f"/workflow/{app_id}", params={"format": style}, **options)
            assert (response.status_code, "succeeded" in response.text) == (200, True)
        assert len(host.calls) == len(host.refused) == 2
        refused, taken = host.refused[-1], host.calls[-1]
        assert refused.inputs["doc"]["transfer_method"] == "tool_file"
        link = httpx.get(taken.inputs["doc"]["url"])
        assert (link.status_code, link.content) == (200, b"%PDF")


def test_a_header_in_another_charset_than_utf_8_does_no_harm(local: Duck) -> None:
    """The SDK by itself answers 500, with its traceback."""
    headers = [(b"X-API-Key", KEY.encode()), (b"X-Name", "Zoë".encode("latin-1")), (b"Content-Type", b"application/json")]
    app_id = local.add(APP)
    response = httpx.post(
        f"{local.host.url}/workflow/{app_id}", headers=headers, json={"inputs": {"city": "Köln"}}, timeout=DEADLINE_S
    )
    assert response.status_code == 200, response.text
    assert local.host.calls[-1].inputs["city"] == "Köln"
