"""The cast, a fixed clock, and scratch space of its own for every test about content."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

ADA = UUID("ada00000-0000-4000-8000-000000000001")
BEN = UUID("be000000-0000-4000-8000-000000000002")
MALLORY = UUID("baddad00-0000-4000-8000-000000000003")
OWNERS = {
    ADA: "eip155:31337:0x" + "a1" * 20,
    BEN: "eip155:31337:0x" + "b2" * 20,
    MALLORY: "eip155:31337:0x" + "c3" * 20,
}
NOW = datetime(2026, 3, 5, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def var(tmp_path, settings):
    """Scratch, index and previews below a directory of the test's own."""
    settings.CADASTRE_VAR = tmp_path
    settings.CADASTRE_UPLOAD_DIR = tmp_path / "uploads"
    settings.CADASTRE_BLOCK_DIR = tmp_path / "blocks"
    settings.CADASTRE_CONTENT_LIMITS = {"disk_reserve": 0}
    return tmp_path


@pytest.fixture
def limits(settings):
    """Set single limits: `limits(party_bytes=10)`."""

    def change(**figures):
        settings.CADASTRE_CONTENT_LIMITS = {**settings.CADASTRE_CONTENT_LIMITS, **figures}

    return change
