"""Blocks for a development chain: as many a second as finality needs while anybody waits for it, else now and then.

A chain that mines only on demand never makes anything final by itself; one that always mines fills the disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from django.db import DatabaseError, connection

from marketplace.models import Order, SettlementRow
from provenance.adapters.evm import EvmChain
from provenance.adapters.evm_development import DevelopmentChain
from provenance.models import ChainEvent, Intent
from provenance.ports import ChainRefusal

BUSY_SECONDS = 1.0
IDLE_SECONDS = 30.0
BLOCKS_TO_FINALITY = 2
"""What is in the newest block is final with the second one after it (`start_anvil`)."""

MOVING_INTENTS = ("wanted", "signed", "broadcast", "mined")
MOVING_ORDERS = ("placed", "paying", "mined")
MOVING_SETTLEMENTS = ("computed", "pinned", "proposed", "accepted")


@dataclass(slots=True)
class Miner:
    """Mines when it is time. `url`: the development chain."""

    url: str
    last: float = 0.0

    def tend(self) -> None:
        """Mine if it is time; a chain that is starting again is asked again later."""
        is_waited_for = waits_for_blocks()
        pause = BUSY_SECONDS if is_waited_for else IDLE_SECONDS
        if monotonic() - self.last < pause:
            return
        self.last = monotonic()
        try:
            chain = EvmChain(self.url, chain_id=EvmChain.chain_id_of(self.url), addresses={})
            DevelopmentChain(chain).mine(BLOCKS_TO_FINALITY if is_waited_for else 1)
        except ChainRefusal:
            return


def waits_for_blocks() -> bool:
    """Say whether something is not final yet, or a settlement stands its window."""
    try:
        return (
            ChainEvent.objects.filter(final=False).exists()
            or Intent.objects.filter(state__in=MOVING_INTENTS).exists()
            or Order.objects.filter(state__in=MOVING_ORDERS).exists()
            or SettlementRow.objects.filter(state__in=MOVING_SETTLEMENTS).exists()
        )
    except DatabaseError:
        connection.close()
        return False
