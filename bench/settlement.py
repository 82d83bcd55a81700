"""Settling at scale: the payout tree of a million payees, and a settlement of a million voucher lines."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import rfc8785

from bench.result import Result
from marketplace.core.facts import (
    Border,
    Charge,
    Deployment,
    Facts,
    FeePayeeSet,
    ParentLinked,
    PayeeAdded,
    Purchase,
    Registered,
)
from marketplace.core.payout_tree import PayoutTree
from marketplace.core.settlement import settle
from marketplace.core.settlement_documents import read_documents, write_documents
from provenance.core.keccak import keccak_256

TOKEN = "0x" + "03" * 20
PAYEES = 1_000_000
PEER_PAYEES = 100_000
LINES = 1_000_000
DATASETS = 2_000
LICENSES = 20_000

Value = TypeVar("Value")


def run() -> list[Result]:
    """Return every measurement of this file; about a minute."""
    return [*payout_trees(), *voucher_lines()]


def payout_trees(payees: int = PAYEES, peer_payees: int = PEER_PAYEES) -> list[Result]:
    """Measure the tree against OpenZeppelin's JavaScript at equal roots, and at full size against its hashes."""
    results = []
    node = shutil.which("node")
    if node is not None:
        script = Path(__file__).with_name("merkle_peer.mjs")
        output = subprocess.run([node, script, TOKEN, str(peer_payees)], check=True, capture_output=True).stdout
        peer = json.loads(output)
        tree, seconds = _timed(lambda: PayoutTree.of(TOKEN, _leaves(peer_payees)))
        if peer["root"] != "0x" + tree.root.hex():
            raise AssertionError("the two implementations disagree about the root")
        results.append(
            Result(
                "payout tree",
                seconds,
                peer["seconds"],
                peer["seconds"] / seconds,
                "s",
                f"{peer_payees:,} payees against @openzeppelin/merkle-tree, equal roots",
            )
        )
    leaves = _leaves(payees)
    _, seconds = _timed(lambda: PayoutTree.of(TOKEN, leaves))
    _, floor = _timed(lambda: _hashes(3 * payees))
    note = f"{payees:,} payees against its {3 * payees:,} Keccak hashes alone"
    results.append(Result("payout tree, full size", seconds, floor, floor / seconds, "s", note))
    return results


def voucher_lines(lines: int = LINES) -> list[Result]:
    """Measure settling, writing and auditing `lines` charges; the peer writes the same lines through rfc8785 alone."""
    facts = _facts(lines)
    settlement, settling = _timed(lambda: settle(facts))
    documents, writing = _timed(lambda: write_documents(settlement))
    sample = [json.loads(shard) for shard in documents.shards[:4]]
    _, canonical = _timed(lambda: [rfc8785.dumps(shard) for shard in sample])
    peer = canonical * len(documents.shards) / len(sample)
    read, reading = _timed(lambda: read_documents(documents.index, documents.shards, digest=documents.digest))
    if read != settlement:
        raise AssertionError("the documents do not say what was settled")
    size = sum(map(len, documents.shards)) / 1e6
    note = f"{lines:,} charges of {LICENSES:,} licenses, {size:,.0f} MB; peer: rfc8785 alone"
    return [
        Result(
            "settle and write",
            settling + writing,
            peer,
            peer / (settling + writing),
            "s",
            note,
        ),
        Result("read and check", reading, peer, peer / reading, "s", note),
    ]


def _leaves(count: int) -> list[tuple[int, int]]:
    return [(k + 1, 1_000_003 * (k + 1)) for k in range(count)]


def _hashes(count: int) -> None:
    data = bytes(64)
    for _ in range(count):
        keccak_256(data).digest()


def _facts(lines: int) -> Facts:
    changes: list[Registered | ParentLinked | PayeeAdded | FeePayeeSet] = [FeePayeeSet(1, 0, 1)]
    for number in range(1, DATASETS + 1):
        owner = f"0x{number:040x}"
        changes += [Registered(1, number, number, owner, None), PayeeAdded(1, DATASETS + number, number, owner)]
        changes += [
            ParentLinked(1, number, number, parent, 100) for parent in sorted({number // 2, number // 3} - {0, number})
        ]
    purchases = [
        Purchase(2, number, f"0x{number:064x}", number, number % DATASETS + 1, TOKEN, 0, 250, 24)
        for number in range(1, LICENSES + 1)
    ]
    used = [0] * (LICENSES + 1)
    charges = []
    for number in range(lines):
        license_number = number % LICENSES + 1
        used[license_number] += 1_000 + number % 977
        moved = 1_000 + number % 977
        charges.append(
            Charge(
                3 + number // 1_000,
                number % 1_000,
                f"0x{number:064x}",
                license_number,
                TOKEN,
                used[license_number],
                used[license_number],
                moved,
            )
        )
    last = 3 + lines // 1_000
    return Facts(
        deployment=Deployment(31337, "0x" + "01" * 20, "0x" + "02" * 20), token=TOKEN, epoch=1,
        borders=(Border(0, "0x" + "00" * 32, 0), Border(last, "0x" + "01" * 32, 12 * last)),
        purchases=purchases, charges=charges, changes=changes,
    )  # fmt: skip


def _timed(work: Callable[[], Value]) -> tuple[Value, float]:
    before = time.perf_counter()
    value = work()
    return value, time.perf_counter() - before


if __name__ == "__main__":
    for result in run():
        print(f"{result.name:24} {result.ours:8.2f} {result.unit} {result.ratio:6.1f} × peer  {result.note}")
