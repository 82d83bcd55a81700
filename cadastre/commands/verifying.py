"""`verify`, `audit-settlement`, `trail`: checking without the site."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cadastre.commands import AddCommand
from cadastre.folder_check import check_folder
from cadastre.heads import Heads
from cadastre.license_bundle import LicenseBundle, identity_of, open_grant, read_identity
from cadastre.pins import chain_of, policy_of, read_pins
from cadastre.session import Session
from cadastre.settlement_audit import SettlementAudit, audit_settlements
from cadastre.sources import add_source_options, source_of
from marketplace.core.money import Amount, Token
from marketplace.core.trade_audit import TRADE_CHECKS
from provenance.core.audit import Auditor, NotChecked
from provenance.core.chain_checks import ChainReader
from provenance.core.policy import Outcome, Verdict
from provenance.core.refusal import Refusal
from provenance.core.verify import verify_bundle

SIGNS = {Outcome.PASS: "✓", Outcome.FAIL: "✕", Outcome.NOT_CHECKED: "–", Outcome.WITHHELD: "!"}
EXIT = {Verdict.PASS: 0, Verdict.FAIL: 3, Verdict.INCOMPLETE: 4}
WORDS = {
    Verdict.PASS: "Everything that must hold, holds.",
    Verdict.FAIL: "This bundle is not what it claims to be.",
    Verdict.INCOMPLETE: "Nothing failed, but not everything that is required was checked.",
}


class VerifyRefusal(Refusal):
    """A verification lacks what it needs to begin."""


def add_commands(add: AddCommand) -> None:
    """Add the commands of auditors."""
    verify = add("verify", verify_file, "verify a license or trail bundle, each step by name")
    verify.add_argument("bundle", type=Path)
    verify.add_argument("--rpc", metavar="URL", help="your own node; without it, steps on chain are not checked")
    verify.add_argument("--pins", type=Path, metavar="FILE", help="what /api/v1/deployment says, from a trusted source")
    verify.add_argument("--identity", type=Path, help="file with the age key that the license was bought for")
    verify.add_argument("--files", type=Path, metavar="FOLDER", help="compare downloaded files, too")

    audit = add("audit-settlement", audit_settlement, "recompute a settlement from chain and documents alone")
    audit.add_argument("epoch", type=int)
    audit.add_argument("--rpc", required=True, metavar="URL", help="your own node")
    audit.add_argument("--pins", type=Path, metavar="FILE", help="what /api/v1/deployment says, from a trusted source")
    audit.add_argument("--token", metavar="ADDRESS", help="default: the first that the pins name")
    add_source_options(audit, car=False)

    trail = add("trail", download_trail, "download the bundle of a dataset's trail")
    trail.add_argument("dataset", help="its id, or ACCOUNT/NAME")
    trail.add_argument("--out", type=Path, default=Path("trail.json"), help="default: trail.json")


def verify_file(session: Session, options: argparse.Namespace) -> int:
    """Print every step; exit 0 only when nothing failed and everything required passed."""
    pins = read_pins(options.pins, session.profile.pins)
    policy = policy_of(pins, with_chain=bool(options.rpc))
    data = options.bundle.read_bytes()
    identity = read_identity(options.identity) if options.identity else session.profile.identity
    auditor = Auditor(
        chain=_auditor_chain(pins, options.rpc) if options.rpc else None,
        open_grant=_grant_opener(data, identity) if identity else None,
        check_files=check_folder(options.files, data) if options.files else None,
    )
    heads = Heads.load(session.profile.home, policy.vkey)
    report = verify_bundle(data, policy, auditor, additional=(*TRADE_CHECKS, ("same-log", heads.check)))
    if report.bundle is not None and report.verdict is not Verdict.FAIL:
        _keep(heads, report.bundle.checkpoint, session)
    lines = [
        f"{SIGNS[each.outcome]} {each.number:>2}. {each.step}: {each.outcome.value}. {each.detail}"
        for each in report.results
    ]
    found = {"verdict": report.verdict.value, "steps": report.to_document()}
    session.console.result(found, *lines, WORDS[report.verdict])
    return EXIT[report.verdict]


def audit_settlement(session: Session, options: argparse.Namespace) -> int:
    """Print the recomputed payouts of an epoch, or the first difference."""
    pins = read_pins(options.pins, session.profile.pins)
    token = _token(pins, options.token)
    chain = chain_of(pins, options.rpc)
    audit = audit_settlements(
        chain,
        first_block=int(pins["deployment"]["first_block"]),
        token=token.address,
        get_document=source_of(session, options, owner="").document,
        up_to_epoch=options.epoch,
        say=session.console.progress,
    )
    last = audit.epochs[-1]
    lines = [
        f"{each.account}  {Amount(each.amount, token)} this epoch, {Amount(each.cumulative, token)} in all"
        for each in last.settlement.balances
    ]
    session.console.result(_found(audit), *lines, *_conclusion(audit))
    if audit.agrees and not audit.settled_without:
        return 0
    return 4 if audit.agrees or audit.missing else 3


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


def _keep(heads: Heads, note: str, session: Session) -> None:
    heads.add(note)
    try:
        heads.save()
    except OSError as error:
        session.console.progress(f"The head of the log could not be kept for later: {error}")


def _auditor_chain(pins: Mapping[str, Any], rpc: str) -> ChainReader:
    from provenance.adapters.evm_auditor import EvmAuditor

    return EvmAuditor(chain_of(pins, rpc))


def _grant_opener(bundle: bytes, identity: str) -> Callable[[bytes], str]:
    own = identity_of(identity)

    def opened(sealed: bytes) -> str:
        recipient = LicenseBundle.read(bundle).recipient
        if recipient != str(own.to_public()):
            raise NotChecked("verify.identity", f"The key was granted to {recipient}, which is not your identity.")
        return str(open_grant(sealed, own).to_public())

    return opened


def _token(pins: Mapping[str, Any], wanted: str | None) -> Token:
    """Return the token to audit; of one that the pins do not name, amounts are shown in base units."""
    known = {str(token["address"]).lower(): token for token in pins.get("tokens", [])}
    address = wanted.lower() if wanted else next(iter(known), None)
    if address is None:
        raise VerifyRefusal("audit.token", "It is not known which token to audit.", todo="Give --token ADDRESS.")
    found = known.get(address, {"symbol": "UNITS", "decimals": 0})
    return Token(int(pins["deployment"]["chain"]), address, str(found["symbol"]), int(found["decimals"]))


def _found(audit: SettlementAudit) -> dict[str, Any]:
    last = audit.epochs[-1]
    return {
        "epoch": last.root.epoch,
        "agrees": audit.agrees,
        "root": last.root.root,
        "root_recomputed": "0x" + last.settlement.payout_tree().root.hex(),
        "digest": last.root.settlement.hex,
        "cumulative": str(last.root.cumulative),
        "cumulative_recomputed": str(last.settlement.totals.cumulative),
        "difference": audit.first_difference,
        "missing_documents": [digest.hex for digest in audit.missing],
        "settled_without": [digest.hex for digest in audit.settled_without],
        "balances": [
            {
                "payee": each.payee, "account": each.account, "amount": str(each.amount),
                "cumulative": str(each.cumulative),
            }
            for each in last.settlement.balances
        ],
    }  # fmt: skip


def _conclusion(audit: SettlementAudit) -> list[str]:
    epoch = audit.epochs[-1].root.epoch
    if audit.settled_without:
        named = ", ".join(digest.hex for digest in audit.settled_without)
        return [
            f"Epoch {epoch}: root, total and lines are what the chain gives without these shares of income: {named}.",
            "Not decided: whether those documents could be had when it was settled. Their owners received all of it.",
        ]
    if audit.agrees:
        return [f"Epoch {epoch}: root, total and every line are what the chain gives."]
    lines = [f"Epoch {epoch} differs. {audit.first_difference}"]
    if audit.missing:
        lines.append(f"Not decided: {len(audit.missing)} documents about shares of income could not be had.")
    return lines
