"""The end users of Dify's apps, who own conversations and uploads. No I/O.

Dify 1.16 makes them without a lock: if a new user's first requests to an app overlap, each of them makes an end user. Later
requests find the one that was made first, so that what belongs to the others is lost.
"""

import uuid

MAKING_S = 0.1  # from the lookup of an end user to the insert: long enough for requests sent side by side to overlap
PLUGINS = str(uuid.uuid4())  # the user's name for all calls of plugins


class EndUsers:
    """The end users of a workspace, by the app and by the user's name."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], str] = {}

    def find(self, app_id: str, user: str) -> str | None:
        """The id of the end user who was made first, or None."""
        return self._ids.get((app_id, user))

    def make(self, app_id: str, user: str) -> str:
        """Makes an end user, even if another request has made one meanwhile, and gives its id. Callers wait `MAKING_S` before."""
        made = str(uuid.uuid4())
        self._ids.setdefault((app_id, user), made)
        return made
