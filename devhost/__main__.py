"""`python -m devhost`: handles signals first, then imports and runs serve.py."""

import os
import signal
import sys


def main() -> int:
    """Serves until Ctrl-C or SIGTERM; returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT: a shell starts background jobs with it ignored
        signal.signal(number, lambda *_: os._exit(0))  # nothing has been started yet
    from devhost import serve  # noqa: PLC0415 - the import takes a second, and no signal may be lost meanwhile

    return serve.main()


if __name__ == "__main__":
    sys.exit(main())
