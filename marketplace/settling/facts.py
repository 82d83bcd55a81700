"""From final chain events and pinned documents to the facts that decide a settlement.

Only events of blocks that are final, up to the epoch's last one. Documents: the splits that the registry names, and
the settlements that were accepted, whose digests stand in `RootProposed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from marketplace.core.facts import (
    BeneficiarySet,
    Border,
    Change,
    Charge,
    Facts,
    FeePayeeSet,
    FreezeChanged,
    OwnerChanged,
    ParentLinked,
    PayeeAdded,
    PayeeChanged,
    Purchase,
    Refund,
    Registered,
    SplitsSet,
)
from marketplace.core.facts import Deployment as DeploymentFact
from marketplace.core.settlement import Settlement
from marketplace.core.splits import Splits
from marketplace.queries.settlements import read_settlement
from provenance.core.canonical import parse_canonical
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal
from provenance.models import ChainEvent, Deployment, Document

ZERO_ADDRESS = "0x" + "00" * 20


@dataclass(frozen=True, slots=True)
class Accepted:
    """A settlement that the chain accepted: its digest and what its documents say."""

    digest: Sha256
    settlement: Settlement


def gather_facts(deployment: Deployment, token: str, *, epoch: int, genesis: Border, end: Border) -> Facts:
    """Return the facts of an epoch of `token` (lower-case address) that ends at the final block `end`.

    `genesis` is the block before the deployment's first. Raises SettlingRefusal when the documents of an accepted
    settlement are not known here.
    """
    accepted = accepted_settlements(deployment, token)
    events = _final_events(deployment, end.block)
    changes = list(_changes(events))
    last = accepted[-1] if accepted else None
    return Facts(
        deployment=DeploymentFact(deployment.chain_id, deployment.registry, deployment.market),
        token=token,
        epoch=epoch,
        borders=(genesis, *(each.settlement.end for each in accepted), end),
        purchases=tuple(_purchase(event) for event in events if event.name == "LicensePurchased"),
        refunds=tuple(_refund(event) for event in events if event.name == "LicenseRefunded"),
        charges=tuple(_charge(event) for event in events if event.name == "Charged"),
        changes=tuple(changes),
        splits=_splits(changes),
        previous=None if last is None else last.digest,
        balances={} if last is None else {line.payee: line.cumulative for line in last.settlement.balances},
    )


def accepted_settlements(deployment: Deployment, token: str) -> list[Accepted]:
    """Return the token's accepted settlements in order, ours and strangers'. Raises SettlingRefusal."""
    rows = ChainEvent.objects.filter(deployment=deployment, final=True, name__in=("RootProposed", "RootAccepted"))
    proposed: dict[int, str] = {}
    found: list[Accepted] = []
    for event in rows.order_by("block_number", "log_index"):
        if event.args["token"] != token:
            continue
        epoch = event.number("epoch")
        if event.name == "RootProposed":
            proposed[epoch] = str(event.args["settlement"]).removeprefix("0x")
        else:
            found.append(_read(proposed[epoch]))
    return found


def _read(digest: str) -> Accepted:
    return Accepted(Sha256.from_hex(digest), read_settlement(digest))


def _final_events(deployment: Deployment, block: int) -> list[ChainEvent]:
    rows = ChainEvent.objects.filter(deployment=deployment, final=True, block_number__lte=block, name__in=_NAMES)
    return list(rows.order_by("block_number", "log_index"))


def _purchase(event: ChainEvent) -> Purchase:
    return Purchase(
        block=event.block_number,
        log=event.log_index,
        tx=event.tx,
        license=event.number("license"),
        dataset=event.number("dataset"),
        token=event.args["token"],
        price=event.number("price"),
        fee_bps=event.number("feeBps"),
        held_until=event.number("heldUntil"),
    )


def _refund(event: ChainEvent) -> Refund:
    return Refund(event.block_number, event.log_index, event.number("license"))


def _charge(event: ChainEvent) -> Charge:
    return Charge(
        block=event.block_number,
        log=event.log_index,
        tx=event.tx,
        license=event.number("license"),
        token=event.args["token"],
        units=event.number("units"),
        signed=event.number("signed"),
        moved=event.number("moved"),
    )


def _changes(events: Iterable[ChainEvent]) -> Iterator[Change]:
    for event in events:
        make = _CHANGES.get(event.name)
        change = None if make is None else make(event, event.block_number, event.log_index)
        if change is not None:
            yield change


def _digest(word: object) -> Sha256 | None:
    text = str(word).removeprefix("0x")
    return Sha256.from_hex(text) if int(text, 16) else None


def _moved(event: ChainEvent, block: int, log: int) -> OwnerChanged | None:
    # ERC-1155 has no event of this name; a mint is part of the registration.
    if event.contract != event.deployment.registry or event.args["from"] == ZERO_ADDRESS:
        return None
    return OwnerChanged(block, log, event.number("tokenId"), event.args["to"])


Make = Callable[[ChainEvent, int, int], Change | None]

_CHANGES: Mapping[str, Make] = {
    "DatasetRegistered": lambda event, block, log: Registered(
        block, log, event.number("dataset"), event.args["owner"], _digest(event.args["splits"])
    ),
    "ParentLinked": lambda event, block, log: ParentLinked(
        block, log, event.number("dataset"), event.number("parent"), event.number("shareBps")
    ),
    "Transfer": _moved,
    "SplitsSet": lambda event, block, log: SplitsSet(
        block, log, event.number("dataset"), _digest(event.args["splits"])
    ),
    "DatasetFrozen": lambda event, block, log: FreezeChanged(block, log, event.number("dataset"), frozen=True),
    "DatasetUnfrozen": lambda event, block, log: FreezeChanged(block, log, event.number("dataset"), frozen=False),
    "BeneficiarySet": lambda event, block, log: BeneficiarySet(
        block, log, event.number("dataset"), event.number("payee")
    ),
    "PayeeAdded": lambda event, block, log: PayeeAdded(block, log, event.number("payee"), event.args["account"]),
    "PayeeChanged": lambda event, block, log: PayeeChanged(block, log, event.number("payee"), event.args["to"]),
    "FeePayeeSet": lambda event, block, log: FeePayeeSet(block, log, event.number("payee")),
}
_NAMES = (*_CHANGES, "LicensePurchased", "LicenseRefunded", "Charged")


def _splits(changes: Iterable[Change]) -> dict[Sha256, Splits]:
    digests = {
        change.splits for change in changes if isinstance(change, (Registered, SplitsSet)) and change.splits is not None
    }
    found: dict[Sha256, Splits] = {}
    for row in Document.objects.filter(pk__in=[digest.hex for digest in digests]):
        try:
            found[Sha256.from_hex(row.pk)] = Splits.from_document(parse_canonical(row.content))
        except Refusal:
            # The registry takes any digest; what is no splits document leaves everything to the owner.
            continue
    return found
