"""`verify`, `audit-settlement`, `trail`: checking without the site."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage

from cadastre.folder_check import check_folder
from cadastre.pins import chain_of, policy_of, read_pins
from cadastre.session import Session
from cadastre.settlement_audit import GetDocument, audit_settlements
from marketplace.core.money import Amount, Token
from provenance.adapters.blocks_local import LocalBlocks
from provenance.adapters.evm_auditor import EvmAuditor
from provenance.core.audit import Auditor
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.policy import Outcome, Verdict
from provenance.core.refusal import Refusal
from provenance.core.verify import verify_bundle

SIGNS = {Outcome.PASS: "✓", Outcome.FAIL: "✕", Outcome.NOT_CHECKED: "–", Outcome.WITHHELD: "!"}
EXIT = {Verdict.PASS: 0, Verdict.FAIL: 3, Verdict.INCOMPLETE: 4}


class VerifyRefusal(Refusal):
    """A verification lacks what it needs to begin."""


def add_commands(commands: Any) -> None:
    """Add the commands of auditors."""
    verify = commands.add_parser("verify", help="verify a license or trail bundle, each step by name")
    verify.add_argument("bundle", type=Path)
    verify.add_argument("--rpc", help="address of your own node; without it, steps on chain are not checked")
    verify.add_argument("--pins", type=Path, help="what /api/v1/deployment says, from a source that you trust")
    verify.add_argument("--files", type=Path, help="folder with the downloaded files, to compare them, too")
    verify.set_defaults(run=verify_file)

    audit = commands.add_parser("audit-settlement", help="recompute a settlement from chain and documents alone")
    audit.add_argument("epoch", type=int)
    audit.add_argument("--rpc", required=True, help="address of your own node")
    audit.add_argument("--pins", type=Path)
    audit.add_argument("--token", help="address of the token (default: the first that the pins name)")
    source = audit.add_mutually_exclusive_group()
    source.add_argument("--blocks", type=Path, help="take documents from a block directory")
    source.add_argument("--ipfs", help="take documents from a Kubo node")
    audit.set_defaults(run=audit_settlement)

    trail = commands.add_parser("trail", help="download the bundle of a dataset's trail")
    trail.add_argument("dataset")
    trail.add_argument("--out", type=Path, default=Path("bundle.json"))
    trail.set_defaults(run=download_trail)


def verify_file(session: Session, options: argparse.Namespace) -> int:
    """Print every step; exit 0 only when nothing failed and everything required passed."""
    pins = read_pins(options.pins, session.profile.pins)
    data = options.bundle.read_bytes()
    auditor = Auditor(
        chain=EvmAuditor(chain_of(pins, options.rpc)) if options.rpc else None,
        open_grant=_grant_opener(session.profile.identity),
        check_files=check_folder(options.files, data) if options.files else None,
    )
    report = verify_bundle(data, policy_of(pins, with_chain=bool(options.rpc)), auditor)
    words = {
        Verdict.PASS: "Everything that must hold, holds.",
        Verdict.FAIL: "This bundle is not what it claims to be.",
        Verdict.INCOMPLETE: "Nothing failed, but not everything that is required was checked.",
    }
    lines = [f"{SIGNS[each.outcome]} {each.number:>2}. {each.step}: {each.outcome.value}. {each.detail}" for each in report.results]
    session.console.result({"verdict": report.verdict.value, "steps": report.to_document()}, *lines, words[report.verdict])
    return EXIT[report.verdict]


def audit_settlement(session: Session, options: argparse.Namespace) -> int:
    """Print the recomputed payouts of an epoch, or the first difference."""
    pins = read_pins(options.pins, session.profile.pins)
    chain = chain_of(pins, options.rpc)
    tokens = {str(token["address"]).lower(): token for token in pins.get("tokens", [])}
    address = (options.token or next(iter(tokens), "")).lower()
    if not address:
        raise VerifyRefusal("audit.token", "It is not known which token to audit.", todo="Give --token ADDRESS.")
    epochs = audit_settlements(
        chain,
        first_block=int(pins["deployment"]["first_block"]),
        token=address,
        get_document=_document_source(session, options),
        up_to_epoch=options.epoch,
        say=session.console.progress,
    )
    last = epochs[-1]
    known = tokens.get(address, {})
    token = Token(chain.chain_id, address, str(known.get("symbol", "units")), int(known.get("decimals", 0)))
    lines = [f"{each.account}  {Amount(each.amount, token)} this epoch, {Amount(each.cumulative, token)} in all" for each in last.settlement.balances]
    agrees = all(epoch.agrees for epoch in epochs)
    found = {
        "epoch": last.root.epoch,
        "agrees": agrees,
        "root": last.root.root,
        "root_recomputed": "0x" + last.settlement.payout_tree().root.hex(),
        "digest": last.root.settlement.hex,
        "cumulative": str(last.settlement.totals.cumulative),
        "difference": next((epoch.difference for epoch in epochs if epoch.difference), None),
        "balances": [{"payee": each.payee, "account": each.account, "amount": str(each.amount), "cumulative": str(each.cumulative)} for each in last.settlement.balances],
    }
    verdict = (
        f"Epoch {last.root.epoch}: root, total and every line are what the chain gives."
        if agrees
        else f"Epoch {last.root.epoch} differs: {found['difference'] or 'the root or the total on chain is another'}"
    )
    session.console.result(found, *lines, verdict)
    return 0 if agrees else 3


def download_trail(session: Session, options: argparse.Namespace) -> int:
    """Write the trail's bundle to a file."""
    dataset = session.client.dataset(options.dataset)
    data = session.client.trail(dataset["id"])
    options.out.write_bytes(data)
    session.console.result(
        {"dataset": dataset["id"], "bundle": str(options.out), "bytes": len(data)},
        f"{options.out}: {len(data):,} bytes. Next: cadastre verify {options.out} --rpc URL",
    )
    return 0


def _grant_opener(identity: str | None) -> Callable[[bytes], str] | None:
    if identity is None:
        return None
    own = pyrage.x25519.Identity.from_str(identity)

    def open_grant(sealed: bytes) -> str:
        try:
            key = pyrage.decrypt(sealed, [own]).decode().strip()
            return str(pyrage.x25519.Identity.from_str(key).to_public())
        except (pyrage.DecryptError, pyrage.IdentityError) as error:
            raise VerifyRefusal("verify.grant", "The grant does not open with your identity.", todo="Use the one it was granted to.") from error

    return open_grant


def _document_source(session: Session, options: argparse.Namespace) -> GetDocument:
    if options.blocks:
        store = LocalBlocks(options.blocks, name=str(options.blocks))
        return lambda digest: store.get_block(Cid.of_digest(digest))
    if options.ipfs:
        from provenance.adapters.kubo import KuboBlocks

        node = KuboBlocks(options.ipfs)
        return lambda digest: node.get_block(Cid.of_digest(digest))

    def from_site(digest: Sha256) -> bytes:
        return session.client.connection.request("GET", f"/api/v1/documents/{digest.hex}").body

    return from_site

