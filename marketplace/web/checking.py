"""“Check it yourself”: what a dataset's page checks when it is read, and what only its reader can check.

The page asks the machine that is being checked, so a pass here is worth a look and no more; `cadastre verify` runs all
steps elsewhere. What was found is kept for a few minutes, and the page says how long ago it looked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.core.cache import caches
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from provenance.core.audit import NotChecked
from provenance.core.checkpoint import VerifierKey, open_checkpoint
from provenance.core.merkle import inclusion_proof, leaf_hash, verify_consistency, verify_inclusion
from provenance.core.policy import Outcome
from provenance.core.refusal import Refusal
from provenance.models import AnchorRecord, Document, LogEntry, LogState, PinRow
from provenance.queries import consistency_proof, tile_reader

KEPT_SECONDS = 300
ENTRIES_CHECKED = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One line: what was checked in words, how it ended, and for anything but a pass the reason."""

    words: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found, and when it was looked at."""

    at: datetime
    steps: tuple[Step, ...]

    @property
    def failed(self) -> bool:
        """Whether something is not what it claims to be."""
        return any(step.outcome is Outcome.FAIL for step in self.steps)


def check_dataset(
    *, subjects: Iterable[str], manifest: str, root: str, anchor: AnchorRecord | None, now: datetime
) -> Checked | None:
    """Check one version of a dataset; None while the log has no signed head.

    `subjects`: what the log calls the dataset and its content. `manifest`: the digest that stands on chain, empty when
    none of it is shown. `root`: CID of the stored package, or empty.
    """
    log = LogState.objects.exclude(checkpoint="").first()
    if log is None:
        return None
    names = sorted(subjects)
    state = [log.checkpoint, *names, manifest, root, f"{anchor.size} {anchor.root}" if anchor else ""]
    # What was found is kept in words, so each language keeps its own.
    key = f"checked:{get_language()}:" + hashlib.sha256("\0".join(state).encode()).hexdigest()
    kept = caches["process"]
    found: Checked | None = kept.get(key)
    if found is None:
        found = Checked(now, tuple(_steps(log, names, manifest, root, anchor)))
        kept.set(key, found, KEPT_SECONDS)
    return found


def _steps(log: LogState, subjects: list[str], manifest: str, root: str, anchor: AnchorRecord | None) -> Iterable[Step]:
    yield _run(
        _("The log is signed, and the latest facts about this dataset are in it"),
        partial(_check_inclusion, log, subjects),
    )
    same = _("It is the same log as the one anchored on chain")
    if anchor:
        same = _("It is the same log as the one anchored on chain at block %(block)s") % {
            "block": f"{anchor.block_number:,}"
        }
    yield _run(same, partial(_check_anchor, log, anchor))
    yield _run(_("The description shown here is the one that the chain names"), partial(_check_manifest, manifest))
    yield _run(_("The stored copies were read back, and their bytes are the right ones"), partial(_check_copies, root))
    yield Step(
        _("The files’ bytes give this CID"), Outcome.NOT_CHECKED, _("you have not downloaded them"),
    )  # fmt: skip


def _run(words: str, check: Callable[[], None]) -> Step:
    try:
        check()
    except NotChecked as reason:
        return Step(words, Outcome.NOT_CHECKED, reason.message)
    except Refusal as refusal:
        return Step(words, Outcome.FAIL, str(refusal))
    return Step(words, Outcome.PASS)


def _check_inclusion(log: LogState, subjects: list[str]) -> None:
    head = open_checkpoint(log.checkpoint, [VerifierKey.parse(log.vkey)])
    reader = tile_reader(head.size)
    entries = LogEntry.objects.filter(subject__in=subjects, index__lt=head.size).order_by("-index")[:ENTRIES_CHECKED]
    for entry in entries:
        proof = inclusion_proof(entry.index, head.size, reader.get_hash)
        verify_inclusion(leaf_hash(bytes(entry.envelope)), entry.index, head.size, proof, head.root)
    if not entries:
        raise NotChecked("inclusion.none", _("nothing about it is in the log yet"))


def _check_anchor(log: LogState, anchor: AnchorRecord | None) -> None:
    if anchor is None:
        raise NotChecked("anchor.none", _("nothing has been anchored yet"))
    head = open_checkpoint(log.checkpoint, [VerifierKey.parse(log.vkey)])
    if anchor.size > head.size:
        raise Refusal("anchor.ahead", "The anchored log is longer.", limit=head.size, actual=anchor.size)
    proof = consistency_proof(anchor.size, head.size)
    verify_consistency(anchor.size, bytes.fromhex(anchor.root), head.size, head.root, proof)


def _check_manifest(manifest: str) -> None:
    row = Document.objects.filter(pk=manifest).first()
    if row is None:
        raise NotChecked("manifest.unknown", _("this register does not have it"))
    actual = hashlib.sha256(bytes(row.content)).hexdigest()
    if actual != manifest:
        raise Refusal("manifest.other", "The description has another digest.", limit=manifest, actual=actual)


def _check_copies(root: str) -> None:
    rows = list(PinRow.objects.filter(cid=root)) if root else []
    broken = [row for row in rows if row.cause]
    if broken:
        message = ngettext("%(count)d copy is missing", "%(count)d copies are missing", len(broken))
        raise Refusal("copies.missing", message % {"count": len(broken)}, todo=broken[0].cause)
    if not rows or not all(row.audited for row in rows):
        raise NotChecked("copies.waiting", _("not all of them have been read back yet"))
