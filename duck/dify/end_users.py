"""Dify's end users, which Dify creates without a lock (measured on 1.16).

If the first requests for one user of an app come together, Dify creates two end users of the same name, and what one of them has
uploaded or begun is unknown to the other. So the first request for each user runs alone, and the others wait for it.
"""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from duck import limits


class _Turn:
    """A lock that can be referenced weakly: it lives as long as somebody waits for it."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()


class EndUsers:
    """The end users that are known to exist."""

    def __init__(self) -> None:
        self._existing: dict[Hashable, None] = {}  # in the order in which they were added
        self._turns: WeakValueDictionary[Hashable, _Turn] = WeakValueDictionary()

    @contextmanager
    def request(self, user: Hashable, patience_s: float) -> Iterator[None]:
        """Runs a request that may create this user: alone, while the user is not known to exist.

        Others wait for at most `patience_s` seconds. A request that ends without an exception proves that the user exists.
        """
        if user in self._existing:
            yield
            return
        turn = self._turns.setdefault(user, _Turn())
        is_alone = turn.lock.acquire(timeout=patience_s)
        try:
            if is_alone and user in self._existing:
                turn.lock.release()
                is_alone = False
            yield
            self._add(user)
        finally:
            if is_alone:
                turn.lock.release()

    def _add(self, user: Hashable) -> None:
        self._existing[user] = None
        if len(self._existing) > limits.MAX_END_USERS:
            self._existing.pop(next(iter(self._existing)))
