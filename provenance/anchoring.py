"""Tree heads on chain, and commitments to the log's subjects: what keeps the operator from telling two stories.

1. `commit_index_due`: after enough new entries, a sorted map subject → latest entry is committed as `index.committed`.
2. `anchor_due`: the entry bundles are stored under their CIDs, a snapshot index names them, and the anchor on chain
   names the snapshot. Whoever reads the chain finds every entry in IPFS.
3. The follower sees the event; an anchor is true if its root is the log's (`provenance.projections`).
"""

from __future__ import annotations

import datetime as dt
import hashlib

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from provenance import bootstrap, outbox, pinning
from provenance.core.cid import Cid
from provenance.core.completeness import SubjectIndex
from provenance.core.digest import Sha256
from provenance.core.snapshot import SCHEMA, LogSnapshot
from provenance.core.tiles import WIDTH
from provenance.core.unixfs.file import FileHasher
from provenance.intake import submit_statement
from provenance.models import AnchorRecord, Deployment, Document, Intent, IntentState, LogEntry, LogState
from provenance.ports import ContentStore
from provenance.queries import checkpoint, entry_bundle, log_state

_VALID = dt.timedelta(hours=6)
_OPEN = (IntentState.WANTED, IntentState.SIGNED, IntentState.BROADCAST, IntentState.MINED)


def anchor_due(deployment: Deployment, now: dt.datetime) -> Intent | None:
    """Want an anchor for the signed head if it is new and the last one is old enough; return the intent.

    Settings: CADASTRE_ANCHOR_SECONDS. Raises StoreRefusal when the bundles cannot be stored.
    """
    state = log_state()
    last = AnchorRecord.objects.filter(deployment=deployment).order_by("-size").first()
    if not _is_due(deployment, state, last, now):
        return None
    snapshot = take_snapshot(bootstrap.content_store(), previous=last.snapshot if last is not None else None)
    stores = list(bootstrap.content_stores())
    with transaction.atomic():
        Document.create_from_bytes(snapshot.to_bytes(), schema=SCHEMA)
        for cid in (Cid.of_digest(snapshot.digest), *snapshot.bundles):
            pinning.want_pins(cid=cid, stores=stores, now=now, announced=True)
        return outbox.enqueue(
            key=f"anchor:{deployment.pk}:{snapshot.size}",
            kind="anchor",
            payload={
                "origin": hashlib.sha256(snapshot.origin.encode()).hexdigest(),
                "size": snapshot.size,
                "root": snapshot.root.hex,
                "snapshot": snapshot.digest.hex,
            },
            valid_until=now + _VALID,
            deployment=deployment,
            now=now,
        )


def take_snapshot(store: ContentStore, *, previous: str | None) -> LogSnapshot:
    """Store every entry bundle of the signed log and the index that names them; return the index.

    Bundles that are stored already are written again, which keeps them. Raises StoreRefusal.
    """
    state = log_state()
    head = checkpoint(state)
    size = head.size
    bundles = tuple(
        _store_file(store, entry_bundle(number, min(WIDTH, size - number * WIDTH)))
        for number in range(-(-size // WIDTH))
    )
    snapshot = LogSnapshot(
        origin=head.origin,
        size=size,
        root=Sha256(head.root),
        checkpoint=state.checkpoint,
        bundles=bundles,
        previous=None if previous is None else Sha256.from_hex(previous),
    )
    data = snapshot.to_bytes()
    store.put_block(Cid.of(data), data)
    return snapshot


def commit_index_due(now: dt.datetime) -> int | None:
    """Commit to the latest entry of each subject once enough entries are new; return `up_to`. Safe twice and at once.

    Settings: CADASTRE_INDEX_ENTRIES.
    """
    state = log_state()
    if state.size - state.indexed_size < settings.CADASTRE_INDEX_ENTRIES:
        return None
    up_to = state.size - 1
    commitment = subject_index(up_to).commitment
    subject = f"log:{state.origin}"
    with transaction.atomic():
        moved = LogState.objects.filter(id=1, indexed_size=state.indexed_size).update(indexed_size=state.size)
        if not moved:
            return None
        submit_statement(
            type="index.committed",
            subject=subject,
            fact=f"index.committed:{subject}:{up_to}",
            body={"up_to": up_to, "count": commitment.count, "root": commitment.root.hex()},
            time=now,
        )
    return up_to


def subject_index(up_to: int) -> SubjectIndex:
    """Return the map over the entries 0 … `up_to`, to commit to and to prove from."""
    rows = LogEntry.objects.filter(index__lte=up_to).values("subject").annotate(latest=Max("index")).order_by()
    return SubjectIndex({row["subject"]: row["latest"] for row in rows}, up_to)


def _is_due(deployment: Deployment, state: LogState, last: AnchorRecord | None, now: dt.datetime) -> bool:
    if not state.checkpoint_size or (last is not None and last.size >= state.checkpoint_size):
        return False
    latest = Intent.objects.filter(deployment=deployment, kind="anchor").order_by("-created_at").first()
    if latest is None:
        return True
    interval = dt.timedelta(seconds=settings.CADASTRE_ANCHOR_SECONDS)
    # Sizes grow strictly: an earlier anchor that is still on its way goes first.
    return latest.state not in _OPEN and now - latest.created_at >= interval


def _store_file(store: ContentStore, data: bytes) -> Cid:
    hasher = FileHasher(store.put_block)
    hasher.update(data)
    return hasher.finish().cid
