"""The stand-in for Dify: answers the plugin's backwards calls from scripted apps, and from files and a storage in memory.

A failure reaches a plugin only as a text.
"""

import contextlib
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from devhost.apps import CHAT_MODES, FLOW_MODES, UNKNOWN_ERROR, App, Call, Event, Failure, Pause
from devhost.asking import Ask, WaitingForm
from devhost.execution import Execution
from devhost.files import Files
from devhost.flows import FlowRun, FlowRuns
from devhost.history import History
from devhost.inputs import no_upload, prepare
from devhost.recording import Recording
from devhost.run import Caller, Replies
from devhost.timeline import Timeline
from devhost.users import CREATION_S, PLUGINS, EndUsers
from devhost.wire import Reply

# The permission that each type of backwards call needs. Uploads need none.
PERMISSIONS = {"app": "app", "fetch_app": "app", "storage": "storage"}
STORAGE_FULL = Failure("save data failed: allocated size is greater than max storage size")
NOT_STORED = Failure("load data failed, please check if the key is correct or you have not set it")
NO_APP_ID = (
    "error validating struct: Key: 'InvokeAppRequest.InvokeAppSchema.AppId' "
    "Error:Field validation for 'AppId' failed on the 'required' tag"
)
NO_FORM = Failure("fetch app failed: data is nil")  # for every reason: the daemon ignores Dify's status


class UnknownConversationError(Exception):
    """The conversation belongs to another end user, or to none."""


@dataclass(slots=True)
class Dify:
    """One workspace: its apps and files, and the plugin's permissions.

    Every run of an app is added to `calls`; a call that Dify refuses before it makes a run is added to `refused`.
    `storage_size` is the number of bytes that the plugin may store, by its manifest.
    """

    apps: Mapping[str, App]
    permissions: frozenset[str]
    calls: list[Call]
    refused: list[Call] = field(default_factory=list)
    files: Files = field(default_factory=Files)
    storage_size: int = 0
    timeline: Timeline = field(default_factory=Timeline)
    end_users: EndUsers = field(default_factory=EndUsers, init=False)
    history: History = field(default_factory=History, init=False)
    runs: FlowRuns = field(default_factory=FlowRuns, init=False)
    forms: dict[str, WaitingForm] = field(default_factory=dict, init=False)  # by token
    _storage: dict[str, bytes] = field(default_factory=dict, init=False)

    def answer(self, kind: str, request: Mapping[str, Any], caller: Caller | None = None) -> Replies:
        """The replies to one backwards call, without the closing `end`. Lazy: a script blocks while the replies are iterated.

        `kind` is the type of the call (`app`, `fetch_app`, ...), `request` its data from the SDK, and `caller` who reads them.
        """
        needed = PERMISSIONS.get(kind)
        if needed is not None and needed not in self.permissions:
            return _failed(f"permission denied, you need to enable {needed} access in plugin manifest")
        match kind:
            case "app":
                return self.invoke(request, caller=caller)
            case "fetch_app":
                return self._fetch(request)
            case "upload_file":
                return _struct(lambda: self._upload(request))
            case "storage":
                return _struct(lambda: self._store(request))
        return _failed(f"devhost does not answer backwards calls of type {kind}")

    def invoke(
        self,
        request: Mapping[str, Any],
        *,
        by_key: bool = False,
        attached: Sequence[Event] = (),
        end_user: str = "",
        caller: Caller | None = None,
    ) -> Replies:
        """The replies to a run of an app, for its `caller`. `Call` describes the other options, which need the app's own key."""
        try:
            call = replace(_read_call(request), by_key=by_key, attached=attached, end_user=end_user)
        except ValueError as error:
            return _failed(f"unmarshal backwards invoke request failed: {error}")
        app = self._find(call.app_id)
        if request.get("inputs") is not None and app is not None:
            return self._run(app, call, caller or Caller())
        self.refused.append(call)
        return _refused("app not found" if app is None else "invalid payload: inputs: Input should be a valid dictionary")

    def _run(self, app: App, received: Call, caller: Caller) -> Replies:
        call = replace(received, app_id=str(uuid.UUID(received.app_id)))
        if not call.by_key and app.mode in CHAT_MODES:  # other apps have no data of end users
            call = replace(call, end_user=(yield from self._plugins_user(call.app_id)))
        try:
            _validate(app, call)
            call = self._check_conversation(app, call)
            call = replace(call, inputs=self._inputs(app, call), query=call.query.replace("\0", ""), files=self.files)
        except (UnknownConversationError, ValueError, TypeError) as error:
            self.refused.append(received)
            yield from _refusal(error)
        else:
            self.calls.append(received)
            yield from self._answer(app, call, caller)

    def _plugins_user(self, app_id: str) -> Generator[Pause, None, str]:
        """The id of the end user that all plugins' calls of the app share."""
        found = self.end_users.find(app_id, PLUGINS)
        if found is None:
            yield Pause(CREATION_S)
            found = self.end_users.create(app_id, PLUGINS)
        return found

    def _check_conversation(self, app: App, call: Call) -> Call:
        """The call, if its conversation belongs to its end user; for chatflows else a call that begins a conversation.

        A plugin's call may name an unknown conversation: the script decides. Raises `UnknownConversationError` or `ValueError`
        if Dify refuses the conversation.
        """
        if app.mode not in CHAT_MODES or not call.conversation_id:
            return call
        owner = self.history.owner(call.app_id, call.conversation_id)
        if owner == call.end_user or (owner is None and not call.by_key):
            return call
        if call.by_key:
            raise UnknownConversationError
        if app.mode == "advanced-chat":  # silently begins a new conversation
            return replace(call, conversation_id="")
        raise ValueError

    def _inputs(self, app: App, call: Call) -> dict[str, Any]:
        """The inputs as the app's form prepares them. Without a form, or with a function for it, they stay unchanged."""
        form = app.form.get("user_input_form") if isinstance(app.form, dict) else None
        if form is None:
            return call.inputs
        uploads = partial(self.files.upload_of, owner=call.end_user) if call.by_key else no_upload
        return prepare(call.inputs, form, self.files.input, uploads, basic=app.mode not in FLOW_MODES)

    def _answer(self, app: App, call: Call, caller: Caller) -> Replies:
        """The replies of a valid run, which is recorded for the call's end user."""
        recording = Recording(app, call, caller, self.history, self.runs, self.timeline)
        caller.recording = recording
        caller.outlived = app.mode in FLOW_MODES or call.response_mode != "streaming"
        if app.blocking is None or call.response_mode == "streaming":
            with contextlib.closing(Execution(app, call, recording, self._open).replies()) as replies:
                yield from replies
            return
        answer = app.answer(call)
        if not isinstance(answer, Failure):
            recording.answered(answer)
        recording.end()
        yield from _struct(lambda: answer)

    def _open(self, ask: Ask, run: FlowRun) -> WaitingForm:
        form = WaitingForm(ask, run.call.app_id, run.common(), self.timeline)
        self.forms[form.token] = form
        return form

    def _fetch(self, request: Mapping[str, Any]) -> Replies:
        app = self._find(request["app_id"])
        return _failed(NO_FORM.text) if app is None or not app.published else _struct(app.fetch)

    def _upload(self, request: Mapping[str, Any]) -> Event:
        return {"url": self.files.upload_url(request["filename"], request["mimetype"])}

    def _store(self, request: Mapping[str, Any]) -> Event | Failure:
        """Stores values in memory. They are sent in hex, and never expire."""
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
        """The app with this id; the UUID may be spelled in any form."""
        return self.apps.get(str(uuid.UUID(app_id))) if is_uuid(app_id) else None


