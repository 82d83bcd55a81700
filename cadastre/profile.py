"""What the command line remembers between calls: the site, the API key, the age identity, the pinned keys of a log.

One file, `profile.json`, readable by its owner only, under `CADASTRE_HOME` or `~/.config/cadastre`.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pyrage

from provenance.core.refusal import Refusal

DEFAULT_SITE = "http://127.0.0.1:8000"


class ProfileRefusal(Refusal):
    """The stored profile cannot be read, or lacks what a command needs."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Settings of one person on one machine. `identity` is a secret age key; `pins` are `/deployment` as first seen."""

    home: Path
    site: str = DEFAULT_SITE
    api_key: str | None = None
    identity: str | None = None
    pins: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, home: Path | None = None) -> Self:
        """Read the profile; the environment's CADASTRE_SITE and CADASTRE_API_KEY win. Raises ProfileRefusal."""
        home = home or Path(os.environ.get("CADASTRE_HOME") or Path.home() / ".config" / "cadastre")
        profile = cls(home=home)
        path = home / "profile.json"
        if path.exists():
            try:
                stored = json.loads(path.read_text())
                profile = replace(profile, **stored)
            except (ValueError, TypeError) as error:
                raise ProfileRefusal(
                    "profile.unreadable", f"{path} is not a profile.", todo="Move it away and log in again."
                ) from error
        return replace(
            profile,
            site=os.environ.get("CADASTRE_SITE") or profile.site,
            api_key=os.environ.get("CADASTRE_API_KEY") or profile.api_key,
        )

    def save(self) -> None:
        """Write the profile so that only its owner can read it, at once and whole."""
        self.home.mkdir(parents=True, exist_ok=True)
        content = {name: value for name, value in asdict(self).items() if name != "home"}
        partial = self.home / "profile.json.partial"
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file, indent=2)
        partial.replace(self.home / "profile.json")

    def with_identity(self) -> Profile:
        """Return the profile with an age identity, made and saved if there was none."""
        if self.identity:
            return self
        profile = replace(self, identity=str(pyrage.x25519.Identity.generate()))
        profile.save()
        return profile

    @property
    def recipient(self) -> str:
        """The public half of the identity, to which content keys are granted. Raises ProfileRefusal."""
        if not self.identity:
            raise ProfileRefusal("profile.no_identity", "There is no key to receive data with.", todo="Run: cadastre login")
        return str(pyrage.x25519.Identity.from_str(self.identity).to_public())
