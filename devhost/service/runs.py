"""Runs of apps: they are begun and stopped by an end user."""

from collections.abc import Collection, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from devhost.apps import Event, workflow_id
from devhost.dify import is_uuid
from devhost.inputs import check_link
from devhost.run import Caller
from devhost.service.requests import Answer, AppRequest, RefusedError, invalid, not_found
from devhost.service.streams import Stream


def run_in(modes: Collection[str], refusal: str) -> Answer:
    """The answer that runs apps of these modes; `refusal` is the code of the error for other apps."""

    async def run(request: AppRequest) -> Response:
        body, end_user = await request.object(), await request.user_in_body(required=True)
        request.require(modes, refusal)
        limit = request.app.max_active_requests
        if limit and request.streams.count(request.app_id) >= limit:
            raise invalid(_too_many(request.app_id, limit))
        try:
            files = [attached(request, file, end_user) for file in body.get("files") or []]
        except ValueError as reason:
            raise invalid(str(reason)) from reason
        call = {**body, "app_id": request.app_id, "response_mode": body.get("response_mode") or "blocking"}
        caller = Caller(named=body.get("auto_generate_name") is not False)
        replies = request.dify.invoke(call, by_key=True, attached=files, end_user=end_user, caller=caller)
        stream = Stream(request, replies, caller, end_user, body["user"])
        request.streams.add(stream)
        return await stream.response()

    return run


def run_version(run: Answer) -> Answer:
    """The answer that runs a version of a workflow: the one that is published, or one that has run before."""

    async def answer(request: AppRequest) -> Response:
        await request.user_in_body(required=True)
        request.require({"workflow"}, "not_workflow_app")
        version = request.path("workflow_id")
        if not is_uuid(version):
            raise RefusedError(400, "bad_request", f"Invalid workflow_id format: '{version}'.")
        known = {workflow_id(request.app_id), *(past.workflow_id for past in request.dify.runs.of(request.app_id))}
        if version not in known:
            raise not_found(f"Workflow not found with id: {version}")
        return await run(request)

    return answer


def stop_in(modes: Collection[str], refusal: str) -> Answer:
    """The answer that stops a run. It is "success" even if there is no such run, as in Dify."""

    async def stop(request: AppRequest) -> Response:
        end_user = await request.user_in_body(required=True)
        request.require(modes, refusal)
        if stream := request.streams.find(end_user, request.path("task_id")):
            stream.stop()
        return JSONResponse({"result": "success"})

    return stop


def attached(request: AppRequest, file: Mapping[str, Any], end_user: str) -> Event:
    """A file of the end user as a run gets it. Raises `ValueError` with Dify's text if there is no such file."""
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
