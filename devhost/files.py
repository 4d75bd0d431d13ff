"""Dify's files: kept in memory, uploaded and read by signed URLs."""

import hmac
import mimetypes
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from werkzeug.datastructures import FileStorage
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

MAX_FILE = 15_728_640  # bytes: Dify's default for documents (UPLOAD_FILE_SIZE_LIMIT)
MAX_TOTAL = 104_857_600  # bytes of all files; beyond it the oldest are evicted
ENVELOPE = 65_536  # bytes of a multipart body besides the file
ACCESS_S = 300  # for which a signed URL is valid (FILES_ACCESS_TIMEOUT)
UPLOAD_PATH, PREVIEW_PATH = "/files/upload/for-plugin", "/files/tools/"
USER, TENANT = str(uuid.uuid4()), str(uuid.uuid4())  # all plugins upload as the same user
# Extensions of documents, besides all text/* types.
DOCUMENTS = {".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".epub", ".eml", ".msg", ".xml", ".mdx", ".properties"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One file. `extension` includes the dot and follows from the MIME type. `uploaded` is false for files that an app made.

    `owner` is the app's end user who uploaded the file with the app's own key, else "".
    """

    id: str
    name: str
    extension: str
    mime_type: str
    content: bytes
    uploaded: bool
    owner: str = ""


class Files:
    """The workspace's files.

    `base_url` is the URL of the server with the `routes`; while it is empty, URLs are relative, as in Dify without FILES_URL.
    With `foreign_owner` plugins' uploads belong to another user than their runs, as in Dify 1.16: as inputs, such tool files
    are refused, and their preview URLs are accepted. `clock` returns seconds.
    """

    def __init__(self, *, foreign_owner: bool = False, clock: Callable[[], float] = time.time) -> None:
        self.base_url = ""
        self.foreign_owner = foreign_owner
        self._clock = clock
        self._key = secrets.token_bytes()
        self._stored: dict[str, Stored] = {}
        self._lock = threading.Lock()  # scripts run in threads of their own

    def __len__(self) -> int:
        """The number of files."""
        return len(self._stored)

    def routes(self) -> list[Route]:
        """The routes of the server at `base_url`."""
        return [Route(UPLOAD_PATH, self._upload, methods=["POST"]), Route(PREVIEW_PATH + "{name}", self._preview)]

    def add(self, name: str, mime_type: str, content: bytes, *, uploaded: bool = False, owner: str = "") -> Stored:
        """Stores a file; see `Stored`."""
        extension, file_id = mimetypes.guess_extension(mime_type) or ".bin", str(uuid.uuid4())
        file = Stored(
            id=file_id, name=name, extension=extension, mime_type=mime_type, content=content, uploaded=uploaded, owner=owner
        )
        with self._lock:
            self._stored[file_id] = file
            while sum(len(stored.content) for stored in self._stored.values()) > MAX_TOTAL:
                del self._stored[next(iter(self._stored))]
        return file

    def find(self, file_id: str) -> Stored | None:
        """The file with this id."""
        return self._stored.get(file_id)

    def input(self, file_id: str) -> dict[str, Any] | None:
        """The file as an input of a run, or None if the run's user may not read it."""
        file = self.find(file_id)
        return None if file is None or (file.uploaded and self.foreign_owner) else self.value(file)

    def upload_of(self, file_id: str, owner: str) -> dict[str, Any] | None:
        """The owner's upload as an input of a run, or None."""
        file = self.find(file_id)
        if file is None or file.owner != owner:
            return None
        more = {"related_id": file.id, "url": self.preview_url(file)}
        return file_value("local_file", file.name, file.extension, file.mime_type, size=len(file.content), **more)

    def value(self, file: Stored) -> dict[str, Any]:
        """The file as a workflow's variables and events contain it."""
        more = {"reference": f"dify-file-ref:{file.id}", "related_id": file.id, "url": self.preview_url(file)}
        return file_value("tool_file", file.name, file.extension, file.mime_type, size=len(file.content), **more)

    def upload_url(self, filename: str, mimetype: str) -> str:
        """The URL to which a file of this name and type can be POSTed."""
        return f"{self._signed(UPLOAD_PATH, filename, mimetype)}&user_id={USER}&tenant_id={TENANT}"

    def preview_url(self, file: Stored) -> str:
        """The URL from which the file can be read."""
        return self._signed(f"{PREVIEW_PATH}{file.id}{file.extension}", file.id)

    async def _upload(self, request: Request) -> Response:
        """Answers 201 with the fields of the SDK's `UploadFileResponse`, 413, 400 without a file, or 403 for a bad signature."""
        upload, _ = await read_upload(request)
        if isinstance(upload, Response):
            return upload
        content = upload.read()
        if not self._is_signed(request.query_params, upload.filename or "", upload.mimetype):
            return error(403, "forbidden", "Invalid request.")
        file = self.add(upload.filename or "", upload.mimetype, content, uploaded=True)
        about = {"id": file.id, "name": file.name, "extension": file.extension, "mime_type": file.mime_type}
        return JSONResponse({**about, "size": len(content), "preview_url": self.preview_url(file)}, 201)

    async def _preview(self, request: Request) -> Response:
        file_id = request.path_params["name"].partition(".")[0]
        file = self.find(file_id) if self._is_signed(request.query_params, file_id) else None
        if file is None:
            return error(403, "forbidden", "Invalid request.")
        return Response(file.content, headers={"content-type": file.mime_type})

    def _signed(self, path: str, *signed: str) -> str:
        query = {"timestamp": str(int(self._clock())), "nonce": secrets.token_hex(16)}
        return f"{self.base_url}{path}?{urlencode({**query, 'sign': self._sign(*signed, *query.values())})}"

    def _is_signed(self, query: Mapping[str, str], *signed: str) -> bool:
        timestamp, nonce, sign = (query.get(name, "") for name in ("timestamp", "nonce", "sign"))
        expected = self._sign(*signed, timestamp, nonce)
        return hmac.compare_digest(sign.encode(), expected.encode()) and self._clock() - int(timestamp) <= ACCESS_S

    def _sign(self, *signed: str) -> str:
        return hmac.digest(self._key, repr(signed).encode(), "sha256").hex()


async def read_upload(request: Request) -> tuple[FileStorage | Response, Mapping[str, str]]:
    """The `file` of a multipart request, or the error response if there is none; and the other fields."""
    body, size = bytearray(), 0
    async for chunk in request.stream():  # to the end, so that the client sees the answer
        size += len(chunk)
        body += chunk[: MAX_FILE + ENVELOPE - len(body)]
    mimetype, options = parse_options_header(request.headers.get("content-type"))
    parser = FormDataParser(stream_factory=lambda *_, **__: BytesIO())
    _, fields, files = parser.parse(BytesIO(body), mimetype, len(body), options)
    upload = files.get("file")
    if size > len(body) or (upload is not None and _size(upload) > MAX_FILE):
        return error(413, "file_too_large", "File size exceeded."), fields
    if upload is None or not upload.filename:
        return error(400, "no_file_uploaded", "Please upload your file."), fields
    return upload, fields


def _size(upload: FileStorage) -> int:
    size = upload.stream.seek(0, SEEK_END)
    upload.stream.seek(0)
    return size


def error(status: int, code: str, message: str) -> Response:
    """An error as Dify's APIs tell it."""
    return JSONResponse({"code": code, "message": message, "status": status}, status)


def file_value(method: str, name: str, extension: str, mime_type: str, **more: Any) -> dict[str, Any]:
    """A file as workflows contain it; `more` has its `size`, its `url` and other fields that are not null."""
    nulls = dict.fromkeys(("id", "remote_url", "reference", "related_id", "url"))
    about = {"filename": name, "extension": extension, "mime_type": mime_type, "type": file_type(extension, mime_type)}
    return {"dify_model_identity": "__dify__file__", "transfer_method": method, **nulls, **about, **more}


def file_type(extension: str, mime_type: str) -> str:
    """The type that Dify gives a file: document, image, video, audio or custom."""
    kind = mime_type.partition("/")[0]
    if extension.lower() in DOCUMENTS or kind == "text":
        return "document"
    return kind if kind in {"image", "video", "audio"} else "custom"
