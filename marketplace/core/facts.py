"""What a settlement is computed from: decoded events of the contracts, as plain values, and their fold at a block.

Numbers are those of docs/chain.md: datasets, licenses and payees count from 1, amounts are base units, times Unix
seconds, addresses lower-case 0x text. An event stands at (block, log); events are applied in that order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import assert_never

from marketplace.core.splits import Splits
from provenance.core.digest import Sha256
from provenance.core.lineage import Edge, Lineage
from provenance.core.refusal import Refusal


class FactsRefusal(Refusal):
    """Facts that contradict each other, or that a settlement needs and does not have."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The contracts: chain id, and the addresses of registry and market."""

    chain: int
    registry: str
    market: str


@dataclass(frozen=True, slots=True)
class Border:
    """A final block at which an epoch ends: number, hash (0x text), timestamp."""

    block: int
    hash: str
    time: int


@dataclass(frozen=True, slots=True)
class Purchase:
    """`LicensePurchased`: `price` is revenue from the second `held_until` on."""

    block: int
    log: int
    tx: str
    license: int
    dataset: int
    token: str
    price: int
    fee_bps: int
    held_until: int


@dataclass(frozen=True, slots=True)
class Refund:
    """`LicenseRefunded`: the whole price went back while it was held."""

    block: int
    log: int
    license: int


@dataclass(frozen=True, slots=True)
class Charge:
    """`Charged`: `moved` is revenue at once; `units` and `signed` are the voucher's cumulative figures."""

    block: int
    log: int
    tx: str
    license: int
    token: str
    units: int
    signed: int
    moved: int


@dataclass(frozen=True, slots=True)
class Registered:
    """`DatasetRegistered`; `splits` None: the owner takes all."""

    block: int
    log: int
    dataset: int
    owner: str
    splits: Sha256 | None


@dataclass(frozen=True, slots=True)
class ParentLinked:
    """`ParentLinked`: `dataset` owes `parent` this share for ever."""

    block: int
    log: int
    dataset: int
    parent: int
    share_bps: int


@dataclass(frozen=True, slots=True)
class OwnerChanged:
    """`Transfer` of a dataset, other than its mint."""

    block: int
    log: int
    dataset: int
    owner: str


@dataclass(frozen=True, slots=True)
class SplitsSet:
    """`SplitsSet`: who shares the income settled from now on; None: the owner takes all."""

    block: int
    log: int
    dataset: int
    splits: Sha256 | None


@dataclass(frozen=True, slots=True)
class FreezeChanged:
    """`DatasetFrozen` and `DatasetUnfrozen`."""

    block: int
    log: int
    dataset: int
    frozen: bool


@dataclass(frozen=True, slots=True)
class BeneficiarySet:
    """`BeneficiarySet`: income goes to `payee` instead of owner and splits; 0 restores them."""

    block: int
    log: int
    dataset: int
    payee: int


@dataclass(frozen=True, slots=True)
class PayeeAdded:
    """`PayeeAdded`: the number of an account."""

    block: int
    log: int
    payee: int
    account: str


@dataclass(frozen=True, slots=True)
class PayeeChanged:
    """`PayeeChanged`: payouts of this number go to another account from now on."""

    block: int
    log: int
    payee: int
    account: str


@dataclass(frozen=True, slots=True)
class FeePayeeSet:
    """`FeePayeeSet`: who receives the market's fee in settlements from now on."""

    block: int
    log: int
    payee: int


Change = (
    Registered
    | ParentLinked
    | OwnerChanged
    | SplitsSet
    | FreezeChanged
    | BeneficiarySet
    | PayeeAdded
    | PayeeChanged
    | FeePayeeSet
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that decides one settlement of `token` (address), from the deployment's first block on.

    `borders` begin with the block before the deployment's first, go on with the ends of the accepted settlements of
    this token, and end with the end of this one. `splits` are the documents that can be had, by digest. `previous` is
    the digest of the last accepted settlement, `balances` its cumulative amounts by payee.
    """

    deployment: Deployment
    token: str
    epoch: int
    borders: tuple[Border, ...]
    purchases: Sequence[Purchase] = ()
    refunds: Sequence[Refund] = ()
    charges: Sequence[Charge] = ()
    changes: Sequence[Change] = ()
    splits: Mapping[Sha256, Splits] = field(default_factory=dict)
    previous: Sha256 | None = None
    balances: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.borders) < 2:
            raise FactsRefusal(
                "facts.borders", "A settlement has a beginning and an end.", limit=2, actual=len(self.borders)
            )
        for earlier, later in zip(self.borders, self.borders[1:], strict=False):
            if later.block <= earlier.block or later.time < earlier.time:
                raise FactsRefusal(
                    "facts.borders_order", "An epoch ends after the one before it.", limit=earlier.block,
                    actual=later.block,
                )  # fmt: skip
        if self.epoch < 1:
            raise FactsRefusal("facts.epoch", "Epochs count from 1.", limit=1, actual=self.epoch)
        if (self.previous is None) != (len(self.borders) == 2):
            raise FactsRefusal(
                "facts.previous", "The first settlement has no predecessor, every other has one.",
                limit=len(self.borders) - 2, actual=0 if self.previous is None else 1,
            )  # fmt: skip

    @property
    def start(self) -> Border:
        """The exclusive beginning: the end of the previous settlement."""
        return self.borders[-2]

    @property
    def end(self) -> Border:
        """The inclusive end."""
        return self.borders[-1]


@dataclass(slots=True)
class Register:
    """The registry and the payees as they stood after a block: a fold over the changes up to it."""

    edges: list[Edge] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)
    splits: dict[int, Sha256 | None] = field(default_factory=dict)
    beneficiaries: dict[int, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    accounts: dict[int, str] = field(default_factory=dict)
    fee_payee: int = 0
    freezes: dict[int, list[tuple[int, bool]]] = field(default_factory=dict)

    @classmethod
    def at(cls, block: int, changes: Iterable[Change]) -> Register:
        """Fold the changes up to and including `block`, in whatever order they come."""
        register = cls()
        for change in sorted((each for each in changes if each.block <= block), key=attrgetter("block", "log")):
            register.apply(change)
        return register

    def apply(self, change: Change) -> None:
        """Apply the next change."""
        match change:
            case Registered():
                self.owners[change.dataset] = change.owner
                self.splits[change.dataset] = change.splits
            case ParentLinked():
                self.edges.append(Edge(change.dataset, change.parent, change.share_bps))
            case OwnerChanged():
                self.owners[change.dataset] = change.owner
            case SplitsSet():
                self.splits[change.dataset] = change.splits
            case FreezeChanged():
                self.freezes.setdefault(change.dataset, []).append((change.block, change.frozen))
            case BeneficiarySet():
                self.beneficiaries[change.dataset] = change.payee
            case PayeeAdded() | PayeeChanged():
                # An account keeps its first number for ever: whoever moved a payee's payouts moved all of them, and
                # nobody brings them back by enrolling the old account once more.
                self.numbers.setdefault(change.account, change.payee)
                self.accounts[change.payee] = change.account
            case FeePayeeSet():
                self.fee_payee = change.payee
            case _:
                assert_never(change)

    def lineage(self) -> Lineage:
        """Return who was built from what. Raises LineageRefusal for edges that the registry cannot have emitted."""
        return Lineage(self.edges)

    def was_frozen(self, dataset: int, block: int) -> bool:
        """Say whether `dataset` was frozen after `block`, which is not later than the fold's own."""
        history = self.freezes.get(dataset)
        if history is None:
            return False
        position = bisect_right(history, block, key=lambda entry: entry[0])
        return position > 0 and history[position - 1][1]
