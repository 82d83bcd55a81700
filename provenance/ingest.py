"""What is found out about each file before anything of it is stored: digest, safety, fingerprint, preview.

For every file, in any worker, safe twice and twice at once (`inspect_due`):

1. A thread reads the file once, in pieces of 1 MiB: every piece goes to SHA-256, to the scanner and, for open data,
   into the UnixFS hasher. What a client hashed before sending is compared.
2. Meanwhile the fingerprint is made from the same bytes, which the system still holds in memory, and kept in parts.
3. Then the preview; of Parquet and Arrow in a limited process, since a few hundred bytes of them can ask for gigabytes.
4. Whatever is finished is kept in the row, so that a killed worker's successor goes on instead of starting again.

A file in which the scanner finds something is quarantined here, long before anything is pinned. Sealed data is sealed
in a second pass after the copy check (`packaging`): its ciphertext would be worthless if the check stopped it, and its
plaintext must not reach the store. Memory is a few pieces, whatever the size of the file.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from provenance import bootstrap, previews
from provenance.core.refusal import Refusal
from provenance.core.unixfs.file import FileHasher
from provenance.core.unixfs.profile import Node
from provenance.fingerprints.records import TextDocument
from provenance.fingerprints.registry import ALGORITHMS, FingerprintRefusal, Kind, sketch_file, sniff_kind, to_bytes
from provenance.fingerprints.sandbox import run_limited
from provenance.leases import ATTEMPTS, Clock, Lease, LeaseLost, free, take
from provenance.limits import content_limits, preview_dir
from provenance.media import HEAD_BYTES, Media, sniff_media
from provenance.models import FileState, FingerprintRow, SubmissionState, SubmittedFile
from provenance.paths import shown
from provenance.ports import Finding, Scanner, ScannerRefusal
from provenance.uploads import scratch_path

PIECE = 1_048_576
PART = 4 * 1_048_576
SALT_BYTES = 16
LINE_FEED = 0x0A
PREVIEW_MEMORY = 512 * 1_048_576
PREVIEW_SECONDS = 20

_INSPECTABLE = (SubmissionState.UPLOADING, SubmissionState.CHECKING)
_LINES = "application/jsonl"
COLUMNAR = frozenset({"application/vnd.apache.parquet", "application/vnd.apache.arrow.file"})


class IngestRefusal(Refusal):
    """A file is not taken in."""


class Quarantined(IngestRefusal):
    """The scanner found something that must not be stored for ever."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pass over a file found: SHA-256 (hex), bytes, lines, the scanner's findings, and open data's DAG."""

    sha256: str
    size: int
    lines: int
    findings: tuple[Finding, ...]
    node: Node | None


def due_count(*, now: datetime) -> int:
    """Return how many files wait to be inspected or stored and are worked on by nobody."""
    waiting = SubmittedFile.objects.filter(free(now), state=FileState.UPLOADED, submission__state__in=_INSPECTABLE)
    sealing = SubmittedFile.objects.filter(
        free(now), state=FileState.INSPECTED, submission__state=SubmissionState.SEALING
    )
    return waiting.count() + sealing.count()


def inspect_due(*, clock: Clock, limit: int, scanner: Scanner | None = None) -> int:
    """Inspect files that have arrived whole; return how many were worked on.

    Files of a list that is still open are inspected too, so that little is left to wait for when it is closed.
    """
    due = (
        SubmittedFile.objects.select_related("submission")
        .filter(free(clock()), state=FileState.UPLOADED, submission__state__in=_INSPECTABLE)
        .order_by("changed")[:limit]
    )
    return sum(inspect_file(file, clock=clock, scanner=scanner or bootstrap.scanner()) for file in due)


def inspect_file(file: SubmittedFile, *, clock: Clock, scanner: Scanner) -> bool:
    """Inspect one file if nobody else does; say whether this call worked on it.

    What is wrong with the file itself refuses it at once, with the reason; a scanner that does not answer lets it wait.
    """
    lease = take(file, clock=clock)
    if lease is None:
        return False
    try:
        _inspect(lease, scanner)
    except LeaseLost:
        return True
    except ScannerRefusal as refusal:
        lease.fail(refusal)
    except Quarantined as finding:
        _end(lease, FileState.QUARANTINED, finding)
    except Refusal as refusal:
        _end(lease, FileState.REFUSED, refusal)
    except OSError as error:
        _end(lease, FileState.REFUSED, _unreadable(file, error))
    else:
        lease.give_back()
    return True


