"""What a submission says about its data, checked by the rules of the manifest as it is typed, and made into one."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from provenance.content_queries import dataset_record
from provenance.core import manifest as core
from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.digest import Sha256
from provenance.core.file_record import FILE_LIST_SCHEMA, FileRecord, sorted_records
from provenance.core.manifest import DataKind, Description, Manifest, ManifestRefusal, Visibility, make_manifest
from provenance.core.rights import Basis, Rights
from provenance.models import Purpose, Submission, SubmittedFile
from provenance.paths import is_control, is_unseen
from provenance.transitions import SubmissionRefusal

_ANY_FILE = FileRecord("file", 0, Sha256(bytes(32)), "text/plain", 0, bytes(16))
_ANY_RIGHTS = Rights(source="not stated yet", basis=Basis.UNKNOWN)


@dataclass(frozen=True, slots=True)
class PublicManifest:
    """The manifest of a submission with its lists of files, as (schema, bytes), and its records in order."""

    manifest: Manifest
    records: tuple[FileRecord, ...]
    documents: tuple[tuple[str, bytes], ...]

    @property
    def digest(self) -> str:
        """What the creator confirms and what stands on chain."""
        return self.manifest.digest.hex


def check_description(submission: Submission) -> None:
    """Refuse what no manifest may say; what is not said yet is not judged. Raises ManifestRefusal, FieldRefusal."""
    about = _description(
        submission, title=submission.title or "untitled", creator=submission.creator or "unnamed",
        rights=_rights(submission) or (_ANY_RIGHTS,),
    )  # fmt: skip
    make_manifest(about, [_ANY_FILE], visibility=Visibility.SEALED)


def missing_description(submission: Submission) -> list[str]:
    """Return the names of the fields that still have to be filled in before a package can be made."""
    return [name for name in ("title", "creator", "rights") if not getattr(submission, name)]


def public_manifest(submission: Submission, files: Sequence[SubmittedFile]) -> PublicManifest:
    """Return the manifest of a described submission whose files are inspected. Raises ManifestRefusal.

    For a new package it is the manifest that stands on chain; anything else is refused.
    """
    records = tuple(sorted_records(_record(file) for file in files))
    about = _description(submission, title=submission.title, creator=submission.creator, rights=_rights(submission))
    made, lists = make_manifest(about, records, visibility=Visibility(submission.visibility))
    if submission.purpose == Purpose.PACKAGE and made.digest.hex != submission.manifest:
        raise ManifestRefusal(
            "manifest.other", "The files make another version than the one on chain.", limit=submission.manifest,
            actual=made.digest.hex, todo="Upload exactly the files of the version.",
        )  # fmt: skip
    documents = [(core.SCHEMA, made.to_bytes()), *((FILE_LIST_SCHEMA, data) for data in lists)]
    return PublicManifest(made, records, tuple(documents))


def checked_parents(submission: Submission, given: Sequence[object]) -> list[dict[str, object]]:
    """Return parents as the submission keeps them, each once, by dataset id.

    `given`: ids, or objects {"dataset", "license"}. Raises SubmissionRefusal for parents that do not exist, for more
    than 16, and for a change after version 1.
    """
    parents: dict[str, dict[str, object]] = {}
    for item in given:
        entry: Mapping[Any, Any] = item if isinstance(item, Mapping) else {"dataset": item}
        dataset = entry.get("dataset")
        if not isinstance(dataset, str) or dataset_record(dataset) is None:
            raise SubmissionRefusal(
                "submission.parent_unknown", "A parent does not exist: no such dataset is registered.",
                actual=str(dataset)[:160], todo="Look up the dataset's id on its page under Technical details.",
            )  # fmt: skip
        parents[dataset] = {
            "dataset": dataset, "license": entry.get("license"), "derivation": entry.get("derivation"),
        }  # fmt: skip
    if len(parents) > core.PARENTS_LIMIT:
        raise SubmissionRefusal(
            "submission.parents", "A dataset has too many parents.", limit=core.PARENTS_LIMIT, actual=len(parents),
            todo="Group sources into datasets of their own and build from those.",
        )  # fmt: skip
    if submission.version > 1 and set(parents) != {parent["dataset"] for parent in submission.parents}:
        raise SubmissionRefusal(
            "submission.parents_fixed", "Parents are fixed for ever by version 1.", actual=submission.version,
            todo="Publish this data as a dataset of its own.",
        )  # fmt: skip
    return [parents[dataset] for dataset in sorted(parents)]


def parent_assets(submission: Submission) -> tuple[Asset, ...]:
    """Return the parents as the manifest names them, in its order."""
    return tuple(
        Asset.parse(text, AssetKind.DATASET) for text in sorted(parent["dataset"] for parent in submission.parents)
    )


def _description(submission: Submission, *, title: str, creator: str, rights: tuple[Rights, ...]) -> Description:
    collected = submission.collected or {}
    return Description(
        owner=Account.parse(submission.owner),
        version=submission.version,
        previous=Sha256.from_hex(submission.previous) if submission.previous else None,
        title=_text("title", title),
        creator=_text("creator", creator),
        description=_text("description", submission.description),
        kind=_kind(submission.kind or DataKind.MIXED),
        languages=tuple(sorted({_text("language", tag) for tag in submission.languages})),
        collected_from=_day(collected.get("from")),
        collected_to=_day(collected.get("to")),
        parents=parent_assets(submission),
        rights=rights,
    )


def _rights(submission: Submission) -> tuple[Rights, ...]:
    keys = ("source", "basis", "from", "sublicensing", "license", "legal_basis", "model", "evidence")
    statements = []
    for given in submission.rights:
        if not isinstance(given, Mapping):
            raise ManifestRefusal("manifest.rights", "A rights statement is an object.", actual=str(given)[:80])
        # Forms leave out what does not apply; in the document it is null.
        statements.append(Rights.from_document({**dict.fromkeys(keys), **given}))
    return tuple(statements)


def _record(file: SubmittedFile) -> FileRecord:
    return FileRecord(
        file.path, file.size, Sha256.from_hex(file.sha256), file.media_type, file.records, bytes.fromhex(file.salt)
    )


def _kind(value: str) -> DataKind:
    try:
        return DataKind(value)
    except ValueError as error:
        raise ManifestRefusal(
            "manifest.kind", "There is no such kind of data.", limit=", ".join(DataKind), actual=str(value)[:40]
        ) from error


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ManifestRefusal(f"manifest.{name}", f"The {name} is not a text.", actual=str(value)[:80])
    # Running text in scripts that are written from right to left needs marks that are not seen.
    is_wrong, allowed = (is_control, "\n\r\t") if name == "description" else (is_unseen, "")
    wrong = next((each for each in value if (is_wrong(each) or _is_half(each)) and each not in allowed), None)
    if wrong is not None:
        raise ManifestRefusal(
            f"manifest.{name}", f"The {name} contains a character that cannot be seen, or half of one.",
            actual=ascii(wrong),
            todo="Remove it; copied texts sometimes hold invisible ones.",
        )  # fmt: skip
    return value


def _is_half(character: str) -> bool:
    return unicodedata.category(character) == "Cs"


def _day(value: object) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise ManifestRefusal("manifest.collected", "A day is written YYYY-MM-DD.", actual=str(value)[:40]) from error
