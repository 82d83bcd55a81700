"""The command `cadastre`.

Exit codes: 0 done · 1 refused, with one line that says what, the limit, the actual value and what to do ·
2 wrong words on the command line · 3 verification failed · 4 not decided: something could not be checked ·
5 the site cannot be reached · 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from cadastre.client import Client
from cadastre.commands import account, local, market, publish, verifying
from cadastre.console import Console
from cadastre.profile import Profile
from cadastre.session import Session
from provenance.adapters.http_api import ApiRefusal
from provenance.core.refusal import Refusal

DONE, REFUSED, USAGE, FAILED, UNDECIDED, UNREACHABLE, STOPPED = 0, 1, 2, 3, 4, 5, 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every command."""
    parser = argparse.ArgumentParser(
        prog="cadastre",
        description="Find, license, download and verify training data; publish it; report its use.",
        epilog="Exit codes: 0 done, 1 refused, 2 usage, 3 verification failed, 4 not decided, 5 site unreachable.",
    )
    parser.add_argument("--site", help="address of the site (default: the one you logged in to)")
    parser.add_argument("--json", action="store_true", help="print results as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (account, market, publish, verifying, local):
        module.add_commands(commands)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    options = parser.parse_args(words)
    console = Console(json_output=options.json, quiet=options.quiet)
    try:
        profile = Profile.load()
        site = options.site or profile.site
        client = Client(site, api_key=profile.api_key)
        code: int = options.run(Session(client=client, profile=profile, console=console, site=site), options)
    except Refusal as refusal:
        console.clear()
        if options.json:
            print(json.dumps({"error": refusal.as_problem()}, indent=2))
        print(f"cadastre: {refusal}", file=sys.stderr)
        return UNREACHABLE if isinstance(refusal, ApiRefusal) and refusal.status == 0 else REFUSED
    except OSError as error:
        console.clear()
        print(f"cadastre: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        console.clear()
        print("cadastre: stopped; run the same command to go on", file=sys.stderr)
        return STOPPED
    return code
