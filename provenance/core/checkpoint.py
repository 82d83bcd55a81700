"""Signed checkpoints of a log: C2SP signed notes with Ed25519 keys, and the checkpoint inside them.

Sources: c2sp.org/signed-note, c2sp.org/tlog-checkpoint. Text is ignored until a known key's signature is verified.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from provenance.core.digest import DIGEST_BYTES
from provenance.core.refusal import Refusal

ED25519 = 0x01
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_BYTES = 4
NOTE_LIMIT = 65_536
SIGNATURES_LIMIT = 32

SignBytes = Callable[[bytes], bytes]
"""Returns the raw Ed25519 signature, 64 bytes, over a message."""

_DASH = "— "  # em dash, as the specification wants it
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class CheckpointRefusal(Refusal):
    """A note or a checkpoint is malformed, or not signed by a key that is trusted here."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A name and an Ed25519 public key; text form `name+keyid+base64(0x01 ‖ key)`."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(character.isspace() for character in self.name):
            raise CheckpointRefusal(
                "vkey.name", "A key name is empty or contains a space or '+'.", actual=self.name[:80]
            )
        if len(self.public_key) != PUBLIC_KEY_BYTES:
            raise CheckpointRefusal(
                "vkey.key", "An Ed25519 public key has 32 bytes.", limit=PUBLIC_KEY_BYTES, actual=len(self.public_key)
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form; another algorithm or an id that is not the key's own is refused."""
        parts = text.strip().split("+", 2)
        raw = _decoded(parts[2], "vkey.text") if len(parts) == 3 else b""
        if not raw:
            raise CheckpointRefusal("vkey.text", "A verifier key reads name+id+base64.", actual=text[:80])
        if raw[0] != ED25519:
            raise CheckpointRefusal("vkey.algorithm", "Only Ed25519 keys are accepted.", limit=ED25519, actual=raw[0])
        key = cls(parts[0], raw[1:])
        if key.key_id.hex() != parts[1]:
            raise CheckpointRefusal(
                "vkey.id",
                "The key's id is not the id of this name and key.",
                limit=key.key_id.hex(),
                actual=parts[1][:16],
            )
        return key

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ key): a hint, not a proof."""
        encoded = self.name.encode() + b"\n" + bytes([ED25519]) + self.public_key
        return hashlib.sha256(encoded).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        key = base64.b64encode(bytes([ED25519]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: origin, number of entries, RFC 6962 root. Extension lines are refused: nobody audits them."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not self.origin or "\n" in self.origin or _CONTROL.search(self.origin):
            raise CheckpointRefusal("checkpoint.origin", "An origin is one line of text.", actual=self.origin[:80])
        if self.size < 0:
            raise CheckpointRefusal("checkpoint.size", "A log cannot have fewer than no entries.", actual=self.size)
        if len(self.root) != DIGEST_BYTES:
            raise CheckpointRefusal(
                "checkpoint.root", "A root has 32 bytes.", limit=DIGEST_BYTES, actual=len(self.root)
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a note whose signature has been verified. Raises CheckpointRefusal."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise CheckpointRefusal(
                "checkpoint.lines", "A checkpoint has three lines: origin, size, root.", limit=3, actual=len(lines) - 1
            )
        origin, size, root = lines[:3]
        if _DECIMAL.fullmatch(size) is None:
            raise CheckpointRefusal("checkpoint.size", "The size is not a plain decimal number.", actual=size[:40])
        return cls(origin, int(size), _decoded(root, "checkpoint.root"))

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, key: VerifierKey, sign: SignBytes) -> str:
    """Return the signed note. `sign` holds the private key of `key`; its signature is checked before it is used."""
    return sign_note(checkpoint.text, key, sign)


def open_checkpoint(note: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Return the checkpoint inside a note that one of `keys` signed, if its origin is that key's name.

    Raises CheckpointRefusal.
    """
    text, signers = open_note(note, keys)
    checkpoint = Checkpoint.parse(text)
    if checkpoint.origin not in {key.name for key in signers}:
        raise CheckpointRefusal(
            "checkpoint.origin",
            "The checkpoint is of another log than the key that signed it.",
            limit=signers[0].name,
            actual=checkpoint.origin,
        )
    return checkpoint


def sign_note(text: str, key: VerifierKey, sign: SignBytes) -> str:
    """Return `text` as a signed note with one signature. Raises CheckpointRefusal."""
    _check_text(text)
    signature = sign(text.encode())
    _verify(key, text, signature)
    return f"{text}\n{_DASH}{key.name} {base64.b64encode(key.key_id + signature).decode()}\n"


def open_note(note: str, keys: Sequence[VerifierKey]) -> tuple[str, list[VerifierKey]]:
    """Return the text of a note and those of `keys` that signed it, at least one.

    Signatures of unknown keys are ignored; a wrong signature of a known key spoils the whole note.
    Raises CheckpointRefusal.
    """
    if not keys:
        raise CheckpointRefusal("note.no_keys", "Without a trusted key no note can be believed.", todo="Pin a key.")
    if len(note.encode("utf-8", "surrogatepass")) > NOTE_LIMIT:
        raise CheckpointRefusal("note.too_large", "The note is too large.", limit=NOTE_LIMIT, actual=len(note))
    text, separator, tail = note.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise CheckpointRefusal("note.shape", "A note is a text, an empty line, and signature lines.")
    text += "\n"
    _check_text(text)
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_LIMIT:
        raise CheckpointRefusal(
            "note.signatures", "The note has too many signatures.", limit=SIGNATURES_LIMIT, actual=len(lines)
        )
    known = {(key.name, key.key_id): key for key in keys}
    signers: list[VerifierKey] = []
    for name, key_id, signature in map(_signature_line, lines):
        key = known.get((name, key_id))
        if key is None or key in signers:
            continue
        _verify(key, text, signature)
        signers.append(key)
    if not signers:
        raise CheckpointRefusal(
            "note.unsigned",
            "No trusted key signed the note.",
            limit=", ".join(sorted(key.name for key in keys)),
            todo="Pin the key published by the log, from a source that you trust.",
        )
    return text, signers


def _signature_line(line: str) -> tuple[str, bytes, bytes]:
    parts = line.removeprefix(_DASH).split(" ") if line.startswith(_DASH) else []
    raw = _decoded(parts[1], "note.signature") if len(parts) == 2 else b""
    if not raw[KEY_ID_BYTES:] or not parts[0] or "+" in parts[0]:
        raise CheckpointRefusal("note.signature", "A signature line of the note is malformed.", actual=line[:80])
    return parts[0], raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:]


def _verify(key: VerifierKey, text: str, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, text.encode())
    except (InvalidSignature, ValueError) as error:
        raise CheckpointRefusal(
            "note.wrong_signature", "The signature of a trusted key is wrong.", actual=key.name
        ) from error


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CheckpointRefusal("note.text", "The text of a note is not valid UTF-8.") from error
    if not text.endswith("\n") or _CONTROL.search(text):
        raise CheckpointRefusal("note.text", "The text of a note ends in a newline and has no control characters.")


def _decoded(text: str, code: str) -> bytes:
    """Decode base64 in its one canonical spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointRefusal(code, "The text is not base64.", actual=text[:80]) from error
    if base64.b64encode(raw).decode() != text:
        raise CheckpointRefusal(code, "The base64 is not in its canonical spelling.", actual=text[:80])
    return raw
