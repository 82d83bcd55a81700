import hashlib

import pytest

from provenance.core.digest import DigestRefusal, Sha256, salt_from_hex, salted_commitment


def test_a_digest_reads_back_from_its_hex_form():
    digest = Sha256.of(b"abc")
    assert digest.hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert Sha256.from_hex(digest.hex) == digest
    assert bytes(digest) == digest.raw
    assert str(digest) == digest.hex


@pytest.mark.parametrize("text", ["", "0x" + "0" * 62, "A" * 64, "0" * 63, "0" * 65, "0" * 63 + "\n", "g" * 64])
def test_a_digest_has_one_spelling(text):
    with pytest.raises(DigestRefusal, match="64 lower-case hex"):
        Sha256.from_hex(text)


def test_a_digest_of_another_length_is_refused():
    with pytest.raises(DigestRefusal, match="limit 32, actual 20"):
        Sha256(b"x" * 20)


def test_a_commitment_covers_salt_and_data():
    salt = bytes(range(16))
    assert salted_commitment(salt, b"age1x").raw == hashlib.sha256(salt + b"age1x").digest()
    assert salted_commitment(salt[::-1], b"age1x") != salted_commitment(salt, b"age1x")


def test_a_salt_of_another_length_could_borrow_bytes_from_the_data_and_is_refused():
    with pytest.raises(DigestRefusal, match="limit 16, actual 15"):
        salted_commitment(b"x" * 15, b"y")


def test_a_salt_has_one_spelling():
    assert salt_from_hex("00" * 16) == bytes(16)
    with pytest.raises(DigestRefusal, match="32 lower-case"):
        salt_from_hex("AB" * 16)
