"""What a process remembers of Dify. All of it may vanish at any time."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import httpx

from duck import limits
from duck.clock import CLOCK, Clock
from duck.dify.cache import Cache
from duck.dify.end_users import EndUsers

if TYPE_CHECKING:
    from duck.runs.run import Kind


class Memory:
    """What a process remembers of Dify's apps.

    `forms` and `infos` are cached answers. `kinds` has the kind of each app, by its id, that a run has shown; `agents` has the
    ids of the apps that refused blocking mode, so that they are not refused again.
    """

    def __init__(self, clock: Clock = CLOCK) -> None:
        self.forms = Cache(clock)
        self.infos = Cache(clock)
        self.kinds: dict[str, Kind] = {}
        self.agents: set[str] = set()
        self.end_users = EndUsers()

    @functools.cached_property
    def http(self) -> httpx.Client:
        """The client of Dify's Service API, for all runs: `Slots` limits how many there are.

        It follows no redirects, because a key is for the host that its owner has named. It is made when it is first needed: that
        takes a tenth of a second and 3 MB.
        """
        pool = httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=limits.SERVICE_IDLE_S)
        return httpx.Client(limits=pool, follow_redirects=False)
