"""One kind of load at a time: many short runs, readers that stall, bursts, clients that hang up, and no slot left."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from bench import clients
from bench.clients import Answer
from bench.host import Host
from bench.runs import STREAMS, Spec, difference

AT_ONCE = 50  # clients at a time
STALL_S = 3.0
SILENCE_S = 20  # after which Duck gives up a run, instead of its own 250 s, so that the benchmark is short
SLOTS = 200
IDLE_S = 3.0
MAX_REFUSAL_S = 0.1  # in which a client is refused if no slot is left


async def short(host: Host, *, count: int) -> list[str]:
    """Runs of 1 to 50 events at once, `count` in each streaming format."""
    specs = [(Spec(seed=seed, events=seed % 50 + 1), format_) for format_ in STREAMS for seed in range(count)]
    return await _compared(specs, lambda spec, format_: clients.fetch(host.url, spec, format_))


async def stall(host: Host, *, count: int) -> list[str]:
    """Streams of 100 events a second whose clients stop reading for 3 seconds. One more client stops for ever, and harms none."""
    specs = [(Spec(seed=seed, events=800, pace=0.01), STREAMS[seed % len(STREAMS)]) for seed in range(count)]

    def stops_once() -> clients.Pause:
        stopped = False

        async def pause(size: int) -> None:
            nonlocal stopped
            if size > 10_000 and not stopped:
                stopped = True
                await asyncio.sleep(STALL_S)

        return pause

    async def stop(_size: int) -> None:
        await asyncio.Event().wait()

    stopped = asyncio.create_task(clients.fetch(host.url, Spec(seed=0, events=3000, pace=0.003, size=2000), "ndjson", pause=stop))
    differences = await _compared(specs, lambda spec, format_: clients.fetch(host.url, spec, format_, pause=stops_once()))
    stopped.cancel()
    return differences


async def burst(host: Host, *, count: int) -> list[str]:
    """5,000 events at once, of which the daemon loses the end. All events before that arrive, then an error."""
    lost = []
    for seed in range(count):
        answer = await clients.fetch(host.url, Spec(seed=seed, events=5_000), "ndjson")
        *lines, last = answer.body.splitlines()
        whole = b"".join(line + b"\n" for line in lines)
        wrong = difference(Spec(seed=seed, events=len(lines), fate="cut"), "ndjson", answer.status, answer.body)
        if wrong and b'"message_end"' not in last:
            lost.append(f"{len(lines)} events, {len(whole)} bytes: {wrong}")
    return lost


async def hang_ups(host: Host, *, count: int) -> list[str]:
    """Clients that hang up in mid-stream. The next client is served at once, and after a while nothing of them is left."""
    before = host.probe()
    spec = Spec(seed=1, events=400, pace=0.5)
    for start in range(0, count, AT_ONCE):
        batch = range(start, min(start + AT_ONCE, count))
        await asyncio.gather(*(clients.fetch(host.url, spec, "ndjson", hang_up_after=1) for _ in batch))
    held = host.probe()
    answer = await clients.fetch(host.url, Spec(seed=2, events=5), "ndjson")
    print(
        f"  {held['slots']} slots, {held['memory_kb'] / 1024:.0f} MB held; the next client waited {answer.first_s * 1000:.0f} ms"
    )
    wrong = difference(Spec(seed=2, events=5), "ndjson", answer.status, answer.body)
    await asyncio.sleep(SILENCE_S + 5)
    after = host.probe()
    print(f"  before and {SILENCE_S + 5} s later: {before} {after}")
    left = [
        f"{after[name]} {name} are left, {before[name]} were there"
        for name in ("slots", "readers", "greenlets")
        if after[name] > before[name]
    ]
    return [*([wrong] if wrong else []), *left]


async def full(host: Host, *, count: int) -> list[str]:
    """With all `count` slots taken by live runs, the next client is refused quickly. Once a run is silent, it is served."""
    live = [asyncio.create_task(clients.fetch(host.url, Spec(seed=n, events=400, pace=0.05), "sse")) for n in range(count - 1)]
    while host.probe()["slots"] < count - 1:
        await asyncio.sleep(0.1)
    silent = asyncio.create_task(clients.fetch(host.url, Spec(seed=0, events=2, pace=30), "sse"))
    await asyncio.sleep(IDLE_S / 2)
    refused = await clients.fetch(host.url, Spec(seed=1, events=1), "sse")
    await asyncio.sleep(IDLE_S)
    served = await clients.fetch(host.url, Spec(seed=1, events=1), "sse")
    print(f"  {refused.status} after {refused.total_s * 1000:.0f} ms, Retry-After {refused.retry_after}; then {served.status}")
    wrong = (
        [] if refused.status == 503 and refused.retry_after and refused.total_s < MAX_REFUSAL_S else [f"no quick 503: {refused}"]
    )
    wrong += [found] if (found := difference(Spec(seed=1, events=1), "sse", served.status, served.body)) else []
    wrong += [] if b'"overloaded"' in (await silent).body else ["the silent run was not evicted"]
    for n, task in enumerate(live):
        answer = await task
        wrong += [found] if (found := difference(Spec(seed=n, events=400), "sse", answer.status, answer.body)) else []
    return wrong


async def _compared(specs: Iterable[tuple[Spec, str]], fetch: Callable[[Spec, str], Awaitable[Answer]]) -> list[str]:
    """Fetches all specs, some at a time, and returns what was wrong."""
    slots, differences = asyncio.Semaphore(AT_ONCE), list[str]()

    async def one(spec: Spec, format_: str) -> None:
        async with slots:
            answer = await fetch(spec, format_)
        if wrong := difference(spec, format_, answer.status, answer.body):
            differences.append(f"{spec} {format_}: {wrong}")

    async with asyncio.TaskGroup() as group:
        for spec, format_ in specs:
            group.create_task(one(spec, format_))
    return differences
