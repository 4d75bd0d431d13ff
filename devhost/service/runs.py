"""Runs of apps: they are begun and stopped by an end user."""

from collections.abc import Collection, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from devhost.apps import Event
from devhost.files import error
from devhost.inputs import check_link
from devhost.service.requests import Answer, AppRequest
from devhost.service.streams import Stream

WRONG_ROUTE = "Please check if your app mode matches the right API route."


def run_in(modes: Collection[str], refusal: str) -> Answer:
    """The answer that runs apps of these modes; `refusal` is the code of the error for other apps."""

    async def run(request: AppRequest) -> Response:
        app, body = request.app, await request.object()
        user = body.get("user")
        if not isinstance(user, str) or not user:
            return error(400, "invalid_param", "Arg user must be provided.")
        end_user = await request.end_user(user)
        if app.mode not in modes:
            return error(400, refusal, WRONG_ROUTE)
        limit = app.max_active_requests
        if limit and request.streams.count(request.app_id) >= limit:
            return error(400, "invalid_param", _too_many(request.app_id, limit))
        try:
            attached = [_attached(request, file, end_user) for file in body.get("files") or []]
        except ValueError as reason:
            return error(400, "invalid_param", str(reason))
        call = {**body, "app_id": request.app_id, "response_mode": body.get("response_mode") or "blocking"}
        replies = request.dify.invoke(call, by_key=True, attached=attached, end_user=end_user)
        stream = Stream(request, replies, end_user, user)
        request.streams.add(stream)
        return await stream.response()

    return run


async def stop(request: AppRequest) -> Response:
    """Answers "success" even if there is no such run, as Dify does."""
    end_user = await request.end_user(str((await request.object()).get("user")))
    if stream := request.streams.find(end_user, request.http.path_params["task_id"]):
        stream.stop()
    return JSONResponse({"result": "success"})


def _attached(request: AppRequest, file: Mapping[str, Any], end_user: str) -> Event:
    if file.get("transfer_method") != "local_file":
        check_link(str(file.get("url")))
        return dict(file)
    upload = request.dify.files.upload_of(str(file.get("upload_file_id")), end_user)
    if upload is None:
        raise ValueError("Invalid upload file")
    return upload


def _too_many(app_id: str, limit: int) -> str:
    run = f"The current maximum concurrent requests allowed for {app_id} is {limit}."
    return f"Too many requests. Please try again later. {run}"
