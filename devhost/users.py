"""The end users of Dify's apps: they own conversations and uploads. No I/O.

Dify 1.16 creates them without a lock: if a new user's first requests to an app overlap, each request creates an end user. Later
requests find only the first end user, so the conversations and uploads of the others are lost.
"""

import uuid

CREATION_S = 0.1  # from lookup to insert: long enough for parallel requests to overlap
PLUGINS = str(uuid.uuid4())  # the user name of all plugins' calls


class EndUsers:
    """The end users of a workspace, by app and user name."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], str] = {}

    def find(self, app_id: str, user: str) -> str | None:
        """The id of the end user who was created first, or None."""
        return self._ids.get((app_id, user))

    def create(self, app_id: str, user: str) -> str:
        """Creates an end user, even if another request has created one, and returns the id. Callers first wait `CREATION_S`."""
        end_user = str(uuid.uuid4())
        self._ids.setdefault((app_id, user), end_user)
        return end_user
