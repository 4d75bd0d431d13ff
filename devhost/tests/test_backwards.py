"""devhost's files and storage, used by the real SDK."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devhost import App, Call, Devhost
from devhost.apps import Step
from devhost.tests.support import HTTP

APP = "00000000-0000-4000-8000-0000000000ee"
FORM = {"user_input_form": [{"file": {"variable": "doc", "type": "file", "label": "Doc", "required": True}}]}

PLUGIN = """
import json

from dify_plugin import Endpoint
from werkzeug import Response


class Keeping(Endpoint):
    def _invoke(self, r, values, settings):
        return Response(json.dumps(getattr(self, "do_" + values["act"])(r)), content_type="application/json")

    def do_file(self, r):
        upload = self.session.file.upload("a report.txt", r.args["text"].encode(), "text/plain")
        parameter = upload.to_app_parameter()
        if "preview" in r.args:
            parameter = {"type": "document", "transfer_method": "remote_url", "url": upload.preview_url}
        try:
            answer = list(self.session.app.workflow.invoke(r.args["app"], {"doc": parameter}, "streaming"))
        except Exception as error:
            answer = str(error)
        return {"url": upload.preview_url, "size": upload.size, "name": upload.name, "answer": answer}

    def do_storage(self, r):
        storage = self.session.storage
        storage.set("k", b"v")
        stored = [storage.exist("k"), storage.get("k").decode()]
        storage.delete("k")
        try:
            storage.get("k")
        except Exception as error:
            return [*stored, storage.exist("k"), str(error)]
"""


def script(call: Call) -> Iterator[Step]:
    yield {"event": "workflow_finished", "workflow_run_id": "r", "task_id": "t", "data": {"outputs": call.inputs}}


@pytest.fixture(scope="module")
def host(witness: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devhost]:
    plugin = shutil.copytree(witness, tmp_path_factory.mktemp("keeping") / "plugin")
    (plugin / "endpoints/witness.py").write_text(PLUGIN)
    manifest = (plugin / "manifest.yaml").read_text()
    permission = "    app: {enabled: true}\n"
    (plugin / "manifest.yaml").write_text(
        manifest.replace(permission, f"{permission}    storage: {{enabled: true, size: 1024}}\n")
    )
    with Devhost(plugin, {APP: App(mode="workflow", script=script, form=FORM)}) as running:
        yield running


def get(host: Devhost, path: str, **params: str) -> Any:
    return HTTP.get(host.url + path, params=params).json()


def test_an_upload_becomes_an_input_of_an_app_and_can_be_read_by_its_url(host: Devhost) -> None:
    made = get(host, "/file", text="some text", app=APP)
    [end] = made["answer"]
    assert (made["name"], made["size"]) == ("a report.txt", 9)
    assert end["data"]["outputs"]["doc"]["filename"] == "a report.txt"
    assert HTTP.get(made["url"]).text == "some text"


def test_values_are_stored_until_they_are_deleted(host: Devhost) -> None:
    missing = "load data failed, please check if the key is correct or you have not set it"
    assert get(host, "/storage") == [True, "v", False, missing]


def test_an_upload_of_another_owner_is_refused_and_its_preview_url_is_accepted(
    host: Devhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host.files, "foreign_owner", True)
    refused = get(host, "/file", text="some text", app=APP)["answer"]
    assert refused.startswith("invoke app failed: request failed with status code: 400 and respond with: ")
    assert "ToolFile " in refused
    [end] = get(host, "/file", text="some text", app=APP, preview="1")["answer"]
    assert end["data"]["outputs"]["doc"]["transfer_method"] == "remote_url"
