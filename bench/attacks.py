"""`python -m bench.attacks`: how long one request delays the streams of others, and how much memory it leaves behind."""

import argparse
import sys
import tempfile
from pathlib import Path

from bench.driver import Driver, Plan
from bench.host import KEY, copy_duck
from tests.attacks import ATTACKS, WORST, Attack

APP = "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43"
PUBLIC = "3d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a44"
SECRETS = ",".join(f"{PUBLIC}=a-secret-{number}" for number in range(20))
SETTINGS = {"api_key": KEY, "public_apps": PUBLIC, "public_rate": "999999", "webhook_secrets": SECRETS}
# Twenty streams of a hundred events a second, for as long as the slowest request may take.
STREAMS, PLAN = 20, Plan(events=600, interval_s=0.01, warm_up_s=1.5)
GOAL_MS = 250  # the longest delay that one request may cause
TOGETHER = "the five that were found first, at once"


def main() -> int:
    """Tries all attacks, or those that are named, and prints the worst. Exit status 1 if its delay is longer than the goal."""
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], TOGETHER, *ATTACKS], metavar="name", help=", ".join(ATTACKS))
    names = parser.parse_args().names or ["nothing", TOGETHER, *ATTACKS]
    delays: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy_duck(Path(folder))
        for name in names:
            delays[name] = _delay_ms(name, Path(folder))
    delays.pop(TOGETHER, None)
    worst = max(delays, key=lambda name: delays[name])
    print(f"the worst: {worst}, {delays[worst]:.0f} ms; at most {GOAL_MS} ms are allowed")
    return int(delays[worst] > GOAL_MS)


def _delay_ms(name: str, folder: Path) -> float:
    """The longest delay of another stream's event, in ms, while a plugin that has just started handles this attack."""
    bystander = Attack(body=b'{"query":"hi","response_mode":"streaming"}').raw(APP, X_Api_Key=KEY)
    with Driver(folder) as driver:
        attacks = WORST if name == TOGETHER else [name] if name in ATTACKS else []
        between = [ATTACKS[each]().raw(PUBLIC) for each in attacks]
        before = driver.memory_mb
        outcome = driver.load(bystander, SETTINGS, PLAN, STREAMS, between)
        if wrong := {run.status for run in outcome.runs} - {200}:
            raise RuntimeError(f"the other streams were answered {wrong}")
        delay_ms = outcome.delays[-1] * 1000
        print(f"  {name}: {delay_ms:.0f} ms; memory {before:.0f} MB before, {driver.memory_mb:.0f} MB after", flush=True)
    return delay_ms


if __name__ == "__main__":
    sys.exit(main())
