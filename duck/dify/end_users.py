"""Dify's end users, which it makes without a lock (measured on 1.16).

First requests of a new user of an app that come together make two end users of one name, and what one of them has uploaded or
begun is then unknown to the other. So the first request for each goes alone, and the others wait for it.
"""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from duck import limits


class _Turn:
    """Whose turn it is to show that there is a certain user. It is kept by those who wait for it."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()


class EndUsers:
    """Those whom a request has shown to be there."""

    def __init__(self) -> None:
        self._known: dict[Hashable, None] = {}  # in the order in which they came
        self._turns: WeakValueDictionary[Hashable, _Turn] = WeakValueDictionary()

    @contextmanager
    def known(self, user: Hashable, patience_s: float) -> Iterator[None]:
        """Runs what may make this user: alone while nobody knows whether there is one, but nobody waits longer than `patience_s`.

        What ends without an exception has shown that there is one.
        """
        if user in self._known:
            yield
            return
        turn = self._turns.setdefault(user, _Turn())
        is_alone = turn.lock.acquire(timeout=patience_s)
        try:
            if is_alone and user in self._known:
                turn.lock.release()
                is_alone = False
            yield
            self._add(user)
        finally:
            if is_alone:
                turn.lock.release()

    def _add(self, user: Hashable) -> None:
        self._known[user] = None
        if len(self._known) > limits.MAX_END_USERS:
            self._known.pop(next(iter(self._known)))


END_USERS = EndUsers()
