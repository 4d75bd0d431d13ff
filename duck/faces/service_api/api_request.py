"""Parses requests to Dify's own paths. Pure."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from werkzeug import Request

from duck.dify.forwarding import USER, Passage
from duck.errors import DuckError, invalid_field
from duck.faces.api import run_request
from duck.runs import bodies
from duck.runs.fields import Files
from duck.runs.run import Kind, RunRequest

LOGS, SESSION = "workflows/logs", "created_by_end_user_session_id"  # Dify's name for the end user there
_UPLOADS = {"files/upload", "audio-to-text"}
_BYTES = {"files/<file_id>/preview", "text-to-audio"}
_ACCOUNT = "created_by_account"  # runs of people who build the app
_ID = re.compile(r"[\w-]{1,200}", re.ASCII)  # in a path, where ".." would lead elsewhere


def check_ids(ids: Mapping[str, str]) -> None:
    """Raises `DuckError` 404 for a path with something else in place of an id."""
    if not all(map(_ID.fullmatch, ids.values())):
        raise DuckError(404, "not_found", "No such path: a part of it is no id.")


def run(request: Request, kind: Kind, app_id: str, version: str) -> RunRequest:
    """The run that a request is for. `version` is that of a workflow in the path, "" if there is none.

    Raises `DuckError` as `run_request.parse` does. Unknown fields and inputs are ignored, as Dify does.
    """
    wanted, _ = run_request.parse(request, kind, app_id)
    if kind == "chat" and "workflow_id" in wanted.unknown_fields:
        version = _text(bodies.read_json(request), "workflow_id")
    found = replace(wanted.run, mode=wanted.run.mode or "blocking", version=version)
    return replace(wanted, run=found, unknown_fields=frozenset(), url_fields=frozenset(), takes_ids=True, drops_unknown=True)


def user(request: Request) -> str:
    """The end user whom the body of a request names, "" if none. Raises `DuckError` 400."""
    return _text(bodies.read_json(request), USER)


def passage(request: Request, pattern: str, ids: Mapping[str, str]) -> Passage:
    """The request to pass on. `pattern` is its path in the description of Dify's API, `ids` are the parts that vary.

    Raises `DuckError` 400 if it cannot be parsed.
    """
    path = "/" + "/".join(ids.get(part.strip("<>"), part) if part.startswith("<") else part for part in pattern.split("/"))
    query = [(name, value) for name, value in bodies.query(request) if name != _ACCOUNT]
    takes_bytes = pattern in _BYTES
    if request.method == "GET":
        user_field = SESSION if pattern == LOGS else USER
        named = next((value for name, value in query if name == user_field and value), "")
        return Passage(method="GET", path=path, query=query, user=named, user_field=user_field, takes_bytes=takes_bytes)
    if pattern in _UPLOADS:
        return _upload(request, path, query)
    body = bodies.read_json(request)
    method = cast("Any", request.method)
    named = _text(body, USER) or next((value for name, value in query if name == USER), "")
    return Passage(method=method, path=path, query=query, body=body, user=named, takes_bytes=takes_bytes)


def _upload(request: Request, path: str, query: list[tuple[str, str]]) -> Passage:
    """A file to pass on, under a name that is safe."""
    fields = bodies.read(request, {USER})
    sent = fields.get("inputs", {}).get("file")
    if not isinstance(sent, Files):
        raise DuckError(400, "no_file_uploaded", "Send the file as the part file of a multipart body.")
    if len(sent) > 1:
        raise DuckError(400, "too_many_files", "Only one file is allowed.")
    return Passage(method="POST", path=path, query=query, file=sent[0], user=_text(fields, USER))


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid_field(name, "must be a text")
    return value or ""
