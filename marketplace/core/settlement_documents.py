"""The documents of a settlement: shards of lines, at most 1 MiB each, under one index whose digest goes on chain.

Lines stand in reading order: all revenue by (block, log), all allocations by earner, all balances by payee. They are
written straight into their RFC 8785 form, because a settlement may have millions of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from marketplace.core.allocation import AllocationLine, Reason
from marketplace.core.document import read_address, read_time, write_time
from marketplace.core.facts import Border, Deployment
from marketplace.core.money import read_units
from marketplace.core.revenue import RevenueKind, RevenueLine
from marketplace.core.settlement import BalanceLine, Settlement, SettlementRefusal, check_sum
from provenance.core.caip import Account, AssetKind
from provenance.core.canonical import DOCUMENT_LIMIT, Json, check_depth, document_bytes, parse_canonical
from provenance.core.digest import Sha256
from provenance.core.fields import Fields

INDEX_SCHEMA = "cadastre.settlement/1"
SHARD_SCHEMA = "cadastre.settlement-shard/1"

_TX = re.compile(r"0x[0-9a-f]{64}")
_INDEX_KEYS = ("epoch", "token", "deployment", "from", "to", "previous", "totals", "payees", "root", "shards")


@dataclass(frozen=True, slots=True)
class Documents:
    """The bytes to be pinned: the index, whose digest stands on chain, and its shards in order."""

    index: bytes
    shards: tuple[bytes, ...]

    @property
    def digest(self) -> Sha256:
        """What `propose` carries as `settlement`."""
        return Sha256.of(self.index)


def write_documents(settlement: Settlement, *, root: bytes | None = None) -> Documents:
    """Return index and shards. `root` saves building the payout tree again where it is at hand.

    Raises CanonicalRefusal when the index itself would be larger than a document.
    """
    shards: list[bytes] = []
    entries: list[Json] = []
    for number, shard in enumerate(_packed(settlement), start=1):
        data = shard.encoded(number, settlement)
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
    totals = settlement.totals
    index: dict[str, Json] = {
        "schema": INDEX_SCHEMA,
        "epoch": settlement.epoch,
        "token": str(settlement.token_name),
        "deployment": {
            "chain": settlement.deployment.chain,
            "registry": settlement.deployment.registry,
            "market": settlement.deployment.market,
        },
        "from": _border_document(settlement.start),
        "to": _border_document(settlement.end),
        "previous": None if settlement.previous is None else settlement.previous.hex,
        "totals": {
            "revenue": str(totals.revenue),
            "fees": str(totals.fees),
            "allocated": str(totals.allocated),
            "cumulative": str(totals.cumulative),
        },
        "payees": len(settlement.balances),
        "root": "0x" + (settlement.payout_tree().root if root is None else root).hex(),
        "shards": entries,
    }
    return Documents(document_bytes(index), tuple(shards))


def read_documents(index: bytes, shards: Sequence[bytes], *, digest: Sha256) -> Settlement:
    """Read a published settlement: the index that `digest` names, its shards, bytes canonical, sums and root right.

    `digest` is the `settlement` of the proposal on chain. Raises SettlementRefusal, FieldRefusal,
    CanonicalRefusal and the refusals of names, amounts and digests.
    """
    if Sha256.of(index) != digest:
        raise SettlementRefusal(
            "settlement.index_digest", "The index is not the one that was proposed.", limit=digest.hex,
            actual=Sha256.of(index).hex, todo="Fetch it from another copy.",
        )  # fmt: skip
    found = Fields.of(parse_canonical(index), "settlement", _INDEX_KEYS, schema=INDEX_SCHEMA)
    entries = found.items("shards", most=len(index))
    if len(entries) != len(shards):
        raise SettlementRefusal(
            "settlement.shards", "Shards are missing, or too many.", limit=len(entries), actual=len(shards)
        )
    named = zip(entries, shards, strict=True)
    parts = [_read_shard(entry, data, number) for number, (entry, data) in enumerate(named, start=1)]
    deployment = Fields.of(found.members["deployment"], "deployment", ("chain", "registry", "market"))
    token = found.asset("token", AssetKind.TOKEN)
    settlement = Settlement(
        deployment=Deployment(
            deployment.integer("chain", low=1),
            read_address(deployment, "registry"),
            read_address(deployment, "market"),
        ),
        token=token.contract,
        epoch=found.integer("epoch", low=1),
        start=_read_border(found.members["from"], "from"),
        end=_read_border(found.members["to"], "to"),
        previous=found.digest_or_none("previous"),
        revenue=tuple(line for part in parts for line in part.revenue),
        allocations=tuple(line for part in parts for line in part.allocations),
        balances=tuple(line for part in parts for line in part.balances),
    )
    written = write_documents(settlement, root=_check_figures(settlement, found))
    # Writing it again answers for every byte at once: order, packing, duplicate keys, floats, spaces, sums.
    for number, (expected, data) in enumerate(zip_longest(written.shards, shards), start=1):
        if expected != data:
            raise SettlementRefusal("settlement.shard_form", f"Shard {number} is not in its canonical form.")
    if written.index != index:
        raise SettlementRefusal("settlement.index_form", "The index does not say what its shards say.")
    return settlement


def _check_figures(settlement: Settlement, found: Fields) -> bytes:
    published = Fields.of(found.members["totals"], "totals", ("revenue", "fees", "allocated", "cumulative"))
    totals = settlement.totals
    for name, computed in (
        ("revenue", totals.revenue), ("fees", totals.fees), ("allocated", totals.allocated),
        ("cumulative", totals.cumulative),
    ):  # fmt: skip
        check_sum(f"totals.{name}", published.amount(name), computed)
    root = settlement.payout_tree().root
    if found.hash32("root") != "0x" + root.hex():
        raise SettlementRefusal(
            "settlement.root", "The root is not that of the balances.", limit="0x" + root.hex(),
            actual=str(found.members["root"]),
        )  # fmt: skip
    return root


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
    sections: tuple[tuple[str, Iterable[RevenueLine | AllocationLine | BalanceLine]], ...] = (
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
    named = Fields.of(entry, f"shard {number}", ("sha256", "bytes", "revenue", "allocations", "balances"))
    if Sha256.of(data) != named.digest("sha256"):
        raise SettlementRefusal(
            "settlement.shard_digest", f"Shard {number} is not the one that the index names.",
            limit=str(named.members["sha256"]), actual=Sha256.of(data).hex, todo="Fetch it from another copy.",
        )  # fmt: skip
    check_depth(data)
    try:
        # Plain JSON here: whatever it lets pass is found when the shard is written again and compared.
        value = json.loads(data)
        return _ReadShard(
            [_revenue_line(line) for line in value["revenue"]],
            [_allocation_line(line) for line in value["allocations"]],
            [_balance_line(line) for line in value["balances"]],
        )
    except (ValueError, TypeError, KeyError) as error:
        raise SettlementRefusal(
            "settlement.shard_lines", f"Shard {number} has a line that cannot be read.", actual=str(error)[:80]
        ) from error


def _revenue_line(line: dict[str, Any]) -> RevenueLine:
    tx = line["tx"]
    if not isinstance(tx, str) or _TX.fullmatch(tx) is None:
        raise ValueError("tx is not a transaction hash")
    gross, fee = read_units(line["gross"], "gross"), read_units(line["fee"], "fee")
    if fee > gross:
        raise ValueError("a fee is higher than its payment")
    return RevenueLine(
        _whole(line["block"]), _whole(line["log"]), tx, RevenueKind(line["kind"]), _whole(line["license"]),
        _whole(line["dataset"]), gross, fee,
    )  # fmt: skip


def _allocation_line(line: dict[str, Any]) -> AllocationLine:
    return AllocationLine(
        _whole(line["dataset"]), read_units(line["net"], "net"), _whole(line["payee"]),
        str(Account.parse(line["account"])), _whole(line["for"]), Reason(line["reason"]), _whole(line["bps"]),
        read_units(line["amount"], "amount"),
    )  # fmt: skip


def _balance_line(line: dict[str, Any]) -> BalanceLine:
    return BalanceLine(
        _whole(line["payee"]), str(Account.parse(line["account"])), read_units(line["amount"], "amount"),
        read_units(line["cumulative"], "cumulative"),
    )  # fmt: skip


def _whole(value: object) -> int:
    # `type() is`: a bool is an int to isinstance, and 5.0 would be written as it was read.
    if type(value) is not int or value < 0:
        raise ValueError("a number of a line is not a whole number")
    return value


def _border_document(border: Border) -> dict[str, Json]:
    return {"block": border.block, "hash": border.hash, "time": write_time(border.time)}


def _read_border(value: Json, where: str) -> Border:
    found = Fields.of(value, where, ("block", "hash", "time"))
    return Border(
        found.integer("block"), found.hash32("hash"),
        read_time(found, "time"),
    )  # fmt: skip
