"""The cast of trade, and a clock that only moves when a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from marketplace.actions.accounts import sign_up
from marketplace.queries.actors import Actor

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


def person(name: str) -> Actor:
    return sign_up(email=f"{name.lower()}@example.org", password=f"{name}-keeps-a-secret", display_name=name, now=NOW)


@pytest.fixture
def ada(db: None) -> Actor:
    """Publishes."""
    return person("Ada")


@pytest.fixture
def ben(db: None) -> Actor:
    """Derives."""
    return person("Ben")


@pytest.fixture
def cleo(db: None) -> Actor:
    """Buys."""
    return person("Cleo")


@pytest.fixture
def mallory(db: None) -> Actor:
    """Cheats."""
    return person("Mallory")
