"""What the command line remembers between calls: the site, the API key, the age identity, the pinned keys of a log.

One file, `profile.json`, readable by its owner only, under `CADASTRE_HOME` or `~/.config/cadastre`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pyrage

from cadastre.license_bundle import identity_of
from provenance.core.refusal import Refusal

DEFAULT_SITE = "http://127.0.0.1:8000"
FILE_NAME = "profile.json"
_TEXTS = ("site", "api_key", "identity")


class ProfileRefusal(Refusal):
    """The stored profile cannot be read, or lacks what a command needs."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Settings of one person on one machine. `identity` is a secret age key; `pins` are `/deployment` as first seen.

    `given_key` comes from the environment and is never stored.
    """

    home: Path
    site: str = DEFAULT_SITE
    api_key: str | None = None
    identity: str | None = None
    pins: dict[str, Any] = field(default_factory=dict)
    given_key: str | None = None

    @classmethod
    def load(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the profile below CADASTRE_HOME, and CADASTRE_API_KEY. Raises ProfileRefusal."""
        home = Path(environment.get("CADASTRE_HOME") or Path.home() / ".config" / "cadastre")
        profile = cls(home=home, given_key=environment.get("CADASTRE_API_KEY") or None)
        try:
            stored = json.loads((home / FILE_NAME).read_text())
            texts = {name: stored[name] for name in _TEXTS}
            return replace(profile, **texts, pins=dict(stored["pins"]))
        except FileNotFoundError:
            return profile
        except (ValueError, KeyError, TypeError) as error:
            raise ProfileRefusal(
                "profile.unreadable", f"{home / FILE_NAME} is not a profile.", todo="Move it away and log in again."
            ) from error

    def save(self) -> None:
        """Write the profile so that only its owner can read it, at once and whole."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = {name: value for name, value in asdict(self).items() if name in {*_TEXTS, "pins"}}
        partial = self.home / f"{FILE_NAME}.partial"
        partial.unlink(missing_ok=True)  # its mode might be another one
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file, indent=2)
        partial.replace(self.home / FILE_NAME)

    def key_for(self, site: str) -> str | None:
        """Return the API key to use at `site`: the environment's, or the stored one at the site it was stored for."""
        if self.given_key:
            return self.given_key
        return self.api_key if site == self.site else None

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
            raise ProfileRefusal(
                "profile.no_identity", "There is no key to receive data with.", todo="Run: cadastre login"
            )
        return str(identity_of(self.identity).to_public())
