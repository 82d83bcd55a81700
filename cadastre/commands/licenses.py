"""`licenses`, `grant`, `get`, `report-usage`: what may be used, for whom it is opened, and what it was used for."""

from __future__ import annotations

import argparse
import hashlib
import re
from datetime import date
from pathlib import Path
from typing import Any

from cadastre.commands import AddCommand
from cadastre.commands.market import USES
from cadastre.commands.wallet import add_wallet_option, sign_waiting, wallet_of
from cadastre.console import size_in_words
from cadastre.download import Progress, download
from cadastre.license_bundle import LicenseBundle, read_identity
from cadastre.session import Session
from cadastre.sources import add_source_options, source_of
from marketplace.core.terms import RateUnit
from provenance.adapters.http_api import ApiRefusal
from provenance.core.package import PackageKind
from provenance.core.refusal import Refusal

_ID = re.compile(r"[1-9][0-9]*-[0-9a-f]{40}-[1-9][0-9]*")
_NAME = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")


class LicenseRefusal(Refusal):
    """There is no license, or no data, of what was named."""


def add_commands(add: AddCommand) -> None:
    """Add the commands of licensees."""
    add("licenses", list_licenses, "list your licenses, also those that your wallet bought directly on chain")

    grant = add("grant", grant_key, "have the data of a license opened for your key, and keep the license bundle")
    grant.add_argument("license")
    grant.add_argument("--recipient", help="age recipient to open the data for (default: yours)")
    grant.add_argument("--out", type=Path, default=Path("bundle.json"), help="where to write the license bundle")

    get = add("get", get_data, "download, decrypt and check licensed or open data; run again, it goes on where it was")
    get.add_argument("what", help="bundle file, license id, or an open dataset's id or ACCOUNT/NAME")
    get.add_argument("--to", type=Path, default=Path("data"), help="folder to write into (default: data)")
    get.add_argument("--identity", type=Path, help="file with the age key that the license was bought for")
    add_source_options(get, car=True)

    usage = add("report-usage", report_usage, "report what a license was used for")
    usage.add_argument("license")
    usage.add_argument("--use", required=True, choices=USES)
    usage.add_argument(
        "--quantity",
        required=True,
        type=count,
        metavar="N",
        help="single records, tokens, runs or bytes, as the rate counts",
    )
    usage.add_argument("--from", dest="first_day", required=True, type=day, metavar="DATE", help="first day of use")
    usage.add_argument("--to", dest="last_day", required=True, type=day, metavar="DATE", help="last day of use")
    usage.add_argument("--version", type=int, default=1, help="version of the dataset that was used (default: 1)")
    usage.add_argument("--model", required=True, help="the model's id")
    usage.add_argument("--run", dest="training_run", required=True, metavar="RUN", help="id of the training run")
    usage.add_argument("--secret-names", action="store_true", help="send only salted commitments to model and run")
    usage.add_argument("--corrects", metavar="DIGEST", help="an earlier report that this one replaces")
    add_wallet_option(usage, "your own wallet, if it holds or paid the license: it signs what the report costs")
    usage.add_argument("--key", help="idempotency key (default: made from the report)")


def count(text: str) -> str:
    """Return a quantity as it was typed, if it is a whole number; argparse says so otherwise."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number: write 25000")
    return text


def day(text: str) -> str:
    """Return a date as it was typed, if it is one; argparse says so otherwise."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no date: write 2026-11-30") from error


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


def get_data(session: Session, options: argparse.Namespace) -> int:
    """Fetch, decrypt and check."""
    bundle, owner = _bundle(session, options.what)
    if bundle.bundle.license is None and bundle.package().kind is PackageKind.SEALED:
        raise LicenseRefusal(
            "get.locked", "This data is locked, and a trail holds no key.", actual=options.what,
            todo=f"License it: cadastre buy {bundle.bundle.dataset.slug}, then give that license.",
        )  # fmt: skip
    result = download(
        bundle,
        source=source_of(session, options, owner=owner, folder=options.to),
        identity=read_identity(options.identity) if options.identity else session.profile.identity,
        folder=options.to,
        progress=lambda state: session.console.progress(_progress_words(state)),
    )
    found = {
        "folder": str(result.folder), "root": result.root, "files": result.files, "bytes": result.bytes,
        "seconds": round(result.seconds, 3), "sha256_ok": True, "cid_ok": True, "was_there": result.was_there,
    }  # fmt: skip
    session.console.result(
        found,
        f"{result.files:,} files, {size_in_words(result.bytes)}, in {result.folder}"
        f"{', where they were already' if result.was_there else ''}.",
        f"Every file has the registered SHA-256; the stored bytes are {result.root}.",
    )
    return 0


