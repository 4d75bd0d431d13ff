"""What Dify has told of apps within the last minute: their forms, and what they are. A cache: it may vanish at any time."""

import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from duck import forms, limits
from duck.errors import DuckError
from duck.forms import Form

type Parameters = Mapping[str, Any]
type Fetch = Callable[[], Parameters]


@dataclass(slots=True)
class _Told:
    """What was told of one app; `parameters` are None where that could not be had. Who holds the lock is fetching it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = 0.0
    parameters: Parameters | None = None
    form: Form | None = None

    def fetch(self, fetch: Fetch) -> Parameters:
        """Fetches it, and keeps what comes of it, be it a failure."""
        self.parameters = self.form = None
        try:
            self.parameters = fetch()
            self.form = forms.read(self.parameters)
        finally:
            self.until = time.monotonic() + limits.FORM_S
        return self.parameters

    def try_to_fetch(self, fetch: Fetch) -> None:
        """The same, without a word where it fails: the app can be run all the same, and what is wrong is in the log."""
        with contextlib.suppress(DuckError):
            self.fetch(fetch)


class Known:
    """What was told, by a key. Who asks for what is being fetched waits for it, rather than fetch it, too."""

    def __init__(self) -> None:
        self._told: dict[Hashable, _Told] = {}

    def parameters(self, key: Hashable, fetch: Fetch) -> Parameters:
        """What `fetch` gave within the last minute, or gives now. Raises what it raises."""
        known = self._of(key)
        with known.lock:
            is_fresh = known.parameters is not None and time.monotonic() < known.until
            return known.parameters if is_fresh and known.parameters is not None else known.fetch(fetch)

    def form(self, key: Hashable, fetch: Fetch, *, anew: bool) -> tuple[Form | None, bool]:
        """The form, None where it could not be had within the last minute; and whether it was fetched now, as it is if `anew`."""
        known = self._of(key)
        with known.lock:
            is_new = anew or time.monotonic() >= known.until
            if is_new:
                known.try_to_fetch(fetch)
            return known.form, is_new

    def told(self, key: Hashable, fetch: Fetch) -> Parameters | None:
        """What `fetch` gave, None where it failed; all of that within the last minute, or now."""
        known = self._of(key)
        with known.lock:
            if time.monotonic() >= known.until:
                known.try_to_fetch(fetch)
            return known.parameters

    def _of(self, key: Hashable) -> _Told:
        if key not in self._told and len(self._told) >= limits.MAX_FORMS:
            self._told.pop(next(iter(self._told)))  # the one that came first
        return self._told.setdefault(key, _Told())
