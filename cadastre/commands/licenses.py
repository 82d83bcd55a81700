"""`licenses`, `grant`: what the account may use, and for whom it is opened."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cadastre.commands import AddCommand
from cadastre.session import Session


def add_commands(add: AddCommand) -> None:
    """Add the commands of licensees."""
    add("licenses", list_licenses, "list your licenses, also those that your wallet bought directly on chain")

    grant = add("grant", grant_key, "have the data of a license opened for your key, and keep the license bundle")
    grant.add_argument("license")
    grant.add_argument("--recipient", help="age recipient to open the data for (default: yours)")
    grant.add_argument("--out", type=Path, default=Path("bundle.json"), help="where to write the license bundle")


def list_licenses(session: Session, _options: argparse.Namespace) -> int:
    """Print one line per license."""
    found = list(session.client.licenses())
    session.console.result(found, *([_line(row) for row in found] or ["You have no licenses."]))
    return 0


def grant_key(session: Session, options: argparse.Namespace) -> int:
    """Ask for the key, wait for it, and keep the bundle."""
    recipient = options.recipient or session.profile.with_identity().recipient
    grants = session.client.grant(options.license, recipient=recipient)
    session.console.progress("The key is being granted …")
    bundle = session.client.bundle(options.license, recipient=recipient)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(bundle)
    session.console.result(
        {"license": options.license, "recipient": recipient, "grants": grants, "bundle": str(options.out)},
        f"License bundle: {options.out}, for {recipient}.",
        f"Next: cadastre get {options.out}",
    )
    return 0


def _line(row: dict[str, Any]) -> str:
    until = f" until {row['end'][:10]}" if row["end"] else ""
    return f"{row['id']}  {row['title']}  {row['state']}{until}: {', '.join(row['uses'])}  {row['price']['text']}"
