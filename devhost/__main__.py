"""`python -m devhost`: hears signals first, and then imports and starts what serves."""

import os
import signal
import sys


def main() -> int:
    """Serves until Ctrl-C or SIGTERM; gives the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT, too: a shell starts its background jobs with it ignored
        signal.signal(number, lambda *_: os._exit(0))  # nothing has been started yet
    from devhost import serve  # noqa: PLC0415 - it takes a second, in which a signal must not be lost

    return serve.main()


if __name__ == "__main__":
    sys.exit(main())
