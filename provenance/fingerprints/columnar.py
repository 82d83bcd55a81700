"""Parquet and Arrow files as tables. Runs in the sandbox: a file of 463 bytes can decode to gigabytes.

Rows are read in batches, nothing is ever loaded whole. Extension types are read as the plain type they are stored as:
no code that a file names is looked up or run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.cells import Cells, cells_of
from provenance.fingerprints.delimited import MOST_COLUMNS
from provenance.fingerprints.records import TableRecord, to_bytes, unpack
from provenance.fingerprints.sandbox import MEMORY, run_limited
from provenance.fingerprints.table import table_record

BATCH_ROWS = 32_768
MOST_CELLS = 20_000_000_000
CELLS_PER_BYTE = 100_000
FREE_CELLS = 100_000_000
SECONDS_BASE = 60
BYTES_PER_SECOND = 4_000_000
CELLS_PER_SECOND = 5_000_000


def sketch_columnar(open_binary: Callable[[], BinaryIO], size: int, *, memory_bytes: int = MEMORY) -> TableRecord:
    """Return the record of a Parquet or Arrow file. Raises FingerprintRefusal."""
    seconds = SECONDS_BASE + size // BYTES_PER_SECOND + min(size * CELLS_PER_BYTE, FREE_CELLS) // CELLS_PER_SECOND
    with open_binary() as stream:
        payload = run_limited(
            "provenance.fingerprints.columnar:sketch_limited",
            (size,),
            stream=stream,
            memory_bytes=memory_bytes,
            cpu_seconds=seconds,
        )
    (record,) = unpack(payload)
    assert isinstance(record, TableRecord)
    return record


def sketch_limited(stream: BinaryIO, size: int) -> bytes:
    """Return the bytes of the record; what the child runs. Raises FingerprintRefusal."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    try:
        return to_bytes(table_record(_pieces(stream, size)))
    except (pa.ArrowMemoryError, MemoryError) as error:
        raise MemoryError from error
    except (pa.ArrowException, OSError, ValueError, pl.exceptions.PolarsError) as error:
        if "alloc" in str(error).lower():
            raise MemoryError from error
        raise FingerprintRefusal(
            "table.unreadable",
            f"The file does not read as Parquet or Arrow: {str(error)[:200]}.",
            todo="Write it anew with a current library.",
        ) from error


def _pieces(stream: BinaryIO, size: int) -> Iterator[list[Cells]]:
    magic = stream.read(6)
    stream.seek(0)
    if magic == b"ARROW1":
        yield from _arrow_pieces(stream)
        return
    file = pq.ParquetFile(stream, memory_map=False, pre_buffer=False, buffer_size=1 << 20)
    _check_size(file.metadata.num_rows, file.metadata.num_columns, size)
    for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
        yield _cells(batch)


def _arrow_pieces(stream: BinaryIO) -> Iterator[list[Cells]]:
    reader = pyarrow.ipc.open_file(stream)
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield _cells(batch.slice(start, BATCH_ROWS))


def _check_size(rows: int, columns: int, size: int) -> None:
    if columns > MOST_COLUMNS:
        raise FingerprintRefusal(
            "table.too_wide", "The table has too many columns.", limit=MOST_COLUMNS, actual=columns
        )
    limit = min(MOST_CELLS, max(FREE_CELLS, size * CELLS_PER_BYTE))
    if rows * columns > limit:
        raise FingerprintRefusal(
            "table.too_many_cells",
            "The file unfolds into more cells than a file of its size may.",
            limit=limit,
            actual=rows * columns,
            todo="Drop the repetitions, or split it into several files.",
        )


def _cells(batch: pa.RecordBatch) -> list[Cells]:
    return [cells_of(_series(column)) for column in batch.columns]


def _series(column: pa.Array) -> pl.Series:
    while isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)
    return series
