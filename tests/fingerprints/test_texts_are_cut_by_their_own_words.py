import pydoc_data.topics
import random
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.fingerprints import documents, text, words
from provenance.fingerprints.bottomk import containment
from provenance.fingerprints.records import SLOTS, TextDocument, TextSegment
from provenance.fingerprints.registry import Kind, sketch_str
from tests.fingerprints.makers import prose, records_of

TOPICS = "\n\n".join(pydoc_data.topics.topics.values())


def segments(records):
    return [record for record in records if isinstance(record, TextSegment)]


def test_a_text_gives_segments_of_128_to_1024_words_and_one_document():
    records = records_of(TOPICS.encode(), Kind.TEXT)
    found = segments(records)
    assert isinstance(records[-1], TextDocument)
    assert records[-1].words == sum(segment.words for segment in found)
    assert all(128 <= segment.words <= 1024 for segment in found[:-1])
    assert 300 < records[-1].words / len(found) < 450
    assert [segment.ordinal for segment in found] == list(range(len(found)))


def test_the_size_of_the_batches_changes_nothing(monkeypatch):
    whole = records_of(TOPICS.encode(), Kind.TEXT)
    monkeypatch.setattr(documents, "BATCH", 999)
    assert records_of(TOPICS.encode(), Kind.TEXT) == whole


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=20), st.integers(0, 2**32))
def test_chunks_of_any_size_give_the_same_records(sizes, seed):
    normal = words.normalize(prose(3000, seed % 5).encode())
    sketcher = text.TextSketcher()
    records = []
    at = 0
    while at < len(normal):
        for size in sizes:
            records += sketcher.add(normal[at : at + size])
            at += size
    assert [*records, *sketcher.finish()] == list(text.text_records([normal]))


def test_bytes_and_str_give_the_same_records():
    mixed = TOPICS.replace("statement", "Anweisung – „groß“ ﬁn") + "人人生而自由，在尊严和权利上一律平等。" * 100
    assert sketch_str(mixed) == records_of(mixed.encode(), Kind.TEXT)


def test_utf_16_with_a_mark_is_the_same_text():
    sample = prose(2000, 1) + " naïve Ünïcode"
    assert records_of(sample.encode("utf-16"), Kind.TEXT) == records_of(sample.encode(), Kind.TEXT)


@pytest.mark.parametrize(
    "rewrite",
    [
        str.upper,
        lambda t: t.replace(" ", "\n"),
        lambda t: t.replace(". ", " — "),
        lambda t: t.replace(".", "”"),
        lambda t: unicodedata.normalize("NFD", t),
        lambda t: t.replace("ea", "e\u200ba").replace("an", "a\u00adn"),
        lambda t: "\ufeff" + t,
        lambda t: "".join(chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in t),
    ],
)
def test_case_wrapping_punctuation_and_form_of_characters_change_nothing(rewrite):
    sample = prose(1000, 2).replace("meadow", "prairie’s été")
    assert segments(sketch_str(rewrite(sample)))[0].exact == segments(sketch_str(sample))[0].exact


