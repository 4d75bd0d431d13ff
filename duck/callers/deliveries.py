"""Deliveries of webhooks, each of which runs an app once, although senders that are unsure send it again."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import cast

from duck import limits
from duck.clock import Clock
from duck.errors import DuckError
from duck.texts import Text


@dataclass(slots=True)
class _Delivery:
    """One delivery. `outcome` is set once it is `done`. `came_at` is in seconds on the clock of `Deliveries.once`."""

    came_at: float
    done: threading.Event = field(default_factory=threading.Event)
    outcome: object = None


class Deliveries:
    """The deliveries of a day, in the order in which they came.

    A failed delivery is removed, so that it can be sent again, unless its run may still be going (504).
    """

    def __init__(self) -> None:
        self._deliveries: dict[Hashable, _Delivery] = {}
        self._waiting = 0
        self._lock = threading.Lock()

    def once[T](self, key: Hashable, accept: Callable[[], T], pending: T, clock: Clock) -> tuple[T, bool]:
        """What `accept` returns for this delivery, and whether it is a repeat: then `accept` has been called before.

        A repeat of a delivery that is being accepted waits up to `REPEAT_S` seconds for it, and then gets `pending`; at once if
        `MAX_WAITING` others wait. Raises what `accept` raises, also to those that have waited.
        """
        with self._lock:
            delivery = self._find(key, clock.now())
            is_repeat = delivery is not None
            if delivery is None:
                delivery = self._deliveries[key] = _Delivery(clock.now())
                if len(self._deliveries) > limits.MAX_DELIVERIES:
                    del self._deliveries[next(iter(self._deliveries))]
        if not is_repeat:
            self._accept(key, delivery, accept)
        elif not self._is_over(delivery):
            return pending, True
        if isinstance(delivery.outcome, DuckError):
            raise delivery.outcome.again()
        return cast("T", delivery.outcome), is_repeat

    def forget(self, key: Hashable) -> None:
        """Forgets a delivery."""
        with self._lock:
            self._deliveries.pop(key, None)

    def _find(self, key: Hashable, now: float) -> _Delivery | None:
        delivery = self._deliveries.get(key)
        if delivery and delivery.done.is_set() and now - delivery.came_at > limits.DELIVERY_S:
            del self._deliveries[key]
            return None
        return delivery

    def _is_over(self, delivery: _Delivery) -> bool:
        """Waits until a delivery is done, unless others do already, and tells whether it is."""
        with self._lock:
            may_wait = self._waiting < limits.MAX_WAITING
            self._waiting += may_wait
        try:
            return delivery.done.wait(limits.REPEAT_S if may_wait else 0)
        finally:
            with self._lock:
                self._waiting -= may_wait

    def _accept(self, key: Hashable, delivery: _Delivery, accept: Callable[[], object]) -> None:
        delivery.outcome = DuckError(503, "overloaded", _BUSY)  # if the process ends this request
        try:
            delivery.outcome = accept()
        except DuckError as error:
            delivery.outcome = error.again()
        finally:
            if isinstance(delivery.outcome, DuckError) and delivery.outcome.status != _TIMEOUT:
                with self._lock:
                    if self._deliveries.get(key) is delivery:
                        del self._deliveries[key]
            delivery.done.set()


_TIMEOUT = 504  # of a run that has begun: it may have run to its end
_BUSY = Text("This delivery could not be accepted for now. Send it again in a moment.")
