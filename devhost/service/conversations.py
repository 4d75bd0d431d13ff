"""The conversations of an end user, and their variables."""

from collections.abc import Sequence
from typing import Any, cast

from starlette.responses import JSONResponse, Response

from devhost.apps import CHAT_MODES, Event
from devhost.history import Conversation, Variable, type_of
from devhost.service.requests import AppRequest, RefusedError, invalid, not_found

NOT_THERE = "Conversation Not Exists."
SORTINGS = {"created_at", "-created_at", "updated_at", "-updated_at"}


async def conversations(request: AppRequest) -> Response:
    """A page of the end user's conversations."""
    end_user = await request.user_in_query()
    request.require(CHAT_MODES, "not_chat_app")
    limit, sorting = request.limit(), request.http.query_params.get("sort_by") or "-updated_at"
    if sorting not in SORTINGS:
        raise invalid(f"sort_by must be one of {', '.join(sorted(SORTINGS))}")
    found = request.dify.history.conversations(request.app_id, end_user)
    found.sort(key=lambda conversation: cast("float", getattr(conversation, sorting.removeprefix("-"))))
    if sorting.startswith("-"):
        found.reverse()
    if last := request.http.query_params.get("last_id"):
        found = after(found, last, not_found("Last Conversation Not Exists."))
    return page(limit, [_about(request, conversation) for conversation in found[:limit]], has_more=len(found) > limit)


async def rename(request: AppRequest) -> Response:
    """Gives a conversation a name, or lets it name itself."""
    conversation, body = await _mine(request, await request.user_in_body()), await request.object()
    if body.get("auto_generate") is True:
        if not conversation.messages:
            raise invalid("")
        conversation.name_itself()
    elif isinstance(name := body.get("name"), str) and name.strip():
        conversation.name = name
    else:
        raise invalid("name is required when auto_generate is false")
    return JSONResponse(_about(request, conversation))


async def delete(request: AppRequest) -> Response:
    """Deletes a conversation."""
    conversation = await _mine(request, await request.user_in_body())
    request.dify.history.delete(request.app_id, conversation)
    return Response(status_code=204)


async def variables(request: AppRequest) -> Response:
    """A page of a conversation's variables, oldest first."""
    conversation, limit = await _mine(request, await request.user_in_query()), request.limit()
    found, wanted = list(conversation.variables.values()), request.http.query_params.get("variable_name")
    if wanted:
        found = [variable for variable in found if variable.name == wanted]
    if last := request.http.query_params.get("last_id"):
        found = after(found, last, invalid(""))
    return page(limit, [_variable(variable) for variable in found[:limit]], has_more=len(found) > limit)


async def set_variable(request: AppRequest) -> Response:
    """Changes the value of a conversation's variable."""
    conversation, body = await _mine(request, await request.user_in_body()), await request.object()
    wanted = request.path("variable_id")
    variable = next((variable for variable in conversation.variables.values() if variable.id == wanted), None)
    if variable is None:
        raise not_found("Conversation Variable Not Exists.")
    value, expected = body.get("value"), variable.type
    if not _is_assignable(value, expected):
        got = f"expects {expected}, but got {type_of(value)} type"
        raise RefusedError(400, "bad_request", f"Type mismatch: variable '{variable.name}' {got}")
    variable.value, variable.updated_at = value, request.dify.timeline.now()
    return JSONResponse(_variable(variable))


async def _mine(request: AppRequest, end_user: str) -> Conversation:
    request.require(CHAT_MODES, "not_chat_app")
    conversation = request.dify.history.conversation(request.app_id, end_user, request.path("conversation_id"))
    if conversation is None:
        raise not_found(NOT_THERE)
    return conversation


def page(limit: int, data: list[Event], *, has_more: bool) -> Response:
    """A page of a list."""
    return JSONResponse({"limit": limit, "has_more": has_more, "data": data})


def after[T](items: Sequence[T], last_id: str, refusal: RefusedError) -> list[T]:
    """The items after the one with this id. Raises the refusal if there is none."""
    for number, item in enumerate(items, start=1):
        if getattr(item, "id", "") == last_id:
            return list(items[number:])
    raise refusal


def _about(request: AppRequest, conversation: Conversation) -> Event:
    form = request.app.form if isinstance(request.app.form, dict) else {}
    times = {"created_at": int(conversation.created_at), "updated_at": int(conversation.updated_at)}
    about: Event = {"id": conversation.id, "name": conversation.name, "inputs": conversation.inputs, "status": "normal"}
    return {**about, "introduction": form.get("opening_statement") or "", **times}


def _variable(variable: Variable) -> Event:
    times = {"created_at": int(variable.created_at), "updated_at": int(variable.updated_at)}
    about: Event = {"id": variable.id, "name": variable.name, "value_type": variable.type, "value": variable.text}
    return {**about, "description": "", **times}


def _is_assignable(value: Any, expected: str) -> bool:
    if value is None:
        return False
    return type_of(value) == expected or (isinstance(value, list) and expected.startswith("array") and not value)
