"""The limits of content and where it is kept, read from Django settings; every figure shows up in a refusal."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings

MIB = 1_048_576
GIB = 1_073_741_824


@dataclass(frozen=True, slots=True)
class ContentLimits:
    """Bytes unless said otherwise. `party_bytes`: scratch space that one account may hold at a time."""

    file_bytes: int
    party_bytes: int
    files: int
    path_bytes: int
    disk_reserve: int
    abandoned_after: timedelta
    unconfirmed_after: timedelta
    preview_files: int
    preview_rows: int
    thumbnail_pixels: int
    image_pixels: int
    match_names: int
    copies: int
    pin_deadline: timedelta
    audit_every: timedelta


def content_limits() -> ContentLimits:
    """Return the limits in force: `CADASTRE_CONTENT_LIMITS` overrides single figures by name."""
    figures: dict[str, object] = {
        "file_bytes": 200 * GIB,
        "party_bytes": 1024 * GIB,
        "files": 100_000,
        "path_bytes": 1024,
        "disk_reserve": 64 * MIB,
        "abandoned_after": timedelta(days=7),
        "unconfirmed_after": timedelta(days=14),
        "preview_files": 24,
        "preview_rows": 20,
        "thumbnail_pixels": 320,
        "image_pixels": 128_000_000,
        "match_names": 1000,
        "copies": int(getattr(settings, "CADASTRE_COPIES", 1)),
        "pin_deadline": timedelta(hours=1),
        "audit_every": timedelta(days=1),
    }
    return ContentLimits(**{**figures, **getattr(settings, "CADASTRE_CONTENT_LIMITS", {})})


def var_dir() -> Path:
    """Return the directory of everything that this instance keeps besides the database."""
    return Path(settings.CADASTRE_VAR)


def scratch_dir() -> Path:
    """Return the directory of uploads in flight: plaintext, on this machine only, removed once registered."""
    return Path(getattr(settings, "CADASTRE_UPLOAD_DIR", var_dir() / "uploads"))


def preview_dir() -> Path:
    """Return the directory of thumbnails."""
    return var_dir() / "previews"


def index_dir() -> Path:
    """Return the directory of the fingerprint index; it can be made again from the database."""
    return var_dir() / "index"


def free_bytes(directory: Path) -> int:
    """Return the bytes that may still be written to the file system of `directory` by this process."""
    state = os.statvfs(directory)
    return state.f_bavail * state.f_frsize
