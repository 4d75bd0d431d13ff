"""The gateway to an app by the app's own key: Dify's Service API, over HTTP.

It can do what the plugin's session cannot: run completion apps, pass files to every app, tell end users apart, and stop runs.
Nothing that leaves this module has the key or the address in it, not even the log.
"""

import contextlib
import logging
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

import httpx
from pydantic_core import from_json

from duck import errors, journal, limits
from duck.dify import events, failures, forwarding, gateway
from duck.dify.forwarding import Passage, Passed
from duck.dify.gateway import Gateway
from duck.dify.memory import Memory
from duck.errors import DuckError
from duck.runs import parsing
from duck.runs.files import File, Upload
from duck.runs.run import Kind, Mode, Run
from duck.streams.format import Event
from duck.texts import Text

log = logging.getLogger("duck")

_RUN_PATHS: Mapping[Kind, str] = {"chat": "/chat-messages", "completion": "/completion-messages", "workflow": "/workflows/run"}
_STOP_PATHS: Mapping[Kind, str] = {"chat": "/chat-messages", "completion": "/completion-messages", "workflow": "/workflows/tasks"}
_KIND_OF_MODE: Mapping[str, Kind] = {
    **dict.fromkeys(("chat", "agent-chat", "advanced-chat"), "chat"),
    "workflow": "workflow",
    "completion": "completion",
}
type Translate = Callable[[int, Mapping[str, Any]], DuckError]

MAX_ERROR = 10 * 1024 * 1024  # bytes that are read of an error


