"""Requests with an app's own key, and their end users."""

import asyncio
import json
from collections.abc import Awaitable, Callable
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

type Answer = Callable[["AppRequest"], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class AppRequest:
    """A request with a valid key, and the key's app."""

    http: Request
    app_id: str
    app: App
    dify: Dify
    streams: "Streams"

    async def object(self) -> dict[str, Any]:
        """The JSON object in the body, or {}."""
        try:
            value = json.loads(await self.http.body())
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    async def end_user(self, user: str) -> str:
        """The id of the app's end user with this name, who is created if necessary."""
        end_users = self.dify.end_users
        found = end_users.find(self.app_id, user)
        if found is None:
            await asyncio.sleep(CREATION_S)
            found = end_users.create(self.app_id, user)
        return found
