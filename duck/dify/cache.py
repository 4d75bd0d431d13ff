"""A cache of what Dify says of apps: their forms, `/info` and `/site`, each for a minute."""

import math
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from duck import limits
from duck.clock import CLOCK, Clock
from duck.errors import DuckError
from duck.runs import forms
from duck.runs.forms import Form

type Answer = Mapping[str, Any]
type Fetch = Callable[[], Answer]
type Before = Callable[[], None]


@dataclass(slots=True)
class _Entry:
    """What was fetched for one key: Dify's answer or its error. Whoever fetches it holds the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    began: float = -math.inf
    expires: float = -math.inf
    result: Answer | DuckError = field(default_factory=dict)
    form: Form | None = None

    def fetch(self, fetch: Fetch, clock: Clock) -> None:
        """Fetches the answer, and keeps it or the error."""
        began = clock.now()
        try:
            self.result = fetch()
        except DuckError as error:
            self.result = error
        self.form = forms.read(self.result)
        self.began, self.expires = began, clock.now() + limits.FORM_S


class Cache:
    """Answers of Dify by a key, for a minute.

    Callers that come while an answer is fetched wait for it. If many want a fresh answer at once, one of them fetches it for all,
    provided that the fetch began after they had asked.
    """

    def __init__(self, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._entries: dict[Hashable, _Entry] = {}

    def answer(self, key: Hashable, fetch: Fetch, before: Before = lambda: None) -> Answer:
        """The answer, at most a minute old. Raises what `fetch` raises, and what `before` raises, which is called ahead of it."""
        entry, _ = self._get(key, fetch, lambda entry: self._is_fresh(entry) and not isinstance(entry.result, DuckError), before)
        if isinstance(entry.result, DuckError):
            raise entry.result.again()
        return entry.result

    def answer_if_any(self, key: Hashable, fetch: Fetch) -> Answer | None:
        """The answer, None if the fetch failed, now or within the last minute."""
        entry, _ = self._get(key, fetch, self._is_fresh)
        return None if isinstance(entry.result, DuckError) else entry.result

    def form(self, key: Hashable, fetch: Fetch, *, anew: bool, before: Before = lambda: None) -> tuple[Form | None, bool]:
        """The answer as a form, None if it cannot be read as one or the fetch failed; and whether it was fetched for this call.

        With `anew` it always is.
        """
        entry, is_new = self._get(key, fetch, lambda entry: self._is_fresh(entry) and not anew, before)
        return entry.form, is_new

    def fault(self, key: Hashable) -> str:
        """Why the last fetch failed, "" if it did not fail."""
        entry = self._entries.get(key)
        return entry.result.message if entry and isinstance(entry.result, DuckError) else ""

    def plays_audio(self, key: Hashable) -> bool:
        """Whether the app's answers are read aloud, as far as its form has been fetched."""
        entry = self._entries.get(key)
        about = entry.result.get("text_to_speech") if entry and not isinstance(entry.result, DuckError) else None
        return isinstance(about, Mapping) and about.get("enabled") is True and about.get("autoPlay") == "enabled"

    def _is_fresh(self, entry: _Entry) -> bool:
        return self._clock.now() < entry.expires

    def _get(
        self, key: Hashable, fetch: Fetch, suffices: Callable[[_Entry], bool], before: Before = lambda: None
    ) -> tuple[_Entry, bool]:
        """The entry, fetched if it does not suffice; and whether it was fetched after this call began."""
        called, entry = self._clock.now(), self._entry(key)
        if suffices(entry):
            return entry, False
        with entry.lock:
            if entry.began <= called and not suffices(entry):
                before()
                entry.fetch(fetch, self._clock)
                return entry, True
            return entry, entry.began > called

    def _entry(self, key: Hashable) -> _Entry:
        if key not in self._entries and len(self._entries) >= limits.MAX_FORMS:
            self._entries.pop(next(iter(self._entries)))  # the oldest
        return self._entries.setdefault(key, _Entry())