def _validate(app: App, call: Call) -> None:
    """Raises `ValueError` with Dify's text if Dify answers 400, and `TypeError` if it answers 500."""
    if app.mode not in {*CHAT_MODES, "workflow", "completion"}:
        raise ValueError("unexpected app type")
    if call.by_key and not app.published:
        raise ValueError("Workflow not published")
    if app.mode in CHAT_MODES and not call.query:
        raise ValueError("missing query")
    if not app.published:
        raise ValueError("unexpected app type")
    if app.mode == "agent-chat" and call.response_mode != "streaming":
        raise ValueError("Agent Chat App does not support blocking mode")
    if app.mode == "completion" and not call.by_key and not app.for_plugins:
        raise TypeError("the daemon drops the query")
    if app.mode in CHAT_MODES and not call.by_key and call.conversation_id and not is_uuid(call.conversation_id):
        raise TypeError("the database refuses it")


def _read_call(request: Mapping[str, Any]) -> Call:
    """Reads a call as the daemon decodes it: it drops unknown keys, and null and missing strings become "".

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
    """Whether the text is a UUID, in any form that Dify's database accepts."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _struct(make: Callable[[], dict[str, Any] | Failure]) -> Replies:
    result = make()
    yield Reply("error", result.text) if isinstance(result, Failure) else Reply("response", "struct", result)


def _failed(text: str) -> Replies:
    yield Reply("error", text)


def _refusal(error: Exception) -> Replies:
    match error:
        case UnknownConversationError():
            return _failed(Failure.http(404, "not_found", "Conversation Not Exists.").text)
        case ValueError():
            return _refused(str(error))
    return _failed(UNKNOWN_ERROR.text)


def _refused(reason: str) -> Replies:
    return _failed(Failure.http(400, "invalid_param", reason).text)
