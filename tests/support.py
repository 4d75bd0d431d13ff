"""Shared by tests: real Werkzeug requests, a scripted Dify, and recorded streams."""

import json
import logging
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import html5lib
import pytest
from werkzeug import Request, Response
from werkzeug.test import EnvironBuilder

from duck.clock import SystemClock
from duck.dify.session import SessionGateway
from duck.faces.api import serve
from duck.runs.run import Kind
from duck.texts import Fault

SAMPLES = Path(__file__).parent / "samples"
STREAMS = sorted(path.name.removesuffix(".ndjson") for path in SAMPLES.glob("*.ndjson"))

KEY = "a-right-key"
APP = "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"  # its `Accept`
SETTINGS: Mapping[str, Any] = {"api_key": KEY, "default_app": None, "apps": ""}

type Step = dict[str, Any] | Exception


def sample(name: str) -> list[dict[str, Any]]:
    """The events of a recorded stream."""
    return [json.loads(line) for line in (SAMPLES / f"{name}.ndjson").read_text("utf-8").splitlines()]


def sample_run(name: str) -> list[dict[str, Any]]:
    """The events of a recorded stream as one run sends them: a catalogue of events has many ends, and gets a single one."""
    events = sample(name)
    if not name.startswith("rare-events"):
        return events
    ends = {"message_end", "workflow_finished", "workflow_paused", "error"}
    return [*(event for event in events if event["event"] not in ends), sample(kind_of_sample(name))[-1]]


def recorded(name: str) -> dict[str, Any]:
    """A recorded JSON document."""
    document: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))
    return document


def blocking_sample(name: str) -> dict[str, Any]:
    """A recorded blocking answer."""
    return recorded(f"{name}.blocking")


def without_nulls(value: Any) -> Any:
    """The value without its null fields: basic apps leave them out of streams, and write them into blocking answers."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def kind_of_sample(name: str) -> Kind:
    """The kind of app that a sample was recorded from."""
    if "workflow" in name:
        return "workflow"
    return "completion" if name.startswith("completion") else "chat"


class Log:
    """The lines about requests that the log has so far."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def lines(self) -> list[str]:
        """All of them."""
        return [record.getMessage() for record in self._caplog.records if record.levelno == logging.INFO]

    def line(self) -> str:
        """The only one."""
        [line] = self.lines()
        return line


class NoSleepClock(SystemClock):
    """The system's time, without waiting."""

    def sleep(self, seconds: float) -> None:
        """Does nothing."""


class Time:
    """A clock that the test moves, and that nobody has to wait for: `waits` are the seconds that somebody would have waited."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []

    def now(self) -> float:
        """The time that the test has set, in seconds."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Notes the seconds."""
        self.waits.append(seconds)