class ServiceGateway(Gateway):
    """Runs one app by its `key`, for one `user`. `url` is the API's base URL."""

    silence_s = limits.LIFE_S  # without events; Dify's pings show that it is still there
    takes_files = can_stop = reads_on = keeps_runs = True

    def __init__(self, url: str, key: str, *, endpoint_id: str, user: str, memory: Memory) -> None:
        super().__init__(endpoint_id, memory)
        self._url = url
        self._api_key = key
        self._user = user

    def upload(self, file: File) -> Upload:
        """See `Gateway`."""
        part = {"file": (file.name, file.content, file.mimetype)}
        request = self._request("POST", "/files/upload", limits.SERVICE_UPLOAD_S, files=part, data={"user": self._user})
        with self.memory.end_users.request(self._end_user(""), limits.SERVICE_UPLOAD_S), request as response:
            stored = read_object(response)
        return Upload(by_id={"type": file.kind, "transfer_method": "local_file", "upload_file_id": stored.get("id")}, by_url=None)

    def info(self) -> Mapping[str, Any]:
        """See `Gateway`. At most a minute old; empty if the request failed."""
        return self.memory.infos.answer_if_any(self._cache_key(""), self._fetch_info) or {}

    def site(self) -> Mapping[str, Any]:
        """See `Gateway`. At most a minute old; empty if the request failed, as for an app whose page is switched off."""
        return self.memory.sites.answer_if_any(self._cache_key(""), lambda: self._fetch("/site")) or {}

    def about(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """See `Gateway`."""
        with ThreadPoolExecutor(1) as pool:
            site = pool.submit(self.site)
            return self.info(), site.result()

    def kind(self, app_id: str, *, before: Callable[[], None] = lambda: None) -> Kind | None:
        """See `Gateway`."""
        known = super().kind(app_id)
        if known is None:
            before()
        return known or kind_in(self.info())

    def stop(self, task_id: str) -> None:
        """See `Gateway`. Dify reports success even for a run that is over or has never existed."""
        if (kind := kind_in(self.memory.infos.answer(self._cache_key(""), self._fetch_info))) is None:
            raise failures.no_service()
        path = f"{_STOP_PATHS[kind]}/{quote(task_id, safe='')}/stop"
        with self._request("POST", path, limits.PARAMETERS_SILENCE_S, json={"user": self._user}) as response:
            read_object(response)

    def forward(self, passage: Passage) -> Passed:
        """See `Gateway`."""
        with (
            self.memory.end_users.request(self._end_user(""), limits.SERVICE_SILENCE_S),
            self._passing(passage) as response,
        ):
            content = _read(response, limits.MAX_FORWARDED)
            if len(content) > limits.MAX_FORWARDED:
                raise forwarding.too_large(limits.MAX_FORWARDED)
            if not passage.takes_bytes and response.status_code != 204 and not isinstance(_parsed(content), dict):
                raise failures.no_service()
        headers = {name: response.headers[name] for name in ("Content-Type", "Content-Disposition") if name in response.headers}
        return Passed(status=response.status_code, headers=headers, content=content)

    def forward_events(self, passage: Passage) -> Generator[Event]:
        """See `Gateway`."""
        with self._passing(passage) as response:
            for value in sse_values(response):
                if events.is_event(value):
                    yield value

    def _passing(self, passage: Passage) -> AbstractContextManager[httpx.Response]:
        content = passage.content(self._user)
        return self._request(
            passage.method, passage.path, limits.SERVICE_SILENCE_S, translate=failures.from_forwarding, **content
        )

    def _events(self, run: Run) -> Generator[Any]:
        body = self._body(run, "streaming")
        with self._request("POST", _run_path(run), limits.SERVICE_SILENCE_S, run, json=body) as response:
            yield from sse_values(response)

    def _answer(self, run: Run) -> Mapping[str, Any]:
        body = self._body(run, "blocking")
        with self._request("POST", _run_path(run), limits.BLOCKING_SILENCE_S, run, json=body) as response:
            return read_object(response)

    def _fetch_parameters(self, app_id: str) -> Mapping[str, Any]:
        del app_id  # the key is of one app
        return self._fetch("/parameters")

    def _fetch_info(self) -> Mapping[str, Any]:
        return self._fetch("/info")

    def _fetch(self, path: str) -> Mapping[str, Any]:
        with self._request("GET", path, limits.PARAMETERS_SILENCE_S) as response:
            return read_object(response)

    def _cache_key(self, app_id: str) -> tuple[str, ...]:
        return (*super()._cache_key(app_id), self._api_key)  # so that a new key is not answered from the cache

    def _end_user(self, app_id: str) -> Hashable:
        del app_id  # the key is of one app
        return *self._cache_key(""), self._user

    def _body(self, run: Run, mode: Mode) -> dict[str, Any]:
        chat = {"query": run.query, "conversation_id": run.conversation_id} if run.kind == "chat" else {}
        if chat and run.version:
            chat["workflow_id"] = run.version
        body = {"inputs": dict(run.inputs), "response_mode": mode, "user": self._user, "files": [*run.files], **chat}
        gateway.check_size(body, limits.MAX_SERVICE_RUN)
        return body

    @contextlib.contextmanager
    def _request(
        self,
        method: str,
        path: str,
        patience_s: float,
        run: Run | None = None,
        *,
        translate: Translate | None = None,
        **content: Any,
    ) -> Iterator[httpx.Response]:
        """The response to a request, if it is no error. Raises `DuckError`, also if reading the response fails.

        An error response becomes what `translate` makes of its status and document.
        """
        timeout = httpx.Timeout(limits.SERVICE_CONNECT_S, read=patience_s, write=limits.SERVICE_UPLOAD_S)
        headers = {"Authorization": f"Bearer {self._api_key}"}
        try:
            with self.memory.http.stream(method, self._url + path, headers=headers, timeout=timeout, **content) as response:
                if not response.is_success:
                    raise self._http_error(response, run, translate)
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _connection_error(error) from None

    def _http_error(self, response: httpx.Response, run: Run | None, translate: Translate | None) -> DuckError:
        """Translates an error response, from Dify or from another server at the address."""
        answer = _parsed(_read(response, MAX_ERROR))
        answer = answer if isinstance(answer, dict) else {}
        log.warning("Dify's Service API answered %d %s", response.status_code, journal.word(answer.get("code") or ""))
        if run and run.version and response.status_code == 404:
            translate = failures.from_forwarding  # there is no such version
        if translate:
            return translate(response.status_code, answer)
        kind = run.kind if run else ""
        may_be_other = answer.get("code") in {f"not_{kind}_app", "app_unavailable"}  # /completion-messages answers the latter
        if run and may_be_other and (other := other_kind(self.info(), kind)):
            return errors.wrong_route(kind, other)
        return failures.from_service(response.status_code, answer, **(gateway.failure_context(run) if run else {}))


def _run_path(run: Run) -> str:
    is_version = run.kind == "workflow" and run.version
    return f"/workflows/{quote(run.version, safe='')}/run" if is_version else _RUN_PATHS[run.kind]


def kind_in(info: Mapping[str, Any]) -> Kind | None:
    """The kind of an app by its `/info`, None if that does not have it."""
    return _KIND_OF_MODE.get(str(info.get("mode")))


def other_kind(info: Mapping[str, Any], kind: str) -> Kind | None:
    """The kind of an app by its `/info`, None if that is `kind` or not known."""
    actual = kind_in(info)
    return actual if actual != kind else None


def _connection_error(error: Exception) -> DuckError:
    """Translates an error of httpx."""
    log.warning("Dify's Service API: %s", type(error).__name__)  # the texts of the error and of its causes name the address
    match error:
        case httpx.ReadTimeout():
            return _timed_out()
        case httpx.ReadError() | httpx.RemoteProtocolError() | httpx.DecodingError():
            return failures.interrupted()
    return _unreachable()


def sse_values(response: httpx.Response) -> Iterator[Any]:
    """The values of a stream of server-sent events. Dify writes each as one line of JSON.

    Raises `DuckError` for any other response: it does not come from Dify.
    """
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        raise failures.no_service()
    for line in parsing.lines(response.iter_bytes()):
        if line.startswith(b"data:"):
            yield _parsed(line[5:])


def _read(response: httpx.Response, limit: int) -> bytes:
    """The response's body, or some more than `limit` bytes of a longer one: some other server may send one without an end."""
    content = bytearray()
    for block in response.iter_bytes():
        content += block
        if len(content) > limit:
            break
    return bytes(content)


def read_object(response: httpx.Response) -> dict[str, Any]:
    """The response's JSON object. Raises `DuckError` for any other body: it does not come from Dify."""
    value = _parsed(response.read())
    if not isinstance(value, dict):
        raise failures.no_service()
    return value


def _parsed(text: bytes) -> Any:
    """The JSON value, None if the text is no JSON."""
    try:
        return from_json(text)
    except ValueError:
        return None


def _timed_out() -> DuckError:
    """The Service API stopped sending."""
    return DuckError(504, "timeout", Text("Dify said nothing for too long, not even that it is still at work. Try again."))


def _unreachable() -> DuckError:
    """The Service API cannot be reached."""
    message = Text(
        "Dify's Service API cannot be reached. {setting} must be an address that Dify's plugins can reach.",
        setting=errors.setting("service_api_url"),
    )
    return DuckError(502, "app_unavailable", message, private=True)
