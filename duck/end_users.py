"""Dify's end users, which it makes without a lock (measured on 1.16).

First requests of a new user of an app that come together make two end users of one name, and what one of them has uploaded or
begun is then unknown to the other. So the first request for each goes alone, and the others wait for it.
"""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from duck import limits


class EndUsers:
    """Those whom a request has shown to be there."""

    def __init__(self) -> None:
        self._known: dict[Hashable, None] = {}  # in the order in which they came
        self._locks: dict[Hashable, threading.Lock] = {}

    @contextmanager
    def known(self, user: Hashable, patience_s: float) -> Iterator[None]:
        """Runs what may make this user: alone while nobody knows whether there is one, but nobody waits longer than `patience_s`.

        What ends without an exception has shown that there is one.
        """
        if user in self._known:
            yield
            return
        lock = self._locks.setdefault(user, threading.Lock())
        is_alone = lock.acquire(timeout=patience_s)
        try:
            if is_alone and user in self._known:
                lock.release()
                is_alone = False
            yield
            self._add(user)
        finally:
            if is_alone:
                lock.release()

    def _add(self, user: Hashable) -> None:
        self._known[user] = None
        self._locks.pop(user, None)  # who waits for it has it in hand
        if len(self._known) > limits.MAX_END_USERS:
            self._known.pop(next(iter(self._known)))


END_USERS = EndUsers()