class Dify:
    """A Dify behind a plugin's session. It answers calls as the test has scripted, and records them.

    `stream` are the steps of a streaming run, `blocking` is the answer of a blocking one. `form` is the answer of `fetch_app`,
    which fails without one. `kind_answer` is the answer of the call that finds out the app's kind. Uploads fail with
    `upload_error`. An exception in place of an answer or a step is raised where the SDK would raise it.
    """

    def __init__(
        self,
        stream: Iterable[Step] | Callable[[], Iterable[Step]] = (),
        blocking: Step | None = None,
        form: Step | Callable[[], Step] | None = None,
        upload_error: Exception | None = None,
        kind_answer: Step | None = None,
    ) -> None:
        self.calls: list[dict[str, Any]] = []
        self.fetched: list[str] = []
        self.uploaded: list[tuple[str, bytes, str]] = []
        self.endpoint_id = str(uuid.uuid4())
        self.file = SimpleNamespace(upload=self._upload)
        self.silence_limits: list[int] = []
        self.max_invocation_timeout = 250
        self.app = SimpleNamespace(fetch_app=self._fetch_app, workflow=SimpleNamespace(invoke=self._invoke_workflow))
        self.kind_calls: list[dict[str, Any]] = []
        self.reader: Any = None
        self._stream = stream
        self._blocking = blocking
        self._form = form
        self._upload_error = upload_error
        self._kind_answer = kind_answer

    def invoke(self, **call: Any) -> Any:
        """The session's `invoke`, for any kind of app."""
        self.calls.append(call)
        if call["response_mode"] == "streaming":
            return self._steps()
        self.silence_limits.append(self.max_invocation_timeout)
        return self._result(self._blocking)

    def gateway(self) -> SessionGateway:
        """The gateway to this Dify."""
        return SessionGateway(self, self.invoke)

    def _steps(self) -> Iterator[Any]:
        self.silence_limits.append(self.max_invocation_timeout)
        for step in self._stream() if callable(self._stream) else self._stream:
            yield self._result(step)

    def _fetch_app(self, app_id: str) -> Any:
        self.fetched.append(app_id)
        self.fetch_limit = self.max_invocation_timeout
        form = self._form() if callable(self._form) else self._form
        return self._result(Exception("fetch app failed: data is nil") if form is None else form)

    def _invoke_workflow(self, **call: Any) -> Any:
        self.kind_calls.append(call)
        return self._result(self._kind_answer)

    def _upload(self, filename: str, content: bytes, mimetype: str) -> Any:
        self.uploaded.append((filename, content, mimetype))
        if self._upload_error:
            raise self._upload_error
        by_id = {"tool_file_id": f"id of {filename}", "transfer_method": "tool_file", "type": "document"}
        return SimpleNamespace(to_app_parameter=lambda: by_id, preview_url=f"https://dify/files/{filename}")

    @staticmethod
    def _result(step: Any) -> Any:
        if isinstance(step, Exception):
            raise step
        return step


def sentences(faults: Iterable[Fault]) -> list[str]:
    """Faults as callers read them."""
    return [str(fault) for fault in faults]


def http_error(status: int, code: str, message: str) -> Exception:
    """The exception that the SDK raises if Dify answers a call with an HTTP error."""
    body = json.dumps({"code": code, "message": message, "status": status}) + "\n"
    return Exception(f"invoke app failed: request failed with status code: {status} and respond with: {body}")


def basic(password: str, user: str = "me") -> dict[str, str]:
    """The header in which a browser sends a password."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def make_request(method: str = "POST", path: str = "/", *, key: str | None = KEY, **options: Any) -> Request:
    """A request as the SDK makes one; `options` are those of Werkzeug's `EnvironBuilder`."""
    headers = dict(options.pop("headers", {}))
    if key is not None:
        headers.setdefault("Authorization", f"Bearer {key}")
    return EnvironBuilder(method=method, path=path, headers=headers, **options).get_request(Request)


def call(dify: Dify, kind: Kind = "chat", *, settings: Mapping[str, Any] = SETTINGS, app: str = APP, **options: Any) -> Response:
    """One request through `serve.serve`; `options` are those of `make_request`. Without a body the query is "hi"."""
    if options.get("method", "POST") == "POST" and not options.keys() & {"json", "data"}:
        options["json"] = {"query": "hi"}
    default_format = options.pop("default_format", None)
    request = make_request(path=options.pop("path", f"/{kind}/{app}"), **options)
    return serve.serve(request, app, settings, dify.gateway(), kind=kind, default_format=default_format)


def body_of(response: Response) -> bytes:
    """The whole body, as the SDK would send it."""
    return b"".join(part.encode() if isinstance(part, str) else part for part in response.response)


def parsed(body: bytes) -> Any:
    """An HTML page as its root element. Raises `html5lib`'s `ParseError` if the HTML is invalid."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(body, transport_encoding="utf-8")


def page_of(response: Response) -> Any:
    """The body of a response that is a page, parsed."""
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    return parsed(body_of(response))


def json_of(response: Response) -> Any:
    """The body of a response that is JSON, parsed."""
    return json.loads(body_of(response))
