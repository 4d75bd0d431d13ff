"""From what a client says to its model to a run of an app, for faces whose protocol is not Dify's.

A client's prompt is text, earlier turns and files. An app takes a query or inputs, and keeps the turns itself.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug import Response

from duck import apps, errors, invocation
from duck.callers.settings import canonical
from duck.dify import failures
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import Exchange
from duck.faces.reply import Reply
from duck.faces.tokens import Signer
from duck.invocation import Invocation
from duck.offload import offload
from duck.runs import attachments, bodies, files
from duck.runs.files import File
from duck.runs.forms import Form, Variable
from duck.runs.run import Kind, Run, RunRequest
from duck.streams import json

MAX_REPLAY = 200_000  # characters of a conversation that is sent again as one query
TEXT_NAMES = ("query", "input", "text", "question", "prompt", "message")  # of the variable that takes the client's text
SYSTEM_NAMES = ("system", "system_prompt", "instructions")  # of the variable that takes its system prompt
_NOT_RUN = {413, 503}  # statuses of runs that Dify has not begun, so that the client may send the same once more
_TEXT_CONTROLS = {"text-input", "paragraph"}


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said before: by the `role` `user`, `assistant` or `tool`. `files` stands for the files that came with it."""

    role: str
    text: str
    files: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file of the last message: its content or a link to it. `kind` is Dify's word; `place` is where the request has it."""

    value: File | str
    kind: files.FileKind
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a client says to its model.

    `text` is the last message of the user, `turns` are what was said before. `conversation_id` is Dify's id of the conversation
    that the client continues, None if it named none. The `system` prompt is sent once in a conversation, or with each message if
    it `repeats_system`.
    """

    text: str
    turns: tuple[Turn, ...] = ()
    system: str = ""
    repeats_system: bool = False
    attachments: tuple[Attachment, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    conversation_id: str | None = None
    user: str = ""
    streams: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A prompt on its way to an app. `call` is the run, `signer` makes the ids by which clients continue.

    `recalled` are digest and id of a conversation that is continued by what was said in it.
    """

    call: Invocation
    signer: Signer
    prompt: Prompt
    exchange: Exchange
    recalled: tuple[str, str] | None = None

    def reply(self) -> Reply:
        """The whole reply, which is remembered. Raises `DuckError`, also for a run that has failed."""
        reply = Reply().whole(self.call.events())
        if failed := reply.failed:
            if failed.code == "rate_limit_error":
                raise DuckError(429, failed.code, failed.message, headers={"Retry-After": str(failures.MODEL_RETRY_S)})
            raise DuckError(502, failed.code, failed.message)
        self.remember(reply, reply.text)
        return reply

    def remember(self, reply: Reply, text: str) -> None:
        """Remembers the conversation by all that was said in it, so that a client continues it by sending that again.

        `text` is the reply as the client has it. Guests are not remembered: they cannot be told apart, so one could begin as
        another does, keep the id of that conversation, and read in it what the other says next.
        """
        conversation_id = reply.begun.conversation_id
        if conversation_id and self.prompt.conversation_id is None and not self.exchange.caller.guest:
            said = [Turn("user", self.prompt.text, mark(self.prompt.attachments)), Turn("assistant", text)]
            invocation.remember(self.exchange, _digest(self.exchange, self.prompt, said), conversation_id)


def read[T](exchange: Exchange, reader: Callable[[], T]) -> T:
    """What the `reader` makes of a request: a large one is read in the second thread."""
    return offload(len(exchange.request.get_data()), reader, small=bodies.SMALL)


def signer(exchange: Exchange, dify: Gateway, face: str) -> Signer:
    """Makes and verifies this face's tokens for the caller and the app."""
    return Signer(
        face=face,
        app_id=exchange.entry.app_id,
        guest=exchange.caller.guest,
        endpoint_id=dify.endpoint_id,
        keys=exchange.settings.keys,
    )


