"""The keys of the register: one encrypted master seed in a file, everything else derived or wrapped.

    EVM       HMAC-SHA512(seed, "cadastre/evm/1/" ‖ path) mod (n − 1) + 1
    Ed25519   HMAC-SHA512(seed, "cadastre/ed25519/1/" ‖ name)[:32], name `service` or `log`
    wrapping  AES-256-GCM under HMAC-SHA512(seed, "cadastre/kek/1")[:32], nonce ‖ ciphertext

A backup of the file and its passphrase is a backup of every derived key. Age identities are random and wrapped one
by one, so that *erase* can destroy one of them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyrage
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eth_account import Account
from eth_account.signers.local import LocalAccount

from provenance.adapters.typed_data import signable
from provenance.ports import KeyRefusal, SignedTransaction, TypedSignature, WrappedIdentity

SEED_BYTES = 32
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**15, 8, 1
FORMAT = "cadastre.keystore/1"

_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_NONCE_BYTES = 12
_SALT_BYTES = 16
_PATH = re.compile(
    r"(?:owner|licensee|contributor)/[0-9A-Za-z-]{1,64}|lane/[a-z]{1,32}(?:/(?:0|[1-9]\d{0,3}))?|treasury|guardian|deployer"
)
_EXPORTABLE = re.compile(r"(?:owner|licensee|contributor)/.+")
_ED25519_NAMES = frozenset({"service", "log"})
_WRAP_CONTEXT = b"cadastre/age-identity/1"
_IDENTITY_PREFIX = "AGE-SECRET-KEY-1"


def open_keystore(path: Path | str, passphrase: str) -> SeedKeyRing:
    """Open the master seed, making it at the first start. Raises KeyRefusal."""
    if not passphrase:
        raise KeyRefusal(
            "key.passphrase", "The key store has no passphrase.",
            todo="Set CADASTRE_KEY_PASSPHRASE, or CADASTRE_KEY_PASSPHRASE_FILE to a file that holds it.",
        )  # fmt: skip
    file = Path(path)
    if not file.exists():
        _create(file, passphrase)
    return SeedKeyRing(_decrypt(file, passphrase))


class SeedKeyRing:
    """See KeyRing. Holds the seed in memory and nowhere else; prints nothing of it."""

    __slots__ = ("__seed", "_account")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise KeyRefusal("key.seed", "A master seed has 32 bytes.", limit=SEED_BYTES, actual=len(seed))
        self.__seed = seed
        # Public keys cost a curve multiplication each; a lane signs with the same key all day.
        self._account = lru_cache(maxsize=1024)(self._derived_account)

    def __repr__(self) -> str:
        return "SeedKeyRing(…)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("A key ring is not sent between processes.")

    def address(self, path: str) -> str:
        """See KeyRing."""
        return str(self._account(path).address).lower()

    def sign_typed_data(self, path: str, typed_data: Mapping[str, object]) -> TypedSignature:
        """See KeyRing."""
        account = self._account(path)
        signed = account.sign_message(signable(typed_data))
        return TypedSignature(
            signer=str(account.address).lower(),
            digest="0x" + bytes(signed.message_hash).hex(),
            signature="0x" + bytes(signed.signature).hex(),
        )

    def sign_transaction(self, path: str, transaction: Mapping[str, object]) -> SignedTransaction:
        """See KeyRing."""
        fields: dict[str, Any] = {**transaction, "type": 2}
        signed = self._account(path).sign_transaction(fields)
        return SignedTransaction(hash="0x" + bytes(signed.hash).hex(), raw=bytes(signed.raw_transaction))

    def export_key(self, path: str) -> str:
        """See KeyRing. Only keys of people leave; the register's own do not."""
        if _EXPORTABLE.fullmatch(path) is None:
            raise KeyRefusal("key.not_exportable", "Only the keys of an account can be exported.", actual=path)
        return "0x" + bytes(self._account(path).key).hex()

    def ed25519_public(self, name: str) -> bytes:
        """See KeyRing."""
        return self._ed25519(name).public_key().public_bytes_raw()

    def ed25519_sign(self, name: str, message: bytes) -> bytes:
        """See KeyRing."""
        return self._ed25519(name).sign(message)

    def make_identity(self) -> WrappedIdentity:
        """See KeyRing."""
        identity = pyrage.x25519.Identity.generate()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = nonce + self._wrapping().encrypt(nonce, str(identity).encode(), _WRAP_CONTEXT)
        return WrappedIdentity(recipient=str(identity.to_public()), wrapped=wrapped)

    def unwrap_identity(self, wrapped: bytes) -> str:
        """See KeyRing."""
        try:
            line = self._wrapping().decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _WRAP_CONTEXT).decode()
        except (InvalidTag, ValueError) as error:
            raise KeyRefusal(
                "key.wrapped", "A content key cannot be unwrapped: altered, or wrapped under another master seed.",
                todo="Restore the key store that belongs to this database.",
            ) from error  # fmt: skip
        if not line.startswith(_IDENTITY_PREFIX):
            raise KeyRefusal("key.wrapped", "What was unwrapped is not an age identity.")
        return line

    def grant_identity(self, wrapped: bytes, recipient: str) -> bytes:
        """See KeyRing."""
        try:
            reader = pyrage.x25519.Recipient.from_str(recipient)
        except pyrage.RecipientError as error:
            raise KeyRefusal(
                "key.recipient", "The recipient is not an age X25519 recipient.", limit="age1…", actual=recipient[:80],
                todo="Make one with `cadastre login` or `age-keygen`.",
            ) from error  # fmt: skip
        line = self.unwrap_identity(wrapped)
        return bytes(pyrage.encrypt(line.encode() + b"\n", [reader]))

    def _derived_account(self, path: str) -> LocalAccount:
        if _PATH.fullmatch(path) is None:
            raise KeyRefusal("key.path", "There is no key of that name.", actual=path[:120])
        secret = int.from_bytes(self._derive(b"cadastre/evm/1/" + path.encode())) % (_CURVE_ORDER - 1) + 1
        return Account.from_key(secret.to_bytes(32))

    def _ed25519(self, name: str) -> Ed25519PrivateKey:
        if name not in _ED25519_NAMES:
            raise KeyRefusal("key.path", "There is no Ed25519 key of that name.", actual=name[:120])
        return Ed25519PrivateKey.from_private_bytes(self._derive(b"cadastre/ed25519/1/" + name.encode())[:32])

    def _wrapping(self) -> AESGCM:
        return AESGCM(self._derive(b"cadastre/kek/1")[:32])

    def _derive(self, context: bytes) -> bytes:
        return hmac.new(self.__seed, context, hashlib.sha512).digest()


