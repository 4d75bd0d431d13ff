"""`python -m bench`: all benchmarks, or the one that is named."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bench.host import copy_duck, serving
from bench.soak import report, soak


def main() -> int:
    """Gives 1 if anything was lost, else 0."""
    options = _options()
    with tempfile.TemporaryDirectory() as name, serving(copy_duck(Path(name))) as host:
        began = time.monotonic()
        tally = asyncio.run(soak(host, count=options.clients, seconds=options.seconds))
        print(report(tally, time.monotonic() - began))
        print("the plugin's process after that:", host.probe())
        if tally.differences:
            print((Path(name) / "devhost.log").read_text()[-5000:])
    return 1 if tally.differences else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", choices=["soak"])
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
