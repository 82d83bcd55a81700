"""The key ring: derivations that never change, signatures that others verify, identities that can be destroyed."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import pickle
import threading
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from eth_account import Account
from eth_account.messages import encode_typed_data

from provenance.adapters import keystore
from provenance.adapters.keystore import SeedKeyRing, open_keystore
from provenance.adapters.typed_data import typed_data_digest
from provenance.ports import KeyRefusal

SEED = bytes(range(32))
OWNER = "owner/7f0c1d52-9a1e-4c5b-8a44-2a5a5d7b3f10"
MAIL = {
    "types": {"Mail": [{"name": "to", "type": "address"}, {"name": "amount", "type": "uint256"},
                       {"name": "digests", "type": "bytes32[]"}]},
    "domain": {"name": "Cadastre", "version": "1", "chainId": "31337", "verifyingContract": "0x" + "11" * 20},
    "primaryType": "Mail",
    "message": {"to": "0x" + "22" * 20, "amount": str(2**256 - 1),
                "digests": ["0x" + "33" * 32]},
}  # fmt: skip


@pytest.fixture
def ring() -> SeedKeyRing:
    return SeedKeyRing(SEED)


@pytest.fixture(autouse=True)
def _light_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore, "SCRYPT_N", 2**4)


def test_evm_keys_follow_the_written_derivation(ring: SeedKeyRing) -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    mac = hmac.new(SEED, b"cadastre/evm/1/treasury", hashlib.sha512).digest()
    secret = int.from_bytes(mac) % (order - 1) + 1
    assert ring.address("treasury") == Account.from_key(secret.to_bytes(32)).address.lower()


def test_addresses_never_change(ring: SeedKeyRing) -> None:
    # Published: accounts on chain belong to these derivations.
    assert {path: ring.address(path) for path in ("treasury", "lane/relayer/0", OWNER)} == {
        "treasury": "0x5f1eb04e9753e487a8bed683ebc7d9057e59c70e",
        "lane/relayer/0": "0x85c4be153ab594f44588771f6a02e006ebfde6f4",
        OWNER: "0x13453f246aae1e30860b87435440984016c8cd2e",
    }


@pytest.mark.parametrize("path", ["", "owner/", "owner/../treasury", "lane/relayer/01", "root", "treasury/1"])
def test_a_path_outside_the_scheme_is_refused(ring: SeedKeyRing, path: str) -> None:
    with pytest.raises(KeyRefusal) as refused:
        ring.address(path)
    assert refused.value.code == "key.path"


def test_typed_data_with_decimal_strings_is_signed_as_integers(ring: SeedKeyRing) -> None:
    signed = ring.sign_typed_data(OWNER, MAIL)
    exact = json.loads(json.dumps(MAIL))
    exact["domain"]["chainId"] = 31337
    exact["message"]["amount"] = 2**256 - 1
    exact["types"]["EIP712Domain"] = [
        {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"},
    ]  # fmt: skip
    recovered = Account.recover_message(encode_typed_data(full_message=exact), signature=signed.signature)
    assert recovered.lower() == signed.signer == ring.address(OWNER)
    assert signed.digest == typed_data_digest(MAIL)


def test_typed_data_that_says_more_than_its_type_is_refused(ring: SeedKeyRing) -> None:
    with pytest.raises(KeyRefusal) as refused:
        ring.sign_typed_data(OWNER, {**MAIL, "message": {**MAIL["message"], "hidden": "1"}})
    assert refused.value.code == "typed_data.malformed"


def test_a_transaction_is_signed_for_its_chain(ring: SeedKeyRing) -> None:
    transaction = {
        "chainId": 31337, "nonce": 7, "to": "0x" + "11" * 20, "value": 0, "data": b"\x01\x02", "gas": 21_000,
        "maxFeePerGas": 2_000_000_000, "maxPriorityFeePerGas": 1_000_000_000,
    }  # fmt: skip
    signed = ring.sign_transaction("lane/relayer/0", transaction)
    assert Account.recover_transaction(signed.raw).lower() == ring.address("lane/relayer/0")
    assert ring.sign_transaction("lane/relayer/0", transaction) == signed


def test_service_and_log_sign_with_different_keys(ring: SeedKeyRing) -> None:
    assert ring.ed25519_public("service") != ring.ed25519_public("log")
    key = Ed25519PublicKey.from_public_bytes(ring.ed25519_public("log"))
    key.verify(ring.ed25519_sign("log", b"checkpoint"), b"checkpoint")
    with pytest.raises(KeyRefusal):
        ring.ed25519_public("owner")


def test_a_grant_is_an_age_file_that_holds_the_content_key(ring: SeedKeyRing) -> None:
    cleo = pyrage.x25519.Identity.generate()
    made = ring.make_identity()
    line = pyrage.decrypt(ring.grant_identity(made.wrapped, str(cleo.to_public())), [cleo]).decode().strip()
    content_key = pyrage.x25519.Identity.from_str(line)
    assert str(content_key.to_public()) == made.recipient
    assert line == ring.unwrap_identity(made.wrapped)
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(ring.grant_identity(made.wrapped, str(cleo.to_public())), [pyrage.x25519.Identity.generate()])


def test_a_grant_to_something_that_is_no_recipient_is_refused(ring: SeedKeyRing) -> None:
    with pytest.raises(KeyRefusal) as refused:
        ring.grant_identity(ring.make_identity().wrapped, "mallory@example.org")
    assert refused.value.code == "key.recipient"


def test_a_content_key_altered_or_from_another_seed_is_not_unwrapped(ring: SeedKeyRing) -> None:
    made = ring.make_identity()
    for wrapped in (
        made.wrapped[:-1] + bytes([made.wrapped[-1] ^ 1]),
        SeedKeyRing(os.urandom(32)).make_identity().wrapped,
    ):
        with pytest.raises(KeyRefusal) as refused:
            ring.unwrap_identity(wrapped)
        assert refused.value.code == "key.wrapped"


def test_nothing_secret_is_printed_pickled_or_exported_for_the_register(ring: SeedKeyRing) -> None:
    assert SEED.hex() not in repr(ring)
    assert "wrapped" not in repr(ring.make_identity())
    with pytest.raises(TypeError):
        pickle.dumps(ring)
    with pytest.raises(KeyRefusal) as refused:
        ring.export_key("treasury")
    assert refused.value.code == "key.not_exportable"
    assert Account.from_key(ring.export_key(OWNER)).address.lower() == ring.address(OWNER)


def test_the_key_store_opens_again_with_its_passphrase_only(tmp_path: Path) -> None:
    path = tmp_path / "keys/master.json"
    first = open_keystore(path, "correct horse")
    assert open_keystore(path, "correct horse").address("treasury") == first.address("treasury")
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(KeyRefusal) as refused:
        open_keystore(path, "wrong horse")
    assert refused.value.code == "key.passphrase"
    with pytest.raises(KeyRefusal):
        open_keystore(tmp_path / "other.json", "")


def test_two_processes_that_start_at_once_share_one_seed(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    addresses: set[str] = set()
    starts = [
        threading.Thread(target=lambda: addresses.add(open_keystore(path, "pass").address("treasury")))
        for _ in range(8)
    ]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(addresses) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["master.json"]


def test_a_damaged_key_store_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    path.write_text("{}")
    with pytest.raises(KeyRefusal) as refused:
        open_keystore(path, "pass")
    assert refused.value.code == "key.unreadable"
    assert path.read_text() == "{}"
