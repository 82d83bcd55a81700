"""The people of the story: accounts made by the same action as the sign-up form, each with an API key."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from cadastre.client import Client
from marketplace.actions.accounts import create_organization, sign_up
from marketplace.actions.api_keys import create_api_key
from marketplace.queries.actors import SCOPES, Actor, actor_of_user
from provenance.core.refusal import Refusal

DAYS = 90


class CommandFailed(Refusal):
    """A command of the story ended otherwise than it should."""


@dataclass(frozen=True, slots=True)
class Person:
    """One of the cast: `home` is where their command line keeps its profile."""

    name: str
    email: str
    password: str
    account: str
    key: str
    site: str
    home: Path

    @property
    def client(self) -> Client:
        """Their Python client."""
        return Client(self.site, api_key=self.key)

    def run(self, *words: str, expect: int = 0) -> Any:
        """Run `cadastre WORDS` as they would, and return what it printed as JSON.

        Raises CommandFailed when it ends with another exit code than `expect`.
        """
        command = [sys.executable, "-m", "cadastre", *words, "--site", self.site, "--json"]
        environment = {**os.environ, "CADASTRE_HOME": str(self.home), "CADASTRE_API_KEY": self.key}
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=settings.BASE_DIR, check=False
        )
        if done.returncode != expect:
            said = done.stderr.strip() or done.stdout.strip()
            raise CommandFailed(
                "story.command", f"cadastre {' '.join(words)}: {said[-800:]}",
                limit=expect, actual=done.returncode,
            )  # fmt: skip
        return json.loads(done.stdout) if done.stdout.strip() else None


def enlist(name: str, *, site: str, home: Path, now: datetime, organization: str = "") -> Person:
    """Sign a person up, perhaps with an organization of theirs that the key is for, and make an API key."""
    email, password = f"{name.lower()}@example.org", secrets.token_urlsafe(12)
    actor = sign_up(email=email, password=password, display_name=_full_name(name), now=now)
    if organization:
        account = create_organization(
            by=actor.membership.user, slug=organization.lower().replace(" ", "-"), display_name=organization, now=now
        )
        actor = actor_of_user(actor.membership.user, account.slug)
    return Person(name, email, password, actor.account.slug, _key(actor, now), site, home / name.lower())


def _key(actor: Actor, now: datetime) -> str:
    _, token = create_api_key(by=actor, name="demo story", scopes=[scope.value for scope in SCOPES], days=DAYS, now=now)
    return token


def _full_name(name: str) -> str:
    surnames = {
        "Ada": "Fenwick",
        "Ben": "Okafor",
        "Cleo": "Marchetti",
        "Emil": "Sandberg",
        "Noor": "Haddad",
        "Mallory": "Pike",
    }
    return f"{name} {surnames.get(name, '')}".strip()