def test_an_inserted_line_moves_the_cuts_around_it_and_no_others():
    before = segments(sketch_str(TOPICS))
    middle = TOPICS.index("\n", len(TOPICS) // 2)
    after = segments(sketch_str(TOPICS[:middle] + "\nA line that was not there.\n" + TOPICS[middle:]))
    assert len({s.exact for s in before} - {s.exact for s in after}) <= 2


def test_shingles_never_leak_from_one_document_into_the_next():
    one, other = prose(60, 3), prose(60, 4)
    together = records_of(f'{{"text": "{one}"}}\n{{"text": "{other}"}}\n'.encode())
    alone = [segments(sketch_str(one))[0], segments(sketch_str(other))[0]]
    assert [s.signature for s in segments(together)] == [s.signature for s in alone]
    hashes = {int(h) for t in (one, other) for h in sketch_str(t)[-1].sketch.values}
    assert {int(h) for h in together[-1].sketch.values} <= hashes
    assert together[-1].sketch.distinct == sum(sketch_str(t)[-1].sketch.distinct for t in (one, other)) == 112
    assert segments(sketch_str(f"{one}\n\n{other}"))[0].signature not in {s.signature for s in alone}


def test_short_texts_have_no_signature_to_match_by():
    for short in ("", " \n ", "yes", "one two three four"):
        records = sketch_str(short)
        assert all(not s.signature and s.exact == bytes(16) for s in segments(records))
        assert records[-1].sketch.raw == b""
    assert segments(sketch_str("one two three four five"))[0].signature


def test_every_character_is_a_word_where_scripts_have_no_spaces():
    sample = "人人生而自由，在尊严和权利上一律平等。ภาษาไทย"
    found = words.normalize_text(sample)
    starts, lengths = words.find_words(found)
    assert [found[a : a + n].decode() for a, n in zip(starts, lengths, strict=True)] == [
        c for c in sample if c.isalnum() or unicodedata.category(c).startswith("M")
    ]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_words_never_overlap_and_hold_no_separator(sample):
    found = words.normalize_text(sample)
    starts, lengths = words.find_words(found)
    assert (lengths > 0).all()
    assert (lengths <= words.LONGEST_WORD).all()
    assert (starts[1:] >= (starts + lengths)[:-1]).all()
    assert all(b" " not in found[a : a + n] for a, n in zip(starts, lengths, strict=True))
    covered = int(lengths.sum())
    assert covered == sum(byte != 0x20 for byte in found)


def test_hostile_texts_are_read_in_flat_memory_and_never_refused():
    blanks = b"word " + b" " * 3_000_000 + b"word"
    assert records_of(blanks, Kind.TEXT)[-1].words == 2
    unbroken = records_of(b"x" * 3_000_000, Kind.TEXT)
    assert unbroken[-1].words >= 3_000_000 // 64
    deep = b'{"a": "fine text here for one"}\n' * 3000 + b"[" * 200_000 + b"\n"
    assert records_of(deep, Kind.TEXT)[-1].words >= 5 * 3000
    assert records_of(bytes(range(128, 256)) * 1000, Kind.TEXT)


def test_svg_and_html_are_text_and_never_parsed():
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><!ENTITY x SYSTEM "file:///etc/passwd"><script>alert(1)</script></svg>'
    assert {type(record) for record in records_of(svg)} == {TextSegment, TextDocument}


def test_an_excerpt_is_contained_though_its_jaccard_similarity_is_small():
    whole = sketch_str(TOPICS)[-1].sketch
    quarter = sketch_str(TOPICS[len(TOPICS) // 2 : len(TOPICS) * 3 // 4])[-1].sketch
    common, of = containment(quarter, whole)
    assert of > 50
    assert common / of > 0.97
    common, of = containment(sketch_str(prose(5000, 9))[-1].sketch, whole)
    assert common == 0


def test_the_estimate_of_jaccard_similarity_has_the_error_of_128_slots():
    chance = random.Random(5)
    errors, worth = [], []
    for _ in range(300):
        union, share = 400, chance.uniform(0.3, 0.95)
        hashes = np.array([chance.randrange(2**64) for _ in range(union)], dtype=np.uint64)
        common = int(union * share)
        only = (union - common) // 2
        one, other = hashes[: common + only], np.concatenate([hashes[:common], hashes[common + only :]])
        left, right = (
            np.frombuffer(text._signatures(part, np.array([part.size]))[0], dtype="<u2") for part in (one, other)
        )
        truth = common / union
        errors.append(float((left == right).mean()) - truth)
        worth.append(truth * (1 - truth) / SLOTS)
    rmse = float(np.sqrt(np.mean(np.square(errors))))
    assert rmse <= 1.05 * float(np.sqrt(np.mean(worth)))
    assert abs(float(np.mean(errors))) <= 0.005


def _xoshiro(seed: int):
    mask = 2**64 - 1
    state = []
    for _ in range(4):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        state.append(_finalized(seed))
    rotate = lambda x, k: ((x << k) | (x >> (64 - k))) & mask  # noqa: E731
    while True:
        yield (rotate((state[0] + state[3]) & mask, 23) + state[0]) & mask
        shifted = (state[1] << 17) & mask
        state[2] ^= state[0]
        state[3] ^= state[1]
        state[1] ^= state[2]
        state[0] ^= state[3]
        state[2] ^= shifted
        state[3] = rotate(state[3], 45)


def _finalized(z: int) -> int:
    mask = 2**64 - 1
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@pytest.mark.parametrize("count", [1, 7, 60, 400])
def test_the_slots_can_be_computed_without_the_library_as_the_document_says(count):
    mask = 2**64 - 1
    source = _xoshiro(text.SEED)
    pairs = [(next(source) | 1, next(source)) for _ in range(SLOTS)]
    spread = lambda x: _finalized((x + 0x9E3779B97F4A7C15) & mask)  # noqa: E731
    hashes = [random.Random(n).randrange(2**64) for n in range(count)]
    slots = [2**32 - 1] * SLOTS
    for h in hashes:
        y = spread(h ^ pairs[0][0] ^ 0xBB67AE8584CAA73B)
        for n, (a, b) in enumerate(pairs):
            slots[n] = min(slots[n], 3 << 30 | ((a * y + b) & mask) >> 34)
        for r in range(3):
            x = spread(h ^ pairs[0][1] ^ 0x6A09E667F3BCC909 ^ ((r * 0x3C6EF372FE94F82B) & mask))
            slot = (x & 0xFFFFFFFF) * SLOTS >> 32
            slots[slot] = min(slots[slot], r << 30 | x >> 34)
    (signature,) = text._signatures(np.array(hashes, dtype=np.uint64), np.array([count]))
    assert np.frombuffer(signature, dtype="<u2").tolist() == [slot & 0xFFFF for slot in slots]
