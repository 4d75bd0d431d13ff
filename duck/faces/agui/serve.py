"""The handler of AG-UI's route, with an app in place of an agent."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from werkzeug import Response

from duck import errors
from duck.dify.gateway import Gateway
from duck.dify.parts import Begun
from duck.errors import DuckError
from duck.exchange import Exchange, answering, document
from duck.faces import asking, tokens
from duck.faces.agui import run_input
from duck.faces.agui.run_input import RunInput
from duck.faces.agui.stream import MESSAGE, Ids, Stream
from duck.faces.asking import Request
from duck.runs import bodies

_FACE = "agui"  # what tokens are for
_ID = re.compile(rf"({MESSAGE}.{{{tokens.LENGTH}}})(?:_[0-9]{{1,9}})?")  # of a message: runs number theirs from the second on


def write_error(_: Exchange, error: DuckError) -> Response:
    """An error before the first event. A fault of an input is about the field in which AG-UI has the inputs."""
    faults = [replace(fault, field=re.sub(r"\Ainputs\b", run_input.INPUTS, fault.field)) for fault in error.faults]
    message = errors.invalid_fields(faults).message if faults else error.message
    return document({**error.as_dict(), "message": message}, error.status)


@answering(errors=write_error)
def run(exchange: Exchange, name: str, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """Runs the app that the route calls `name`, and streams what it says and does."""
    exchange.admit(settings, name)
    exchange.refuse_other_sites()  # before the body is read
    exchange.entry.format = "sse"
    body = bodies.read_json(exchange.request)
    wanted = asking.read(exchange, lambda: run_input.read(body))
    prompt = replace(wanted.prompt, conversation_id=_conversation(exchange, wanted, dify))

    def answer(request: Request) -> Response:
        ids = Ids(thread_id=wanted.thread_id, run_id=wanted.run_id, token=lambda begun: _token(begun, request))
        return request.call.stream(Stream(ids, ended=request.remember), Stream.headers)

    try:
        return asking.respond(exchange, prompt, dify, _FACE, answer)
    except DuckError as error:
        if prompt.conversation_id is None or error.field != "conversation_id":
            raise
    # Dify has lost the conversation, but the client has sent all that was said in it.
    return asking.respond(exchange, replace(prompt, conversation_id=None), dify, _FACE, answer)


def _conversation(exchange: Exchange, wanted: RunInput, dify: Gateway) -> str | None:
    """The conversation of the answer to which the user has replied, None if that is not one of ours."""
    signer = asking.signer(exchange, dify, _FACE)
    first_ids = (match[1] for id_ in wanted.answer_ids if (match := _ID.fullmatch(id_)))
    return next((found for id_ in first_ids if (found := signer.verify_id(MESSAGE, id_)) is not None), None)


def _token(begun: Begun, request: Request) -> str:
    """Ids must differ from run to run, so a run that Dify gives no id gets one here."""
    run_id = begun.message_id or begun.workflow_run_id or begun.task_id or str(uuid.uuid4())
    return request.signer.sign(begun.conversation_id, run_id)
