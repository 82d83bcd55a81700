"""Entries of the log: a statement, its signatures, and the index of the latest entry about the same subject.

The RFC 6962 leaf is the canonical form of all of it. The service signs Ed25519, people sign EIP-712, bound to chain and
contract. Entries hold digests only, so the entry bundles alone rebuild everything that the register ever said.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from provenance.core.caip import Account
from provenance.core.canonical import Json, document_bytes, parse_canonical
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.merkle import leaf_hash
from provenance.core.refusal import Refusal
from provenance.core.statement import Statement, StatementType
from provenance.core.typed_data import SECP256K1_ORDER, Domain, StructType, TypedData

SCHEMA = "cadastre.entry/1"
ENTRY_LIMIT = 16_384
SIGNATURES_LIMIT = 16

_HEX32 = re.compile(r"[0-9a-f]{64}")
_HEX = re.compile(r"0x(?:[0-9a-f]{2}){1,4096}")
_ROLE = re.compile(r"[a-z]+(?:-[a-z]+)*")
_RIGHTS = StructType("RightsAttestation(address owner,bytes32 manifest)")


class EntryRefusal(Refusal):
    """An entry is malformed, too long, or not signed as entries are."""


@dataclass(frozen=True, slots=True)
class ServiceSignature:
    """The register's own word: Ed25519 over the statement's signed bytes. `key` and `signature` are raw bytes."""

    key: bytes
    signature: bytes

    def to_document(self) -> dict[str, Json]:
        return {
            "role": "service",
            "alg": "ed25519",
            "key": self.key.hex(),
            "signature": base64.b64encode(self.signature).decode(),
        }

    def verify(self, statement: Statement, pinned: bytes) -> None:
        """Accept only the signature of the pinned key over this statement. Raises EntryRefusal."""
        if self.key != pinned:
            raise EntryRefusal(
                "entry.service_key",
                "The statement is signed by another service.",
                limit=pinned.hex(),
                actual=self.key.hex(),
            )
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(self.signature, statement.signed_bytes)
        except (InvalidSignature, ValueError) as error:
            raise EntryRefusal("entry.service_signature", "The service's signature is wrong.") from error


@dataclass(frozen=True, slots=True)
class PersonSignature:
    """Somebody's EIP-712 signature over the typed-data hash `digest`: 65 bytes r ‖ s ‖ v; contract wallets' differ."""

    role: str
    signer: Account
    digest: bytes
    signature: bytes

    def to_document(self) -> dict[str, Json]:
        return {
            "role": self.role,
            "alg": "eip712",
            "signer": str(self.signer),
            "digest": "0x" + self.digest.hex(),
            "signature": "0x" + self.signature.hex(),
        }

    @property
    def is_of_a_key(self) -> bool:
        """Whether it is a key's own signature; a contract wallet's (ERC-1271) can only be asked on chain."""
        return len(self.signature) == 65

    def verify(self) -> None:
        """Accept only a low-s signature over `digest` by the key of `signer`. Raises EntryRefusal."""
        r, s = int.from_bytes(self.signature[:32]), int.from_bytes(self.signature[32:64])
        recovery = self.signature[64] - 27 if self.is_of_a_key else -1
        if recovery not in {0, 1} or s > SECP256K1_ORDER // 2:
            raise EntryRefusal("entry.signature_form", "The signature is not 65 bytes with low s and v 27 or 28.")
        # Here, because eth_keys takes longer to load than most commands to run.
        from eth_keys.datatypes import Signature as EthSignature

        try:
            key = EthSignature(vrs=(recovery, r, s)).recover_public_key_from_msg_hash(self.digest)
        except Exception as error:
            raise EntryRefusal("entry.signature", "The signature is not one of any key.") from error
        if key.to_address() != self.signer.address:
            raise EntryRefusal(
                "entry.signer", "Another key signed.", limit=self.signer.address, actual=key.to_address()
            )


Signature = ServiceSignature | PersonSignature


@dataclass(frozen=True, slots=True)
class Entry:
    """One leaf of the log."""

    statement: Statement
    signatures: tuple[Signature, ...]
    previous: int | None

    def __post_init__(self) -> None:
        services = sum(isinstance(signature, ServiceSignature) for signature in self.signatures)
        if services != 1:
            raise EntryRefusal(
                "entry.signatures", "An entry has one signature of the service.", limit=1, actual=services
            )
        if len(self.signatures) > SIGNATURES_LIMIT:
            raise EntryRefusal(
                "entry.signatures",
                "An entry has too many signatures.",
                limit=SIGNATURES_LIMIT,
                actual=len(self.signatures),
            )
        if self.previous is not None and self.previous < 0:
            raise EntryRefusal("entry.previous", "The previous entry has no such index.", actual=self.previous)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the bytes of a leaf, which must be canonical. Raises EntryRefusal and what its parts raise."""
        fields = Fields.of(
            parse_canonical(data, limit=ENTRY_LIMIT), "entry", ("statement", "signatures", "previous"), schema=SCHEMA
        )
        return cls(
            Statement.from_document(fields.members["statement"]),
            tuple(map(signature_from_document, fields.items("signatures", most=SIGNATURES_LIMIT))),
            fields.integer_or_none("previous"),
        )

    def to_bytes(self) -> bytes:
        """Return the leaf: canonical, at most 16 KiB. Raises CanonicalRefusal."""
        document: dict[str, Json] = {
            "schema": SCHEMA,
            "statement": self.statement.to_document(),
            "signatures": [signature.to_document() for signature in self.signatures],
            "previous": self.previous,
        }
        return document_bytes(document, limit=ENTRY_LIMIT)

    @property
    def leaf_hash(self) -> bytes:
        """The RFC 6962 hash of the leaf."""
        return leaf_hash(self.to_bytes())

    @property
    def service(self) -> ServiceSignature:
        """The service's signature."""
        return next(each for each in self.signatures if isinstance(each, ServiceSignature))

    @property
    def people(self) -> tuple[PersonSignature, ...]:
        """The signatures of people, in order."""
        return tuple(each for each in self.signatures if isinstance(each, PersonSignature))


