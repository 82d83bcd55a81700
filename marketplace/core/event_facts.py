"""From decoded contract events to the facts of a settlement: one reading for settling and for whoever audits it.

1. Each event of docs/chain.md that matters becomes one plain fact, in the order of (block, log).
2. Accepted roots give the borders: a settlement ends at the block that its proposal named.
3. The facts of an epoch are those up to its last block, with the balances of the settlement before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from marketplace.core.facts import (
    BeneficiarySet,
    Border,
    Change,
    Charge,
    Deployment,
    Facts,
    FactsRefusal,
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
from marketplace.core.settlement import Settlement
from marketplace.core.splits import Splits
from provenance.core.canonical import parse_canonical
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal

ZERO_ADDRESS = "0x" + "00" * 20
SETTLING_EVENTS = (
    "LicensePurchased", "LicenseRefunded", "Charged", "RootProposed", "RootAccepted", "DatasetRegistered",
    "ParentLinked", "Transfer", "SplitsSet", "DatasetFrozen", "DatasetUnfrozen", "BeneficiarySet", "PayeeAdded",
    "PayeeChanged", "FeePayeeSet",
)  # fmt: skip
"""The events that decide a settlement; a Ledger passes over all others."""


class Event(Protocol):
    """A decoded log. `args` hold integers as decimal strings, addresses lower-case, bytes as 0x texts."""

    @property
    def name(self) -> str: ...
    @property
    def args(self) -> Mapping[str, object]: ...
    @property
    def block_number(self) -> int: ...
    @property
    def log_index(self) -> int: ...
    @property
    def tx(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AcceptedRoot:
    """A settlement that stands on chain: what its proposal named, and where the epoch ended."""

    epoch: int
    token: str
    to_block: int
    to_hash: str
    root: str
    cumulative: int
    settlement: Sha256


@dataclass(slots=True)
class Ledger:
    """The facts of a deployment, read from its events. Feed it events in any order, each once."""

    purchases: list[Purchase] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    _proposed: dict[tuple[str, int], list[tuple[tuple[int, int], AcceptedRoot]]] = field(default_factory=dict)
    _accepted: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Ledger:
        """Step 1."""
        ledger = cls()
        for event in events:
            ledger.read(event)
        return ledger

    def read(self, event: Event) -> None:
        """Take one event; those that decide no settlement are passed over."""
        block, log, args = event.block_number, event.log_index, event.args
        match event.name:
            case "LicensePurchased":
                self.purchases.append(
                    Purchase(
                        block, log, event.tx, _number(args, "license"), _number(args, "dataset"), _text(args, "token"),
                        _number(args, "price"), _number(args, "feeBps"), _number(args, "heldUntil"),
                    )
                )  # fmt: skip
            case "LicenseRefunded":
                self.refunds.append(Refund(block, log, _number(args, "license")))
            case "Charged":
                self.charges.append(
                    Charge(
                        block, log, event.tx, _number(args, "license"), _text(args, "token"), _number(args, "units"),
                        _number(args, "signed"), _number(args, "moved"),
                    )
                )  # fmt: skip
            case "RootProposed":
                self._propose(event)
            case "RootAccepted":
                self._accepted[_text(args, "token"), _number(args, "epoch")] = (block, log)
            case _:
                change = _change(event)
                if change is not None:
                    self.changes.append(change)

    def accepted(self, token: str) -> list[AcceptedRoot]:
        """Step 2: the accepted settlements of a token, oldest first."""
        found = []
        for (of_token, epoch), at in self._accepted.items():
            earlier = [root for place, root in self._proposed.get((of_token, epoch), []) if place < at]
            if of_token == token and earlier:
                found.append(earlier[-1])
        return sorted(found, key=lambda root: root.epoch)

    def facts(
        self,
        *,
        deployment: Deployment,
        token: str,
        epoch: int,
        borders: Sequence[Border],
        previous: tuple[Sha256, Settlement] | None,
        splits: Mapping[Sha256, Splits],
    ) -> Facts:
        """Step 3. `borders`: see Facts; `previous`: digest and content of the last accepted settlement.

        Raises FactsRefusal.
        """
        last = borders[-1].block if borders else -1
        return Facts(
            deployment=deployment,
            token=token,
            epoch=epoch,
            borders=tuple(borders),
            purchases=[each for each in self.purchases if each.token == token and each.block <= last],
            refunds=[each for each in self.refunds if each.block <= last],
            charges=[each for each in self.charges if each.token == token and each.block <= last],
            changes=[each for each in self.changes if each.block <= last],
            splits=splits,
            previous=None if previous is None else previous[0],
            balances={} if previous is None else {line.payee: line.cumulative for line in previous[1].balances},
        )

    def splits_wanted(self) -> set[Sha256]:
        """Return the digests of every splits document that ever was in force."""
        named = (each.splits for each in self.changes if isinstance(each, Registered | SplitsSet))
        return {digest for digest in named if digest is not None}

    def _propose(self, event: Event) -> None:
        args = event.args
        root = AcceptedRoot(
            epoch=_number(args, "epoch"),
            token=_text(args, "token"),
            to_block=_number(args, "toBlock"),
            to_hash=_text(args, "toBlockHash"),
            root=_text(args, "root"),
            cumulative=_number(args, "cumulativeTotal"),
            settlement=Sha256.from_hex(_text(args, "settlement").removeprefix("0x")),
        )
        known = self._proposed.setdefault((root.token, root.epoch), [])
        known.append(((event.block_number, event.log_index), root))
        known.sort(key=lambda each: each[0])


def read_splits(documents: Mapping[Sha256, bytes]) -> dict[Sha256, Splits]:
    """Read what the registry names as splits. It takes any digest: what is no such document pays the owner alone."""
    found: dict[Sha256, Splits] = {}
    for digest, data in documents.items():
        try:
            found[digest] = Splits.from_document(parse_canonical(data))
        except Refusal:
            continue
    return found


def _change(event: Event) -> Change | None:
    block, log, args = event.block_number, event.log_index, event.args
    match event.name:
        case "DatasetRegistered":
            return Registered(block, log, _number(args, "dataset"), _text(args, "owner"), _digest(args, "splits"))
        case "ParentLinked":
            return ParentLinked(
                block, log, _number(args, "dataset"), _number(args, "parent"), _number(args, "shareBps")
            )
        case "Transfer" if args["from"] != ZERO_ADDRESS:  # a mint is part of the registration
            return OwnerChanged(block, log, _number(args, "tokenId"), _text(args, "to"))
        case "SplitsSet":
            return SplitsSet(block, log, _number(args, "dataset"), _digest(args, "splits"))
        case "DatasetFrozen" | "DatasetUnfrozen":
            return FreezeChanged(block, log, _number(args, "dataset"), frozen=event.name == "DatasetFrozen")
        case "BeneficiarySet":
            return BeneficiarySet(block, log, _number(args, "dataset"), _number(args, "payee"))
        case "PayeeAdded":
            return PayeeAdded(block, log, _number(args, "payee"), _text(args, "account"))
        case "PayeeChanged":
            return PayeeChanged(block, log, _number(args, "payee"), _text(args, "to"))
        case "FeePayeeSet":
            return FeePayeeSet(block, log, _number(args, "payee"))
        case _:
            return None


def _number(args: Mapping[str, object], name: str) -> int:
    return int(_text(args, name))


def _text(args: Mapping[str, object], name: str) -> str:
    if name not in args:
        raise FactsRefusal("facts.argument", f"An event lacks its argument {name}.", actual=", ".join(args))
    return str(args[name])


def _digest(args: Mapping[str, object], name: str) -> Sha256 | None:
    digest = Sha256.from_hex(_text(args, name).removeprefix("0x"))
    return digest if any(bytes(digest)) else None
