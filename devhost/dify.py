"""The stand-in for Dify: answers the plugin's backwards calls from scripted apps, files and a storage in memory.

Every call that an app's own code answers runs in a thread of its own, so that a script may block; its replies go back
through the event loop. A failure reaches a plugin as a text and nothing else.
"""

import asyncio
import contextlib
import logging
import threading
import uuid
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from devhost.apps import CHAT_MODES, FLOW_MODES, UNKNOWN_ERROR, App, Call, Event, Failure, Pause, fold
from devhost.files import Files
from devhost.inputs import Find, no_upload, prepare
from devhost.wire import END, Reply

REPLIES_AHEAD = 4096  # of one call, before it waits for the plugin: so that an endless script cannot fill the memory

# The permission of the manifest that each kind of backwards call needs. Uploads need none.
PERMISSIONS = {"app": "app", "fetch_app": "app", "storage": "storage"}
STORAGE_FULL = Failure("save data failed: allocated size is greater than max storage size")
NOT_STORED = Failure("load data failed, please check if the key is correct or you have not set it")
NO_APP_ID = (
    "error validating struct: Key: 'InvokeAppRequest.InvokeAppSchema.AppId' "
    "Error:Field validation for 'AppId' failed on the 'required' tag"
)
NO_FORM = Failure("fetch app failed: data is nil")  # whatever the reason: the daemon does not look at Dify's status

logger = logging.getLogger("devhost")


