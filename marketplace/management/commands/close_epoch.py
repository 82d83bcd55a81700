"""`manage.py close_epoch`: settle everything up to the newest final block now, without waiting for the epoch's end."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Max
from django.utils import timezone

from marketplace.models import SettlementRow
from marketplace.queries.deployments import current_deployment, payment_token
from marketplace.settling.closing import close_epoch
from provenance.core.refusal import Refusal


class Command(BaseCommand):
    """Close the next epoch of the payment token."""

    help = (
        "Close the next epoch at the newest final block. Prints its number; exits with 1 when nothing is to be settled."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the block."""
        parser.add_argument("--to-block", type=int, help="a final block (default: the newest one)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Close it."""
        token = payment_token().caip
        last = SettlementRow.objects.filter(token=token).aggregate(last=Max("epoch"))["last"] or 0
        block = options["to_block"] or current_deployment().finalized
        try:
            row = close_epoch(token, last + 1, block, timezone.now())
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal
        if row is None:
            raise CommandError("Nothing came in since the last settlement.")
        self.stdout.write(str(row.epoch))
