"""Uploads, which belong to an end user, and what they hold."""

from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from devhost.files import read_upload
from devhost.service.requests import DEFAULT_USER, AppRequest, RefusedError


async def upload(request: AppRequest) -> Response:
    """Stores a file."""
    file, fields = await read_upload(request.http)
    owner = await request.end_user(fields.get("user") or DEFAULT_USER)
    if isinstance(file, Response):
        return file
    files = request.dify.files
    stored = files.add(file.filename or "", file.mimetype, file.read(), uploaded=True, owner=owner)
    about = {"id": stored.id, "name": stored.name, "size": len(stored.content), "extension": stored.extension.removeprefix(".")}
    about |= {"mime_type": stored.mime_type, "created_by": owner, "created_at": 1784000000}
    names = ("reference", "preview_url", "original_url", "user_id", "tenant_id", "conversation_id", "file_key")
    nulls: dict[str, Any] = dict.fromkeys(names)
    return JSONResponse(nulls | about | {"source_url": files.preview_url(stored)}, 201)


async def preview(request: AppRequest) -> Response:
    """The content of an upload, once a message of the app has it: whose message does not matter."""
    file_id = request.path("file_id")
    file = request.dify.files.find(file_id)
    if file is None:
        raise RefusedError(404, "file_not_found", "The requested file was not found.")
    if not request.dify.history.refers(request.app_id, file_id):
        raise RefusedError(403, "file_access_denied", "Access to the requested file is denied.")
    headers = {"content-type": file.mime_type}
    if request.http.query_params.get("as_attachment", "").lower() in {"1", "true"}:
        headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(file.name)}"
    return Response(file.content, headers=headers)
