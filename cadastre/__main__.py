"""`python -m cadastre` is the command `cadastre`."""

from __future__ import annotations

import os
import signal
import sys


def run() -> int:
    """Run the command. Ctrl-C ends it with 130 and no traceback, also while it is still being loaded."""
    heeds_ctrl_c = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeds_ctrl_c:
        # Nothing is open yet, and what an interrupted import reports is anybody's guess.
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from cadastre.cli import STOPPED, main

    if heeds_ctrl_c:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return main()
    except KeyboardInterrupt:
        return STOPPED


if __name__ == "__main__":
    sys.exit(run())
