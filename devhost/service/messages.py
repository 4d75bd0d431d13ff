"""The messages of a conversation, feedback on them, and suggested questions."""

from starlette.responses import JSONResponse, Response

from devhost.apps import CHAT_MODES, Event
from devhost.asking import WaitingForm
from devhost.history import Message
from devhost.service.conversations import NOT_THERE, page
from devhost.service.requests import AppRequest, RefusedError, invalid, not_found

NO_MESSAGE = "Message Not Exists."


async def messages(request: AppRequest) -> Response:
    """A page of a conversation's messages: the latest, or those before `first_id`. In a page the oldest comes first."""
    end_user = await request.user_in_query()
    request.require(CHAT_MODES, "not_chat_app")
    limit, query = request.limit(), request.http.query_params
    conversation = request.dify.history.conversation(request.app_id, end_user, query.get("conversation_id", ""))
    if conversation is None:
        raise not_found(NOT_THERE)
    found = list(conversation.messages)
    if first := query.get("first_id"):
        at = next((number for number, message in enumerate(found) if message.id == first), None)
        if at is None:
            raise not_found("First Message Not Exists.")
        found = found[:at]
    return page(limit, [_about(request, message) for message in found[-limit:]], has_more=len(found) > limit)


async def suggested(request: AppRequest) -> Response:
    """The questions that could follow a message."""
    end_user = await request.user_in_query(required=True)
    request.require(CHAT_MODES, "not_chat_app")
    if request.dify.history.message(request.app_id, end_user, request.path("message_id")) is None:
        raise not_found(NO_MESSAGE)
    if not request.app.follow_ups:
        raise RefusedError(400, "bad_request", "Suggested Questions Is Disabled.")
    return JSONResponse({"result": "success", "data": list(request.app.follow_ups)})


async def feedback(request: AppRequest) -> Response:
    """Takes what an end user thinks of a message."""
    end_user, body = await request.user_in_body(required=True), await request.object()
    rating = body.get("rating")
    if rating not in {"like", "dislike", None}:
        raise invalid("rating must be 'like', 'dislike' or null")
    message = request.dify.history.message(request.app_id, end_user, request.path("message_id"))
    if message is None:
        raise not_found(NO_MESSAGE)
    if rating is None and message.rating is None:
        raise invalid("rating cannot be None when feedback not exists")
    message.rating, message.comment = rating, str(body.get("content") or "")
    return JSONResponse({"result": "success"})


def _about(request: AppRequest, message: Message) -> Event:
    metadata = message.end.get("metadata") or {}
    usage, call = metadata.get("usage") or {}, message.call
    tokens = {"message_tokens": usage.get("prompt_tokens", 0), "answer_tokens": usage.get("completion_tokens", 0)}
    tokens |= {"total_tokens": usage.get("total_tokens", 0), "provider_response_latency": usage.get("latency", 0)}
    ids = {"id": message.id, "conversation_id": message.conversation_id, "parent_message_id": None}
    about: Event = {"inputs": call.inputs, "query": call.query, "answer": message.answer, "status": message.status}
    about |= {"error": message.error, "message_files": _files(request, message)}
    about |= {"feedback": None if message.rating is None else {"rating": message.rating}}
    about |= {"retriever_resources": _resources(message), "agent_thoughts": _thoughts(message)}
    about |= {"created_at": int(message.created_at), "extra_contents": [_content(message, form) for form in message.forms]}
    return {**ids, **about, **tokens, "total_price": usage.get("total_price"), "currency": usage.get("currency")}


def _files(request: AppRequest, message: Message) -> list[Event]:
    sent = [_sent(request, message, file) for file in message.call.attached]
    return [*sent, *map(_made, message.files)]


def _sent(request: AppRequest, message: Message, file: Event) -> Event:
    """A file of the question."""
    method: Event = {"type": file.get("type", "custom"), "transfer_method": file.get("transfer_method"), "belongs_to": "user"}
    stored = request.dify.files.find(str(file.get("related_id")))
    if stored is None:  # a link
        nulls = {"size": None, "mime_type": None, "upload_file_id": None}
        return {"id": message.id, "filename": _name(file["url"]), "url": file["url"], **nulls, **method}
    about: Event = {"id": stored.id, "filename": stored.name, "url": request.dify.files.preview_url(stored)}
    return {**about, "size": len(stored.content), "mime_type": stored.mime_type, "upload_file_id": stored.id, **method}


def _made(event: Event) -> Event:
    """A file of the answer, by the event that has told of it."""
    about: Event = {"id": event["id"], "filename": _name(event["url"]), "url": event["url"], "type": event["type"]}
    nulls = {"size": None, "mime_type": None, "upload_file_id": None}
    return {**about, **nulls, "transfer_method": "tool_file", "belongs_to": event["belongs_to"]}


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _resources(message: Message) -> list[Event]:
    resources = (message.end.get("metadata") or {}).get("retriever_resources") or []
    return [{"id": message.id, "message_id": message.id, "created_at": int(message.created_at), **each} for each in resources]


def _thoughts(message: Message) -> list[Event]:
    ids = {"chain_id": None, "message_id": message.id, "created_at": int(message.created_at)}
    names = ("id", "position", "thought", "tool", "tool_labels", "tool_input", "observation")
    return [
        {**{name: event.get(name) for name in names}, **ids, "files": event.get("message_files") or []}
        for event in message.thoughts.values()
    ]


def _content(message: Message, form: WaitingForm) -> Event:
    """A form of the answer. Dify hides its token once it is filled in."""
    names = {
        "form_id",
        "node_id",
        "node_title",
        "form_content",
        "inputs",
        "actions",
        "resolved_default_values",
        "expiration_time",
    }
    definition = {name: value for name, value in form.definition().items() if name in names}
    definition |= {"display_in_ui": True, "form_token": None if form.is_submitted else form.token}
    content: Event = {"workflow_run_id": message.run_id, "submitted": form.is_submitted, "type": "human_input"}
    content["form_definition"] = definition
    return content | ({"form_submission_data": form.submission()} if form.is_submitted else {})