def _create(file: Path, passphrase: str) -> None:
    seed, salt = secrets.token_bytes(SEED_BYTES), secrets.token_bytes(_SALT_BYTES)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    kdf: dict[str, object] = {"name": "scrypt", "n": SCRYPT_N, "r": SCRYPT_R, "p": SCRYPT_P, "salt": salt.hex()}
    sealed = AESGCM(_stretched(passphrase, kdf)).encrypt(nonce, seed, FORMAT.encode())
    content = {"format": FORMAT, "kdf": kdf, "nonce": nonce.hex(), "sealed": sealed.hex()}
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w") as writer:
            json.dump(content, writer, indent=2)
            writer.flush()
            os.fsync(writer.fileno())
        # A link never replaces: of two processes that start at once one seed wins, and both use it.
        with suppress(FileExistsError):
            os.link(temporary, file)
    finally:
        Path(temporary).unlink()


def _decrypt(file: Path, passphrase: str) -> bytes:
    try:
        content = json.loads(file.read_text())
        if content["format"] != FORMAT:
            raise KeyRefusal("key.format", "The key store has another format.", limit=FORMAT, actual=content["format"])
        key = _stretched(passphrase, content["kdf"])
        return AESGCM(key).decrypt(bytes.fromhex(content["nonce"]), bytes.fromhex(content["sealed"]), FORMAT.encode())
    except InvalidTag as error:
        raise KeyRefusal(
            "key.passphrase", "The passphrase does not open the key store.", todo="Check CADASTRE_KEY_PASSPHRASE."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise KeyRefusal(
            "key.unreadable", f"The key store {file.name} cannot be read.", todo="Restore it from a backup."
        ) from error


def _stretched(passphrase: str, kdf: Mapping[str, object]) -> bytes:
    if kdf["name"] != "scrypt":
        raise KeyRefusal(
            "key.format", "The key store uses another key derivation.", limit="scrypt", actual=str(kdf["name"])
        )
    n, r, p = (int(str(kdf[name])) for name in ("n", "r", "p"))
    return hashlib.scrypt(
        passphrase.encode(), salt=bytes.fromhex(str(kdf["salt"])), n=n, r=r, p=p, dklen=32, maxmem=256 * n * r
    )
