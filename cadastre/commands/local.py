"""`cid`, `fingerprint`, `lookup`: what can be said about bytes on this machine."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from cadastre.commands import AddCommand
from cadastre.console import size_in_words
from cadastre.folder import cid_of, files_of
from cadastre.session import Session
from provenance.core.unixfs.profile import PROFILE

WHOLE_FILE_LIMIT = 64 * 1_048_576


def add_commands(add: AddCommand) -> None:
    """Add the commands that need no account; only `lookup` asks the site."""
    cid = add("cid", print_cids, f"compute the CID of files or folders ({PROFILE})")
    cid.add_argument("path", type=Path, nargs="+")
    cid.add_argument("--threads", type=int, default=2, help="threads that hash (default: 2)")

    fingerprint = add("fingerprint", print_fingerprints, "compute the fingerprints that the copy check compares")
    fingerprint.add_argument("path", type=Path, help="file or folder")

    lookup = add("lookup", look_up, "ask whether a file is registered: exact, near, or no match found")
    lookup.add_argument("path", type=Path)
    lookup.add_argument("--hash-only", action="store_true", help="send the SHA-256 only: finds exact matches only")


def print_cids(session: Session, options: argparse.Namespace) -> int:
    """Print one CID per path."""
    found = []
    for path in options.path:
        node = cid_of(path, threads=max(1, options.threads), progress=session.console.progress)
        found.append({"path": str(path), "cid": str(node.cid), "bytes": node.size, "profile": PROFILE})
    session.console.result(found, *(f"{row['cid']}  {row['path']}" for row in found))
    return 0


def print_fingerprints(session: Session, options: argparse.Namespace) -> int:
    """Print algorithm, version, records and sketches of every file."""
    # Here, because numpy, polars and Pillow take longer to load than the other commands to run.
    from cadastre.fingerprints import fingerprint_file

    rows = []
    for file in files_of(options.path):
        session.console.progress(file.path)
        rows.append({"path": file.path, **fingerprint_file(file.location)})
    lines = [
        f"{row['algorithm'] or 'SHA-256 only'}  {row['records']:,} records  {row['sha256']}  {row['path']}"
        for row in rows
    ]
    session.console.result(rows, *lines)
    return 0


def look_up(session: Session, options: argparse.Namespace) -> int:
    """Ask the site about one file."""
    size = options.path.stat().st_size
    whole = size <= WHOLE_FILE_LIMIT and not options.hash_only
    if whole:
        found = session.client.look_up_file(options.path)
    else:
        if not options.hash_only:
            session.console.say(
                f"A look-up takes {size_in_words(WHOLE_FILE_LIMIT)}, the file has {size_in_words(size)}: "
                "asking by its hash, which finds exact matches only."
            )
        with options.path.open("rb") as file:
            found = session.client.look_up(hashlib.file_digest(file, "sha256").hexdigest())
    words = {"exact": "Exact match", "near": "Near match", "none": "No match found"}[found["result"]]
    searched = found["searched"]
    session.console.result(
        found,
        f"{words}; compared with {searched['datasets']:,} datasets registered here, as of {searched['time']}.",
        *(f"  {row['title']}  {session.site}/d/{row['id']}" for row in found["datasets"]),
        *([] if found["datasets"] else ["That is no proof that the work was never used."]),
    )
    return 0
