"""What every command gets."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

from cadastre.client import Client
from cadastre.console import Console
from cadastre.profile import Profile


@dataclass
class Session:
    """The stored profile, the console, and the site's client, which is made when a command first asks for it.

    What is `opened` for a command is closed after it; `goes_on` says what to run when it was stopped.
    """

    profile: Profile
    console: Console
    site: str
    opened: ExitStack = field(default_factory=ExitStack)
    goes_on: str = "run the same command to go on"

    @cached_property
    def client(self) -> Client:
        """The client, with the API key if it belongs to this site."""
        return self.opened.enter_context(Client(self.site, api_key=self.profile.key_for(self.site)))
