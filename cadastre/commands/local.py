"""`cid`, `fingerprint`, `lookup`: what can be said about bytes on this machine."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from cadastre.console import size_in_words
from cadastre.folder import cid_of, files_of
from cadastre.session import Session
from provenance.core.unixfs.profile import PROFILE

WHOLE_FILE_LIMIT = 64 * 1_048_576


def add_commands(commands: Any) -> None:
    """Add the commands that need no account; only `lookup` asks the site."""
    cid = commands.add_parser("cid", help=f"compute the CID of a file or folder ({PROFILE})")
    cid.add_argument("path", type=Path, nargs="+")
    cid.add_argument("--threads", type=int, default=2)
    cid.set_defaults(run=print_cids)

    fingerprint = commands.add_parser("fingerprint", help="compute the fingerprints that the copy check compares")
    fingerprint.add_argument("path", type=Path)
    fingerprint.set_defaults(run=print_fingerprints)

    lookup = commands.add_parser("lookup", help="ask whether a file is registered: exact, near, or no match found")
    lookup.add_argument("path", type=Path)
    lookup.add_argument("--hash-only", action="store_true", help="send the SHA-256, not the file: finds exact matches only")
    lookup.set_defaults(run=look_up)


def print_cids(session: Session, options: argparse.Namespace) -> int:
    """Print one CID per path."""
    found = []
    for path in options.path:
        node = cid_of(path, threads=options.threads, progress=session.console.progress)
        found.append({"path": str(path), "cid": str(node.cid), "bytes": node.size, "profile": PROFILE})
    session.console.result(found, *(f"{row['cid']}  {row['path']}" for row in found))
    return 0


def print_fingerprints(session: Session, options: argparse.Namespace) -> int:
    """Print algorithm, version, records and sketches of every file."""
    from cadastre.fingerprints import fingerprint_file

    rows = []
    for file in files_of(options.path):
        session.console.progress(file.path)
        rows.append({"path": file.path, **fingerprint_file(file.location)})
    lines = [f"{row['algorithm'] or 'exact only'}  {row['records']:,} records  {row['sha256']}  {row['path']}" for row in rows]
    session.console.result(rows, *lines)
    return 0


def look_up(session: Session, options: argparse.Namespace) -> int:
    """Ask the site about one file."""
    size = options.path.stat().st_size
    if options.hash_only or size > WHOLE_FILE_LIMIT:
        if not options.hash_only:
            session.console.say(
                f"{size_in_words(size)} is more than the {size_in_words(WHOLE_FILE_LIMIT)} that a look-up takes; asking by hash."
            )
        with options.path.open("rb") as file:
            found = session.client.look_up(hashlib.file_digest(file, "sha256").hexdigest())
    else:
        found = session.client.look_up_file(options.path)
    words = {"exact": "Exact match", "near": "Near match", "none": "No match found"}[found["result"]]
    searched = found["searched"]
    session.console.result(
        found,
        f"{words} among {searched['records']:,} fingerprints (index version {searched['version']}, {searched['time']}).",
        *(f"  {row['title']}  {session.site}/d/{row['id']}" for row in found["datasets"]),
        *([] if found["datasets"] else ["That is not a proof that the work was never used."]),
    )
    return 0
