"""The end users of Dify's apps, to whom conversations and uploads belong. No I/O.

Dify 1.16 makes them without a lock: first requests of one new user of an app that come together make an end user each, and
all but one of these are never found again.
"""

import uuid

MAKING_S = 0.1  # from looking for an end user to having made one: in between others look, too
PLUGINS = str(uuid.uuid4())  # as whom all callers of a plugin's endpoints run an app


class EndUsers:
    """The end users of a workspace, by the app and by the user's name."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], str] = {}

    def find(self, app_id: str, user: str) -> str | None:
        """The id of the end user that was made first; None where there is none."""
        return self._ids.get((app_id, user))

    def make(self, app_id: str, user: str) -> str:
        """Makes an end user, whether there is one by now or not, and gives its id. Wait for `MAKING_S` before."""
        made = str(uuid.uuid4())
        self._ids.setdefault((app_id, user), made)
        return made
