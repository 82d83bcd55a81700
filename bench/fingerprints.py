"""Fingerprints against their peers, each pair in one run on one thread, in processor time.

OPENBLAS_NUM_THREADS=1 POLARS_MAX_THREADS=1 RAYON_NUM_THREADS=1 python -m bench.fingerprints
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable

import datasketch
import numpy as np
import pdqhash
import polars as pl
from PIL import Image

from bench.real_data import large_jpeg, prose
from bench.result import Result
from provenance.fingerprints import hamming, keys
from provenance.fingerprints.cells import cells_of
from provenance.fingerprints.hashing import U64
from provenance.fingerprints.image import NEAR_BITS
from provenance.fingerprints.registry import Kind, sketch_file, sketch_str
from provenance.fingerprints.table import table_record
from provenance.fingerprints.text import BANDS, SHINGLE

MEBIBYTE = 1 << 20
RUNS = 5
SEGMENT_WORDS = 376
UNIT = "MB of CSV per CPU second"


def _seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Return the least processor time of several runs."""
    best = float("inf")
    for _ in range(runs):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def bench_text(*, size: int = 8 * MEBIBYTE, peer_size: int = MEBIBYTE // 2) -> list[Result]:
    """Text to signatures of 128 slots for each 376 words, against datasketch; from bytes and from `str`."""
    ascii_text = "\n".join(prose(200).values()).encode("ascii", "ignore")
    ascii_text = (ascii_text * (size // len(ascii_text) + 1))[:size]
    mixed = ascii_text.decode().replace(" the ", " thé ")
    peer = peer_size / _seconds(lambda: _with_datasketch(ascii_text[:peer_size].decode()), 2) / 1e6
    ours = size / _seconds(lambda: list(sketch_file(Kind.TEXT, lambda: io.BytesIO(ascii_text), size))) / 1e6
    ours_str = len(mixed.encode()) / _seconds(lambda: sketch_str(mixed)) / 1e6
    note = (
        "segments, signatures, exact hashes and the sketch of the whole, against MinHash.update_batch of the shingles"
    )
    return [
        Result("text signatures from bytes", ours, peer, ours / peer, "MB per CPU second", note),
        Result(
            "text signatures from str, NFKC and casefold", ours_str, peer, ours_str / peer, "MB per CPU second", note
        ),
    ]


def _with_datasketch(text: str) -> list[object]:
    words = re.findall(r"[^\W_]+", text.casefold())
    out: list[object] = []
    for at in range(0, len(words), SEGMENT_WORDS):
        part = words[at : at + SEGMENT_WORDS]
        sketch = datasketch.MinHash(num_perm=128)
        sketch.update_batch([" ".join(part[n : n + SHINGLE]).encode() for n in range(len(part) - SHINGLE + 1)])
        out.append(sketch.digest())
    return out


def bench_pdq() -> list[Result]:
    """All views of a JPEG of 12 megapixels against the reference hash of all its pixels."""
    data = large_jpeg()
    record = next(iter(sketch_file(Kind.IMAGE, lambda: io.BytesIO(data), len(data))))
    reference, _ = pdqhash.compute(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    mine = np.unpackbits(np.frombuffer(record.full.pdq[:32], dtype=np.uint8), bitorder="little")
    apart = int((mine != reference[::-1]).sum())
    ours = 1 / _seconds(lambda: list(sketch_file(Kind.IMAGE, lambda: io.BytesIO(data), len(data))))
    peer = 1 / _seconds(lambda: pdqhash.compute(np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))), 3)
    note = f"whole, windows, quarters and turned views against one PDQ of all pixels; {apart} bits apart"
    return [Result("PDQ of a 12-megapixel JPEG", ours, peer, ours / peer, "images per CPU second", note)]


def bench_table(*, rows: int = 600_000) -> list[Result]:
    """Hashing a parsed table against parsing it, and the whole way from bytes against parsing alone."""
    chance = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "id": np.arange(rows),
            "price": np.round(chance.normal(100, 30, rows), 2),
            "quantity": chance.integers(0, 1000, rows),
            "name": [f"item {n * 7919 % 10007} blue" for n in range(rows)],
            "score": chance.random(rows),
            "city": np.array(["Paris", "Lyon", "Berlin", "Rome"])[chance.integers(0, 4, rows)],
            "active": chance.integers(0, 2, rows).astype(bool),
        }
    )
    data = frame.write_csv().encode()
    megabytes = len(data) / 1e6
    parse = megabytes / _seconds(lambda: pl.read_csv(data))
    hashing = megabytes / _seconds(lambda: _hashed(frame))
    whole = megabytes / _seconds(lambda: list(sketch_file(Kind.TABLE, lambda: io.BytesIO(data), len(data))))
    return [
        Result("table hashing", hashing, parse, hashing / parse, UNIT, "of parsed columns, against polars.read_csv"),
        Result("table from bytes", whole, parse, whole / parse, UNIT, "parsing and hashing, against parsing alone"),
    ]


def _hashed(frame: pl.DataFrame) -> object:
    return table_record([cells_of(column) for column in piece] for piece in frame.iter_slices(65_536))


def bench_index(*, rows: int = 1_000_000, queries: int = 2_000) -> list[Result]:
    """Look-ups of text segments and of images among `rows`; the peer is the target for ten million."""
    chance = np.random.default_rng(0)
    bands = chance.integers(0, 1 << 64, (rows, BANDS), dtype=np.uint64)
    entries = keys.build(bands.ravel(), np.repeat(np.arange(rows, dtype=np.uint64), BANDS))
    wanted = [*bands[:: rows // (queries // 2)], *chance.integers(0, 1 << 64, (queries // 2, BANDS), dtype=np.uint64)]
    text = _seconds(lambda: [keys.find(entries, one) for one in wanted], 2) / len(wanted) * 1e6
    size = entries.nbytes / rows + 16
    hashes = chance.integers(0, 1 << 64, (rows, 4), dtype=np.uint64)
    buckets = hamming.build(hashes)
    some = np.stack([_flipped(one, chance) for one in hashes[:: rows // 200]])
    near = sum(bool((hamming.find(hashes, buckets, one, 63)[1] == NEAR_BITS).any()) for one in some)
    images = _seconds(lambda: [hamming.find(hashes, buckets, one, 63) for one in some], 2) / len(some) * 1e3
    scan = _seconds(lambda: [hamming.find(hashes, None, one, 31) for one in some[:10]], 2) / 10 * 1e3
    note = f"{rows:,} rows, {size:.0f} bytes a row; target for ten million: 50 µs and 200 bytes"
    image_note = f"{rows:,} rows; against comparing with every row; {near} of {len(some)} at {NEAR_BITS} bits found"
    return [
        Result("text look-up", text, 50.0, 50.0 / text, "µs", note),
        Result("image look-up, exact to 31 bits", images, scan, scan / images, "ms", image_note),
    ]


def _flipped(one: U64, chance: np.random.Generator) -> U64:
    out = one.copy()
    for bit in chance.choice(256, NEAR_BITS, replace=False).tolist():
        out[bit // 64] ^= np.uint64(1 << bit % 64)
    return out


def main() -> None:
    """Print all."""
    for bench in (bench_text, bench_pdq, bench_table, bench_index):
        for result in bench():
            figures = f"{result.ours:10.2f} {result.peer:10.2f} {result.ratio:6.2f} x"
            print(f"{result.name:45} {figures}  {result.unit}: {result.note}")


if __name__ == "__main__":
    main()
