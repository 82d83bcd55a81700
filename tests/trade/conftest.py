"""The cast of trade, and a clock that only moves when a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_django import Settings

from marketplace.actions.accounts import sign_up
from marketplace.market_calls import TREASURY, want_address
from marketplace.queries.actors import Actor
from provenance.models import Deployment
from tests.chain.conftest import World, _deployed_once, deployment, world
from tests.trade.register import Register

__all__ = ["_deployed_once", "deployment", "world"]

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


@pytest.fixture
def register(world: World, deployment: Deployment, settings: Settings, tmp_path: Path) -> Register:
    """Everything of the register but the bytes, on a real chain."""
    # Its own: an empty database does not go on with the log that another test published.
    settings.CADASTRE_LOG_DIR = tmp_path / "log"
    settings.CADASTRE_EPOCH_SECONDS, settings.CADASTRE_SETTLEMENT_WINDOW = 60, 5
    settings.CADASTRE_PUSH_THRESHOLD = 1
    running = Register(world, deployment)
    want_address(TREASURY, now=running.now)
    running.world.development.mine(3)
    running.sign()
    running.follow()
    return running
