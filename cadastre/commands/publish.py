"""`publish PATH`: from a folder to a listed dataset, in the same steps as the website.

The description comes from a JSON file (`--describe`) with the fields of docs/api.md, from options, or from both; options
win. Everything that becomes public is shown before it is confirmed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from cadastre.console import size_in_words
from cadastre.folder import files_of
from cadastre.session import Session
from marketplace.core.presets import PRESETS
from provenance.core.refusal import Refusal

CHECKED = frozenset({"ready", "held", "stopped", "published", "discarded"})
ENDED = frozenset({"published", "stopped", "discarded"})


class PublishRefusal(Refusal):
    """A publication was stopped, or lacks a description."""


def add_commands(commands: Any) -> None:
    """Add `publish`."""
    publish = commands.add_parser("publish", help="upload, describe, price and publish a dataset")
    publish.add_argument("path", type=Path, help="file or folder")
    publish.add_argument("--describe", type=Path, help="JSON file with the description (fields: docs/api.md)")
    publish.add_argument("--title")
    publish.add_argument("--creator", help="display name (default: your account's)")
    publish.add_argument("--description")
    publish.add_argument("--kind", choices=["image", "table", "text", "audio", "mixed"])
    publish.add_argument("--open", action="store_true", help="publish readable data; without it, data is locked until licensed")
    publish.add_argument("--preset", choices=sorted(PRESETS), help="ready-made terms")
    publish.add_argument("--terms", type=Path, help="JSON file with the terms (cadastre.terms/1)")
    publish.add_argument("--price", help="in the site's currency, e.g. 240.00; 0 gives licenses away")
    publish.add_argument("--rights", choices=["own-work", "commissioned", "open-license", "synthetic", "unknown"], help="rights basis of everything in it")
    publish.add_argument("--spdx", help="license id, with --rights open-license")
    publish.add_argument("--parent", action="append", default=[], metavar="DATASET[=LICENSE]", help="a dataset it is built from")
    publish.add_argument("--share", action="append", default=[], metavar="ACCOUNT=PERCENT", help="who shares the income")
    publish.add_argument("--version-of", metavar="DATASET", help="publish a new version of a dataset")
    publish.add_argument("--draft", help="go on with a draft")
    publish.add_argument("--yes", action="store_true", help="confirm the review without asking")
    publish.set_defaults(run=publish_folder)


def publish_folder(session: Session, options: argparse.Namespace) -> int:
    """Run all steps; run again with --draft, it goes on where it was."""
    files = files_of(options.path)
    description = describe(options)
    client, console = session.client, session.console
    draft = client.draft(options.draft) if options.draft else client.open_draft(dataset=options.version_of)
    identity = draft["id"]
    console.say(f"Draft {identity}: {len(files):,} files, {size_in_words(sum(file.size for file in files))}")
    if description:
        client.change_draft(identity, description)
    if draft["state"] == "open":
        sent = 0
        for file in files:
            client.upload(
                identity, file, progress=lambda count, path=file.path: console.progress(f"Uploading {path}: {count:,} bytes")
            )
            sent += 1
        console.say(f"Uploaded {sent:,} files. Hashing, scanning and comparing with everything registered …")
        client.check_draft(identity)
    draft = wait_for(session, identity, CHECKED)
    if draft["state"] == "held" or draft["state"] == "stopped":
        raise stopped(session, draft)
    if draft["state"] != "published":
        draft = confirm(session, options, identity)
    dataset = draft["dataset"]
    console.result(
        draft,
        f"Published: {session.site}/d/{dataset}",
        f"Manifest {draft.get('manifest')}",
    )
    return 0


def describe(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that file and options give."""
    found: dict[str, Any] = json.loads(options.describe.read_text()) if options.describe else {}
    for name in ("title", "creator", "description", "kind", "price"):
        if getattr(options, name) is not None:
            found[name] = getattr(options, name)
    if options.open:
        found["visibility"] = "open"
    if options.preset:
        found["terms"] = PRESETS[options.preset].terms.to_document()
    if options.terms:
        found["terms"] = json.loads(options.terms.read_text())
    if options.rights:
        statement = dict.fromkeys(("from", "sublicensing", "license", "legal_basis", "model", "evidence"))
        found["rights"] = [{**statement, "source": "all files", "basis": options.rights, "license": options.spdx}]
    if options.parent:
        pairs = [parent.partition("=") for parent in options.parent]
        found["parents"] = [{"dataset": dataset, "license": license_id or None} for dataset, _, license_id in pairs]
    if options.share:
        found["splits"] = [_share(share) for share in options.share]
    return found


def confirm(session: Session, options: argparse.Namespace, draft: str) -> dict[str, Any]:
    """Show what becomes public, ask, publish, and wait until it is listed."""
    review = session.client.review(draft)
    if review["conflicts"]:
        raise PublishRefusal(
            "publish.conflicts",
            "The terms conflict with those of the data it is built from: " + " · ".join(review["conflicts"]),
            actual=len(review["conflicts"]),
            limit=0,
            todo=f"Change the terms and run again with --draft {draft}",
        )
    if not options.yes:
        print(json.dumps(review["public"], indent=2, ensure_ascii=False), file=sys.stderr)
        answer = input("All of this becomes public and permanent. Publish? [y/N] ")
        if answer.strip().lower() not in {"y", "yes"}:
            raise PublishRefusal("publish.not_confirmed", "Nothing was published.", todo=f"Go on with --draft {draft}")
    session.client.confirm(draft, review["digest"])
    found = wait_for(session, draft, ENDED)
    if found["state"] != "published":
        raise stopped(session, found)
    return found


def wait_for(session: Session, draft: str, states: frozenset[str]) -> dict[str, Any]:
    """Wait until the draft is in one of `states`, showing its stages."""
    while True:
        found = session.client.draft(draft, wait=True)
        if found["state"] in states:
            return found
        running = [stage for stage in found["stages"] if stage["state"] == "running"]
        words = ", ".join(f"{stage['name']} {stage['done']:,} of {stage['total']:,}" for stage in running)
        session.console.progress(words or f"{found['state']} …")
        time.sleep(0.5)


def stopped(session: Session, draft: dict[str, Any]) -> PublishRefusal:
    """Return the refusal that says what stopped a draft and what can be answered."""
    reason = draft.get("refusal") or {}
    matches = session.client.matches(draft["id"]) if draft.get("matches") else []
    lines = [f"{match['share_percent']} of its records match “{match['title']}” ({match['kind']})" for match in matches]
    return PublishRefusal(
        reason.get("code", "publish.stopped"),
        " · ".join([reason.get("title") or "The draft was stopped.", *lines]),
        limit=reason.get("limit"),
        actual=reason.get("actual"),
        todo=reason.get("todo") or f"Answer at {session.site}/publish/{draft['id']}",
    )


def _share(text: str) -> dict[str, Any]:
    account, _, percent = text.partition("=")
    whole, _, part = percent.strip().removesuffix("%").partition(".")
    digits = (part + "00")[:2]
    if not (account and whole.isdecimal() and digits.isdecimal() and len(part) <= 2):
        raise PublishRefusal("publish.share", f"{text!r} is not a share.", limit="two decimals", todo="Write noor=15 or noor=7.25")
    return {"account": account, "bps": int(whole) * 100 + int(digits), "role": "contributor"}
