"""Work on one file by one worker at a time, without a lock that a dead worker could keep.

A lease is a token and an end time in the file's row. Taking and renewing it are compare-and-sets; a worker that is too
slow finds its token gone at the next renewal and stops, and whatever it wrote is written again or found done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db.models import F, Q

from provenance.core.refusal import Refusal
from provenance.models import SubmittedFile

Clock = Callable[[], datetime]
"""Returns the present, timezone-aware. Passed in, so that tests decide what time it is."""

LEASE = timedelta(minutes=2)
ATTEMPTS = 5

_RENEW = timedelta(seconds=1)
_RETRY = timedelta(seconds=15)


class LeaseLost(Exception):
    """Another worker has the file, or it was removed; whoever lost stops without a trace."""


@dataclass(slots=True)
class Lease:
    """The right to work on a file, and its progress as the page shows it.

    `stage` entries: {"state": running | done | failed, "done", "total", "started", "ended"}, units as in
    `content_queries.Stage`.
    """

    file: SubmittedFile
    clock: Clock
    token: UUID
    _renewed: datetime
    _open: dict[str, datetime] = field(default_factory=dict)

    def begin(self, **totals: int) -> None:
        """Show that stages have begun, and how much each has to do. Raises LeaseLost."""
        now = self.clock()
        for name, total in totals.items():
            self._open[name] = now
            self._set(name, state="running", done=0, total=total, started=now)
        self.save()

    def progress(self, name: str, done: int) -> None:
        """Show how far a stage is, about once a second, and keep the lease. Raises LeaseLost."""
        now = self.clock()
        if now - self._renewed < _RENEW:
            return
        entry = self.file.stage[name]
        self._set(name, state="running", done=done, total=entry["total"], started=self._open.get(name, now))
        self.save()

    def end(self, *names: str, failed: bool = False, **fields: Any) -> None:
        """Show that stages have ended and keep what they found. Raises LeaseLost."""
        now = self.clock()
        for name in names:
            entry = self.file.stage.get(name) or {"total": 1, "done": 0}
            done = entry["done"] if failed else entry["total"]
            state = "failed" if failed else "done"
            self._set(name, state=state, done=done, total=entry["total"], started=self._open.get(name, now), ended=now)
        self.save(**fields)

    def is_done(self, name: str) -> bool:
        """Say whether a stage was finished, by this worker or an earlier one."""
        return bool((self.file.stage or {}).get(name, {}).get("state") == "done")

    def save(self, **fields: Any) -> None:
        """Write the stages and `fields` if the lease is still ours. Raises LeaseLost."""
        now = self.clock()
        kept = SubmittedFile.objects.filter(id=self.file.id, lease_token=self.token).update(
            stage=self.file.stage, changed=now, lease=now + LEASE, **fields
        )
        if kept != 1:
            raise LeaseLost(str(self.file.id))
        self._renewed = now
        for name, value in fields.items():
            setattr(self.file, name, value)

    def fail(self, refusal: Refusal) -> None:
        """Keep why the work did not succeed, and let it be tried again later: the cause is outside of the file."""
        self.save(attempts=0, refusal=refusal.as_problem())
        self.give_back(retry_at=self.clock() + _RETRY)

    @property
    def is_hopeless(self) -> bool:
        """Whether the file has brought down so many workers that nobody should try it again."""
        return self.file.attempts > ATTEMPTS

    def give_back(self, *, retry_at: datetime | None = None) -> None:
        """Let others have the file, at once or from `retry_at` on."""
        SubmittedFile.objects.filter(id=self.file.id, lease_token=self.token).update(lease=retry_at, lease_token=None)

    def _set(
        self, name: str, *, state: str, done: int, total: int, started: datetime, ended: datetime | None = None
    ) -> None:
        self.file.stage = {
            **(self.file.stage or {}),
            name: {
                "state": state,
                "done": done,
                "total": total,
                "started": started.isoformat(),
                "ended": ended.isoformat() if ended else None,
            },
        }


def free(now: datetime) -> Q:
    """The files that nobody works on."""
    return Q(lease__isnull=True) | Q(lease__lte=now)


def take(file: SubmittedFile, *, clock: Clock) -> Lease | None:
    """Return a lease on the file if nobody has one, else None.

    The attempt is counted before the work: whatever kills the worker is not there to count it afterwards.
    """
    now = clock()
    token = uuid4()
    taken = SubmittedFile.objects.filter(free(now), id=file.id, state=file.state).update(
        lease=now + LEASE, lease_token=token, attempts=F("attempts") + 1
    )
    if taken != 1:
        return None
    file.refresh_from_db()
    return Lease(file, clock, token, now)
