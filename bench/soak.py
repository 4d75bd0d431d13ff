"""Clients of every kind, all together for a while. Every byte that they receive is compared with what was sent."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from bench import clients
from bench.host import Host
from bench.runs import STREAMS, Fate, Spec, difference

FATES: list[Fate] = ["ends", "ends", "ends", "ends", "ends", "ends", "refused", "fails", "breaks", "cut"]


@dataclass(slots=True)
class Tally:
    """What all clients together have received."""

    kinds: Counter[str] = field(default_factory=Counter)
    size: int = 0
    differences: list[str] = field(default_factory=list)


async def soak(host: Host, *, count: int, seconds: float) -> list[str]:
    """Clients that read, stumble and hang up, short, long and large runs, failing ones among them, all together for a while."""
    tally, until = Tally(), time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(_client(host, random.Random(number), tally, until))
    kinds = ", ".join(f"{number} {kind}" for kind, number in tally.kinds.most_common())
    print(f"  {tally.kinds.total()} runs, {tally.size / 1e6:.0f} MB: {kinds}")
    return tally.differences


async def _client(host: Host, dice: random.Random, tally: Tally, until: float) -> None:
    while time.monotonic() < until:
        spec, format_ = _spec(dice), dice.choice((*STREAMS, "ndjson", "sse", "json"))
        kind = dice.choice(("reads", "reads", "reads", "stumbles", "hangs up"))
        pause = clients.stumbling(spec.seed) if kind == "stumbles" else clients.no_pause
        hang_up_after = dice.randint(1, 2_000) if kind == "hangs up" else float("inf")
        tally.kinds[kind] += 1
        try:
            answer = await clients.fetch(host.url, spec, format_, pause=pause, hang_up_after=hang_up_after)
        except (TimeoutError, OSError) as error:
            tally.differences.append(f"{spec} {format_} {kind}: {error!r}")
            continue
        tally.size += len(answer.body)
        if kind != "hangs up" and (wrong := difference(spec, format_, answer.status, answer.body)):
            tally.differences.append(f"{spec} {format_} {kind}: {wrong}")


def _spec(dice: random.Random) -> Spec:
    """A short run, one that takes seconds, or one with few and large events."""
    seed, fate = dice.randrange(10**9), dice.choice(FATES)
    match dice.choice(("at once", "at once", "at once", "paced", "paced", "paced", "large")):
        case "at once":
            return Spec(seed=seed, fate=fate, events=dice.randint(1, 50))
        case "paced":
            return Spec(seed=seed, fate=fate, events=dice.randint(20, 200), pace=dice.choice((0.005, 0.02, 0.05)))
    return Spec(seed=seed, fate=fate, events=dice.randint(1, 5), size=dice.choice((20_000, 300_000)), pace=0.05)
