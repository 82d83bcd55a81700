"""Rows that make things happen once, or no more often than allowed."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from marketplace.models.accounts import Account


class IdempotencyRecord(models.Model):
    """The answer to a request that carried an `Idempotency-Key`, kept for 30 days."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="idempotency_records")
    key = models.CharField(max_length=255)
    # SHA-256 of the canonical request: action and body.
    request_digest = models.CharField(max_length=64)
    status = models.IntegerField()
    response = models.JSONField()
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "key"], name="idempotency_key_once")]
        # The task that deletes old ones.
        indexes: ClassVar = [models.Index(fields=["created"], name="idempotency_by_age")]

    def __str__(self) -> str:
        return self.key


class RateWindow(models.Model):
    """How often something happened in one window of time; raised by compare-and-set, so bursts are counted exactly."""

    name = models.CharField(max_length=200)
    window = models.BigIntegerField()
    count = models.BigIntegerField(default=0)
    expires = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["name", "window"], name="rate_window_once")]
        indexes: ClassVar = [models.Index(fields=["expires"], name="rate_window_by_expiry")]

    def __str__(self) -> str:
        return f"{self.name} {self.window}"


class CacheRow(models.Model):
    """A value that every web process has to know for a while (`marketplace.shared_cache`)."""

    # Django's longest key; it may hold an address, or the digest of an e-mail address, and goes when it expires.
    key = models.CharField(max_length=250, primary_key=True)
    value = models.JSONField()
    expires = models.DateTimeField()

    class Meta:
        # The task that deletes old ones.
        indexes: ClassVar = [models.Index(fields=["expires"], name="cache_row_by_expiry")]

    def __str__(self) -> str:
        return self.key


class PeriodRun(models.Model):
    """Proof that a periodic job ran for a period: of two beats that ring, one inserts the row and runs."""

    job = models.CharField(max_length=80)
    period = models.CharField(max_length=80)
    started = models.DateTimeField(default=timezone.now)
    finished = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "period"], name="period_run_once")]

    def __str__(self) -> str:
        return f"{self.job} {self.period}"
