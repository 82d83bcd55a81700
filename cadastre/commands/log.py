"""`log`: whether the log that the site shows continues what it showed before, here and to others."""

from __future__ import annotations

import argparse
from pathlib import Path

from cadastre.commands import AddCommand
from cadastre.commands.verifying import EXIT
from cadastre.heads import Heads, SplitView, add_all
from cadastre.pins import policy_of, read_pins
from cadastre.session import Session
from provenance.core.policy import Verdict


def add_commands(add: AddCommand) -> None:
    """Add `log`."""
    log = add("log", check_log, "prove that the log continues every head of it that was seen before")
    log.add_argument("heads", type=Path, nargs="*", help="checkpoints or bundles that the site gave to others")
    log.add_argument("--pins", type=Path, metavar="FILE", help="what /api/v1/deployment says, from a trusted source")


def check_log(session: Session, options: argparse.Namespace) -> int:
    """Print the head that was proved; exit 3 with both signed heads when they contradict each other."""
    vkey = policy_of(read_pins(options.pins, session.profile.pins), with_chain=False).vkey
    heads = Heads.load(session.profile.home, vkey)
    try:
        add_all(heads, options.heads)
        seen = len(heads.notes)
        note = session.client.log_file("checkpoint").decode("utf-8", "replace")
        head = heads.prove(note, lambda tile: session.client.log_file(tile.path))
    except SplitView as split:
        found = {"agrees": False, "reason": str(split), "heads": list(split.notes)}
        session.console.result(found, str(split), *split.notes)
        return EXIT[Verdict.FAIL]
    heads.save()
    found = {"agrees": True, "origin": head.origin, "size": head.size, "root": head.root.hex(), "continues": seen}
    words = f"It continues every head that was seen ({seen:,})." if seen else "It is the first head that is seen here."
    session.console.result(found, f"{head.origin}: {head.size:,} entries, root {head.root.hex()}. {words}")
    return EXIT[Verdict.PASS]
