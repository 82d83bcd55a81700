"""Lets a paused lane go on after an operator has looked."""

from __future__ import annotations

import logging
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from provenance import bootstrap, lanes
from provenance.core.lane import LaneRefusal
from provenance.core.refusal import Refusal
from provenance.models import Lane
from provenance.ports import Chain
from provenance.queries import active_deployment

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 2.0


class Command(BaseCommand):
    help = (
        "Go on with the nonce that the chain has, after its key was used elsewhere or a backup was restored. Look "
        "first what those transactions did: what is still wanted is sent after them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("lane", help="as the dashboard names it, for example relayer/0")
        parser.add_argument("--by", required=True, help="who has looked; written to the operator's log")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            chain = bootstrap.chain(active_deployment())
            lane = Lane.objects.filter(chain_id=chain.chain_id, name=options["lane"]).first()
            if lane is None:
                known = ", ".join(Lane.objects.filter(chain_id=chain.chain_id).values_list("name", flat=True))
                raise CommandError(f"There is no lane {options['lane']}; there are: {known or 'none'}.")
            self._adopt(lane, chain)
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal
        lane.refresh_from_db()
        log.warning("lane %s goes on at nonce %d, said %s", lane, lane.next_nonce, options["by"])
        self.stdout.write(f"{lane.name} goes on at nonce {lane.next_nonce}")

    def _adopt(self, lane: Lane, chain: Chain) -> None:
        told = False
        while True:
            try:
                return lanes.adopt_chain_nonce(lane, chain, now=timezone.now())
            except LaneRefusal as refusal:
                if refusal.code != "lane.not_final":
                    raise
                if not told:
                    self.stderr.write(f"{refusal.message} Waiting …")
                told = True
                time.sleep(LOOK_AGAIN_SECONDS)
