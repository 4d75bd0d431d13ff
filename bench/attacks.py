"""`python -m bench.attacks`: how long one request holds up the streams of others, and what it leaves behind in memory."""

import argparse
import sys
import tempfile
from pathlib import Path

from bench.driver import Driver, Plan
from bench.host import KEY, copy_duck
from tests.attacks import ATTACKS, WORST, Attack

APP = "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43"
PUBLIC = "3d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a44"
SETTINGS = {"api_key": KEY, "public_apps": PUBLIC, "public_rate": "999999"}
# Twenty streams of a hundred events a second, for as long as the slowest request may take.
STREAMS, PLAN = 20, Plan(events=600, interval_s=0.01, warm_up_s=1.5)
GOAL_MS = 250  # for one request
TOGETHER = "the five that were found first, at once"


def main() -> int:
    """Tries each of them, or those that are named, and tells which is the worst. Exit status 1 if one holds up for too long."""
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], TOGETHER, *ATTACKS], metavar="name", help=", ".join(ATTACKS))
    names = parser.parse_args().names or ["nothing", TOGETHER, *ATTACKS]
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy_duck(Path(folder))
        for name in names:
            found[name] = _held_ms(name, Path(folder))
    found.pop(TOGETHER, None)
    worst = max(found, key=lambda name: found[name])
    print(f"the worst: {worst}, {found[worst]:.0f} ms; at most {GOAL_MS} ms are allowed")
    return int(found[worst] > GOAL_MS)


def _held_ms(name: str, folder: Path) -> float:
    """For how long an event of another stream waits while a plugin that has just started reads this."""
    bystander = Attack(body=b'{"query":"hi","response_mode":"streaming"}').raw(f"/chat/{APP}", X_Api_Key=KEY)
    with Driver(folder) as driver:
        attacks = WORST if name == TOGETHER else [name] if name in ATTACKS else []
        between = [ATTACKS[each]().raw(f"/chat/{PUBLIC}") for each in attacks]
        before = driver.memory_mb
        outcome = driver.load(bystander, SETTINGS, PLAN, STREAMS, between)
        if wrong := {run.status for run in outcome.runs} - {200}:
            raise RuntimeError(f"the other streams were answered {wrong}")
        held = outcome.late[-1] * 1000
        print(f"  {name}: {held:.0f} ms; memory {before:.0f} MB before, {driver.memory_mb:.0f} MB after", flush=True)
    return held


if __name__ == "__main__":
    sys.exit(main())
