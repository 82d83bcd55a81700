"""Rewinds past finality after an operator has looked at the chain."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from provenance import bootstrap, follower
from provenance.core.refusal import Refusal
from provenance.models import Deployment


class Command(BaseCommand):
    help = "Confirm a reorganization past finality: rewind to the common block and retract what the log said."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("deployment", type=int)
        parser.add_argument("--by", required=True, help="who has looked; written to the operator's log")

    def handle(self, *args: Any, **options: Any) -> None:
        deployment = Deployment.objects.filter(pk=options["deployment"]).first()
        if deployment is None:
            raise CommandError(f"There is no deployment {options['deployment']}.")
        try:
            done = follower.confirm_reorg(deployment, bootstrap.chain(deployment), timezone.now(), by=options["by"])
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"rewound {done.rewound} blocks, applied {done.applied}")