def report_usage(session: Session, options: argparse.Namespace) -> int:
    """Send one report."""
    report = {
        "license": options.license,
        "version": options.version,
        "period": {"from": options.first_day, "to": options.last_day},
        "use": options.use,
        "quantity": options.quantity,
        "model": _subject(session, options.model, secret=options.secret_names),
        "run": _subject(session, options.training_run, secret=options.secret_names),
        "corrects": options.corrects,
    }
    wallet = wallet_of(session, options)
    found = session.client.report_usage(report, key=options.key)
    if found["state"] == "approval":
        session.console.result(
            found,
            f"Reported: {_used(found)}; this report would cost {found['amount']['text']}.",
            f"That is more than this key may spend on the license: it waits for approval. Report {found['digest']}",
        )
        return 0
    if wallet is not None:
        dataset = session.client.get(f"/licenses/{options.license}")["dataset"]
        found["signed"] = sign_waiting(session, wallet, dataset=dataset, license_id=options.license)
    session.console.result(
        found,
        f"Reported: {_used(found)}; this report costs {found['amount']['text']}.",
        f"So far under this license: {found['cumulative_amount']['text']}. Report {found['digest']}",
    )
    return 0


def _subject(session: Session, name: str, *, secret: bool) -> dict[str, str]:
    if not secret:
        return {"id": name}
    # The salt is the buyer's secret identity: nobody else can guess a model's name from its commitment.
    salt = session.profile.with_identity().identity or ""
    return {"commitment": hashlib.sha256(f"cadastre.commitment/1\0{salt}\0{name}".encode()).hexdigest()}


def _bundle(session: Session, what: str) -> tuple[LicenseBundle, str]:
    """Return a bundle and the path below which the site serves its blocks."""
    path = Path(what)
    if path.is_file():
        bundle = LicenseBundle.load(path)
        bought, dataset = bundle.bundle.license, bundle.bundle.dataset
        return bundle, f"datasets/{dataset.slug}" if bought is None else f"licenses/{bought.slug}"
    if _NAME.fullmatch(what):
        what = session.client.dataset(what)["id"]
        return LicenseBundle.read(session.client.trail(what)), f"datasets/{what}"
    if _ID.fullmatch(what) is None:
        raise LicenseRefusal(
            "get.what", "There is no such file, and it is no id.", actual=what,
            todo="Give a bundle file, a license id (cadastre licenses), or an open dataset's id or ACCOUNT/NAME.",
        )  # fmt: skip
    if session.profile.key_for(session.site):
        try:
            return LicenseBundle.read(session.client.bundle(what)), f"licenses/{what}"
        except ApiRefusal as refusal:
            if refusal.status != 404:
                raise
    try:
        return LicenseBundle.read(session.client.trail(what)), f"datasets/{what}"
    except ApiRefusal as refusal:
        if refusal.status != 404:
            raise
        raise LicenseRefusal(
            "get.unknown", "This is neither a license of yours nor a dataset here.", actual=what,
            todo="Look: cadastre licenses, cadastre search",
        ) from refusal  # fmt: skip


def _progress_words(state: Progress) -> str:
    if state.files_total:
        return f"Checking files: {state.files:,} of {state.files_total:,}"
    return f"Fetching blocks: {state.blocks:,} of {state.blocks_known:,} known so far"


def _used(report: dict[str, Any]) -> str:
    match report["unit"]:
        case RateUnit.RECORDS_1000:
            what = "records"
        case RateUnit.TOKENS_1000000:
            what = "tokens"
        case RateUnit.RUN:
            what = "runs"
        case RateUnit.GIGABYTE:
            what = "bytes"
        case _:
            what = "under a license without a rate"
    return f"{int(report['quantity']):,} {what}"


def _line(row: dict[str, Any]) -> str:
    until = f" until {row['end'][:10]}" if row["end"] else ""
    return f"{row['id']}  {row['title']}  {row['state']}{until}: {', '.join(row['uses'])}  {row['price']['text']}"
