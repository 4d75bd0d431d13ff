"""Requests that are passed on to Dify's Service API as they are, and what Dify answers to them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from duck import errors
from duck.errors import DuckError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duck.runs.files import File

USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A request to pass on to `path`, which is relative to the API's base URL.

    Dify's end user is put into it as the field `user_field`: into the query string of a GET, else into the body, which is JSON,
    or a form if there is a `file`. What the caller has sent under this name is left out. `user` is the end user whom the caller
    names, "" if none. With `takes_bytes` the answer may be anything, else it is a JSON object or empty.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    query: Sequence[tuple[str, str]] = ()
    body: Mapping[str, Any] | None = None
    file: File | None = None
    user: str = ""
    user_field: str = USER
    takes_bytes: bool = False

    def content(self, user: str) -> dict[str, Any]:
        """The query string and the body for this end user, as keyword arguments of the HTTP client."""
        query = [(name, value) for name, value in self.query if name not in {USER, self.user_field}]
        if self.method == "GET":
            return {"params": [*query, (self.user_field, user)]}
        body = {**(self.body or {}), self.user_field: user}
        if self.file is None:
            return {"params": query, "json": body}
        return {"params": query, "data": body, "files": {"file": (self.file.name, self.file.content, self.file.mimetype)}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What Dify answered. `headers` are those of Dify's that tell what the `content` is."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def no_own_key() -> DuckError:
    """The app is reached through the plugin's session, which has no such thing."""
    message = f"Dify offers this by the app's own key only. Put that key into the setting {errors.setting('app_keys')}."
    return DuckError(404, "not_found", message, for_guests="Callers without a key run the version that is published.")


def too_large(limit: int) -> DuckError:
    """Dify's answer has more than `limit` bytes."""
    return DuckError(502, "file_too_large", f"Dify's answer is too large to be passed on: more than {limit // 1024**2} MB.")
