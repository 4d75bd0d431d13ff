"""Uploads, which belong to an end user."""

from typing import Any

from starlette.responses import JSONResponse, Response

from devhost.files import read_upload
from devhost.service.requests import DEFAULT_USER, AppRequest


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
