"""What a process keeps from one request to the next, as one object, so that a test can have its own.

Dify may run several processes of a plugin and end them at any time, so nothing here may be needed: it limits or it saves work.
"""

import math
from dataclasses import dataclass, field

from duck.callers.deliveries import Deliveries
from duck.callers.rates import Rates
from duck.clock import CLOCK, Clock
from duck.dify.memory import Memory
from duck.streams.slots import Slots


@dataclass(slots=True, kw_only=True)
class State:
    """The state of one process.

    `slots` limits the runs at a time, `rates` the runs of guests in a minute, `wrong_keys` the attempts to guess a key, and
    `deliveries` the runs of one webhook; `memory` is what is known of Dify's apps. A run may take `run_s` seconds.
    """

    slots: Slots = field(default_factory=Slots)
    rates: Rates = field(default_factory=Rates)
    wrong_keys: Rates = field(default_factory=Rates)
    deliveries: Deliveries = field(default_factory=Deliveries)
    memory: Memory = field(default_factory=Memory)
    run_s: float = math.inf
    clock: Clock = CLOCK


_states = [State()]


def current() -> State:
    """The state of this process."""
    return _states[-1]


def use(state: State) -> None:
    """Makes this the state of the process, for all requests that begin from now on."""
    _states[:] = [state]
