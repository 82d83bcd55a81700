"""The steps of verification that concern the log, its signatures, and what the chain says about both."""

from __future__ import annotations

from itertools import pairwise

from provenance.core.audit import Audit, AuditRefusal, NotChecked, check_same
from provenance.core.bundle import BundleKind
from provenance.core.canonical import parse_canonical
from provenance.core.chain_checks import check_place
from provenance.core.checkpoint import Checkpoint, VerifierKey, open_checkpoint
from provenance.core.completeness import Commitment, verify_trail
from provenance.core.digest import Sha256
from provenance.core.entry import check_people
from provenance.core.merkle import leaf_hash, verify_consistency, verify_inclusion
from provenance.core.statement import StatementType


def check_keys(case: Audit) -> str:
    """Step 2. The bundle may not bring its own trust: whatever it names must be what the auditor pinned."""
    bundle, policy = case.bundle, case.policy
    check_same("keys.origin", "The bundle is of another log.", policy.vkey.name, bundle.origin)
    check_same("keys.log", "The log key is not the pinned one.", str(policy.vkey), str(VerifierKey.parse(bundle.vkey)))
    check_same("keys.spelling", "The log key is not in its own spelling.", str(policy.vkey), bundle.vkey)
    check_same(
        "keys.service", "The service key is not the pinned one.", policy.service_key.hex(), bundle.service_key.hex()
    )
    check_same(
        "keys.deployment", "The contracts are not the pinned ones.", str(policy.deployment), str(bundle.deployment)
    )
    dataset = bundle.dataset
    check_same(
        "keys.dataset", "The dataset is of another registry.",
        f"{policy.deployment.chain} {policy.deployment.registry}", f"{dataset.chain} {dataset.contract}",
    )  # fmt: skip
    return f"Keys and contracts are the pinned ones of {policy.vkey.name}."


def check_checkpoint(case: Audit) -> str:
    """Step 3."""
    case.checkpoint = open_checkpoint(case.bundle.checkpoint, [case.policy.vkey])
    return f"{case.checkpoint.origin} signed a log of {case.checkpoint.size} entries."


def check_documents(case: Audit) -> str:
    """Step 4. The raw CIDv1 of a document is its SHA-256, so one comparison settles both."""
    for digest, data in case.bundle.documents.items():
        actual = Sha256.of(data)
        check_same("documents.digest", "A document is not the one that it is filed as.", digest.hex, actual.hex)
        parse_canonical(data)
    return f"{len(case.bundle.documents)} documents have their digests."


def check_inclusion(case: Audit) -> str:
    """Step 5."""
    checkpoint = _checkpoint(case)
    if not case.bundle.entries:
        raise AuditRefusal("inclusion.none", "The bundle holds no entry.", limit=1, actual=0)
    for entry in case.bundle.entries:
        verify_inclusion(leaf_hash(entry.data), entry.index, checkpoint.size, entry.proof, checkpoint.root)
    case.included = len(case.all_entries) > 0
    return f"{len(case.bundle.entries)} entries are in the log of {checkpoint.size}."


def check_service_signatures(case: Audit) -> str:
    """Step 6."""
    for entry in case.entries.values():
        entry.service.verify(entry.statement, case.policy.service_key)
    return f"The service signed {len(case.entries)} statements."


def check_people_signatures(case: Audit) -> str:
    """Step 7. Wallets that are contracts can only be asked on chain; they are counted, not believed."""
    keys = wallets = 0
    for entry in case.entries.values():
        check_people(entry.statement, entry.people)
        for signature in entry.people:
            check_same(
                "people.chain", "A person signed for another chain.",
                str(case.policy.deployment.chain), str(signature.signer.chain),
            )  # fmt: skip
            keys += signature.is_of_a_key
            wallets += not signature.is_of_a_key
    if wallets:
        raise NotChecked(
            "people.wallets", f"{keys} signatures are right; {wallets} of contract wallets were not asked."
        )
    return f"{keys} signatures of people are right."


def check_statements(case: Audit) -> str:
    """Step 8. Bodies of known types are checked when an entry is decoded."""
    unknown = sorted({entry.statement.type for entry in case.entries.values() if not entry.statement.is_known})
    if unknown:
        raise NotChecked("statements.unknown", f"The meaning of {', '.join(unknown)} is not known to this version.")
    return f"{len(case.entries)} statements are of known types."


