"""The way to an app by its own key: Dify's Service API, over HTTP.

It carries what a plugin's session cannot: completion apps, files for every app, users of their own, and the end of a run. Neither
the key nor the address is in anything that leaves this module, not even in the log.
"""

import contextlib
import logging
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx
from pydantic_core import from_json

from duck import errors, journal, limits
from duck.dify import failures, gateway
from duck.dify.gateway import Gateway
from duck.dify.memory import Memory
from duck.errors import DuckError
from duck.runs import parsing
from duck.runs.files import File, Upload
from duck.runs.run import Kind, Mode, Run
from duck.texts import Text

log = logging.getLogger("duck")

_RUNS: Mapping[Kind, str] = {"chat": "/chat-messages", "completion": "/completion-messages", "workflow": "/workflows/run"}
_STOPS: Mapping[Kind, str] = {"chat": "/chat-messages", "completion": "/completion-messages", "workflow": "/workflows/tasks"}
_KIND_OF_MODE: Mapping[str, Kind] = {
    **dict.fromkeys(("chat", "agent-chat", "advanced-chat"), "chat"),
    "workflow": "workflow",
    "completion": "completion",
}
MAX_ERROR = 10 * 1024 * 1024  # bytes of an answer that is none: what is there may have no end


class ServiceGateway(Gateway):
    """Runs one app by its `key`, for one `user`; `url` is the API's base."""

    silence_s = limits.LIFE_S  # of events; whether Dify is still there its pings tell
    takes_files = can_stop = reads_on = True

    def __init__(self, url: str, key: str, *, endpoint_id: str, user: str, memory: Memory) -> None:
        super().__init__(endpoint_id, memory)
        self._url = url
        self._key_of_app = key
        self._user = user

    def upload(self, file: File) -> Upload:
        """See `Gateway`."""
        part = {"file": (file.name, file.content, file.mimetype)}
        request = self._request("POST", "/files/upload", limits.SERVICE_UPLOAD_S, files=part, data={"user": self._user})
        with self.memory.end_users.request(self._user_of(""), limits.SERVICE_UPLOAD_S), request as response:
            stored = _object(response)
        return Upload(by_id={"type": file.kind, "transfer_method": "local_file", "upload_file_id": stored.get("id")}, by_url=None)

    def info(self) -> Mapping[str, Any]:
        """What the app is: {name, description, mode, …}, up to a minute old; empty where Dify does not tell."""
        return self.memory.infos.answer_if_any(self._key(""), self._info) or {}

    def stop(self, task_id: str) -> None:
        """See `Gateway`. Dify says yes to any run of this user's: also to one that is over, or never was."""
        if (kind := kind_in(self.memory.infos.answer(self._key(""), self._info))) is None:
            raise failures.no_service()
        path = f"{_STOPS[kind]}/{quote(task_id, safe='')}/stop"
        with self._request("POST", path, limits.PARAMETERS_SILENCE_S, json={"user": self._user}) as response:
            _object(response)

    def _events(self, run: Run) -> Generator[Any]:
        body = self._body(run, "streaming")
        with self._request("POST", _RUNS[run.kind], limits.SERVICE_SILENCE_S, run, json=body) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise failures.no_service()
            yield from _data(response.iter_bytes())

    def _answer(self, run: Run) -> Mapping[str, Any]:
        with self._request("POST", _RUNS[run.kind], limits.BLOCKING_SILENCE_S, run, json=self._body(run, "blocking")) as response:
            return _object(response)

    def _fetch(self, app_id: str) -> Mapping[str, Any]:
        del app_id  # the key is of one app
        with self._request("GET", "/parameters", limits.PARAMETERS_SILENCE_S) as response:
            return _object(response)

    def _info(self) -> Mapping[str, Any]:
        with self._request("GET", "/info", limits.PARAMETERS_SILENCE_S) as response:
            return _object(response)

    def _key(self, app_id: str) -> tuple[str, ...]:
        return (*super()._key(app_id), self._key_of_app)  # with another key it is asked anew

    def _user_of(self, app_id: str) -> Hashable:
        del app_id  # the key is of one app
        return *self._key(""), self._user

    def _body(self, run: Run, mode: Mode) -> dict[str, Any]:
        chat = {"query": run.query, "conversation_id": run.conversation_id} if run.kind == "chat" else {}
        body = {"inputs": dict(run.inputs), "response_mode": mode, "user": self._user, "files": [*run.files], **chat}
        gateway.check_size(body, limits.MAX_SERVICE_RUN)
        return body

    @contextlib.contextmanager
    def _request(
        self, method: str, path: str, patience_s: float, run: Run | None = None, **content: Any
    ) -> Iterator[httpx.Response]:
        """Dify's answer, once it is known to be no error. Raises `DuckError`, also for what goes wrong while it is read."""
        timeout = httpx.Timeout(limits.SERVICE_CONNECT_S, read=patience_s, write=limits.SERVICE_UPLOAD_S)
        headers = {"Authorization": f"Bearer {self._key_of_app}"}
        try:
            with self.memory.http.stream(method, self._url + path, headers=headers, timeout=timeout, **content) as response:
                if not response.is_success:
                    raise self._refusal(response, run)
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _failure(error) from None

    def _refusal(self, response: httpx.Response, run: Run | None) -> DuckError:
        """What Dify's error, or whatever else is at the address, means."""
        body = b""
        for block in response.iter_bytes():
            body += block
            if len(body) > MAX_ERROR:
                break
        answer = _json(body)
        answer = answer if isinstance(answer, dict) else {}
        log.warning("Dify's Service API answered %d %s", response.status_code, journal.word(answer.get("code") or ""))
        kind = run.kind if run else ""
        is_refused = answer.get("code") in {f"not_{kind}_app", "app_unavailable"}  # for /completion-messages it is the latter
        if run and is_refused and (other := other_kind(self.info(), kind)):
            return errors.wrong_route(kind, other)
        return failures.from_service(response.status_code, answer, **(gateway.failure_context(run) if run else {}))


