"""docs/algorithms/content.md says what the code does."""

import pytest

from provenance.core.canonical import CanonicalRefusal, document_cid, document_digest, parse_canonical, parse_strict
from provenance.core.file_record import FileRecord
from provenance.core.murmur3 import murmur3_x64_64
from provenance.core.unixfs.directory import build_directory
from provenance.core.unixfs.file import FileHasher
from provenance.core.unixfs.hamt import bit_field, slot_prefix
from provenance.core.unixfs.profile import CHUNK_BYTES
from tests.marketplace_core.worked import blocks, table

DOC = "content.md"


def lines(kind):
    return [line.split() for block in blocks(DOC, kind) for line in block.strip().splitlines()]


def test_the_document_has_the_digest_and_cid_of_the_text():
    said = dict(line.split(" ", 1) for line in blocks(DOC, "document")[0].strip().splitlines())
    document = parse_canonical(said["bytes"].encode())
    assert document_digest(document).hex == said["sha256"]
    assert str(document_cid(document)) == said["cid"]


@pytest.mark.parametrize(("data", "code"), table(DOC, "Documents"))
def test_other_spellings_are_refused_as_the_text_says(data, code):
    with pytest.raises(CanonicalRefusal) as caught:
        parse_canonical(data.encode())
    assert caught.value.code == code
    if code == "document.not_canonical":
        parse_strict(data.encode())


@pytest.mark.parametrize("line", lines("file"))
def test_files_of_zeros_have_the_cids_of_the_text(line):
    _, size, _, count, _, tsize, cid = line
    made = []
    hasher = FileHasher(lambda block, _: made.append(block))
    zeros = bytes(CHUNK_BYTES)
    for at in range(0, int(size), CHUNK_BYTES):
        hasher.update(zeros[: min(CHUNK_BYTES, int(size) - at)])
    node = hasher.finish()
    assert (str(node.cid), len(made), node.tsize) == (cid, int(count), int(tsize))


@pytest.mark.parametrize("line", lines("folder"))
def test_folders_of_empty_files_have_the_sizes_of_the_text(line):
    names = line[1 : line.index("tsize")]
    empty = FileHasher().finish()
    assert build_directory(dict.fromkeys(names, empty)).tsize == int(line[-1])


def test_an_entry_of_a_folder_costs_44_bytes_and_its_name():
    one, two = (int(line[-1]) for line in lines("folder"))
    assert two - one == 44 + len("b.txt")


@pytest.mark.parametrize("line", lines("hamt"))
def test_names_fall_into_the_slots_of_the_text(line):
    hashed = murmur3_x64_64(line[0].encode())
    assert (hashed.hex(), [slot_prefix(hashed[level]) for level in range(2)]) == (line[2], line[4:])


@pytest.mark.parametrize("line", lines("bitfield"))
def test_bit_fields_are_those_of_the_text(line):
    assert bit_field([int(slot) for slot in line[1:-2]]).hex() == line[-1]


def test_the_file_record_has_the_leaf_and_the_stored_name_of_the_text():
    raw, leaf, stored = blocks(DOC, "record")[0].strip().splitlines()
    record = FileRecord.from_document(parse_canonical(raw.encode()))
    assert f"leaf {record.leaf_hash.hex()}" == leaf
    assert f"stored {record.stored_name}" == stored
