"""The end users of Dify's apps: they own conversations and uploads. No I/O.

Dify 1.16 creates them without a lock: if a new user's first requests to an app overlap, each request creates an end user. Later
requests find only the first end user, so the conversations and uploads of the others are lost.
"""

import time
import uuid
from dataclasses import dataclass

CREATION_S = 0.1  # from lookup to insert: long enough for parallel requests to overlap
PLUGINS = str(uuid.uuid4())  # the user name of all plugins' calls


@dataclass(frozen=True, slots=True)
class EndUser:
    """An end user of an app; `user` is the name that the app's caller has given, `created_at` in seconds since the epoch."""

    id: str
    app_id: str
    user: str
    created_at: float


class EndUsers:
    """The end users of a workspace, by app and user name."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], str] = {}
        self._all: dict[str, EndUser] = {}

    def find(self, app_id: str, user: str) -> str | None:
        """The id of the end user who was created first, or None."""
        return self._ids.get((app_id, user))

    def about(self, end_user: str) -> EndUser | None:
        """The end user with this id."""
        return self._all.get(end_user)

    def create(self, app_id: str, user: str) -> str:
        """Creates an end user, even if another request has created one, and returns the id. Callers first wait `CREATION_S`."""
        end_user = EndUser(str(uuid.uuid4()), app_id, user, time.time())
        self._all[end_user.id] = end_user
        self._ids.setdefault((app_id, user), end_user.id)
        return end_user.id
