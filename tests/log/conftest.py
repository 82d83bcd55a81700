"""A register's keys, a clock, and facts to tell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_django import Settings

from provenance.adapters.keystore import SeedKeyRing
from provenance.intake import submit_statement
from provenance.models import IntakeStatement

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DATASET = "eip155:31337/erc721:0x" + "11" * 20
Tell = Callable[..., IntakeStatement]


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def ring() -> SeedKeyRing:
    return SeedKeyRing(bytes(range(1, 33)))


@pytest.fixture(autouse=True)
def log_folder(tmp_path: Path, settings: Settings) -> Path:
    settings.CADASTRE_LOG_DIR = tmp_path / "log"
    settings.CADASTRE_LOG_ORIGIN = "register.example/log"
    return tmp_path / "log"


@pytest.fixture
def tell() -> Tell:
    """Tell the fact number `n` about a dataset."""

    def tell(number: int, *, dataset: int = 1, reason: str = "price") -> IntakeStatement:
        subject = f"{DATASET}/{dataset}"
        return submit_statement(
            type="listing.changed",
            subject=subject,
            fact=f"listing.changed:{subject}:{number}",
            body={"state": "listed", "offer": None, "reason": reason},
            time=NOW,
        )

    return tell
