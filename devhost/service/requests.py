"""Requests with an app's own key, their arguments and their end users."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from devhost.apps import App
from devhost.dify import Dify
from devhost.users import CREATION_S

if TYPE_CHECKING:
    from devhost.service.streams import Streams

DEFAULT_USER = "DEFAULT-USER"  # of requests without a user
WRONG_ROUTE = "Please check if your app mode matches the right API route."
UNAVAILABLE = "App unavailable, please check your app configurations."

type Answer = Callable[["AppRequest"], Awaitable[Response]]


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def not_found(message: str) -> RefusedError:
    """There is no such thing, or it belongs to another end user."""
    return RefusedError(404, "not_found", message)


def invalid(message: str) -> RefusedError:
    """An argument is not valid."""
    return RefusedError(400, "invalid_param", message)


@dataclass(frozen=True, slots=True)
class AppRequest:
    """A request with a valid key, and the key's app. Its methods raise `RefusedError`."""

    http: Request
    app_id: str
    app: App
    dify: Dify
    streams: "Streams"

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.http.path_params[name])

    def require(self, modes: Collection[str], refusal: str) -> None:
        """Refuses apps of other modes with this code."""
        if self.app.mode not in modes:
            raise RefusedError(400, refusal, UNAVAILABLE if refusal == "app_unavailable" else WRONG_ROUTE)

    def limit(self) -> int:
        """The argument `limit` of a list."""
        return self.number("limit", 20, 100)

    def number(self, name: str, default: int, maximum: int) -> int:
        """A number from 1 to `maximum` in the query string."""
        text = self.http.query_params.get(name) or str(default)
        if not text.isdecimal() or not 1 <= int(text) <= maximum:
            raise invalid(f"{name} must be an integer from 1 to {maximum}")
        return int(text)

    async def object(self) -> dict[str, Any]:
        """The JSON object in the body, or {}."""
        try:
            value = json.loads(await self.http.body())
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    async def user_in_body(self, *, required: bool = False) -> str:
        """The id of the end user who is named in the body."""
        return await self._named((await self.object()).get("user"), required=required)

    async def user_in_query(self, *, required: bool = False) -> str:
        """The id of the end user who is named in the query string."""
        return await self._named(self.http.query_params.get("user"), required=required)

    async def end_user(self, user: str) -> str:
        """The id of the app's end user with this name, who is created if necessary."""
        end_users = self.dify.end_users
        found = end_users.find(self.app_id, user)
        if found is None:
            await asyncio.sleep(CREATION_S)
            found = end_users.create(self.app_id, user)
        return found

    async def _named(self, user: Any, *, required: bool) -> str:
        if required and (not isinstance(user, str) or not user):
            raise invalid("Arg user must be provided.")
        return await self.end_user(str(user or DEFAULT_USER))
