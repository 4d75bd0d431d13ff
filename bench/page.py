"""What the page costs, next to the same stream as NDJSON."""

import statistics
import time

from bench import clients
from bench.host import Host
from bench.runs import Spec, difference

STYLES = ("ndjson", "html")
TOKENS = 1_000  # of each run: fewer than a burst of which the daemon loses the end
MOST = 1.5  # times as much of the plugin's CPU a token
LONG_S = 2.0  # in which a page with an answer of 300 kB is whole


async def page(host: Host, *, count: int) -> list[str]:
    """The page next to NDJSON: the plugin's CPU a token, how soon the first words come, and an answer of 300 kB."""
    wrong: list[str | None] = []
    cpu = {style: list[float]() for style in STYLES}
    firsts = {style: list[float]() for style in STYLES}
    for seed in range(count):
        for style in STYLES:  # in turn: the machine is noisy
            before = host.probe()["cpu_s"]
            spec = Spec(seed=seed, events=TOKENS, pace=0.0005)
            got = await clients.ask(host.url, spec, style)
            cpu[style].append(host.probe()["cpu_s"] - before)
            firsts[style].append(got.first_s * 1000)
            wrong.append(difference(spec, style, got.status, got.body))
    ratio = sum(cpu["html"]) / sum(cpu["ndjson"])
    first, first_of_ndjson = (statistics.median(firsts[style]) for style in ("html", "ndjson"))
    long = Spec(seed=1, events=TOKENS, size=300)
    began = time.monotonic()
    got = await clients.ask(host.url, long, "html")
    took = time.monotonic() - began
    wrong.append(difference(long, "html", got.status, got.body))
    print(f"  CPU a token {ratio:.2f} times NDJSON's; first words after {first:.1f} ms, NDJSON's after {first_of_ndjson:.1f} ms")
    print(f"  an answer of {len(long.text()) / 1000:.0f} kB is a page of {len(got.body) / 1000:.0f} kB, whole after {took:.2f} s")
    slow = [f"{ratio:.2f} times NDJSON's CPU"] if ratio > MOST else []
    slow += [f"{took:.2f} s for an answer of 300 kB"] if took > LONG_S else []
    return [*filter(None, wrong), *slow]
