"""Every content store behind the same tests: memory, directory, Kubo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provenance.adapters.blocks_local import LocalBlocks
from provenance.adapters.blocks_memory import MemoryBlocks
from provenance.adapters.kubo import KuboBlocks
from provenance.ports import ContentStore


@pytest.fixture(params=["memory", "local", "kubo"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContentStore]:
    """One store of each kind."""
    match request.param:
        case "memory":
            yield MemoryBlocks()
        case "local":
            yield LocalBlocks(tmp_path / "blocks")
        case _:
            node = KuboBlocks(request.getfixturevalue("kubo_node").api)
            yield node
            node.close()
