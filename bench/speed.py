"""`python -m bench.speed`: what Duck costs, compared with a relay that does nothing. Writes bench/RESULTS.md.

The compared plugins run in turn, in several rounds. The results are ratios, because machines differ and are noisy.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from bench.driver import Driver, Outcome, Plan
from bench.host import KEY, ROOT, copy_duck, serving
from bench.report import Report, ms, quantile, spread
from bench.soak import soak

APP = "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43"
OPENAI = {  # bodies of requests that are answered in the formats of OpenAI's API
    "chat/completions": f'{{"model":"{APP}","stream":true,"messages":[{{"role":"user","content":"hi"}}]}}',
    "responses": f'{{"model":"{APP}","stream":true,"input":"hi"}}',
}
RATE_S = 0.02  # between two tokens: 50 a second, as fast models stream
WARM_UP_S = 1.5  # until all streams of a load have begun
CHINESE = "鸭子在池塘里游泳，" * 40
SATURATED = ((1, 10_000, 4), (100, 200, 1), (500, 60, 1))  # streams, events of each, and repetitions of the load
CAPACITIES = {"null": (50, 100, 125, 150), "duck": (200, 250, 300, 350, 400)}
SUSTAINED_S = 0.1  # the highest p99 at which streams count as sustained


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: `rounds` of each measure, `seconds` of each paced load; other loads are divided by `share`."""

    rounds: int = 3
    seconds: float = 5.0
    requests: int = 200
    soak_s: float = 20.0
    share: int = 1


SHORT = Effort(rounds=1, seconds=1.0, requests=40, soak_s=2.0, share=4)


