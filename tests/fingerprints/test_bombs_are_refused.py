import io
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provenance.fingerprints import columnar
from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.sandbox import run_limited
from tests.fingerprints.makers import opener, record_of

MIB = 1 << 20


def greedy(stream, size):
    return bytes(len(bytearray(size)) % 7)


def endless(stream):
    while True:
        pass


def broken(stream):
    raise RuntimeError("a decoder that fails")


def refusing(stream, limit):
    raise FingerprintRefusal("test.refused", "Refused in there.", limit=limit, actual="more", todo="Do less.")


def echo(stream, suffix):
    return stream.read() + suffix.encode()


HERE = __name__


def run(name, *args, data=b"", memory=64 * MIB, seconds=20):
    return run_limited(f"{HERE}:{name}", args, stream=io.BytesIO(data), memory_bytes=memory, cpu_seconds=seconds)


def test_the_child_reads_a_file_or_anything_else_that_can_be_read():
    assert run("echo", "!", data=b"hello") == b"hello!"
    with tempfile.TemporaryFile() as file:
        file.write(b"from disk")
        file.flush()
        assert run_limited(f"{HERE}:echo", ["."], stream=file, cpu_seconds=20) == b"from disk."


def test_memory_beyond_the_limit_is_refused_and_below_it_is_not():
    assert run("greedy", 32 * MIB) == bytes(32 * MIB % 7)
    with pytest.raises(FingerprintRefusal) as refusal:
        run("greedy", 96 * MIB)
    assert (refusal.value.code, refusal.value.limit) == ("sandbox.memory", 64 * MIB)


def test_processor_time_beyond_the_limit_is_refused():
    with pytest.raises(FingerprintRefusal) as refusal:
        run("endless", seconds=1)
    assert (refusal.value.code, refusal.value.limit) == ("sandbox.cpu", 1)


def test_a_decoder_that_fails_is_a_refusal():
    with pytest.raises(FingerprintRefusal) as refusal:
        run("broken")
    assert refusal.value.code == "sandbox.failed"


def test_a_refusal_of_the_child_arrives_whole():
    with pytest.raises(FingerprintRefusal) as refusal:
        run("refusing", 5)
    assert (refusal.value.code, refusal.value.limit, refusal.value.actual) == ("test.refused", 5, "more")
    assert refusal.value.todo == "Do less."


def parquet(table, **options) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", **options)
    return out.getvalue()


def test_a_parquet_file_that_unfolds_into_one_gigantic_value_is_refused():
    data = parquet(pa.table({"x": ["a" * (128 * MIB)]}))
    assert len(data) < 100_000
    with pytest.raises(FingerprintRefusal) as refusal:
        columnar.sketch_columnar(opener(data), len(data), memory_bytes=96 * MIB)
    assert (refusal.value.code, refusal.value.limit) == ("sandbox.memory", 96 * MIB)


def test_a_parquet_file_that_states_more_cells_than_its_size_allows_is_refused(monkeypatch):
    monkeypatch.setattr(columnar, "FREE_CELLS", 1_000)
    monkeypatch.setattr(columnar, "CELLS_PER_BYTE", 1)
    with pytest.raises(FingerprintRefusal) as refusal:
        columnar._check_size(1_000_000, 2, 463)
    assert (refusal.value.code, refusal.value.limit, refusal.value.actual) == ("table.too_many_cells", 1_000, 2_000_000)
    columnar._check_size(400, 2, 463)


def test_a_parquet_file_of_repeats_is_streamed_within_the_limit():
    data = parquet(pa.table({"x": pa.array(np.zeros(20_000_000, dtype=np.int64)), "y": pa.array(np.zeros(20_000_000))}))
    assert len(data) < 2 * MIB
    record = columnar.sketch_columnar(opener(data), len(data), memory_bytes=96 * MIB)
    assert record.rows == 20_000_000
    assert record.sketch.distinct == 1


@pytest.mark.parametrize("data", [b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"ARROW1" + bytes(50)])
def test_what_only_begins_like_parquet_or_arrow_is_refused(data):
    with pytest.raises(FingerprintRefusal) as refusal:
        record_of(data)
    assert refusal.value.code == "table.unreadable"


def test_a_table_with_too_many_columns_is_refused():
    with pytest.raises(FingerprintRefusal) as refusal:
        columnar._check_size(1, 16_385, 10**9)
    assert (refusal.value.code, refusal.value.limit, refusal.value.actual) == ("table.too_wide", 16_384, 16_385)
