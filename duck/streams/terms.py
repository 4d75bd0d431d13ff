"""What the pump may expect of a run. Pure."""

import math
from dataclasses import dataclass

from duck import limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a run behaves and how long it may take.

    A `blocking` run has one event only, at its end; `guest` tells who has asked for it. It may be silent for `silence_s` seconds
    and take `run_s` in all. With `reads_on` it is read to its end after its caller has hung up: otherwise Dify would not store
    the answer in the conversation.
    """

    blocking: bool
    guest: bool = False
    silence_s: float = limits.SILENCE_S
    run_s: float = math.inf
    reads_on: bool = False
