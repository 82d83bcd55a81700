import io
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.registry import HEAD, Kind, pack, sketch_file, sniff_kind, unpack
from tests.fingerprints.makers import encoded, opener, picture

SMALL = picture(1, 40, 30)
IMAGES = {
    "PNG": encoded(SMALL),
    "JPEG": encoded(SMALL, "JPEG", progressive=True),
    "GIF": encoded(SMALL, "GIF"),
    "WEBP": encoded(SMALL, "WEBP"),
    "TIFF": encoded(SMALL, "TIFF", compression="tiff_lzw"),
    "BMP": encoded(SMALL, "BMP"),
    "AVIF": encoded(SMALL, "AVIF"),
}
CSV = b"a,b,c\n" + b"".join(b'%d,"x, %d",%d.5\n' % (n, n, n) for n in range(40))


def read(data: bytes, kind: Kind | None = None) -> bool:
    """Say whether the bytes could be read; nothing but a refusal may be raised, and records survive their own bytes."""
    try:
        records = list(sketch_file(kind or sniff_kind(data[:HEAD]), opener(data), len(data)))
    except FingerprintRefusal:
        return False
    assert list(unpack(pack(records))) == records
    return True


changes = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=6)), min_size=1, max_size=6)


def changed(data: bytes, edits) -> bytes:
    for place, junk in edits:
        at = place % len(data)
        data = data[:at] + junk + data[at + len(junk) // 2 :]
    return data


@pytest.mark.parametrize("form", IMAGES)
@settings(max_examples=60, deadline=None)
@given(edits=changes)
def test_a_damaged_image_is_refused_or_read(form, edits):
    assert read(IMAGES[form])
    read(changed(IMAGES[form], edits), Kind.IMAGE)


@settings(max_examples=150, deadline=None)
@given(edits=changes)
def test_a_damaged_table_is_refused_or_read(edits):
    read(changed(CSV, edits))
    read(changed(CSV, edits), Kind.TABLE)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_junk_is_refused_or_read_as_whatever_it_is_taken_for(data):
    read(data)
    for kind in (Kind.TEXT, Kind.TABLE, Kind.IMAGE):
        read(data, kind)


SCRIPT = """
import io, resource, sys
from provenance.fingerprints.registry import Kind, sketch_file

class Repeated(io.RawIOBase):
    def __init__(self, line, size):
        self.line, self.left, self.number = line, size, 0
    def readable(self):
        return True
    def readinto(self, buffer):
        self.number += 1
        data = (self.line % self.number) * (len(buffer) // len(self.line))
        data = data[: min(len(buffer), self.left)]
        self.left -= len(data)
        buffer[: len(data)] = data
        return len(data)

kind = Kind(sys.argv[1])
line = b"these are number %08d words of a text " if kind is Kind.TEXT else b"%08d,word,1.5\\n"
peaks = []
for size in (8 << 20, 96 << 20):
    opened = lambda: io.BufferedReader(Repeated(line, size), 1 << 16)
    count = sum(1 for _ in sketch_file(kind, opened, size))
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print(peaks[1] - peaks[0])
"""


@pytest.mark.parametrize("kind", ["text", "table"])
def test_memory_is_flat_whatever_the_size_of_the_file(kind):
    done = subprocess.run([sys.executable, "-c", SCRIPT, kind], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 48, "mebibytes more for twelve times the file"


def test_a_stream_that_gives_few_bytes_at_a_time_is_read_the_same():
    class Trickle(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 7) if size > 0 else size)

    whole = list(sketch_file(Kind.TABLE, opener(CSV), len(CSV)))
    assert list(sketch_file(Kind.TABLE, lambda: io.BufferedReader(Trickle(CSV)), len(CSV))) == whole
