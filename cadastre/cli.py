"""The command `cadastre`.

Exit codes: 0 done · 1 refused, with one line that says what, the limit, the actual value and what to do ·
2 wrong words on the command line · 3 verification failed · 4 not decided: something could not be checked ·
5 the site cannot be reached · 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence

from cadastre import __version__
from cadastre.commands import Run, account, licenses, local, log, market, publish, verifying, wallet
from cadastre.console import Console
from cadastre.profile import Profile
from cadastre.session import Session
from provenance.adapters.http_api import UNREACHABLE
from provenance.core.refusal import Refusal
from provenance.ports import ChainDown

REFUSED, UNDECIDED, NO_SITE, STOPPED = 1, 4, 5, 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every command; the options of all commands stand before or behind its name."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--site", help="address of the site (default: CADASTRE_SITE, else the one you logged in to)")
    common.add_argument("--json", action="store_true", help="print the result as one JSON value")
    common.add_argument("--quiet", action="store_true", help="no progress")
    parser = argparse.ArgumentParser(
        prog="cadastre",
        description="Find, license, download and verify training data; publish it; report its use.",
        epilog="Exit codes: 0 done, 1 refused, 2 usage, 3 verification failed, 4 not decided, 5 site unreachable.",
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"cadastre {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Run, words: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=words, description=words, parents=[common])
        command.set_defaults(run=run)
        return command

    for module in (account, wallet, market, licenses, publish, verifying, log, local):
        module.add_commands(add)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # Given here and not by set_defaults, with which a command's own defaults would win over what stands before it.
    options = build_parser().parse_args(words, argparse.Namespace(site=None, json=False, quiet=False))
    console = Console(json_output=options.json, quiet=options.quiet)
    session: Session | None = None
    try:
        profile = Profile.load()
        session = Session(profile, console, options.site or os.environ.get("CADASTRE_SITE") or profile.site)
        code: int = options.run(session, options)
    except Refusal as refusal:
        if refusal.code == "access.missing":
            # The site speaks to programs that send headers; here somebody types commands.
            refusal.todo = "Make an API key on the site's page “API keys”, then run: cadastre login"
        console.refuse(refusal)
        if refusal.code == UNREACHABLE:
            return NO_SITE
        return UNDECIDED if isinstance(refusal, ChainDown) else REFUSED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        console.refuse(Refusal("machine.refused", f"{where}{error.strerror or error}."))
        return REFUSED
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        console.refuse(Refusal("machine.unreadable", f"A file does not hold what it should: {error}."))
        return REFUSED
    except KeyboardInterrupt:
        console.refuse(Refusal("stopped", f"Stopped; {session.goes_on}." if session else "Stopped."))
        return STOPPED
    finally:
        if session is not None:
            session.opened.close()
    return code
