"""What must not be pinned: known malware, programs among data, and secrets that somebody forgot.

Scanners are fed while the bytes are read for other reasons, so that each byte is read once.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ahocorasick_rs import BytesAhoCorasick, MatchKind

from provenance.ports import Finding, Scan, Scanner, ScannerRefusal

# Split, so that scanning this file does not quarantine it.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + rb"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"

_OVERLAP = 512
_HEAD = 4096
_PE_POINTER = 0x3C
_EXECUTABLE_MAGIC = {
    b"\x7fELF": "an ELF program",
    b"\xfe\xed\xfa\xce": "a Mach-O program",
    b"\xfe\xed\xfa\xcf": "a Mach-O program",
    b"\xce\xfa\xed\xfe": "a Mach-O program",
    b"\xcf\xfa\xed\xfe": "a Mach-O program",
    b"\xca\xfe\xba\xbe": "a Mach-O program or a Java class",
    b"dex\n": "an Android program",
    b"\x00asm\x01\x00\x00\x00": "a WebAssembly program",
}


@dataclass(frozen=True, slots=True)
class _Pattern:
    # All needles are looked for at once, at memory speed; the expression runs only over what holds its needle.
    needle: bytes
    expression: re.Pattern[bytes]
    code: str
    message: str


_PATTERNS = (
    _Pattern(EICAR, re.compile(re.escape(EICAR)), "malware.eicar", "contains the EICAR anti-virus test file"),
    _Pattern(
        # Prose about keys shows the line alone; a key has its Base64 behind it.
        b"PRIVATE KEY",
        re.compile(
            rb"-----BEGIN [A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----\s{1,4}(?:[A-Za-z-]{1,30}: [^\n]{0,120}\s{1,4}){0,4}"
            rb"[A-Za-z0-9+/=]{40}"
        ),
        "secret.private_key", "contains a private key",
    ),
    _Pattern(
        b"SECRET-KEY-1", re.compile(rb"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
        "secret.age_identity", "contains an age identity",
    ),
    _Pattern(b"AKIA", re.compile(rb"\bAKIA[0-9A-Z]{16}\b"), "secret.aws_key", "contains an AWS access key id"),
    _Pattern(b"ghp_", re.compile(rb"\bghp_[0-9A-Za-z]{36}\b"), "secret.github_token", "contains a GitHub token"),
    _Pattern(
        b"github_pat_", re.compile(rb"\bgithub_pat_[0-9A-Za-z_]{82}\b"),
        "secret.github_token", "contains a GitHub token",
    ),
    _Pattern(
        b"xoxb-", re.compile(rb"\bxoxb-\d{10,13}-\d{10,13}-[0-9A-Za-z]{24}\b"),
        "secret.slack_token", "contains a Slack token",
    ),
)  # fmt: skip

# Found needles never overlap, so none may begin inside another one: "AGE-SECRET-KEY-1" behind "AKI" would be missed.
# This kind of match, unlike the default one, searches by vectors.
_NEEDLES = BytesAhoCorasick([pattern.needle for pattern in _PATTERNS], MatchKind.LeftmostFirst)


class SignatureScanner:
    """The checks that need nothing installed: signatures, program headers, secrets."""

    name = "signatures"

    def scan(self, path: str) -> Scan:
        """See Scanner."""
        return _SignatureScan(path)


class ClamdScanner:
    """A ClamAV daemon, by `host:port` or the path of its socket. `timeout` is seconds per answer."""

    name = "clamd"

    def __init__(self, address: str, *, timeout: float = 60.0) -> None:
        self._address = address
        self._timeout = timeout

    def scan(self, path: str) -> Scan:
        """See Scanner."""
        return _ClamdScan(self._address, path, self._timeout)


class AllScanners:
    """Several scanners over the same bytes. An empty set is refused: nothing checked is not nothing found."""

    def __init__(self, scanners: Sequence[Scanner]) -> None:
        if not scanners:
            raise ScannerRefusal("scanner.none", "No scanner is configured.", limit=1, actual=0)
        self._scanners = tuple(scanners)
        self.name = "+".join(scanner.name for scanner in scanners)

    def scan(self, path: str) -> Scan:
        """See Scanner."""
        return _AllScans([scanner.scan(path) for scanner in self._scanners])


class _AllScans:
    def __init__(self, scans: Sequence[Scan]) -> None:
        self._scans = scans

    def feed(self, chunk: bytes) -> None:
        for scan in self._scans:
            scan.feed(chunk)

    def finish(self) -> tuple[Finding, ...]:
        return tuple(finding for scan in self._scans for finding in scan.finish())


class _SignatureScan:
    def __init__(self, path: str) -> None:
        self._path = path
        self._head = b""
        self._tail = b""
        self._read = 0
        self._findings: dict[str, Finding] = {}

    def feed(self, chunk: bytes) -> None:
        if len(self._head) < _HEAD:
            self._head += bytes(chunk[: _HEAD - len(self._head)])
        self._search(self._tail + chunk if self._tail else chunk, self._read - len(self._tail))
        self._read += len(chunk)
        # What begins at the end of one chunk is found with the next; finding it twice is finding it once.
        self._tail = bytes((self._tail + chunk)[-_OVERLAP:]) if len(chunk) < _OVERLAP else bytes(chunk[-_OVERLAP:])

    def finish(self) -> tuple[Finding, ...]:
        program = _program(self._head)
        found = tuple(self._findings.values())
        if program is None:
            return found
        return (Finding("program.header", f"The file is {program}, not data.", 0), *found)

    def _search(self, window: bytes, offset: int) -> None:
        seen = {number for number, _, _ in _NEEDLES.find_matches_as_indexes(window)}
        for number in sorted(seen):
            pattern = _PATTERNS[number]
            if pattern.code in self._findings:
                continue
            match = pattern.expression.search(window)
            if match is not None:
                self._findings[pattern.code] = Finding(
                    pattern.code, f"The file {pattern.message}.", offset + match.start()
                )


class _ClamdScan:
    """INSTREAM of clamd(8): length-prefixed chunks, closed by an empty one."""

    def __init__(self, address: str, path: str, timeout: float) -> None:
        self._address, self._path = address, path
        try:
            self._socket = _connect(address, timeout)
            self._socket.sendall(b"zINSTREAM\0")
        except OSError as error:
            raise self._down(error) from error

    def feed(self, chunk: bytes) -> None:
        if not chunk:
            return
        try:
            self._socket.sendall(struct.pack(">I", len(chunk)))
            self._socket.sendall(chunk)
        except OSError as error:
            # The daemon hangs up when its stream limit is exceeded, after saying so.
            raise self._hung_up(error) from error

    def finish(self) -> tuple[Finding, ...]:
        try:
            with self._socket:
                self._socket.sendall(b"\0\0\0\0")
                answer = self._answer()
        except OSError as error:
            raise self._down(error) from error
        if answer.endswith(" OK"):
            return ()
        if answer.endswith(" FOUND"):
            name = answer.removeprefix("stream: ").removesuffix(" FOUND")
            return (Finding("malware.clamd", f"The virus scanner found {name}."),)
        raise self._refused(answer)

    def _answer(self) -> str:
        pieces: list[bytes] = []
        while piece := self._socket.recv(4096):
            pieces.append(piece)
            if piece.endswith(b"\0"):
                break
        return b"".join(pieces).rstrip(b"\0").decode("utf-8", "replace").strip()

    def _hung_up(self, error: OSError) -> ScannerRefusal:
        with self._socket:
            try:
                answer = self._answer()
            except OSError:
                answer = ""
        return self._refused(answer) if answer else self._down(error)

    def _refused(self, answer: str) -> ScannerRefusal:
        if "size limit exceeded" in answer:
            return ScannerRefusal(
                "scanner.too_large", "The file is larger than the virus scanner accepts.", actual=answer,
                todo="Raise StreamMaxLength in clamd.conf; the file waits.",
            )  # fmt: skip
        return ScannerRefusal("scanner.answer", "The virus scanner answered something else.", actual=answer[:200])

    def _down(self, error: OSError) -> ScannerRefusal:
        return ScannerRefusal(
            "scanner.down", f"The virus scanner at {self._address} is unreachable: {error}.",
            todo="Start clamd or unset CADASTRE_CLAMD; files wait until then.",
        )  # fmt: skip


def _connect(address: str, timeout: float) -> socket.socket:
    if address.startswith("/"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        connection.connect(address)
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout)


def _program(head: bytes) -> str | None:
    for magic, name in _EXECUTABLE_MAGIC.items():
        if head.startswith(magic):
            return name
    # "MZ" also begins ordinary text; a Windows program has its second header where the first one says.
    if head.startswith(b"MZ") and len(head) >= _PE_POINTER + 4:
        at = int.from_bytes(head[_PE_POINTER : _PE_POINTER + 4], "little")
        if head[at : at + 4] == b"PE\0\0":
            return "a Windows program"
    return None