def conversation(given: str, signer: Signer) -> str | None:
    """The conversation that a client names by its id or a token; None if it may not continue it. Guests need a token."""
    raw = None if signer.guest else canonical(given)
    return raw if raw is not None else signer.verify(given)


def respond(exchange: Exchange, prompt: Prompt, dify: Gateway, face: str, answer: Callable[[Request], Response]) -> Response:
    """The response that `answer` makes of the app's run. Raises `DuckError`."""
    exchange.refuse_other_sites()

    def attempt(kind: Kind) -> Response:
        request = _request(exchange, prompt, dify, face, kind)
        try:
            return answer(request)
        except DuckError as error:
            if request.recalled and error.status in _NOT_RUN:
                invocation.remember(exchange, *request.recalled)
            if not request.recalled or error.field != "conversation_id":
                raise
        return answer(_request(exchange, prompt, dify, face, kind, replays=True))  # Dify has lost the conversation

    return by_kind(exchange, dify, attempt)


def by_kind[T](exchange: Exchange, dify: Gateway, answer: Callable[[Kind], T]) -> T:
    """What `answer` makes of a run of the app as its kind. Raises `DuckError`.

    An app of unknown kind is called as a workflow without a query first: Dify refuses that for a chat before it runs anything.
    """
    kind = apps.kind_of(exchange, dify)
    try:
        return answer(kind or "workflow")
    except DuckError as error:
        if kind is not None or error.right_kind != "chat":
            raise
    return answer("chat")


def _request(exchange: Exchange, prompt: Prompt, dify: Gateway, face: str, kind: Kind, *, replays: bool = False) -> Request:
    """The run for a prompt, in the conversation that is known by what was said. With `replays` that is sent again instead."""
    exchange.entry.kind = kind
    gateway = apps.gateway_for(exchange, dify, prompt.user)
    form = apps.form(exchange, gateway)
    recalled = None if replays or kind != "chat" else _recall(exchange, prompt)
    conversation_id = recalled[1] if recalled else prompt.conversation_id
    try:
        wanted = place(prompt, form, kind, exchange.entry.app_id, conversation_id, takes_files=gateway.takes_files)
        wanted = replace(wanted, run=replace(wanted.run, strict=recalled is not None))
        call = invocation.prepare(exchange, wanted, dify)
    except DuckError:
        if recalled:
            invocation.remember(exchange, *recalled)
        raise
    return Request(call=call, signer=signer(exchange, dify, face), prompt=prompt, exchange=exchange, recalled=recalled)


def _recall(exchange: Exchange, prompt: Prompt) -> tuple[str, str] | None:
    """Digest and id of the conversation in which the earlier turns were said; None if it is not known or the client names one."""
    if prompt.conversation_id is not None or exchange.caller.guest or all(turn.role != "assistant" for turn in prompt.turns):
        return None
    digest = _digest(exchange, prompt)
    conversation_id = invocation.recall(exchange, digest)
    return (digest, conversation_id) if conversation_id else None


def place(
    prompt: Prompt, form: Form | None, kind: Kind, app_id: str, conversation_id: str | None, *, takes_files: bool
) -> RunRequest:
    """Puts what a client says into the fields that the app has for it. Pure.

    Without a `conversation_id` the earlier turns are part of the query. `takes_files` tells whether a chat takes files besides
    its inputs. Raises `DuckError` 400.
    """
    inputs = {name: [*value] if isinstance(value, list) else value for name, value in prompt.inputs.items() if value is not None}
    texts = [variable for variable in form.variables if takes_text(variable) and variable.name not in inputs] if form else []
    system = prompt.system
    if system and (variable := next((each for each in texts if each.name in SYSTEM_NAMES), None)):
        system = ""
        inputs[variable.name] = prompt.system
    besides: list[Any] = []
    for attachment in prompt.attachments:
        _attach(attachment, form, inputs, besides if takes_files and kind != "workflow" else None)
    run = Run(kind=kind, app_id=app_id, inputs=inputs, mode="streaming" if prompt.streams else "blocking", user=prompt.user)
    if kind == "chat":
        run = replace(run, query=_query(prompt, system, conversation_id), conversation_id=conversation_id or "")
    elif variable := variable_for_text([each for each in texts if each.name not in inputs]):
        inputs[variable.name] = _joined(system, prompt.text)
    return RunRequest(run=run, files=besides or None)


