"""What Dify has told of apps within the last minute: their forms, and what they are. A cache: it may vanish at any time."""

import math
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from duck import limits
from duck.errors import DuckError
from duck.runs import forms
from duck.runs.forms import Form

type Parameters = Mapping[str, Any]
type Fetch = Callable[[], Parameters]


@dataclass(slots=True)
class _Told:
    """What was told of one app: its parameters, or why they could not be had. `began` is when it was asked for.

    Who holds the lock is fetching it.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    began: float = -math.inf
    until: float = 0.0
    told: Parameters | DuckError = field(default_factory=dict)
    form: Form | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether that was within the last minute."""
        return time.monotonic() < self.until

    def fetch(self, fetch: Fetch) -> None:
        """Fetches it, and keeps what comes of it, be it a failure."""
        began = time.monotonic()
        try:
            self.told = fetch()
        except DuckError as error:
            self.told = error
        self.form = forms.read(self.told)
        self.began, self.until = began, time.monotonic() + limits.FORM_S


class Known:
    """What was told, by a key.

    Who asks for what is being fetched waits for it, rather than fetch it, too; and of many who want it anew one fetches it for
    all: it must only have been asked for after they did.
    """

    def __init__(self) -> None:
        self._told: dict[Hashable, _Told] = {}

    def parameters(self, key: Hashable, fetch: Fetch, before: Callable[[], None] = lambda: None) -> Parameters:
        """What `fetch` gave within the last minute, or gives now. Raises what it raises, and what `before` raises before that."""
        known, _ = self._ask(key, fetch, lambda known: known.is_fresh and not isinstance(known.told, DuckError), before)
        if isinstance(known.told, DuckError):
            raise known.told.again()
        return known.told

    def form(
        self, key: Hashable, fetch: Fetch, *, anew: bool, before: Callable[[], None] = lambda: None
    ) -> tuple[Form | None, bool]:
        """The form, None where it could not be had within the last minute; and whether it was fetched now, as it is if `anew`."""
        known, is_new = self._ask(key, fetch, lambda known: known.is_fresh and not anew, before)
        return known.form, is_new

    def speaks(self, key: Hashable) -> bool:
        """Whether the app reads its answers out, as far as that is known."""
        known = self._told.get(key)
        about = known.told.get("text_to_speech") if known and not isinstance(known.told, DuckError) else None
        return isinstance(about, Mapping) and about.get("enabled") is True and about.get("autoPlay") == "enabled"

    def told(self, key: Hashable, fetch: Fetch) -> Parameters | None:
        """What `fetch` gave, None where it failed; all of that within the last minute, or now."""
        known, _ = self._ask(key, fetch, lambda known: known.is_fresh)
        return None if isinstance(known.told, DuckError) else known.told

    def _ask(
        self, key: Hashable, fetch: Fetch, suffices: Callable[[_Told], bool], before: Callable[[], None] = lambda: None
    ) -> tuple[_Told, bool]:
        """What is known, fetched where that does not suffice; whether it was fetched since it was asked for."""
        asked, known = time.monotonic(), self._of(key)
        if suffices(known):
            return known, False
        with known.lock:
            if known.began <= asked and not suffices(known):
                before()
                known.fetch(fetch)
                return known, True
            return known, known.began > asked

    def _of(self, key: Hashable) -> _Told:
        if key not in self._told and len(self._told) >= limits.MAX_FORMS:
            self._told.pop(next(iter(self._told)))  # the one that came first
        return self._told.setdefault(key, _Told())
