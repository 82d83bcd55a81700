"""`login`, `me`: whom the command line speaks for."""

from __future__ import annotations

import argparse
import getpass
import sys
from dataclasses import replace
from typing import Any

from cadastre.client import Client
from cadastre.session import Session


def add_commands(commands: Any) -> None:
    """Add `login` and `me`."""
    login = commands.add_parser("login", help="store an API key and make the key that your data is opened with")
    login.add_argument("--key-file", help="read the API key from a file instead of asking; - for standard input")
    login.set_defaults(run=log_in)
    me = commands.add_parser("me", help="account, balance and recipient")
    me.set_defaults(run=show_me)


def log_in(session: Session, options: argparse.Namespace) -> int:
    """Check the key with the site, then store it; a wrong key is not stored."""
    if options.key_file == "-":
        key = sys.stdin.readline().strip()
    elif options.key_file:
        with open(options.key_file, encoding="ascii") as file:
            key = file.read().strip()
    else:
        key = getpass.getpass(f"API key for {session.site}: ").strip()
    client = Client(session.site, api_key=key)
    me = client.me()
    pins = client.deployment()
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