def check_links(case: Audit) -> str:
    """Step 9."""
    latest: dict[str, int] = {}
    subject = str(case.bundle.dataset)
    for index, entry in case.entries.items():
        about, previous = entry.statement.subject, entry.previous
        if previous is not None and previous >= index:
            raise AuditRefusal("links.order", "A link leads forwards.", limit=index, actual=previous)
        known = latest.get(about)
        if known is not None and (previous is None or previous < known):
            raise AuditRefusal(
                "links.skip", f"Entry {index} skips an entry about its subject.", limit=known, actual=previous
            )
        whole = case.bundle.kind is BundleKind.TRAIL and about == subject
        if whole and previous != known:
            raise AuditRefusal(
                "links.missing",
                "An entry about the dataset was left out.",
                actual=previous,
                todo="Ask for the whole trail.",
            )
        latest[about] = index
    return f"The links of {len(latest)} subjects fit."


def check_completeness(case: Audit) -> str:
    """Step 17."""
    claim = case.bundle.completeness
    if claim is None:
        raise NotChecked("completeness.none", "The bundle does not claim to leave nothing out.")
    entry = case.entries.get(claim.entry)
    if entry is None or entry.statement.type != StatementType.INDEX_COMMITTED:
        raise AuditRefusal("completeness.entry", "The entry that commits to the map is not there.", actual=claim.entry)
    body = entry.statement.body
    up_to, count = body["up_to"], body["count"]
    if not isinstance(up_to, int) or not isinstance(count, int) or up_to >= claim.entry:
        raise AuditRefusal(
            "completeness.up_to", "A map covers only entries before it.", limit=claim.entry, actual=str(up_to)
        )
    commitment = Commitment(up_to, count, Sha256.from_hex(str(body["root"])).raw)
    size = _checkpoint(case).size
    found = verify_trail(str(case.bundle.dataset), claim.proof, commitment, size, case.entries)
    return f"The log of {size} entries holds {len(found)} about the dataset, and no others."


def check_consistency(case: Audit) -> str:
    """Step 18. A head of the same size has the same root; from each to the next there is exactly one proof."""
    checkpoint = _checkpoint(case)
    heads = {anchor.size: anchor.root for anchor in case.bundle.anchors}
    if len(heads) != len(case.bundle.anchors) or [each.size for each in case.bundle.anchors] != sorted(heads):
        raise AuditRefusal("consistency.order", "Anchored sizes grow strictly.")
    if heads.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
        raise AuditRefusal(
            "consistency.fork", "An anchor of the checkpoint's size has another root.", actual=checkpoint.size
        )
    sizes = sorted(heads)
    wanted = list(pairwise(sizes))
    given = [(link.from_size, link.to_size) for link in case.bundle.consistency]
    check_same("consistency.links", "The proofs do not lead from each head to the next.", str(wanted), str(given))
    for link in case.bundle.consistency:
        verify_consistency(link.from_size, heads[link.from_size], link.to_size, heads[link.to_size], link.proof)
    if not case.bundle.anchors:
        raise NotChecked("consistency.no_anchor", "No head of the log is anchored in this bundle.")
    return f"{len(heads)} heads of the log contain one another."


def check_anchors(case: Audit) -> str:
    """Step 19."""
    if not case.bundle.anchors:
        raise NotChecked("anchors.none", "The bundle names no anchor.")
    finalized = case.chain.finalized()
    for anchor in case.bundle.anchors:
        said = {
            "origin": f"0x{Sha256.of(case.policy.vkey.name.encode())}",
            "size": str(anchor.size),
            "root": f"0x{anchor.root.hex()}",
            "snapshot": f"0x{anchor.snapshot}",
        }
        if case.policy.anchor_sender is not None:
            said["sender"] = case.policy.anchor_sender
        found = [
            event
            for event in case.chain.events(anchor.tx)
            if event.name == "Anchored"
            and event.address == case.policy.deployment.anchor
            and (event.block_number, event.block_hash) == (anchor.block, anchor.block_hash)
            and all(event.args.get(name) == value for name, value in said.items())
        ]
        if not found:
            raise AuditRefusal(
                "anchors.absent", "An anchor does not stand on chain as the bundle says.", actual=anchor.tx
            )
        if anchor.block > finalized:
            raise AuditRefusal("anchors.not_final", "An anchor is not final.", limit=finalized, actual=anchor.block)
    last = case.bundle.anchors[-1]
    return f"{len(case.bundle.anchors)} anchors stand on chain; entries below {last.size} cannot be back-dated."


def check_facts(case: Audit) -> str:
    """Step 20. What was retracted is no longer claimed."""
    claimed = [
        entry.statement
        for index, entry in case.entries.items()
        if entry.statement.chain is not None and index not in case.retracted
    ]
    for statement in claimed:
        check_place(statement, case.policy.deployment, case.chain)
    if not claimed:
        raise NotChecked("facts.none", "No statement in the bundle is about an event on chain.")
    return f"{len(claimed)} facts stand on chain and are final."


def _checkpoint(case: Audit) -> Checkpoint:
    if case.checkpoint is None:
        raise NotChecked("verify.needs_checkpoint", "The checkpoint is not proved.")
    return case.checkpoint
