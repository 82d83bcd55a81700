"""`publish PATH`: from a folder to a listed dataset, in the same steps as the website.

The description comes from a JSON file (`--describe`) with the fields of docs/api.md, from options, or from both;
options win. Everything that becomes public is shown before it is confirmed.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cadastre.commands import AddCommand
from cadastre.commands.market import KINDS
from cadastre.commands.wallet import add_wallet_option, sign_waiting, wallet_of
from cadastre.console import size_in_words
from cadastre.folder import LocalFile, files_of
from cadastre.session import Session
from cadastre.wallet import Wallet
from marketplace.core.presets import PRESETS
from provenance.adapters.http_api import ApiRefusal
from provenance.core.refusal import Refusal
from provenance.core.rights import Basis

READY_TO_CHECK = frozenset({"open", "held", "stopped"})
CHECKED = frozenset({"ready", "held", "stopped", "published", "discarded"})
ENDED = frozenset({"published", "held", "stopped", "discarded"})
PAUSE = 0.5


class PublishRefusal(Refusal):
    """A publication was stopped, or lacks a description."""


def add_commands(add: AddCommand) -> None:
    """Add `publish`."""
    publish = add("publish", publish_folder, "upload, describe, price and publish a dataset")
    publish.add_argument("path", type=Path, help="file or folder")
    publish.add_argument("--describe", type=Path, metavar="FILE", help="JSON with the description (see docs/api.md)")
    publish.add_argument("--title")
    publish.add_argument("--creator", help="display name that becomes public")
    publish.add_argument("--description")
    publish.add_argument("--kind", choices=KINDS)
    publish.add_argument("--open", action="store_true", help="readable for everybody; else locked until licensed")
    publish.add_argument("--preset", choices=sorted(PRESETS), help="ready-made terms")
    publish.add_argument("--terms", type=Path, metavar="FILE", help="JSON with the terms (cadastre.terms/1)")
    publish.add_argument("--price", help="in the site's currency, such as 240.00; 0 gives licenses away")
    publish.add_argument("--rights", choices=[basis.value for basis in Basis], help="rights basis of all files")
    publish.add_argument("--rights-detail", metavar="TEXT", help="what the basis needs: license id, licensor, model …")
    publish.add_argument(
        "--parent", action="append", metavar="DATASET[=LICENSE]", help="what it is built from: id or ACCOUNT/NAME"
    )
    publish.add_argument("--share", action="append", metavar="ACCOUNT=PERCENT", help="who shares the income")
    publish.add_argument("--version-of", metavar="DATASET", help="publish a new version of a dataset")
    publish.add_argument("--draft", help="go on with a draft")
    add_wallet_option(publish, "your own wallet, which will own the dataset and signs for it")
    publish.add_argument("--yes", action="store_true", help="confirm the review without asking")


def publish_folder(session: Session, options: argparse.Namespace) -> int:
    """Run all steps; run again with --draft, it goes on where it was."""
    files = files_of(options.path)
    description = describe(options)
    client = session.client
    wallet = wallet_of(session, options)
    owner = None if wallet is None else wallet.address
    draft = client.draft(options.draft) if options.draft else client.open_draft(dataset=options.version_of, owner=owner)
    name = draft["id"]
    size = size_in_words(sum(file.size for file in files))
    session.console.say(f"Draft {name}: {len(files):,} files, {size}. To go on after a stop: --draft {name}")
    session.goes_on = f"to go on, run it again with --draft {name}"
    if description:
        describe_draft(session, name, description, is_new=options.draft is None)
    if draft["state"] == "open":
        client.upload(name, files, progress=lambda file, sent: session.console.progress(_uploading(file, sent)))
        session.console.say("Uploaded. Hashing, scanning and comparing with everything registered …")
    if draft["state"] in READY_TO_CHECK:
        client.check_draft(name)
    draft = wait_for(session, name, CHECKED)
    if draft["state"] == "ready":
        draft = confirm(session, name, ask=not options.yes, wallet=wallet)
    if draft["state"] != "published":
        raise stopped(session, draft)
    if wallet is not None:
        # The offer is asked for when the dataset is registered for good.
        sign_waiting(session, wallet, dataset=draft["dataset"])
    session.console.result(draft, f"Published: {session.site}/d/{draft['dataset']}", f"Manifest {draft['manifest']}")
    return 0


def describe_draft(session: Session, draft: str, description: dict[str, Any], *, is_new: bool) -> None:
    """Describe a draft. What is refused before anything was uploaded leaves no draft behind."""
    for parent in description.get("parents", ()):
        if "/" in parent["dataset"]:
            parent["dataset"] = session.client.dataset(parent["dataset"])["id"]
    try:
        session.client.change_draft(draft, description)
    except ApiRefusal:
        if is_new:
            with suppress(ApiRefusal):  # what was refused first is what has to be told
                session.client.discard_draft(draft)
        raise


def describe(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a draft that file and options give."""
    found = _object(options.describe) if options.describe else {}
    given = {name: getattr(options, name) for name in ("title", "creator", "description", "kind", "price")}
    found |= {name: value for name, value in given.items() if value is not None}
    if options.open:
        found["visibility"] = "open"
    if options.preset:
        found["terms"] = PRESETS[options.preset].terms.to_document()
    if options.terms:
        found["terms"] = _object(options.terms)
    if options.rights:
        found["rights"] = [_rights(Basis(options.rights), options.rights_detail)]
    if options.parent:
        pairs = [parent.partition("=") for parent in options.parent]
        found["parents"] = [{"dataset": dataset, "license": license_id or None} for dataset, _, license_id in pairs]
    if options.share:
        found["splits"] = [_share(share) for share in options.share]
    return found


