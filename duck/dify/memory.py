"""What a process remembers of Dify. All of it may vanish at any time."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import httpx

from duck import limits
from duck.clock import CLOCK, Clock
from duck.dify.cache import Cache
from duck.dify.end_users import EndUsers
from duck.dify.readings import Readings

if TYPE_CHECKING:
    from duck.runs.run import Kind


class Conversations:
    """Ids of conversations by a digest of all that was said in them.

    Each is given away once only: a caller who continues it changes what was said in it.
    """

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}  # by digest, in the order in which they were put
        self._digests: dict[str, str] = {}  # by id

    def put(self, digest: str, conversation_id: str) -> None:
        """Remembers a conversation, in place of the oldest one if there are too many."""
        self.forget(conversation_id)
        self.take(digest)
        self._ids[digest] = conversation_id
        self._digests[conversation_id] = digest
        if len(self._ids) > limits.MAX_CONVERSATIONS:
            self.take(next(iter(self._ids)))

    def take(self, digest: str) -> str | None:
        """The conversation, which is forgotten then; None if it is not known."""
        conversation_id = self._ids.pop(digest, None)
        if conversation_id is not None:
            del self._digests[conversation_id]
        return conversation_id

    def forget(self, conversation_id: str) -> None:
        """Forgets a conversation that a caller continues by its id: then more is said in it than its digest stands for."""
        if digest := self._digests.get(conversation_id):
            self.take(digest)


class Memory:
    """What a process remembers of Dify's apps.

    `forms`, `infos`, `sites` and `probes` are cached answers. `kinds` has the kind of each app, by its id, that a run or a probe
    has shown. `agents` has the ids of the apps that refused blocking mode, so that they are not refused again. `conversations`
    are ids of conversations by what was said in them. `readings` are the runs that are read for callers who fetch them later.
    """

    def __init__(self, clock: Clock = CLOCK) -> None:
        self.forms = Cache(clock)
        self.infos = Cache(clock)
        self.sites = Cache(clock)
        self.probes = Cache(clock)
        self.kinds: dict[str, Kind] = {}
        self.agents: set[str] = set()
        self.end_users = EndUsers()
        self.conversations = Conversations()
        self.readings = Readings()

    @functools.cached_property
    def http(self) -> httpx.Client:
        """The client of Dify's Service API, for all runs: `Slots` limits how many there are.

        It follows no redirects, because a key is for the host that its owner has named. It is made when it is first needed: that
        takes a tenth of a second and 3 MB.
        """
        pool = httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=limits.SERVICE_IDLE_S)
        return httpx.Client(limits=pool, follow_redirects=False)
