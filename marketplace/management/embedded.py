"""Settings of an instance that runs whole on one machine, for development: short epochs, everything under one folder.

Settings are read once, when Django starts. So a command that needs others than it was started with starts itself again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

MARK = "CADASTRE_EMBEDDED"

DEFAULTS = {
    "CADASTRE_NETWORK": "test",
    # An epoch an hour, and a minute to object: a newcomer sees a payout before dinner.
    "CADASTRE_EPOCH_SECONDS": "3600",
    "CADASTRE_SETTLEMENT_WINDOW": "60",
    "CADASTRE_PUSH_THRESHOLD": "1",
    # eth-hash would pick the slower backend of two.
    "ETH_HASH_BACKEND": "pysha3",
}


def relaunch(changes: Mapping[str, str]) -> None:
    """Start this command again with DEFAULTS and `changes` in its environment; return if that was done before.

    What the caller has set itself wins over DEFAULTS, never over `changes`.
    """
    if os.environ.get(MARK) == "1":
        return
    environment = {**DEFAULTS, **os.environ, **changes, MARK: "1"}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606 - itself, without a shell
