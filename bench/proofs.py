"""Proofs in a log of a million entries: making one from the database, and checking one.

The database is SQLite with a million entries and their tiles, as the sequencer leaves them. The peer of making a proof
is what a log without stored tiles does: hash a million leaves into a root. The limit of checking one is its twenty
hashes alone.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from bench.result import Result
from provenance.core.merkle import MerkleTree, inclusion_proof, leaf_hash, tree_root, verify_inclusion
from provenance.core.tiles import new_tiles, tile_bytes

ENTRIES = 1_000_000
PROOFS = 300
CHECKS = 2_000


def run(entries: int = ENTRIES) -> list[Result]:
    """Return making and checking; about half a minute, most of it for filling the log."""
    folder = Path(tempfile.mkdtemp(prefix="cadastre-bench-"))
    try:
        leaves = [leaf_hash(number.to_bytes(8)) for number in range(entries)]
        tree, peer = _timed(lambda: MerkleTree(leaves))
        _fill(folder, tree, leaves)
        return [_making(tree, entries, peer), _checking(tree, leaves)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _making(tree: MerkleTree, entries: int, peer: float) -> Result:
    from provenance.queries.log import inclusion_proof as from_database

    chance = random.Random(1)
    taken = []
    for _ in range(PROOFS):
        index = chance.randrange(entries)
        proof, seconds = _timed(lambda index=index: from_database(index, entries))
        if proof != inclusion_proof(index, entries, tree.get_hash):
            raise AssertionError("the proof is another one than the tree's")
        taken.append(seconds)
    ours, worst = median(taken), sorted(taken)[int(0.99 * PROOFS)]
    note = f"{entries:,} entries in SQLite; p99 {worst * 1e3:.1f} ms; peer: hashing all leaves into the root"
    return Result("proof from a large log", ours * 1e3, peer * 1e3, peer / ours, "ms", note)


def _checking(tree: MerkleTree, leaves: list[bytes]) -> Result:
    entries = len(leaves)
    root = tree_root(entries, tree.get_hash)
    chance = random.Random(2)
    cases = [(index, tree.inclusion_proof(index)) for index in (chance.randrange(entries) for _ in range(CHECKS))]
    _, seconds = _timed(lambda: [verify_inclusion(leaves[at], at, entries, proof, root) for at, proof in cases])
    hashes = sum(len(proof) for _, proof in cases)
    block = bytes(65)
    _, floor = _timed(lambda: [hashlib.sha256(block).digest() for _ in range(hashes)])
    note = f"{hashes // CHECKS} hashes of 65 bytes each; limit: the hashes alone"
    return Result("checking a proof", seconds / CHECKS * 1e6, floor / CHECKS * 1e6, floor / seconds, "µs", note)


def _fill(folder: Path, tree: MerkleTree, leaves: list[bytes]) -> None:
    os.environ |= {"CADASTRE_VAR": str(folder), "DJANGO_SETTINGS_MODULE": "marketplace.settings"}
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection, transaction
    from django.utils import timezone

    from provenance.models import LogEntry, LogTile

    call_command("migrate", verbosity=0)
    now = timezone.now().replace(tzinfo=None).isoformat(" ")
    table = connection.ops.quote_name(LogEntry._meta.db_table)  # noqa: SLF001  # Django's own name for it

    def rows() -> Iterator[tuple[object, ...]]:
        for number, leaf in enumerate(leaves):
            yield number, f"sha256:{number:064x}", "gate.passed", f"bench:{number}", leaf, b"{}", now

    columns = '"index", subject, type, fact, leaf_hash, envelope, logged_at'
    tiles = [tile for tile in new_tiles(0, len(leaves)) if tile.level]
    with transaction.atomic(), connection.cursor() as cursor:
        # A million rows one by one would take longer than everything else here.
        statement = f"INSERT INTO {table} ({columns}) VALUES (%s, %s, %s, %s, %s, %s, %s)"  # noqa: S608  # own names
        cursor.executemany(statement, rows())
        LogTile.objects.bulk_create(
            [LogTile(level=tile.level, number=tile.index, hashes=tile_bytes(tile, tree.get_hash)) for tile in tiles],
            batch_size=500,
        )


def _timed(work: Callable[[], object]):
    started = time.perf_counter()
    value = work()
    return value, time.perf_counter() - started
