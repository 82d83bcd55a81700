"""Content identifiers, version 1, for exactly what this register stores: raw and dag-pb blocks under SHA-256.

Source: the CID, multihash, multicodec and multibase specifications (https://github.com/multiformats).
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from provenance.core.digest import DIGEST_BYTES, Sha256
from provenance.core.refusal import Refusal

IDENTITY_LIMIT = 128
TEXT_LIMIT = 256


class CidRefusal(Refusal):
    """A CID is malformed, or of a kind that is not accepted here."""


class Codec(IntEnum):
    """How the bytes of a block are read (multicodec)."""

    RAW = 0x55
    DAG_PB = 0x70


class HashFunction(IntEnum):
    """How a block is named (multihash). `IDENTITY` carries the block itself."""

    IDENTITY = 0x00
    SHA2_256 = 0x12


_OTHER_CODECS = {
    0x51: "cbor",
    0x71: "dag-cbor",
    0x72: "libp2p-key",
    0x78: "git-raw",
    0x85: "dag-jose",
    0x90: "eth-block",
    0x0129: "dag-json",
    0x0200: "json",
    0x0202: "car",
}
_OTHER_HASHES = {
    0x11: "sha1",
    0x13: "sha2-512",
    0x14: "sha3-512",
    0x16: "sha3-256",
    0x1B: "keccak-256",
    0x1E: "blake3",
    0xB220: "blake2b-256",
    0xD5: "md5",
}
_OTHER_BASES = {
    "f": "base16",
    "F": "base16 upper case",
    "B": "base32 upper case",
    "z": "base58btc",
    "k": "base36",
    "m": "base64",
    "u": "base64url",
    "v": "base32hex",
}
_BASE32 = re.compile(r"[a-z2-7]+")
_SHA256_PREFIXES = {codec: bytes([1, codec, HashFunction.SHA2_256, DIGEST_BYTES]) for codec in Codec}


@dataclass(frozen=True, slots=True, order=True)
class Cid:
    """A CIDv1. Text form: multibase `b` (base32, lower case, no padding). Equal CIDs have equal texts and bytes."""

    codec: Codec
    hash: HashFunction
    digest: bytes

    def __post_init__(self) -> None:
        match self.hash:
            case HashFunction.SHA2_256:
                if len(self.digest) != DIGEST_BYTES:
                    raise CidRefusal(
                        "cid.digest_length",
                        "A sha2-256 CID carries 32 bytes.",
                        limit=DIGEST_BYTES,
                        actual=len(self.digest),
                    )
            case HashFunction.IDENTITY:
                if len(self.digest) > IDENTITY_LIMIT:
                    raise CidRefusal(
                        "cid.identity_too_large",
                        "An identity CID carries too many bytes.",
                        limit=IDENTITY_LIMIT,
                        actual=len(self.digest),
                        todo="Store the block and name it by sha2-256.",
                    )

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview, codec: Codec = Codec.RAW) -> Self:
        """Return the sha2-256 CID of a block."""
        return cls(codec, HashFunction.SHA2_256, hashlib.sha256(data).digest())

    @classmethod
    def of_digest(cls, digest: Sha256, codec: Codec = Codec.RAW) -> Self:
        """Return the CID of the block whose SHA-256 is known."""
        return cls(codec, HashFunction.SHA2_256, digest.raw)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form. Other versions, bases, codecs and hashes are refused by name. Raises CidRefusal."""
        if len(text) > TEXT_LIMIT:
            raise CidRefusal("cid.too_long", "The text is too long for a CID.", limit=TEXT_LIMIT, actual=len(text))
        if text.startswith("Qm"):
            raise CidRefusal(
                "cid.version",
                "A CID of version 0 is not accepted.",
                limit="1",
                actual="0",
                todo="Convert it with `ipfs cid base32` and import the data under the profile unixfs-v1-2025.",
            )
        base, digits = text[:1], text[1:]
        if base in _OTHER_BASES:
            raise CidRefusal(
                "cid.base",
                "Only CIDs in lower-case base32 are accepted.",
                limit="base32",
                actual=_OTHER_BASES[base],
                todo="Convert it with `ipfs cid base32`.",
            )
        if base != "b" or _BASE32.fullmatch(digits) is None:
            raise CidRefusal("cid.text", "The text is not a CID in lower-case base32.", actual=text[:80])
        raw = _base32_decoded(digits, text)
        cid, end = cls.read(raw)
        if end != len(raw) or str(cid) != text:
            raise CidRefusal("cid.text", "The CID is followed by other bytes or padded wrongly.", actual=text[:80])
        return cid

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read the binary form, which must fill `raw` exactly. Raises CidRefusal."""
        cid, end = cls.read(raw)
        if end != len(raw):
            raise CidRefusal("cid.trailing", "The CID is followed by other bytes.", limit=end, actual=len(raw))
        return cid

    @classmethod
    def read(cls, raw: bytes | memoryview, start: int = 0) -> tuple[Self, int]:
        """Read a binary CID that begins at `start`; return it with the position behind it. Raises CidRefusal."""
        if raw[start : start + 2] == b"\x12\x20":
            raise CidRefusal("cid.version", "A CID of version 0 is not accepted.", limit="1", actual="0")
        version, at = read_varint(raw, start)
        if version != 1:
            raise CidRefusal("cid.version", "Only CIDs of version 1 are accepted.", limit="1", actual=version)
        codec_code, at = read_varint(raw, at)
        hash_code, at = read_varint(raw, at)
        length, at = read_varint(raw, at)
        codec, function = _known_codec(codec_code), _known_hash(hash_code)
        if function is HashFunction.IDENTITY and length > IDENTITY_LIMIT:
            raise CidRefusal(
                "cid.identity_too_large",
                "An identity CID carries too many bytes.",
                limit=IDENTITY_LIMIT,
                actual=length,
                todo="Store the block and name it by sha2-256.",
            )
        digest = bytes(raw[at : at + length])
        if len(digest) != length:
            raise CidRefusal("cid.truncated", "The CID ends too early.", limit=length, actual=len(digest))
        return cls(codec, function, digest), at + length

    @property
    def sha256(self) -> Sha256:
        """The digest of the block, whatever the hash function of the CID."""
        match self.hash:
            case HashFunction.SHA2_256:
                return Sha256(self.digest)
            case HashFunction.IDENTITY:
                return Sha256.of(self.digest)

    def __bytes__(self) -> bytes:
        if self.hash is HashFunction.SHA2_256:
            return _SHA256_PREFIXES[self.codec] + self.digest
        return b"\x01" + varint(self.codec) + varint(self.hash) + varint(len(self.digest)) + self.digest

    def __str__(self) -> str:
        return "b" + base64.b32encode(bytes(self)).decode("ascii").rstrip("=").lower()


def verify_block(cid: Cid, data: bytes | bytearray | memoryview) -> None:
    """Accept `data` only as the block that `cid` names; never trust who sent it. Raises CidRefusal."""
    match cid.hash:
        case HashFunction.SHA2_256:
            actual = hashlib.sha256(data).digest()
        case HashFunction.IDENTITY:
            actual = bytes(data)
    if actual != cid.digest:
        raise CidRefusal(
            "block.mismatch",
            "The bytes are not the block that the CID names.",
            limit=str(cid),
            actual=str(Cid.of(data, cid.codec)),
            todo="Fetch the block from another copy.",
        )


def varint(value: int) -> bytes:
    """Return `value` as an unsigned varint, least significant group first."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(raw: bytes | memoryview, at: int) -> tuple[int, int]:
    """Read an unsigned varint of at most nine bytes in its shortest form; return it with the position behind it.

    Raises CidRefusal.
    """
    value = shift = 0
    start = at
    while True:
        if at >= len(raw):
            raise CidRefusal("varint.truncated", "A varint ends too early.", actual=at - start)
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift >= 63:
            raise CidRefusal("varint.too_long", "A varint is longer than nine bytes.", limit=9)
    if byte == 0 and at - start > 1:
        raise CidRefusal("varint.not_minimal", "A varint is not in its shortest form.", actual=at - start)
    return value, at


def _base32_decoded(digits: str, text: str) -> bytes:
    try:
        return base64.b32decode(digits.upper() + "=" * (-len(digits) % 8))
    except ValueError as error:
        raise CidRefusal("cid.text", "The text is not a CID in lower-case base32.", actual=text[:80]) from error


def _known_codec(code: int) -> Codec:
    try:
        return Codec(code)
    except ValueError as error:
        raise CidRefusal(
            "cid.codec",
            "Only raw and dag-pb blocks are accepted.",
            limit="raw, dag-pb",
            actual=_OTHER_CODECS.get(code, hex(code)),
        ) from error


def _known_hash(code: int) -> HashFunction:
    try:
        return HashFunction(code)
    except ValueError as error:
        raise CidRefusal(
            "cid.hash", "Only sha2-256 names are accepted.", limit="sha2-256", actual=_OTHER_HASHES.get(code, hex(code))
        ) from error