def _query(prompt: Prompt, system: str, conversation_id: str | None) -> str:
    if conversation_id:
        return _joined(system if prompt.repeats_system else "", prompt.text)
    if not prompt.turns:
        return _joined(system, prompt.text)
    said = (f"{turn.role}: {turn.text}" for turn in prompt.turns if turn.text)
    query = _joined(system, "Conversation so far:", *said, "----", prompt.text)
    if len(query) > MAX_REPLAY:
        message = f"The conversation has more than {MAX_REPLAY} characters, which are too many to send again as one query."
        raise DuckError(400, "context_length_exceeded", message)
    return query


def _joined(*paragraphs: str) -> str:
    return "\n\n".join(filter(None, paragraphs))


def takes_text(variable: Variable) -> bool:
    """Whether a client's text may go into a variable."""
    return variable.control in _TEXT_CONTROLS and not variable.hidden


def variable_for_text(free: Sequence[Variable]) -> Variable | None:
    """Of variables for text the one that takes the client's text: by its name, else the only required one, else the only one."""
    named = [variable for name in TEXT_NAMES for variable in free if variable.name == name]
    required = [variable for variable in free if variable.required]
    return next((found[0] for found in (named[:1], required, free) if len(found) == 1), None)


def _attach(attachment: Attachment, form: Form | None, inputs: dict[str, Any], besides: list[Any] | None) -> None:
    """Puts a file among the files `besides` the inputs, or into the first variable that takes it. Raises `DuckError` 400."""
    value = attachment.value
    name = value.name if isinstance(value, File) else files.name_in(value) or ""

    def given_to(variable: Variable) -> Any:
        """The file as a value of the variable, None if the variable does not take it."""
        kind = attachments.kind_for(variable, attachment.kind, name)
        return kind and (value if isinstance(value, File) else files.link(value, kind))

    if besides is not None and form and form.files and (given := given_to(form.files)):
        besides.append(given)
        return
    for variable in form.variables if form else ():
        given = None if variable.hidden else given_to(variable)
        if given and variable.control == "file-list":
            before = inputs.get(variable.name)
            if before is None:
                inputs[variable.name] = [given]
            elif isinstance(before, list):  # else it is refused later
                before.append(given)
            return
        if given and variable.name not in inputs:
            inputs[variable.name] = given
            return
    what = {"image": "images", "audio": "sound", "video": "videos"}.get(attachment.kind, "files")
    raise errors.invalid_field(attachment.place, f"this app takes no {what}: it has no variable for one")


def _digest(exchange: Exchange, prompt: Prompt, more: list[Turn] | None = None) -> str:
    """Stands for the caller, the app, its inputs and all that was said. Blanks do not count: clients trim them."""
    said = [Turn("system", prompt.system), *prompt.turns, *(more or [])]

    def digest() -> str:
        turns = [[turn.role, " ".join(turn.text.split()), turn.files] for turn in said if turn.text or turn.files]
        whole = [exchange.caller.user, prompt.user, exchange.entry.app_id, prompt.inputs, turns]
        return hashlib.sha256(json.encode(whole)).hexdigest()

    return offload(sum(len(turn.text) for turn in said), digest, small=bodies.SMALL)


def mark(given: Iterable[Attachment]) -> str:
    """Stands for files, "" for none: two conversations are not the same if only their files differ."""
    found = hashlib.sha256()
    values = [
        each.value.content if isinstance(each.value, File) else each.value.encode("utf-8", "surrogatepass") for each in given
    ]
    for value in values:
        found.update(hashlib.sha256(value).digest())
    return found.hexdigest() if values else ""
