"""`login`, `me`: whom the command line speaks for."""

from __future__ import annotations

import argparse
import getpass
import sys
from dataclasses import replace
from pathlib import Path

from cadastre.client import Client
from cadastre.commands import AddCommand
from cadastre.pins import changed_pins
from cadastre.session import Session
from provenance.core.refusal import Refusal


class LoginRefusal(Refusal):
    """A login that would store something wrong."""


def add_commands(add: AddCommand) -> None:
    """Add `login` and `me`."""
    login = add("login", log_in, "store an API key, and make the key that your data is opened with")
    login.add_argument("--key-file", help="read the API key from a file instead of asking; - for standard input")
    login.add_argument("--new-pins", action="store_true", help="accept that contracts or keys of the site changed")
    add("me", show_me, "show account, balance and recipient")


def log_in(session: Session, options: argparse.Namespace) -> int:
    """Check the key with the site, then store it; a wrong key is not stored."""
    key = _read_key(session.site, options.key_file)
    with Client(session.site, api_key=key) as client:
        me = client.me()
        pins = client.deployment()
    known = session.profile.pins if session.site == session.profile.site else {}
    changed = changed_pins(known, pins)
    if changed and not options.new_pins:
        raise LoginRefusal(
            "login.pins", f"What bundles of {session.site} are verified against has changed: {', '.join(changed)}.",
            todo="Ask the operator why. To accept it, log in with --new-pins.",
        )  # fmt: skip
    profile = replace(session.profile, site=session.site, api_key=key, pins=pins)
    profile.save()
    profile = profile.with_identity()
    session.console.result(
        {"account": me["account"], "site": session.site, "recipient": profile.recipient},
        f"Logged in at {session.site} as {me['account']['display_name']}.",
        f"Data that you license is opened with the key in {profile.home / 'profile.json'}; keep a copy of that file.",
        f"Its public half (your recipient): {profile.recipient}",
    )
    return 0


def show_me(session: Session, _options: argparse.Namespace) -> int:
    """Print account, scopes and balance."""
    me = session.client.me()
    recipient = session.profile.recipient if session.profile.identity else None
    session.console.result(
        {**me, "recipient": recipient},
        f"{me['account']['display_name']} ({me['account']['slug']}) at {session.site}",
        f"Scopes: {', '.join(me['scopes'])}",
        f"Balance: {me['balance']['available']['text']} available, {me['balance']['held']['text']} held",
    )
    return 0


def _read_key(site: str, key_file: str | None) -> str:
    match key_file:
        case None:
            return getpass.getpass(f"API key for {site}: ").strip()
        case "-":
            return sys.stdin.readline().strip()
        case _:
            return Path(key_file).read_text(encoding="ascii").strip()
