import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.registry import ALGORITHMS, EARLIER, Kind, pack, sketch_str, to_bytes, unpack
from tests.fingerprints.makers import encoded, picture, prose, records_of

GOLDEN = Path(__file__).parents[1] / "golden" / "fingerprints.json"

CSV = b"id,name,price,day\n" + b"".join(
    f"{n},name {n % 40},{n}.50,2024-02-{n % 28 + 1:02d}\n".encode() for n in range(1, 200)
)
SAMPLES = {
    "text": (Kind.TEXT, (prose(600, 1) + " Grüße, 人人生而自由 “quoted”").encode()),
    "short text": (Kind.TEXT, b"four words are few"),
    "JSON lines": (Kind.TEXT, b'{"a": "one two three four five six", "b": [1, "seven"]}\nnull\n'),
    "table": (Kind.TABLE, CSV),
    "image": (Kind.IMAGE, encoded(picture(1, 320, 240))),
}


def payload(name: str) -> bytes:
    kind, data = SAMPLES[name]
    return pack(records_of(data, kind))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_fingerprint_is_the_one_it_was_when_the_format_was_fixed(name):
    """Rewritten only together with a new algorithm name: what is registered must stay comparable."""
    assert payload(name).hex() == json.loads(GOLDEN.read_text())["payloads"][name]


def test_the_algorithms_have_the_figures_they_had_when_the_format_was_fixed():
    everyone = (*ALGORITHMS.values(), *EARLIER)
    assert {a.name: a.digest for a in everyone} == json.loads(GOLDEN.read_text())["algorithms"]


@pytest.mark.parametrize("name", ["image", "table"])
def test_a_fingerprint_of_an_earlier_algorithm_is_read_and_written_as_it_was(name):
    earlier = bytes.fromhex(json.loads(GOLDEN.read_text())["earlier"][name])
    (record,) = unpack(earlier)
    assert pack([record]) == earlier
    assert record.tag in {algorithm.tag for algorithm in EARLIER}
    for end in range(1, len(earlier), 97):
        with pytest.raises(FingerprintRefusal):
            list(unpack(earlier[:end]))


def test_another_process_makes_the_same_bytes():
    script = "from tests.fingerprints.test_fingerprints_are_bytes_for_ever import *; print(payload('text').hex())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == payload("text").hex()


@pytest.mark.parametrize("name", SAMPLES)
def test_records_come_back_from_their_bytes_equal(name):
    kind, data = SAMPLES[name]
    records = records_of(data, kind)
    assert list(unpack(pack(records))) == records
    assert all(record.tag == ALGORITHMS[kind].tag for record in records)


@pytest.mark.parametrize("name", SAMPLES)
def test_bytes_cut_off_anywhere_are_refused(name):
    whole = payload(name)
    ends = set()
    at = 0
    for record in unpack(whole):
        at += len(to_bytes(record))
        ends.add(at)
    for end in range(1, len(whole), max(1, len(whole) // 97)):
        if end not in ends:
            with pytest.raises(FingerprintRefusal):
                list(unpack(whole[:end]))


@given(st.binary(min_size=1, max_size=200))
def test_junk_is_refused_and_never_crashes(data):
    with pytest.raises(FingerprintRefusal):
        list(unpack(data))


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_gives_another_record(at, value):
    whole = payload("text")
    at %= len(whole)
    changed = whole[:at] + bytes([value]) + whole[at + 1 :]
    try:
        records = list(unpack(changed))
    except FingerprintRefusal:
        return
    assert (records == list(unpack(whole))) == (changed == whole)


def test_a_later_format_is_refused_by_name():
    later = b"CF\x02" + payload("text")[3:]
    with pytest.raises(FingerprintRefusal) as refusal:
        list(unpack(later))
    assert (refusal.value.code, refusal.value.limit, refusal.value.actual) == ("fingerprint.format", 1, 2)


def test_sizes_are_what_the_document_says():
    segment = sketch_str(prose(600, 1))[0]
    assert len(to_bytes(segment)) == 292
    (record,) = records_of(*reversed(SAMPLES["image"]))
    assert len(to_bytes(record)) == 12 + 24 + 321 + 1 + 1 + 17 * 41 + 1 + 4 * 321 + 1 + 4 * 321
