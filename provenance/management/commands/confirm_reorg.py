"""Rewinds past finality after an operator has looked at the chain."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from provenance import bootstrap, follower
from provenance.adapters.evm_development import DevelopmentChain
from provenance.core.refusal import Refusal
from provenance.models import Deployment


class Command(BaseCommand):
    help = (
        "Confirm a reorganization past finality: rewind to the common block and retract what the log said. With "
        "--restored: go back to what a development chain still has after it was started from an older state."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("deployment", type=int, nargs="?", help="by default, with --restored, every one")
        parser.add_argument("--by", default="", help="who has looked; written to the operator's log")
        parser.add_argument("--restored", action="store_true", help="refused by any chain that matters")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = Deployment.objects.order_by("pk")
        if options["deployment"] is not None:
            chosen = chosen.filter(pk=options["deployment"])
        elif not options["restored"]:
            raise CommandError("Name the deployment; `manage.py confirm_reorg --help` says how.")
        if options["deployment"] is not None and not chosen:
            raise CommandError(f"There is no deployment {options['deployment']}.")
        if not options["restored"] and not options["by"]:
            raise CommandError("Name who has looked at the chain with --by.")
        try:
            for deployment in chosen:
                self._confirm(deployment, options)
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal

    def _confirm(self, deployment: Deployment, options: dict[str, Any]) -> None:
        chain = bootstrap.chain(deployment)
        if options["restored"]:
            DevelopmentChain(chain)
            done = follower.adopt_restored(deployment, chain, timezone.now())
        else:
            done = follower.confirm_reorg(deployment, chain, timezone.now(), by=options["by"])
        if done.rewound:
            self.stdout.write(f"{deployment}: rewound {done.rewound} blocks, applied {done.applied}")
