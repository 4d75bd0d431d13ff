"""`python -m bench`: all benchmarks of volume, or those that are named. Exit status 1 if one finds a difference."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import volume
from bench.host import Host, copy_duck, serving
from bench.soak import soak

SHOWN = 10  # differences that are printed
LOG_TAIL = 4_000  # characters of devhost's log that are printed after a failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A load, with the limits and the environment that Duck has under it."""

    run: Callable[..., Coroutine[Any, Any, list[str]]]
    count: int
    limits: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


BENCHMARKS = {
    "soak": Benchmark(run=soak, count=100),
    "short": Benchmark(run=volume.short, count=5_000),
    "stall": Benchmark(run=volume.stall, count=20),
    "burst": Benchmark(run=volume.burst, count=20),
    "hang-ups": Benchmark(run=volume.hang_ups, count=2_000, limits={"SILENCE_S": volume.SILENCE_S}),
    "full": Benchmark(
        run=volume.full,
        count=volume.SLOTS,
        limits={"IDLE_S": volume.IDLE_S},
        environment={"MAX_RUNS": str(volume.SLOTS)},
    ),
}


def main() -> int:
    """Runs the benchmarks that the command line names."""
    options = _options()
    failed = [name for name in options.names or BENCHMARKS if _fails(name, options)]
    return 1 if failed else 0


def _fails(name: str, options: argparse.Namespace) -> bool:
    benchmark = BENCHMARKS[name]
    count = benchmark.count if options.clients is None else options.clients
    more = {"seconds": options.seconds} if name == "soak" else {}
    print(f"{name}: {(benchmark.run.__doc__ or '').partition(chr(10))[0]}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        with serving(copy_duck(Path(folder), **benchmark.limits), **benchmark.environment) as host:
            began = time.monotonic()
            differences = asyncio.run(benchmark.run(host, count=count, **more))
            print(f"  {count} clients or runs, {time.monotonic() - began:.1f} s; {_usage(host)}")
        print("\n".join(["  " + line[:300] for line in differences[:SHOWN]] + [f"  {len(differences)} differences"]), flush=True)
        if differences:
            print((Path(folder) / "devhost.log").read_text()[-LOG_TAIL:])
    return bool(differences)


def _usage(host: Host) -> str:
    usage = host.probe()
    return f"{usage['cpu_s']:.1f} s CPU, {usage['memory_kb'] / 1024:.0f} MB, {usage['slots']} slots taken"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--clients", type=int, help="how many clients or runs, instead of each benchmark's own number")
    parser.add_argument("--seconds", type=float, default=60, help="how long the soak takes (default: 60)")
    options = parser.parse_args()
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
