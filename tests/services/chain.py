"""An anvil chain in memory."""

from pathlib import Path

from provenance.adapters.local_node import DEVELOPMENT_CHAIN_ID, Anvil, LocalNodeMissing, start_anvil
from tests.services.presence import missing


def start(directory: Path, *, number: int) -> Anvil:
    """Start the chain of test process `number`; each has a chain id of its own, so a port taken twice is noticed."""
    try:
        return start_anvil(log=directory / "anvil.log", chain_id=DEVELOPMENT_CHAIN_ID + 1 + number)
    except LocalNodeMissing as refusal:
        missing("anvil", refusal.todo or "")
