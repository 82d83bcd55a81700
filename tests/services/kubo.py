"""A Kubo node with an empty repository and no peers."""

from pathlib import Path

from provenance.adapters.local_node import Kubo, LocalNodeMissing, start_kubo
from tests.services.presence import missing


def start(directory: Path) -> Kubo:
    """Start the node under `directory`."""
    try:
        return start_kubo(repo=directory / "repo", log=directory / "kubo.log", durable=False)
    except LocalNodeMissing as refusal:
        missing("Kubo (`ipfs`)", refusal.todo or "")
