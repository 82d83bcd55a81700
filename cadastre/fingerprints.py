"""The fingerprints of one file on this machine, as the register would compute them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, BinaryIO

from provenance.fingerprints.registry import ALGORITHMS, HEAD, sketch_file, sniff_kind, to_bytes


def fingerprint_file(path: Path) -> dict[str, Any]:
    """Return SHA-256, kind, algorithm, and the sketches in hexadecimal. Raises FingerprintRefusal."""

    def open_binary() -> BinaryIO:
        return path.open("rb")

    with path.open("rb") as file:
        kind = sniff_kind(file.read(HEAD))
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    sketches = [to_bytes(record).hex() for record in sketch_file(kind, open_binary, path.stat().st_size)]
    algorithm = ALGORITHMS.get(kind)
    return {
        "sha256": sha256,
        "kind": kind.value,
        "algorithm": algorithm.name if algorithm else None,
        "records": len(sketches),
        "sketches": sketches,
    }