def confirm(session: Session, draft: str, *, ask: bool, wallet: Wallet | None = None) -> dict[str, Any]:
    """Show what becomes public, ask, publish, and wait until it is listed."""
    review = session.client.review(draft)
    for name, words in (("missing", "The draft is not complete"), ("conflicts", "The terms conflict with others")):
        if review[name]:
            raise PublishRefusal(
                f"publish.{name}", f"{words}: {' · '.join(review[name])}", limit=0, actual=len(review[name]),
                todo=f"Change it and run again with --draft {draft}",
            )  # fmt: skip
    if ask and not session.console.agreed(review["public"], "All of this becomes public and permanent. Publish?"):
        raise PublishRefusal("publish.not_confirmed", "Nothing was published.", todo=f"Go on with --draft {draft}")
    signed = None
    if review.get("wallet") is not None:
        if wallet is None:
            raise PublishRefusal(
                "publish.wallet", "Your own wallet has to sign what is registered.", actual=review["wallet"]["owner"],
                todo=f"Run again with --draft {draft} --wallet KEYFILE",
            )  # fmt: skip
        signed = wallet.sign_registration(review)
    session.client.confirm(draft, review["digest"], wallet=signed)
    return wait_for(session, draft, ENDED)


def wait_for(session: Session, draft: str, states: frozenset[str]) -> dict[str, Any]:
    """Wait until the draft is in one of `states`, showing its stages."""
    while True:
        found = session.client.draft(draft, wait=True)
        if found["state"] in states:
            return found
        running = [stage for stage in found["stages"] if stage["state"] == "running"]
        words = ", ".join(f"{stage['name']} {stage['done']:,} of {stage['total']:,}" for stage in running)
        session.console.progress(words or f"{found['state']} …")
        time.sleep(PAUSE)


def stopped(session: Session, draft: dict[str, Any]) -> PublishRefusal:
    """Return the refusal that says what stopped a draft, and where it is answered."""
    reason = draft.get("refusal") or {}
    matches = session.client.matches(draft["id"]) if draft.get("matches") else []
    lines = [f"{match['share_percent']} of its records match “{match['title']}” ({match['kind']})" for match in matches]
    where = f"{session.site}/publish/{draft['id']}/checks"
    todo = reason.get("todo") or f"Look at it: {where}"
    if matches:
        todo = f"Say for each match what it is (built from it, same source, your own, remove): {where}"
    return PublishRefusal(
        reason.get("code", "publish.stopped"),
        " · ".join([reason.get("title") or f"The draft is {draft['state']}.", *lines]),
        limit=reason.get("limit"),
        actual=reason.get("actual"),
        todo=f"{todo} Then run again with --draft {draft['id']}",
    )


def _uploading(file: LocalFile, sent: int) -> str:
    return f"Uploading {file.path}: {size_in_words(sent)} of {size_in_words(file.size)}"


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise PublishRefusal("publish.file", f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise PublishRefusal("publish.file", f"{path} does not hold one JSON object.")
    return found


def _rights(basis: Basis, detail: str | None) -> dict[str, Any]:
    """Return one rights statement for all files; docs/formats.md says which basis needs which detail."""
    needs = {
        Basis.LICENSED: "from", Basis.OPEN_LICENSE: "license", Basis.PERSONAL_DATA: "legal_basis",
        Basis.SYNTHETIC: "model",
    }  # fmt: skip
    wanted = needs.get(basis)
    if wanted is not None and not detail:
        raise PublishRefusal(
            "publish.rights", f"The rights basis {basis.value} says more: its {wanted.replace('_', ' ')}.",
            todo="Give it with --rights-detail.",
        )  # fmt: skip
    absent = dict.fromkeys(("from", "sublicensing", "license", "legal_basis", "model", "evidence"))
    return {**absent, "source": "all files", "basis": basis.value, wanted or "evidence": detail}


def _share(text: str) -> dict[str, Any]:
    account, _, percent = text.partition("=")
    whole, _, part = percent.strip().removesuffix("%").partition(".")
    if not (account and whole.isdecimal() and (part or "0").isdecimal() and len(part) <= 2):
        raise PublishRefusal("publish.share", f"{text!r} is no share.", todo="Write noor=15 or noor=7.25")
    return {"account": account, "bps": int(whole) * 100 + int(part.ljust(2, "0")), "role": "contributor"}
