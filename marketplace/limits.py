"""Limits that hold exactly, however many ask at the same moment: one statement counts and checks.

A counter is kept per name and window of time. Windows are fixed, so up to twice the limit fits around a border; the
figures that are shown (limit, remaining, reset) are those that are enforced.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from marketplace.models import CacheRow, PeriodRun, RateWindow
from provenance.core.refusal import Refusal

_TABLE = RateWindow._meta.db_table  # noqa: SLF001  # Django's own name for it
_COUNT = f"""
INSERT INTO {_TABLE} (name, "window", count, expires) VALUES (%s, %s, %s, %s)
ON CONFLICT (name, "window") DO UPDATE SET count = {_TABLE}.count + excluded.count
WHERE {_TABLE}.count <= %s
RETURNING count
"""  # noqa: S608  # a table of our own


class LimitRefusal(Refusal):
    """Too much of something in a window of time; `allowance` says when there is more."""

    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a window of `seconds` allows, what is left of it, and when the next one begins."""

    limit: int
    remaining: int
    seconds: int
    reset: datetime


def take(name: str, *, limit: int, seconds: int, now: datetime, cost: int = 1) -> Allowance:
    """Use `cost` of the `limit` that `name` has per window of `seconds`. Raises LimitRefusal, counting nothing."""
    window = int(now.timestamp()) // seconds
    reset = datetime.fromtimestamp((window + 1) * seconds, tz=UTC)
    taken = _count(name, window, reset, cost, limit) if cost <= limit else None
    if taken is not None:
        return Allowance(limit, limit - taken, seconds, reset)
    count = RateWindow.objects.filter(name=name, window=window).values_list("count", flat=True).first() or 0
    refusal = LimitRefusal(
        "limit.rate",
        f"Too many requests: {limit} per {_spoken(seconds)}.",
        limit=limit,
        actual=count + cost,
        todo=f"Try again after {reset:%Y-%m-%dT%H:%M:%SZ}.",
    )
    refusal.allowance = Allowance(limit, max(0, limit - count), seconds, reset)
    raise refusal


def _count(name: str, window: int, reset: datetime, cost: int, limit: int) -> int | None:
    """Add `cost` unless that exceeds `limit`; return what is used then, None if nothing was added.

    One statement, because every request of the API pays for it.
    """
    with connection.cursor() as cursor:
        expires = connection.ops.adapt_datetimefield_value(reset)
        cursor.execute(_COUNT, [name, window, cost, expires, limit - cost])
        found = cursor.fetchone()
    return None if found is None else int(found[0])


def begin_period(job: str, period: str, *, now: datetime) -> bool:
    """Return True for exactly one caller per (job, period): of two beats that ring, one runs the job."""
    return PeriodRun.objects.get_or_create(job=job, period=period, defaults={"started": now})[1]


def end_period(job: str, period: str, *, now: datetime) -> None:
    """Note that the job of a period has finished."""
    PeriodRun.objects.filter(job=job, period=period, finished=None).update(finished=now)


def forget_before(now: datetime) -> int:
    """Delete windows and cached values whose time is over, and period keys older than 90 days; return how many rows."""
    windows, _ = RateWindow.objects.filter(expires__lt=now).delete()
    values, _ = CacheRow.objects.filter(expires__lt=now).delete()
    periods, _ = PeriodRun.objects.filter(started__lt=now - timedelta(days=90)).delete()
    return windows + values + periods


def _spoken(seconds: int) -> str:
    match seconds:
        case 1:
            return "second"
        case 60:
            return "minute"
        case 3600:
            return "hour"
        case 86_400:
            return "day"
        case _:
            return f"{seconds} seconds"
