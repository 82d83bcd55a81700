"""The cast in front of pages: who reads, who is signed in, and a register with a story in it."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.api.conftest import Person, Site, ada, ben, cleo, mallory, site, var
from tests.web.town import Story, tell

__all__ = ["ada", "ben", "cleo", "mallory", "site", "var"]


@pytest.fixture
def story(site: Site, ada: Person, ben: Person, cleo: Person) -> Story:
    """Ada publishes, Ben derives, Cleo buys and reports, an epoch is paid."""
    return tell(site, ada, ben, cleo)


@pytest.fixture
def visitor() -> Client:
    """Somebody who is not signed in."""
    return Client()