def make_entry(
    statement: Statement,
    *,
    key: bytes,
    sign: Callable[[bytes], bytes],
    previous: int | None,
    people: tuple[PersonSignature, ...] = (),
) -> Entry:
    """Return the signed entry of a statement of a known type, whose people's signatures are checked first.

    `sign` is raw Ed25519 under the public key `key`. Raises StatementRefusal, EntryRefusal.
    """
    statement.check()
    check_people(statement, people)
    service = ServiceSignature(key, sign(statement.signed_bytes))
    service.verify(statement, key)
    return Entry(statement, (service, *people), previous)


def check_people(statement: Statement, people: tuple[PersonSignature, ...]) -> None:
    """Refuse a key's signature that is wrong, and rights attested by somebody other than the owner named.

    Raises EntryRefusal.
    """
    for signature in people:
        if signature.is_of_a_key:
            signature.verify()
    if statement.type != StatementType.RIGHTS_ATTESTED:
        return
    owner = Account.parse(str(statement.body["owner"]))
    owners = [each for each in people if each.role == "owner" and each.signer == owner]
    if not owners:
        raise EntryRefusal(
            "entry.unattested", "Rights are attested by the owner's signature.", limit=str(owner), actual=len(people)
        )


def rights_attestation(domain: Domain, owner: str, manifest: Sha256) -> TypedData:
    """Return what an owner signs for `rights.attested`: that the rights stated in this manifest are theirs to state.

    `domain` is the registry's; `owner` a lower-case address.
    """
    return TypedData(domain, _RIGHTS, {"owner": owner, "manifest": manifest.raw})


def signature_from_document(value: Json) -> Signature:
    """Read a signature of an entry. Raises EntryRefusal, FieldRefusal, CaipRefusal."""
    algorithm = value.get("alg") if isinstance(value, Mapping) else None
    match algorithm:
        case "ed25519":
            fields = Fields.of(value, "signature", ("role", "alg", "key", "signature"))
            if fields.members["role"] != "service":
                raise EntryRefusal(
                    "entry.role", "Only the service signs Ed25519.", actual=str(fields.members["role"])[:40]
                )
            key = fields.matching("key", _HEX32, "a key of 64 lower-case hex digits")
            return ServiceSignature(bytes.fromhex(key), _base64(fields.text("signature", most=100)))
        case "eip712":
            fields = Fields.of(value, "signature", ("role", "alg", "signer", "digest", "signature"))
            return PersonSignature(
                fields.matching("role", _ROLE, "a role"),
                fields.account("signer"),
                bytes.fromhex(fields.hash32("digest")[2:]),
                bytes.fromhex(fields.matching("signature", _HEX, "bytes of 0x and lower-case hex digits")[2:]),
            )
        case _:
            raise EntryRefusal(
                "entry.algorithm",
                "The signature is of no known algorithm.",
                limit="ed25519, eip712",
                actual=str(algorithm)[:40],
            )


def _base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EntryRefusal("entry.base64", "The signature is not base64.", actual=text[:80]) from error
    if base64.b64encode(raw).decode() != text:
        raise EntryRefusal("entry.base64", "The signature is not in its canonical base64.", actual=text[:80])
    return raw
