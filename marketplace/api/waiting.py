"""`Prefer: wait=20` (RFC 7240): an answer about something in motion may come when it has settled."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

from django.http import HttpRequest

LIMIT_SECONDS = 60
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 0.5

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,6})\"?", re.IGNORECASE)

T = TypeVar("T")


def wanted_seconds(request: HttpRequest) -> int:
    """Return for how long the client wants to wait, at most 60 seconds; 0 when it did not say."""
    found = _WAIT.search(request.headers.get("Prefer", ""))
    return min(int(found[1]), LIMIT_SECONDS) if found else 0


def until(look: Callable[[], T], settled: Callable[[T], bool], *, seconds: float) -> T:
    """Look again and again until it has settled or the time is over; return what was seen last.

    Must not be called inside a transaction: it would see the same picture for ever.
    """
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE
    while True:
        seen = look()
        left = deadline - time.monotonic()
        if left <= 0 or settled(seen):
            return seen
        time.sleep(min(pause, left))
        pause = min(LONGEST_PAUSE, pause * 1.5)
