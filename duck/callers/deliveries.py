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
    """The deliveries of a day, in the order in which they came. One that failed is forgotten, so that it can be sent again."""

    def __init__(self) -> None:
        self._deliveries: dict[Hashable, _Delivery] = {}
        self._waiting = 0
        self._lock = threading.Lock()

    def once[T](self, key: Hashable, accept: Callable[[], T], clock: Clock) -> tuple[T, bool]:
        """What `accept` returns for this delivery, and whether it is a repeat: then `accept` has been called before.

        A repeat of a delivery that is being accepted waits for it. Raises what `accept` raises, also to those that have waited;
        and `DuckError` 503 if too many wait.
        """
        with self._lock:
            delivery = self._find(key, clock.now())
            is_repeat = delivery is not None
            if delivery is None:
                delivery = self._deliveries[key] = _Delivery(clock.now())
                if len(self._deliveries) > limits.MAX_DELIVERIES:
                    del self._deliveries[next(iter(self._deliveries))]
            elif self._waiting >= limits.MAX_WAITING:
                raise DuckError(503, "overloaded", _BUSY, headers={"Retry-After": str(limits.OVERLOADED_RETRY_S)})
            else:
                self._waiting += 1
        if is_repeat:
            self._wait(delivery)
        else:
            self._accept(key, delivery, accept)
        if isinstance(delivery.outcome, DuckError):
            raise delivery.outcome.again()
        return cast("T", delivery.outcome), is_repeat

    def _find(self, key: Hashable, now: float) -> _Delivery | None:
        delivery = self._deliveries.get(key)
        if delivery and delivery.done.is_set() and now - delivery.came_at > limits.DELIVERY_S:
            del self._deliveries[key]
            return None
        return delivery

    def _wait(self, delivery: _Delivery) -> None:
        try:
            delivery.done.wait()
        finally:
            with self._lock:
                self._waiting -= 1

    def _accept(self, key: Hashable, delivery: _Delivery, accept: Callable[[], object]) -> None:
        delivery.outcome = DuckError(503, "overloaded", _BUSY)  # if the process ends this request
        try:
            delivery.outcome = accept()
        except DuckError as error:
            delivery.outcome = error.again()
        finally:
            if isinstance(delivery.outcome, DuckError):
                with self._lock:
                    if self._deliveries.get(key) is delivery:
                        del self._deliveries[key]
            delivery.done.set()


_BUSY = Text("This delivery could not be accepted for now. Send it again in a moment.")