def read_once(path: Path, name: str, *, scanner: Scanner, with_dag: bool, progress: Callable[[int], None]) -> Reading:
    """Do step 1 for one file. `progress` is told the bytes read so far and may raise to stop."""
    digest, scan, hasher = hashlib.sha256(), scanner.scan(name), FileHasher() if with_dag else None
    done = lines = 0
    last = b"\n"
    with path.open("rb", buffering=0) as source:
        while piece := source.read(PIECE):
            digest.update(piece)
            if hasher is not None:
                hasher.update(piece)
            scan.feed(piece)
            lines += int(np.count_nonzero(np.frombuffer(piece, dtype=np.uint8) == LINE_FEED))
            last = piece[-1:]
            done += len(piece)
            progress(done)
    lines += last != b"\n"  # the last line may lack its end
    return Reading(digest.hexdigest(), done, lines, scan.finish(), hasher.finish() if hasher is not None else None)


def _inspect(lease: Lease, scanner: Scanner) -> None:
    file = lease.file
    path = scratch_path(file)
    if lease.is_hopeless:
        raise IngestRefusal(
            "ingest.failed", f"Reading {shown(file.path)} ended its worker again and again.", limit=ATTEMPTS,
            actual=file.attempts, todo="Write the file anew with a current program, or leave it out.",
        )  # fmt: skip
    with path.open("rb") as source:
        head = source.read(HEAD_BYTES)
    media, kind = sniff_media(head, file.path), sniff_kind(head)
    if kind is Kind.IMAGE:
        previews.image_size(path, pixels=content_limits().image_pixels)
    if not (lease.is_done("scan") and lease.is_done("fingerprint")):
        _read_and_sketch(lease, media, kind, scanner)
    if not lease.is_done("preview"):
        _make_preview(lease, media, kind)
    lease.save(state=FileState.INSPECTED, salt=file.salt or secrets.token_hex(SALT_BYTES), refusal=None, attempts=0)


def _read_and_sketch(lease: Lease, media: Media, kind: Kind, scanner: Scanner) -> None:
    file, path = lease.file, scratch_path(lease.file)
    done = [0]
    lease.begin(hash=file.size, scan=1, fingerprint=1)
    with ThreadPoolExecutor(max_workers=1) as pool:
        reading = pool.submit(
            read_once, path, file.path, scanner=scanner, with_dag=file.submission.visibility == "open",
            progress=partial(done.__setitem__, 0),
        )  # fmt: skip
        try:
            # Rows are written in this thread only: the database connection belongs to it.
            counted = _keep_sketches(lease, kind, path, done)
            failure = None
        except FingerprintRefusal as refusal:
            counted, failure = 0, refusal
        read = _awaited(lease, reading, done)
    _check_bytes(file, read)
    lease.end(
        "hash", sha256=read.sha256, media_type=_media_type(media, kind), kind="" if kind is Kind.FILE else str(kind),
        lines=read.lines, stored_cid=str(read.node.cid) if read.node else "",
    )  # fmt: skip
    if read.findings:
        raise Quarantined(
            read.findings[0].code, f"{shown(file.path)} is quarantined. {read.findings[0].message}",
            limit=0, actual=len(read.findings), todo="Remove the file; nothing of it was stored or published.",
        )  # fmt: skip
    if failure is not None:
        lease.end("scan")
        raise failure
    lease.end("scan", "fingerprint", records=_records(media, kind, read.lines, counted))


def _records(media: Media, kind: Kind, lines: int, counted: int) -> int:
    """Return how many records a file holds: images, rows, documents, or the file itself where nothing is counted."""
    if kind is Kind.TEXT and media.media_type == _LINES and counted:
        return lines
    if kind is Kind.TEXT and media.kind == "table":
        # Named as a table, but of one column or without a row: its first line is the header.
        return max(lines - 1, 0)
    return counted


def _awaited(lease: Lease, reading: Future[Reading], done: list[int]) -> Reading:
    while not wait([reading], timeout=1).done:
        lease.progress("hash", done[0])
    return reading.result()


