"""The settlement of an epoch: what came in, who receives it, what everybody is owed in all, and the root over that.

1. `settle` computes it from facts of the chain alone; nothing else decides a line, an order or a remainder.
2. Its documents are sorted shards of at most 1 MiB under one index, whose digest goes on chain with the root.
3. `read_documents` reads them back and checks that they are whole; `first_difference` compares two settlements.

An auditor needs the chain, the documents and this file's `settle`: equal facts give equal bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

from marketplace.core.allocation import AllocationLine, Reason, allocation_lines, net_incomes
from marketplace.core.caip import AccountName, AssetKind, AssetName
from marketplace.core.document import (
    read_address,
    read_digest,
    read_hash32,
    read_integer,
    read_list,
    read_members,
    read_time,
    write_time,
)
from marketplace.core.facts import Border, Deployment, Facts, FactsRefusal, Register
from marketplace.core.money import UNITS_LIMIT, read_units
from marketplace.core.payout_tree import PayoutTree
from marketplace.core.revenue import RevenueKind, RevenueLine, revenue_lines
from provenance.core.canonical import DOCUMENT_LIMIT, Json, document_bytes, parse_canonical
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal

INDEX_SCHEMA = "cadastre.settlement/1"
SHARD_SCHEMA = "cadastre.settlement-shard/1"

_TX = re.compile(r"0x[0-9a-f]{64}")


class SettlementRefusal(Refusal):
    """A settlement that does not add up, or documents that are not those of one."""


class BalanceLine(NamedTuple):
    """What a payee was allotted this epoch and has been allotted in all, paid or not, in base units."""

    payee: int
    account: str
    amount: int
    cumulative: int

    def encoded(self) -> str:
        """Return the line's RFC 8785 form."""
        return (
            f'{{"account":"{self.account}","amount":"{self.amount}","cumulative":"{self.cumulative}",'
            f'"payee":{self.payee}}}'
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a settlement's lines, in base units: `revenue` = `fees` + `allocated`; `cumulative` goes on chain."""

    revenue: int
    fees: int
    allocated: int
    cumulative: int


@dataclass(frozen=True, slots=True)
class Documents:
    """The bytes to be pinned: the index, whose digest stands on chain, and its shards in order."""

    index: bytes
    shards: tuple[bytes, ...]

    @property
    def digest(self) -> Sha256:
        """What `propose` carries as `settlement`."""
        return Sha256.of(self.index)


@dataclass(frozen=True, slots=True)
class Settlement:
    """A whole settlement; constructing it checks that it adds up. `token` is the token's lower-case address."""

    deployment: Deployment
    token: str
    epoch: int
    start: Border
    end: Border
    previous: Sha256 | None
    revenue: tuple[RevenueLine, ...]
    allocations: tuple[AllocationLine, ...]
    balances: tuple[BalanceLine, ...]

    def __post_init__(self) -> None:
        if not self.balances:
            raise SettlementRefusal(
                "settlement.empty", "Nobody has ever earned anything: there is nothing to settle.", limit=1, actual=0,
                todo="Wait until revenue has come in and its hold is over.",
            )  # fmt: skip
        totals = self.totals
        _check_equal("revenue", totals.revenue, totals.fees + totals.allocated)
        _check_equal("allocations", totals.allocated, sum(line.amount for line in self.allocations))
        _check_equal("balances", totals.revenue, sum(line.amount for line in self.balances))
        if totals.cumulative > UNITS_LIMIT:
            raise SettlementRefusal(
                "settlement.overflow", "The cumulative total does not fit into 64 bits.", limit=str(UNITS_LIMIT),
                actual=str(totals.cumulative),
            )  # fmt: skip
        for line in self.balances:
            if not 0 <= line.amount <= line.cumulative:
                raise SettlementRefusal(
                    "settlement.balance_lowered", f"The balance of payee {line.payee} would go down.",
                    limit=line.cumulative, actual=line.amount,
                )  # fmt: skip

    @property
    def totals(self) -> Totals:
        """The sums over all lines."""
        gross = sum(line.gross for line in self.revenue)
        fees = sum(line.fee for line in self.revenue)
        return Totals(gross, fees, gross - fees, sum(line.cumulative for line in self.balances))

    @property
    def token_name(self) -> AssetName:
        """The token as documents name it."""
        return AssetName(AssetKind.TOKEN, self.deployment.chain, self.token)

    def payout_tree(self) -> PayoutTree:
        """Return the tree over the cumulative balances; its root goes on chain."""
        return PayoutTree.of(self.token, [(line.payee, line.cumulative) for line in self.balances])

    def documents(self, root: bytes | None = None) -> Documents:
        """Return index and shards. `root` saves building the payout tree again where it is at hand."""
        shards: list[bytes] = []
        entries: list[Json] = []
        for number, shard in enumerate(_packed(self), start=1):
            data = shard.encoded(number, self)
            shards.append(data)
            entries.append(
                {
                    "sha256": Sha256.of(data).hex,
                    "bytes": len(data),
                    "revenue": len(shard.revenue),
                    "allocations": len(shard.allocations),
                    "balances": len(shard.balances),
                }
            )
        totals = self.totals
        index: dict[str, Json] = {
            "schema": INDEX_SCHEMA,
            "epoch": self.epoch,
            "token": str(self.token_name),
            "deployment": {
                "chain": self.deployment.chain,
                "registry": self.deployment.registry,
                "market": self.deployment.market,
            },
            "from": _border_document(self.start),
            "to": _border_document(self.end),
            "previous": None if self.previous is None else self.previous.hex,
            "totals": {
                "revenue": str(totals.revenue),
                "fees": str(totals.fees),
                "allocated": str(totals.allocated),
                "cumulative": str(totals.cumulative),
            },
            "payees": len(self.balances),
            "root": "0x" + (self.payout_tree().root if root is None else root).hex(),
            "shards": entries,
        }
        return Documents(document_bytes(index), tuple(shards))


def settle(facts: Facts) -> Settlement:
    """Compute the settlement that follows from `facts`. Raises FactsRefusal, RoyaltyRefusal, SettlementRefusal."""
    register = Register.at(facts.end.block, facts.changes)
    revenue = revenue_lines(facts, register)
    allocations = allocation_lines(facts, register, net_incomes(revenue))
    fees = sum(line.fee for line in revenue)
    if fees and not register.fee_payee:
        raise FactsRefusal(
            "facts.fee_payee_missing", "Fees were earned and no payee receives them.", actual=fees,
            todo="Call setFeePayee, then settle up to a block after that.",
        )  # fmt: skip
    amounts: dict[int, int] = {}
    if fees:
        amounts[register.fee_payee] = fees
    for line in allocations:
        amounts[line.payee] = amounts.get(line.payee, 0) + line.amount
    return Settlement(
        facts.deployment, facts.token, facts.epoch, facts.start, facts.end, facts.previous, revenue, allocations,
        _balances(facts, register.accounts, amounts),
    )  # fmt: skip


def _balances(facts: Facts, accounts: Mapping[int, str], amounts: Mapping[int, int]) -> tuple[BalanceLine, ...]:
    before = facts.balances
    unknown = sorted((before.keys() | amounts.keys()) - accounts.keys())
    if unknown:
        raise FactsRefusal("facts.payee_unknown", "A payee has no account.", actual=unknown[0])
    prefix = str(AccountName(facts.deployment.chain, ""))
    balances = []
    for payee in sorted(before.keys() | amounts.keys()):
        amount = amounts.get(payee, 0)
        balances.append(BalanceLine(payee, prefix + accounts[payee], amount, before.get(payee, 0) + amount))
    return tuple(balances)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two settlements first differ, and what each of them says there (None: the line is missing)."""

    where: str
    ours: str | None
    theirs: str | None

    @property
    def sentence(self) -> str:
        """The difference as one sentence."""
        return f"{self.where}: computed {self.ours or 'nothing'}, published {self.theirs or 'nothing'}."


def first_difference(ours: Settlement, theirs: Settlement) -> Difference | None:
    """Return the first difference in reading order, or None if the settlements are equal to the last byte."""
    for where, our_head, their_head in zip(_HEAD, _head(ours), _head(theirs), strict=True):
        if our_head != their_head:
            return Difference(where, our_head, their_head)
    pairs: tuple[tuple[str, Sequence[_Line], Sequence[_Line]], ...] = (
        ("revenue line", ours.revenue, theirs.revenue),
        ("allocation line", ours.allocations, theirs.allocations),
        ("balance", ours.balances, theirs.balances),
    )
    for where, our_lines, their_lines in pairs:
        if our_lines == their_lines:
            continue
        for number, (our_line, their_line) in enumerate(zip_longest(our_lines, their_lines), start=1):
            if our_line != their_line:
                return Difference(f"{where} {number}", _shown(our_line), _shown(their_line))
    return None


def check_successor(earlier: Settlement, later: Settlement) -> None:
    """Raise SettlementRefusal unless `later` goes on where `earlier` ended and lowers nobody's balance."""
    if (earlier.deployment, earlier.token) != (later.deployment, later.token):
        raise SettlementRefusal("settlement.other_books", "The two settlements keep different books.")
    if later.epoch <= earlier.epoch:
        raise SettlementRefusal(
            "settlement.epoch", "A later settlement has a higher epoch.", limit=earlier.epoch + 1, actual=later.epoch
        )
    if later.start != earlier.end:
        raise SettlementRefusal(
            "settlement.gap", "The later settlement does not begin where the earlier one ended.",
            limit=earlier.end.block, actual=later.start.block,
        )  # fmt: skip
    after = {line.payee: line for line in later.balances}
    for line in earlier.balances:
        found = after.pop(line.payee, None)
        cumulative = 0 if found is None else found.cumulative
        expected = line.cumulative + (0 if found is None else found.amount)
        if cumulative < line.cumulative:
            raise SettlementRefusal(
                "settlement.balance_lowered", f"The balance of payee {line.payee} would go down.",
                limit=line.cumulative, actual=cumulative,
            )  # fmt: skip
        _check_equal(f"balance of payee {line.payee}", expected, cumulative)
    for line in after.values():
        _check_equal(f"balance of payee {line.payee}", line.amount, line.cumulative)


def read_documents(index: bytes, shards: Sequence[bytes]) -> Settlement:
    """Read a published settlement: shards as the index names them, bytes canonical, sums and root right.

    Raises SettlementRefusal, DocumentRefusal, CanonicalRefusal and the refusals of names, amounts and digests.
    """
    found = read_members(parse_canonical(index), "settlement", _INDEX_KEYS, schema=INDEX_SCHEMA)
    entries = read_list(found["shards"], "shards")
    if len(entries) != len(shards):
        raise SettlementRefusal(
            "settlement.shards", "Shards are missing, or too many.", limit=len(entries), actual=len(shards)
        )
    named = zip(entries, shards, strict=True)
    parts = [_read_shard(entry, data, number) for number, (entry, data) in enumerate(named, start=1)]
    deployment = read_members(found["deployment"], "deployment", ("chain", "registry", "market"))
    token = AssetName.parse(found["token"], AssetKind.TOKEN, "token")
    settlement = Settlement(
        deployment=Deployment(
            read_integer(deployment["chain"], "chain", low=1),
            read_address(deployment["registry"], "registry"),
            read_address(deployment["market"], "market"),
        ),
        token=token.contract,
        epoch=read_integer(found["epoch"], "epoch", low=1),
        start=_read_border(found["from"], "from"),
        end=_read_border(found["to"], "to"),
        previous=None if found["previous"] is None else read_digest(found["previous"], "previous"),
        revenue=tuple(line for part in parts for line in part.revenue),
        allocations=tuple(line for part in parts for line in part.allocations),
        balances=tuple(line for part in parts for line in part.balances),
    )
    written = settlement.documents(_check_figures(settlement, found))
    # Writing it again answers for every byte at once: order, packing, duplicate keys, floats, spaces, sums.
    for number, (expected, data) in enumerate(zip_longest(written.shards, shards), start=1):
        if expected != data:
            raise SettlementRefusal("settlement.shard_form", f"Shard {number} is not in its canonical form.")
    if written.index != index:
        raise SettlementRefusal("settlement.index_form", "The index does not say what its shards say.")
    return settlement


def _check_figures(settlement: Settlement, found: Mapping[str, Json]) -> bytes:
    published = read_members(found["totals"], "totals", ("revenue", "fees", "allocated", "cumulative"))
    totals = settlement.totals
    for name, computed in (
        ("revenue", totals.revenue), ("fees", totals.fees), ("allocated", totals.allocated),
        ("cumulative", totals.cumulative),
    ):  # fmt: skip
        _check_equal(f"totals.{name}", read_units(published[name], f"totals.{name}"), computed)
    root = settlement.payout_tree().root
    if read_hash32(found["root"], "root") != "0x" + root.hex():
        raise SettlementRefusal(
            "settlement.root", "The root is not that of the balances.", limit="0x" + root.hex(),
            actual=str(found["root"]),
        )  # fmt: skip
    return root


_Line = RevenueLine | AllocationLine | BalanceLine


@dataclass(frozen=True, slots=True)
class _Shard:
    revenue: list[str]
    allocations: list[str]
    balances: list[str]

    def encoded(self, number: int, settlement: Settlement) -> bytes:
        return (
            f'{{"allocations":[{",".join(self.allocations)}],"balances":[{",".join(self.balances)}],'
            f'"revenue":[{",".join(self.revenue)}],"schema":"{SHARD_SCHEMA}",'
            f'"settlement":{{"epoch":{settlement.epoch},"token":"{settlement.token_name}"}},"shard":{number}}}'
        ).encode("ascii")


def _packed(settlement: Settlement) -> Iterator[_Shard]:
    # Lines go into shards in reading order; each is counted with its comma, and a shard is closed by the first line
    # that does not fit any more. The rule is part of the format: the same lines always give the same shards.
    room = DOCUMENT_LIMIT - len(_Shard([], [], []).encoded(2**53, settlement))
    shard, left = _Shard([], [], []), room
    sections: tuple[tuple[str, Iterable[_Line]], ...] = (
        ("revenue", settlement.revenue), ("allocations", settlement.allocations), ("balances", settlement.balances),
    )  # fmt: skip
    for section, lines in sections:
        target: list[str] = getattr(shard, section)
        for line in lines:
            encoded = line.encoded()
            left -= len(encoded) + 1
            if left < 0:
                yield shard
                shard, left = _Shard([], [], []), room - len(encoded) - 1
                target = getattr(shard, section)
            target.append(encoded)
    yield shard


@dataclass(frozen=True, slots=True)
class _ReadShard:
    revenue: list[RevenueLine]
    allocations: list[AllocationLine]
    balances: list[BalanceLine]


def _read_shard(entry: Json, data: bytes, number: int) -> _ReadShard:
    named = read_members(entry, f"shard {number}", ("sha256", "bytes", "revenue", "allocations", "balances"))
    if Sha256.of(data) != read_digest(named["sha256"], "sha256"):
        raise SettlementRefusal(
            "settlement.shard_digest", f"Shard {number} is not the one that the index names.",
            limit=str(named["sha256"]), actual=Sha256.of(data).hex, todo="Fetch it from another copy.",
        )  # fmt: skip
    try:
        # Plain JSON here: whatever it lets pass is found when the shard is written again and compared.
        value = json.loads(data)
        return _ReadShard(
            [_revenue_line(line) for line in value["revenue"]],
            [_allocation_line(line) for line in value["allocations"]],
            [_balance_line(line) for line in value["balances"]],
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SettlementRefusal(
            "settlement.shard_lines", f"Shard {number} has a line that cannot be read.", actual=str(error)[:80]
        ) from error


def _revenue_line(line: dict[str, Any]) -> RevenueLine:
    tx = line["tx"]
    if not isinstance(tx, str) or _TX.fullmatch(tx) is None:
        raise ValueError("tx is not a transaction hash")
    return RevenueLine(
        _whole(line["block"]), _whole(line["log"]), tx, RevenueKind(line["kind"]), _whole(line["license"]),
        _whole(line["dataset"]), read_units(line["gross"], "gross"), read_units(line["fee"], "fee"),
    )  # fmt: skip


def _allocation_line(line: dict[str, Any]) -> AllocationLine:
    return AllocationLine(
        _whole(line["dataset"]), read_units(line["net"], "net"), _whole(line["payee"]),
        str(AccountName.parse(line["account"])), _whole(line["for"]), Reason(line["reason"]), _whole(line["bps"]),
        read_units(line["amount"], "amount"),
    )  # fmt: skip


def _balance_line(line: dict[str, Any]) -> BalanceLine:
    return BalanceLine(
        _whole(line["payee"]), str(AccountName.parse(line["account"])), read_units(line["amount"], "amount"),
        read_units(line["cumulative"], "cumulative"),
    )  # fmt: skip


def _whole(value: object) -> int:
    # `type() is`: a bool is an int to isinstance, and 5.0 would be written as it was read.
    if type(value) is not int:
        raise ValueError("a number of a line is not a whole number")
    return value


def _border_document(border: Border) -> dict[str, Json]:
    return {"block": border.block, "hash": border.hash, "time": write_time(border.time)}


def _read_border(value: Json, where: str) -> Border:
    found = read_members(value, where, ("block", "hash", "time"))
    return Border(
        read_integer(found["block"], f"{where}.block"), read_hash32(found["hash"], f"{where}.hash"),
        read_time(found["time"], f"{where}.time"),
    )  # fmt: skip


_INDEX_KEYS = ("epoch", "token", "deployment", "from", "to", "previous", "totals", "payees", "root", "shards")
_HEAD = ("deployment", "token", "epoch", "from", "to", "previous settlement")


def _head(settlement: Settlement) -> tuple[str, ...]:
    deployment = settlement.deployment
    borders = (settlement.start, settlement.end)
    return (
        f"chain {deployment.chain}, registry {deployment.registry}, market {deployment.market}",
        str(settlement.token_name),
        str(settlement.epoch),
        *(f"block {border.block} {border.hash} at {write_time(border.time)}" for border in borders),
        "none" if settlement.previous is None else settlement.previous.hex,
    )


def _shown(line: _Line | None) -> str | None:
    return None if line is None else line.encoded()


def _check_equal(what: str, expected: int, actual: int) -> None:
    if expected != actual:
        raise SettlementRefusal("settlement.sum", f"The {what} do not add up.", limit=str(expected), actual=str(actual))