@dataclass(slots=True)
class Bench:
    """The running plugins, by name, and the report on them."""

    effort: Effort
    report: Report
    drivers: dict[str, Driver] = field(default_factory=dict)

    def run(self, name: str, plan: Plan, count: int = 1, format_: str = "ndjson", mode: str = "streaming") -> Outcome:
        """One load on one of the plugins; all baselines are one plugin. Raises `RuntimeError` if a status is not 200."""
        path = {"constant": "/constant", "null": f"/null/{APP}", "original": f"/original/{APP}"}.get(
            name, f"/{format_}" if format_ in OPENAI else f"/chat/{APP}?format={format_}"
        )
        body = OPENAI.get(format_, f'{{"query":"hi","response_mode":"{mode}"}}').encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: dify.example\r\nUser-Agent: curl/8\r\nAccept: */*\r\nX-Api-Key: {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        driver = self.drivers[name if name.startswith("duck") else "baseline"]
        outcome = driver.load(head.encode() + body, {"api_key": KEY}, plan, count)
        if wrong := {run.status for run in outcome.runs} - {200}:
            raise RuntimeError(f"{name} answered {wrong}")
        return outcome

    def rounds(self, names: tuple[str, ...], measure: Callable[[str], float]) -> dict[str, list[float]]:
        """Measures the plugins in turn, in several rounds. Returns the values of each."""
        found: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(self.effort.rounds):
            for name in names:
                found[name].append(measure(name))
        return found


def saturated(bench: Bench) -> None:
    """CPU an event, of streams that come as fast as the plugin reads them."""
    names = ("null", "original", "duck-stock", "duck")
    table = bench.report.table("CPU an event, µs (times `null`)", "streams", *names)
    for count, events, times in SATURATED:
        plan = Plan(events=events // bench.effort.share)
        found = bench.rounds(names, partial(cost, bench, plan, count, times=times))
        table.row(str(count), *(f"{spread(found[name])} ({ratio(found, name):.2f})" for name in names))
        if count == 1:
            bench.report.goal("one saturated stream, CPU an event, × `null`, stock transport", 0.8, ratio(found, "duck-stock"))
            bench.report.goal("the same, Duck's transport", 0.2, ratio(found, "duck"))
        if count == max(SATURATED)[0]:
            bench.report.goal(f"the same with {count} streams", 0.2, ratio(found, "duck"))


def formats(bench: Bench) -> None:
    """CPU an event of the other formats, compared with NDJSON."""
    names = ("ndjson", "sse", "html", "text", *OPENAI)
    plan = Plan(events=1_000)  # a long answer
    found = bench.rounds(names, lambda format_: cost(bench, plan, 1, "duck", format_, times=32 // bench.effort.share))
    table = bench.report.table("Formats: CPU an event, µs (times NDJSON)", *names)
    table.row(*(f"{spread(found[format_])} ({ratio(found, format_, 'ndjson'):.2f})" for format_ in names))
    for format_ in ("html", "sse", "chat/completions"):
        bench.report.goal(f"{format_}, × NDJSON", 1.5, ratio(found, format_, "ndjson"))


def paced(bench: Bench) -> None:
    """The delay of an event in the plugin, with streams of 50 events a second."""
    table = bench.report.table(
        "Streams of 50 events a second", "plugin", "streams", "p50, ms", "p99, ms", "of a core", "chunks an event"
    )
    for name, count in (("null", 1), ("duck", 1), ("null", 50), ("duck", 50), ("duck-stock", 50), ("duck", 200)):
        outcome = sustained(bench, name, count)
        delays, used = outcome.delays, outcome.cpu_s / outcome.wall_s
        p50, p99 = quantile(delays, 0.5), quantile(delays, 0.99)
        chunks = sum(run.chunks for run in outcome.runs) / sum(run.sent for run in outcome.runs)
        table.row(name, str(count), ms(p50), ms(p99), f"{used:.0%}", f"{chunks:.2f}")
        if name == "duck" and count == 1:
            bench.report.goal("1 stream × 50 events/s: p50, ms", 2, p50 * 1000)
            bench.report.goal("the same: p99, ms", 5, p99 * 1000)
        if name == "duck" and count == 200:
            bench.report.goal("200 streams × 50 events/s: p50, ms", 25, p50 * 1000)
            bench.report.goal("the same: p99, ms", 60, p99 * 1000)
            bench.report.goal("the same: of a core, %", 65, used * 100)


def capacity(bench: Bench) -> None:
    """How many streams of 50 events a second one process sustains."""
    table = bench.report.table(f"Streams sustained at p99 ≤ {ms(SUSTAINED_S)} ms", "plugin", "streams", "p99, ms", "of a core")
    for name, counts in CAPACITIES.items():
        best = 0
        for count in counts[:: bench.effort.share]:
            outcome = sustained(bench, name, count)
            if quantile(outcome.delays, 0.99) > SUSTAINED_S:  # once more, in case the machine has stalled
                outcome = sustained(bench, name, count)
            p99 = quantile(outcome.delays, 0.99)
            table.row(name, str(count), ms(p99), f"{outcome.cpu_s / outcome.wall_s:.0%}")
            if p99 > SUSTAINED_S:
                break
            best = count
        bench.report.line(f"`{name}` sustains {best} streams.")
        if name == "duck":
            bench.report.goal("streams × 50 events/s at p99 ≤ 100 ms", 300, best, at_least=True)


def first_byte(bench: Bench) -> None:
    """The time from a request to the first byte of its answer, one request at a time."""
    names = ("constant", "null", "duck-stock", "duck")

    def wait(name: str) -> float:
        plan, runs = Plan(events=1), range(bench.effort.requests)
        return median(run.first - run.requested for _ in runs for run in bench.run(name, plan).runs)

    found = bench.rounds(names, wait)
    table = bench.report.table("Time to the first byte, ms", *names)
    table.row(*(spread(found[name], 1000) for name in names))
    more = median(own - least for own, least in zip(found["duck"], found["constant"], strict=True))
    bench.report.goal("first byte, over a constant answer on the stock SDK, ms", 0.5, more * 1000)


def blocking(bench: Bench) -> None:
    """Blocking calls a second, 20 at a time."""

    def rate(name: str) -> float:
        began, plan = time.perf_counter(), Plan(events=0)
        for _ in range(bench.effort.requests // 20):
            bench.run(name, plan, 20, format_="json", mode="blocking")
        return bench.effort.requests / (time.perf_counter() - began)

    found = bench.rounds(("duck-stock", "duck"), rate)
    table = bench.report.table("Blocking calls a second", *found)
    table.row(*(spread(values) for values in found.values()))


def sizes(bench: Bench) -> None:
    """CPU an event, of large events and of text that is not Latin."""
    texts = {"100 kB": ("x" * 100_000, 400), "1 MB": ("x" * 1_000_000, 60), "360 characters of Chinese": (CHINESE, 5_000)}
    table = bench.report.table("Large events and other scripts: CPU an event, µs (times `null`)", "text", "null", "duck")
    for label, (text, events) in texts.items():
        plan = Plan(events=events // bench.effort.share, text=text)
        found = bench.rounds(("null", "duck"), partial(cost, bench, plan, 1))
        table.row(label, spread(found["null"]), f"{spread(found['duck'])} ({ratio(found, 'duck'):.2f})")


def memory(bench: Bench) -> None:
    """The memory of the process, idle and after 500 streams."""
    with Driver(ROOT) as driver:
        bench.drivers["duck-fresh"] = driver
        idle = driver.memory_mb
        bench.run("duck-fresh", Plan(events=20, interval_s=0.1), 500)
        after = driver.memory_mb
        del bench.drivers["duck-fresh"]
    bench.report.line(f"Memory: {idle:.0f} MB idle, {after:.0f} MB after 500 streams.")
    bench.report.goal("memory after 500 streams, MB", 100, after)


def start_up(bench: Bench) -> None:
    """The time to the first heartbeat, compared with importing the SDK."""

    def start(name: str) -> float:
        if name == "duck":
            with Driver(ROOT) as driver:
                return driver.start_s
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import dify_plugin"], cwd=ROOT, check=True)
        return time.perf_counter() - began

    found = bench.rounds(("import dify_plugin", "duck"), start)
    bench.report.table("Start-up, s", *found).row(*(spread(values, digits=2) for values in found.values()))
    bench.report.goal("start-up, × `import dify_plugin`", 1.15, ratio(found, "duck", "import dify_plugin"))


def soaked(bench: Bench) -> None:
    """100 clients of every kind, behind devhost: whether anything is lost."""
    with tempfile.TemporaryDirectory() as folder, serving(copy_duck(Path(folder))) as host:
        differences = asyncio.run(soak(host, count=100, seconds=bench.effort.soak_s))
    bench.report.goal(
        f"soak of {bench.effort.soak_s:.0f} s, 100 clients: answers that differ from what was sent", 0, len(differences)
    )


MEASURES = (saturated, formats, paced, capacity, first_byte, blocking, sizes, memory, start_up, soaked)


def sustained(bench: Bench, name: str, count: int) -> Outcome:
    """Streams of 50 events a second for a while."""
    events = int((bench.effort.seconds + WARM_UP_S) / RATE_S)
    return bench.run(name, Plan(events=events, interval_s=RATE_S, warm_up_s=WARM_UP_S), count)


def cost(bench: Bench, plan: Plan, count: int, name: str, format_: str = "ndjson", *, times: int = 1) -> float:
    """CPU an event, in µs. The load is repeated `times`, because the system counts CPU by hundredths of a second."""
    cpu_s = sum(bench.run(name, plan, count, format_).cpu_s for _ in range(times))
    return cpu_s / (times * count * plan.events) * 1e6


def ratio(found: dict[str, list[float]], name: str, to: str = "null") -> float:
    """The median over the rounds of the ratio to another plugin."""
    return median(one / other for one, other in zip(found[name], found[to], strict=True))


@contextlib.contextmanager
def running() -> Iterator[dict[str, Driver]]:
    """Runs the plugins that are compared, while the context lasts."""
    with (
        Driver(ROOT / "bench/baseline") as baseline,
        Driver(ROOT, DUCK_TRANSPORT="stock") as stock,
        Driver(ROOT) as own,
    ):
        yield {"baseline": baseline, "duck-stock": stock, "duck": own}


def main() -> int:
    """Runs all benchmarks, or the named ones. The exit status is 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help="a rough measurement of little more than a minute, whose results are not kept"
    )
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"of {', '.join(each.__name__ for each in MEASURES)} (default: all)"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - {each.__name__ for each in MEASURES}:
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    report = Report()
    with running() as drivers:
        bench = Bench(SHORT if options.short else Effort(), report, drivers)
        for measure in MEASURES:
            if not options.names or measure.__name__ in options.names:
                measure(bench)
    report.print_goals()
    if not options.short and not options.names:
        report.write(ROOT / "bench/RESULTS.md")
    return 0 if report.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