def kind_in(info: Mapping[str, Any]) -> Kind | None:
    """The kind of an app by what Dify tells of it, None where it does not tell."""
    return _KIND_OF_MODE.get(str(info.get("mode")))


def other_kind(info: Mapping[str, Any], kind: str) -> Kind | None:
    """The kind of an app where Dify tells of another one than `kind`, else None."""
    actual = kind_in(info)
    return actual if actual != kind else None


def _failure(error: Exception) -> DuckError:
    """What a connection that does not come about, or breaks, means."""
    log.warning("Dify's Service API: %s", type(error).__name__)  # its text, and those of its causes, name the address
    match error:
        case httpx.ReadTimeout():
            return _silent()
        case httpx.ReadError() | httpx.RemoteProtocolError() | httpx.DecodingError():
            return failures.interrupted()
    return _unreachable()


def _data(blocks: Iterable[bytes]) -> Iterator[Any]:
    """The values of a stream of server-sent events, each of which Dify writes as one line of JSON."""
    for line in parsing.lines(blocks):
        if line.startswith(b"data:"):
            yield _json(line[5:])


def _object(response: httpx.Response) -> dict[str, Any]:
    """A whole answer. Raises `DuckError` for one that is no object: something else answers there."""
    value = _json(response.read())
    if not isinstance(value, dict):
        raise failures.no_service()
    return value


def _json(text: bytes) -> Any:
    """A value, None for what is no JSON."""
    try:
        return from_json(text)
    except ValueError:
        return None


def _silent() -> DuckError:
    """An app's own API that stopped talking."""
    return DuckError(504, "timeout", Text("Dify said nothing for too long, not even that it is still at work. Try again."))


def _unreachable() -> DuckError:
    """An app's own API that cannot be reached."""
    message = Text(
        "Dify's Service API cannot be reached. {setting} must be an address that Dify's plugins can reach.",
        setting=errors.setting("service_api_url"),
    )
    return DuckError(502, "app_unavailable", message, private=True)
