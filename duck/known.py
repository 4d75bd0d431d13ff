"""The forms of apps that were fetched within the last minute. A cache: it may vanish at any time."""

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
class _Known:
    """One app's form; `parameters` are None where it could not be had. Who holds the lock is fetching it."""

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


class KnownForms:
    """Forms by a key. Who asks for one that is being fetched waits for it, rather than fetch it, too."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _Known] = {}

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
            if not anew and time.monotonic() < known.until:
                return known.form, False
            with contextlib.suppress(DuckError):  # Dify judges then; what is wrong with it is in the log
                known.fetch(fetch)
            return known.form, True

    def _of(self, key: Hashable) -> _Known:
        if key not in self._known and len(self._known) >= limits.MAX_FORMS:
            self._known.pop(next(iter(self._known)))  # the one that came first
        return self._known.setdefault(key, _Known())