type Replies = Generator[Reply | Pause, None, None]
type Send = Callable[[Reply, float], None]
type Drain = Callable[[], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Dify:
    """One workspace: its apps and files, what the plugin may do, and `calls`, to which every call that gets here is added.

    `storage_size` is how many bytes the plugin may store, by its manifest.
    """

    apps: Mapping[str, App]
    permissions: frozenset[str]
    calls: list[Call]
    files: Files = field(default_factory=Files)
    storage_size: int = 0
    _storage: dict[str, bytes] = field(default_factory=dict, init=False)

    def answer(self, kind: str, request: Mapping[str, Any]) -> Replies:
        """The replies to one backwards call, without the closing `end`. Lazy: what blocks, blocks while iterating.

        `kind` is the type of the call (`app`, `fetch_app`, ...) and `request` what the SDK put into it.
        """
        needed = PERMISSIONS.get(kind)
        if needed is not None and needed not in self.permissions:
            return _failed(f"permission denied, you need to enable {needed} access in plugin manifest")
        match kind:
            case "app":
                return self.invoke(request)
            case "fetch_app":
                return self._fetch(request)
            case "upload_file":
                return _struct(lambda: self._upload(request))
            case "storage":
                return _struct(lambda: self._store(request))
        return _failed(f"devhost does not answer backwards calls of type {kind}")

    def invoke(self, request: Mapping[str, Any], *, uploads: Find = no_upload, **more: Any) -> Replies:
        """The replies to a run of an app. `uploads` finds what its user has uploaded, `more` is what no plugin can say."""
        try:
            call = replace(_read_call(request), **more)
        except ValueError as error:
            return _failed(f"unmarshal backwards invoke request failed: {error}")
        self.calls.append(call)
        try:
            app = self._admit(call, request)
            call = replace(call, inputs=self._inputs(app, call, uploads), files=self.files)
        except ValueError as error:
            return _failed(Failure.http(400, "invalid_param", str(error)).text)
        except TypeError:
            return _failed(UNKNOWN_ERROR.text)
        if app.blocking is None or call.response_mode == "streaming":
            return _steps(app, call)
        return _struct(lambda: app.answer(call))

    def _admit(self, call: Call, request: Mapping[str, Any]) -> App:
        """The app, if the call fits it. Raises `ValueError` with Dify's words for 400, and `TypeError` where it answers 500."""
        app = self._find(call.app_id)
        if request.get("inputs") is None:
            raise ValueError("invalid payload: inputs: Input should be a valid dictionary")
        if app is None:
            raise ValueError("app not found")
        if app.mode not in {*CHAT_MODES, "workflow", "completion"}:
            raise ValueError("unexpected app type")
        if app.mode in CHAT_MODES and not call.query:
            raise ValueError("missing query")
        if app.mode == "agent-chat" and call.response_mode != "streaming":
            raise ValueError("Agent Chat App does not support blocking mode")
        if app.mode in CHAT_MODES and call.conversation_id and not is_uuid(call.conversation_id):
            raise TypeError("the database refuses it")
        return app

    def _inputs(self, app: App, call: Call, uploads: Find) -> dict[str, Any]:
        """What the app's form makes of the inputs. Without one that can be read beforehand they stay as they are."""
        form = app.form.get("user_input_form") if isinstance(app.form, dict) else None
        if form is None:
            return call.inputs
        return prepare(call.inputs, form, self.files.input, uploads, basic=app.mode not in FLOW_MODES)

    def _fetch(self, request: Mapping[str, Any]) -> Replies:
        app = self._find(request["app_id"])
        return _failed(NO_FORM.text) if app is None else _struct(app.fetch)

    def _upload(self, request: Mapping[str, Any]) -> Event:
        return {"url": self.files.upload_url(request["filename"], request["mimetype"])}

    def _store(self, request: Mapping[str, Any]) -> Event | Failure:
        """Values travel in hex. Nothing expires, and nothing outlives devhost."""
        key, stored = request["key"], self._storage
        match request["opt"]:
            case "exist":
                return {"data": key in stored}
            case "get":
                return {"data": stored[key].hex()} if key in stored else NOT_STORED
            case "del":
                stored.pop(key, None)
            case "set":
                value = bytes.fromhex(request["value"])
                if sum(map(len, {**stored, key: value}.values())) > self.storage_size:
                    return STORAGE_FULL
                stored[key] = value
        return {"data": "ok"}

    def _find(self, app_id: str) -> App | None:
        """The app with this id, in any spelling of a UUID."""
        return self.apps.get(str(uuid.UUID(app_id))) if is_uuid(app_id) else None


class Run:
    """One backwards call being answered: a thread makes the replies, `send` gets each of them in the event loop.

    With it comes how many seconds the script has paused so far: its own time, whatever else the machine is doing.
    `drain` is awaited now and then until the plugin has read most of them.
    """

    def __init__(self, replies: Replies, send: Send, drain: Drain) -> None:
        self._replies = replies
        self._send = send
        self._drain = drain
        self._loop = asyncio.get_running_loop()
        self._cancelled = threading.Event()
        self._paused_s = 0.0
        # A daemon thread: a script that blocks for ever must not keep the process from ending.
        threading.Thread(target=self._work, name="devhost-call", daemon=True).start()

    def cancel(self) -> None:
        """Ends the run: no reply is sent any more, and the script is closed as soon as it gives its next step."""
        self._cancelled.set()

    def _work(self) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is gone, and with it whom to answer
            try:
                closing = self._stream()
            except Exception as error:  # a script is a test's own code; a stream that breaks in Dify looks like this
                if self._cancelled.is_set():
                    return
                logger.warning("an app's script failed", exc_info=True)
                closing = [Reply("error", f"read app failed: request failed: {error}")]
            # Together: for the plugin the answer or the error is enough, and with its session over no `end` would be sent.
            self._put(*closing, END)

    def _stream(self) -> list[Reply]:
        """Hands on the events of a stream; gives what else there is, the answer or an error."""
        closing: list[Reply] = []
        with contextlib.closing(self._replies):  # so that the `finally` of a script runs now, not some time
            for count, reply in enumerate(self._replies, start=1):
                if isinstance(reply, Pause):
                    self._cancelled.wait(reply.seconds)
                    self._paused_s += reply.seconds
                elif reply.message == "stream":
                    self._put(reply)
                else:
                    closing.append(reply)
                if self._cancelled.is_set():
                    break
                if count % REPLIES_AHEAD == 0:
                    asyncio.run_coroutine_threadsafe(self._drain(), self._loop).result()
        return closing

    def _put(self, *replies: Reply) -> None:
        self._loop.call_soon_threadsafe(self._hand_on, replies, self._paused_s)

    def _hand_on(self, replies: Sequence[Reply], paused_s: float) -> None:
        for reply in replies:
            if not self._cancelled.is_set():
                self._send(reply, paused_s)


def _read_call(request: Mapping[str, Any]) -> Call:
    """Reads a call as the daemon decodes it: unknown keys dropped, null and missing strings as "".

    Raises `ValueError` with the daemon's text for wrong types and for an empty app id.
    """
    texts = {name: request.get(name) for name in ("app_id", "query", "response_mode", "conversation_id", "user")}
    inputs = request.get("inputs")
    wrong = [name for name, value in texts.items() if not isinstance(value, str | None)]
    if wrong or not isinstance(inputs, dict | None):
        raise ValueError(f"error decoding map: unconvertible type of {', '.join(wrong) or 'inputs'}")
    if not texts["app_id"]:
        raise ValueError(NO_APP_ID)
    fields: dict[str, Any] = {name: value or "" for name, value in texts.items()}
    return Call(inputs=inputs or {}, **fields)


def is_uuid(text: str) -> bool:
    """Whether a database would take the text for a UUID."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _steps(app: App, call: Call) -> Replies:
    """The events of the script as they come, or for a blocking run the answer that they add up to."""
    steps, seen, streaming = app.steps(call), list[Event](), call.response_mode == "streaming"
    try:
        for step in steps:
            if isinstance(step, Failure):
                yield Reply("error", step.text)
                return
            if isinstance(step, Pause):
                yield step
            elif streaming:
                yield Reply("response", "stream", step)
            else:
                seen.append(step)
    finally:
        getattr(steps, "close", lambda: None)()
    if not streaming:
        yield from _struct(lambda: fold(app.mode, seen))


def _struct(make: Callable[[], dict[str, Any] | Failure]) -> Replies:
    made = make()
    yield Reply("error", made.text) if isinstance(made, Failure) else Reply("response", "struct", made)


def _failed(text: str) -> Replies:
    yield Reply("error", text)
