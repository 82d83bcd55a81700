"""The journal: money moves from one account to another, so it sums to zero by construction."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class JournalAccount(models.Model):
    """One pot of one token. Whose, stands in its name."""

    class Kind(models.TextChoices):
        """Guarded pots are never negative, by a constraint of the database; those of the world mirror the outside."""

        GUARDED = "guarded"
        WORLD = "world"

    # `available/{account}`, `market/unsettled`, `world/outside` …: see marketplace/journal.py.
    name = models.CharField(max_length=120)
    # CAIP-19.
    token = models.CharField(max_length=160)
    kind = models.CharField(max_length=8, choices=Kind)
    # Base units. Kept beside the transfers so that one UPDATE can check and move; a task compares both.
    balance = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name", "token"], name="journal_account_once"),
            models.CheckConstraint(condition=Q(kind="world") | Q(balance__gte=0), name="journal_guarded_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name


class Transfer(models.Model):
    """One movement; `effect` names its cause, so the same cause moves money once."""

    source = models.ForeignKey(JournalAccount, on_delete=models.PROTECT, related_name="outgoing")
    target = models.ForeignKey(JournalAccount, on_delete=models.PROTECT, related_name="incoming")
    # Base units, positive.
    amount = models.BigIntegerField()
    effect = models.CharField(max_length=200, unique=True)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="transfer_positive"),
            models.CheckConstraint(condition=~Q(source=F("target")), name="transfer_moves"),
        ]

    def __str__(self) -> str:
        return self.effect


class Alarm(models.Model):
    """Something an operator must look at. An open journal alarm stops settling."""

    code = models.CharField(max_length=60)
    subject = models.CharField(max_length=200, blank=True)
    message = models.TextField()
    raised = models.DateTimeField(default=timezone.now)
    cleared = models.DateTimeField(null=True)
    cleared_by = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["code", "subject"], condition=Q(cleared__isnull=True), name="alarm_open_once"
            ),
        ]

    def __str__(self) -> str:
        return self.code
