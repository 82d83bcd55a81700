"""CAR v1: blocks in a row, each with its CID, under a header that names the roots.

    varint(length) ‖ DAG-CBOR {"roots": [CID…], "version": 1} ‖ (varint(length) ‖ CID ‖ block)…

Written and read as a stream; a reader re-hashes every block. Source: the CARv1 specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from provenance.core.cid import Cid, CidRefusal, HashFunction, read_varint, varint, verify_block
from provenance.core.refusal import Refusal
from provenance.core.unixfs.profile import BLOCK_LIMIT

ROOTS_LIMIT = 16

_HEADER_LIMIT = 4096
_SECTION_LIMIT = BLOCK_LIMIT + 256
_ARRAY, _TAG_CID = 0x80, b"\xd8\x2a"
_ROOTS_KEY, _VERSION_PAIR = b"\xa2\x65roots", b"\x67version\x01"

Read = Callable[[int], bytes]
"""Returns up to n bytes, and no bytes at the end, as `file.read(n)` does."""


class CarRefusal(Refusal):
    """A CAR is malformed, of another version, or holds something other than its CIDs name."""


def car_header(roots: Sequence[Cid]) -> bytes:
    """Return the header section for 1 to 16 roots. Raises CarRefusal."""
    if not 1 <= len(roots) <= ROOTS_LIMIT:
        raise CarRefusal("car.roots", "A CAR names between one and 16 roots.", limit=ROOTS_LIMIT, actual=len(roots))
    body = _ROOTS_KEY + bytes([_ARRAY | len(roots)])
    for root in roots:
        if root.hash is not HashFunction.SHA2_256:
            raise CarRefusal(
                "car.roots", "A root of a CAR must be named by sha2-256.", limit="sha2-256", actual=str(root)
            )
        raw = b"\x00" + bytes(root)
        body += _TAG_CID + bytes([0x58, len(raw)]) + raw
    body += _VERSION_PAIR
    return varint(len(body)) + body


def car_section(cid: Cid, block: bytes | bytearray | memoryview) -> tuple[bytes, bytes | bytearray | memoryview]:
    """Return head and block of one section, apart, so that a large block is not copied to be written."""
    raw = bytes(cid)
    return varint(len(raw) + len(block)) + raw, block


def write_car(roots: Sequence[Cid], blocks: Iterable[tuple[Cid, bytes]]) -> Iterator[bytes]:
    """Yield the CAR in pieces."""
    yield car_header(roots)
    for cid, block in blocks:
        head, body = car_section(cid, block)
        yield head
        yield bytes(body)


class CarReader:
    """Reads the header at once; iterating yields (cid, block), each checked before it is handed out.

    Raises CarRefusal or CidRefusal.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        length = self._length(_HEADER_LIMIT, "header")
        if length is None:
            raise CarRefusal("car.empty", "The CAR is empty.", actual=0)
        self.roots = _roots(self._exactly(length))

    def __iter__(self) -> Iterator[tuple[Cid, bytes]]:
        while (length := self._length(_SECTION_LIMIT, "section")) is not None:
            section = self._exactly(length)
            cid, at = Cid.read(section)
            block = section[at:]
            verify_block(cid, block)
            yield cid, block

    def _length(self, limit: int, what: str) -> int | None:
        raw = b""
        while True:
            byte = self._read(1)
            if not byte:
                if raw:
                    raise CarRefusal("car.truncated", "The CAR ends in the middle of a length.", actual=len(raw))
                return None
            raw += byte
            if byte[0] < 0x80 or len(raw) > 9:
                break
        value, _ = read_varint(raw, 0)
        if not 0 < value <= limit:
            raise CarRefusal("car.length", f"A {what} of the CAR is empty or too long.", limit=limit, actual=value)
        return value

    def _exactly(self, length: int) -> bytes:
        pieces: list[bytes] = []
        missing = length
        while missing:
            piece = self._read(missing)
            if not piece:
                raise CarRefusal("car.truncated", "The CAR ends too early.", limit=length, actual=length - missing)
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)


def _roots(header: bytes) -> tuple[Cid, ...]:
    # The header is the only CBOR in a CAR, and has one shape; anything else is another version or another format.
    if header == b"\xa1\x67version\x02":
        raise CarRefusal("car.version", "A CAR of version 2 is not accepted.", limit=1, actual=2)
    if not header.startswith(_ROOTS_KEY) or not header.endswith(_VERSION_PAIR):
        raise CarRefusal("car.header", "The header is not that of a CAR of version 1.", actual=header[:40].hex())
    at = len(_ROOTS_KEY)
    count = header[at] & 0x1F
    if header[at] & 0xE0 != _ARRAY or not 1 <= count <= ROOTS_LIMIT:
        raise CarRefusal("car.roots", "A CAR names between one and 16 roots.", limit=ROOTS_LIMIT, actual=count)
    at += 1
    roots: list[Cid] = []
    for _ in range(count):
        if header[at : at + 3] != _TAG_CID + b"\x58" or header[at + 4 : at + 5] != b"\x00":
            raise CarRefusal("car.header", "The roots in the CAR's header are malformed.", actual=header[:40].hex())
        end = at + 4 + header[at + 3]
        roots.append(_root(header[at + 5 : end]))
        at = end
    if header[at:] != _VERSION_PAIR:
        raise CarRefusal("car.header", "The header is not that of a CAR of version 1.", actual=header[:40].hex())
    return tuple(roots)


def _root(raw: bytes) -> Cid:
    try:
        return Cid.from_bytes(raw)
    except CidRefusal as error:
        raise CarRefusal("car.header", f"A root in the CAR's header is refused: {error.message}") from error
