"""The cost of the page, compared with the same stream as NDJSON."""

import statistics
import time

from bench import clients
from bench.host import Host
from bench.runs import Spec, difference

FORMATS = ("ndjson", "html")
TOKENS = 1_000  # of each run: so few that the daemon does not lose the end of a burst
MAX_CPU_RATIO = 1.5  # of the plugin's CPU a token, to that for NDJSON
MAX_LONG_S = 2.0  # until a page with an answer of 300 kB is complete


async def page(host: Host, *, count: int) -> list[str]:
    """The page compared with NDJSON: the plugin's CPU a token, the time to the first words, and an answer of 300 kB."""
    wrong: list[str | None] = []
    cpu = {name: list[float]() for name in FORMATS}
    firsts = {name: list[float]() for name in FORMATS}
    for seed in range(count):
        for name in FORMATS:  # in turn, because the machine is noisy
            before = host.probe()["cpu_s"]
            spec = Spec(seed=seed, events=TOKENS, pace=0.0005)
            answer = await clients.fetch(host.url, spec, name)
            cpu[name].append(host.probe()["cpu_s"] - before)
            firsts[name].append(answer.first_s * 1000)
            wrong.append(difference(spec, name, answer.status, answer.body))
    ratio = sum(cpu["html"]) / sum(cpu["ndjson"])
    first, first_of_ndjson = (statistics.median(firsts[name]) for name in ("html", "ndjson"))
    long = Spec(seed=1, events=TOKENS, size=300)
    began = time.monotonic()
    answer = await clients.fetch(host.url, long, "html")
    took = time.monotonic() - began
    wrong.append(difference(long, "html", answer.status, answer.body))
    print(f"  CPU a token {ratio:.2f} times NDJSON's; first words after {first:.1f} ms, NDJSON's after {first_of_ndjson:.1f} ms")
    print(
        f"  an answer of {len(long.text()) / 1000:.0f} kB is a page of {len(answer.body) / 1000:.0f} kB, whole after {took:.2f} s"
    )
    slow = [f"{ratio:.2f} times NDJSON's CPU"] if ratio > MAX_CPU_RATIO else []
    slow += [f"{took:.2f} s for an answer of 300 kB"] if took > MAX_LONG_S else []
    return [*filter(None, wrong), *slow]