def _keep_sketches(lease: Lease, kind: Kind, path: Path, done: list[int]) -> int:
    """Keep the file's sketches in parts; return how many records it holds: images, rows, or 1 for a text with words."""
    file = lease.file
    if kind is Kind.FILE:
        return 1 if file.size else 0
    FingerprintRow.objects.filter(file=file).delete()
    algorithm = ALGORITHMS[kind]
    counted = 0
    for number, (payload, sketches, records) in enumerate(_parts(kind, path, file.size)):
        FingerprintRow.objects.create(
            submission=file.submission, file=file, party=file.submission.party, kind=str(kind),
            algorithm=algorithm.name, parameters=algorithm.digest, part=number, records=sketches, payload=payload,
            created=lease.clock(),
        )  # fmt: skip
        lease.progress("hash", done[0])
        counted += records
    return min(counted, 1) if kind is Kind.TEXT else counted


def _parts(kind: Kind, path: Path, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (payload, sketches in it, units counted) of at most a little more than 4 MiB each."""
    pieces: list[bytes] = []
    held = sketches = units = 0
    for record in sketch_file(kind, lambda: path.open("rb"), size):
        pieces.append(to_bytes(record))
        held += len(pieces[-1])
        sketches += not isinstance(record, TextDocument)
        units += record.units
        if held >= PART:
            yield b"".join(pieces), sketches, units
            pieces, held, sketches, units = [], 0, 0, 0
    if pieces:
        yield b"".join(pieces), sketches, units


def _check_bytes(file: SubmittedFile, reading: Reading) -> None:
    if reading.size != file.size:
        raise IngestRefusal(
            "ingest.size", f"{shown(file.path)} is not whole any more.", limit=file.size, actual=reading.size,
            todo="Remove it and upload it again.",
        )  # fmt: skip
    if file.claimed_sha256 and file.claimed_sha256 != reading.sha256:
        raise IngestRefusal(
            "ingest.sha256", f"{shown(file.path)} arrived altered: its SHA-256 is not the one announced.",
            limit=file.claimed_sha256, actual=reading.sha256, todo="Remove it and upload it again.",
        )  # fmt: skip


def _media_type(media: Media, kind: Kind) -> str:
    # Bytes say that it is a table; only then the generic type of its name gives way.
    return "text/csv" if kind is Kind.TABLE and media.media_type == "text/plain" else media.media_type


def _make_preview(lease: Lease, media: Media, kind: Kind) -> None:
    file = lease.file
    limits = content_limits()
    shown_already = SubmittedFile.objects.filter(submission=file.submission).exclude(preview=None).count()
    if shown_already >= limits.preview_files:
        lease.end("preview")
        return
    lease.begin(preview=1)
    media_type = _media_type(media, kind)
    try:
        preview = _preview(file, kind, media_type)
    except (FingerprintRefusal, previews.PreviewRefusal) as refusal:
        # A file that cannot be shown can still be sold; its page says so.
        preview = {"kind": str(kind), "unavailable": str(refusal)}
    if media.label:
        preview = {**(preview or {"kind": "file"}), "label": media.label}
    lease.end("preview", preview=preview)


def _preview(file: SubmittedFile, kind: Kind, media_type: str) -> dict[str, object] | None:
    limits = content_limits()
    with scratch_path(file).open("rb") as stream:
        match kind:
            case Kind.IMAGE:
                webp, width, height = previews.thumbnail(stream, limits.thumbnail_pixels)
                target = preview_dir() / f"{file.id}.webp"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(webp)
                return {"kind": "image", "image": True, "width": width, "height": height}
            case Kind.TABLE if media_type in COLUMNAR:
                made = run_limited(
                    "provenance.previews:first_columnar_rows", [media_type, limits.preview_rows], stream=stream,
                    memory_bytes=PREVIEW_MEMORY, cpu_seconds=PREVIEW_SECONDS,
                )  # fmt: skip
                return {"kind": "table", **json.loads(made)}
            case Kind.TABLE:
                return {"kind": "table", **previews.first_rows(stream, media_type, limits.preview_rows)}
            case Kind.TEXT:
                return {"kind": "text", **previews.first_lines(stream, media_type, limits.preview_rows)}
            case Kind.FILE:
                return None


def _end(lease: Lease, state: FileState, refusal: Refusal) -> None:
    stage = next((name for name, entry in lease.file.stage.items() if entry["state"] == "running"), "hash")
    FingerprintRow.objects.filter(file=lease.file).delete()
    lease.end(stage, failed=True, state=state, refusal=refusal.as_problem())
    lease.give_back()


def _unreadable(file: SubmittedFile, error: OSError) -> IngestRefusal:
    return IngestRefusal(
        "ingest.unreadable", f"{shown(file.path)} cannot be read: {error.strerror}.",
        todo="Remove it and upload it again.",
    )  # fmt: skip
