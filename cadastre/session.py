"""What every command gets."""

from __future__ import annotations

from dataclasses import dataclass

from cadastre.client import Client
from cadastre.console import Console
from cadastre.profile import Profile


@dataclass(frozen=True, slots=True)
class Session:
    """The site's client, the stored profile and the console."""

    client: Client
    profile: Profile
    console: Console
    site: str
