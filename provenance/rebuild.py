"""Everything that is true, again from chain and IPFS alone: what a stranger does, and an operator after a loss.

1. Chain: drop events, blocks and projections of a deployment, tell trade, and read it again from its first block.
2. Log: from the newest anchor whose snapshot can be fetched, fetch its bundles, check them against the anchored root,
   and insert the entries. A log that has entries already goes on with those of its own published files.
3. Documents: fetch manifests, lists of files, packages and splits by the digests in the events, and what trade names;
   a digest is its CID.
4. Only then events become final, because what follows from them (certificates, payouts) needs the documents.

`marketplace.rebuilding` does all of it in order, and trade's part.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from django.conf import settings
from django.db import transaction

from provenance import bootstrap, follower, hooks
from provenance.core.canonical import CanonicalRefusal, parse_canonical
from provenance.core.checkpoint import VerifierKey, open_checkpoint
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.entry import Entry
from provenance.core.merkle import Frontier, Subtree, leaf_hash
from provenance.core.refusal import Refusal
from provenance.core.snapshot import LogSnapshot
from provenance.core.tiles import WIDTH, Tile, bundle_entries
from provenance.core.unixfs.reading import read_file
from provenance.models import (
    Block,
    ChainEvent,
    DatasetRecord,
    Deployment,
    Document,
    LogEntry,
    LogState,
    PackageRecord,
    VersionRecord,
)
from provenance.ports import Chain, ContentStore
from provenance.projections import fold
from provenance.queries import log_state
from provenance.sequencer import complete_tiles, published_checkpoint

log = logging.getLogger(__name__)

_SCHEMA = re.compile(r"[a-z.-]{1,50}/[0-9]{1,6}")


class RebuildRefusal(Refusal):
    """What chain and store hold does not fit together."""


NamedDocuments = Callable[[Deployment], Iterable[str]]
"""Names digests of public documents; asked again after each fetch, because documents name further ones."""


def rebuild_chain(deployment: Deployment, chain: Chain, now: dt.datetime) -> int:
    """Drop what was read from the chain and read it again; return the number of blocks applied."""
    applied = reread_chain(deployment, chain, now)
    finish_chain(deployment, chain, now)
    return applied


def reread_chain(deployment: Deployment, chain: Chain, now: dt.datetime) -> int:
    """Drop what was read from the chain and read it again with nothing final yet; return the blocks applied."""
    with transaction.atomic():
        events = ChainEvent.objects.filter(deployment=deployment)
        subjects = sorted(set(events.values_list("subject", flat=True)))
        events.delete()
        Block.objects.filter(deployment=deployment).delete()
        fold(deployment, subjects)
        DatasetRecord.objects.filter(deployment=deployment).delete()
        if subjects:
            hooks.tell_rewind(deployment, subjects)
        Deployment.objects.filter(pk=deployment.pk).update(finalized=deployment.first_block - 1, halted="")
    applied = 0
    while done := follower.follow(deployment, chain, now, finalizing=False).applied:
        applied += done
    return applied


def finish_chain(deployment: Deployment, chain: Chain, now: dt.datetime) -> None:
    """Go on to the chain's head and make final what is final there."""
    while True:
        done = follower.follow(deployment, chain, now)
        if not done.applied and not done.finalized:
            return


def rebuild_tokens(deployment: Deployment) -> None:
    """Name the tokens that the market takes where the database does not, in the order in which it came to take them."""
    known = {str(entry["address"]): entry for entry in deployment.tokens}
    allowed = ChainEvent.objects.filter(deployment=deployment, name="TokenAllowed").order_by(
        "block_number", "log_index"
    )
    for event in allowed:
        address = event.args["token"]
        if address not in known:
            known[address] = bootstrap.token_entry(deployment.chain_id, address)
    deployment.tokens = list(known.values())
    Deployment.objects.filter(pk=deployment.pk).update(tokens=deployment.tokens)


def rebuild_documents(
    deployment: Deployment, stores: Iterable[ContentStore], *, named: NamedDocuments | None = None
) -> tuple[int, int]:
    """Fetch every public document that the registry or `named` names; return how many are here now, how many nowhere.

    Nowhere are documents that were never public, such as offers to one buyer, and those that were erased.
    """
    sources = tuple(stores)
    here, nowhere = set[str](), set[str]()
    while fresh := {*_digests(deployment), *(named(deployment) if named else ())} - here - nowhere:
        for digest in sorted(fresh):
            (here if _obtained(digest, sources) else nowhere).add(digest)
    return len(here), len(nowhere)


def rebuild_log(
    deployment: Deployment, stores: Iterable[ContentStore], *, vkey: VerifierKey, service_key: bytes, now: dt.datetime
) -> int:
    """Insert the entries of the newest anchored snapshot that can be fetched into an empty log; return their number.

    `vkey` and `service_key` are pinned by whoever rebuilds: nothing else says whose log it is.
    Raises RebuildRefusal when bundles do not add up to the anchored root.
    """
    if log_state().size:
        raise RebuildRefusal(
            "rebuild.log_not_empty", "The log has entries already.", limit=0, actual=log_state().size,
            todo="Rebuild into an empty database.",
        )  # fmt: skip
    sources = tuple(stores)
    for event in ChainEvent.objects.filter(deployment=deployment, name="Anchored").order_by("-block_number"):
        snapshot = _snapshot(event, sources, vkey)
        if snapshot is not None:
            made = _insert(snapshot, sources, vkey, service_key, now)
            fold(deployment, {event.subject})
            return made
    return 0


def catch_up_log(*, now: dt.datetime) -> int:
    """Append what was published below CADASTRE_LOG_DIR to a log that is behind it, as after a restored backup.

    Returns the number of entries. Raises RebuildRefusal when they do not add up to the published root: then the
    database holds another log, or files were altered, and nothing was changed.
    """
    state = log_state()
    head = published_checkpoint(state) if state.vkey else None
    if head is None or head.size <= state.size:
        return 0
    frontier = Frontier(state.size, tuple(map(bytes.fromhex, state.compact_range)))
    completed, rows = list[Subtree](), list[LogEntry]()
    for index, envelope in _published(state.size, head.size):
        frontier, grown = frontier.grow([leaf_hash(envelope)])
        completed += grown
        rows.append(_row(index, envelope, bytes.fromhex(state.service_key), now))
    if frontier.root != head.root:
        raise RebuildRefusal(
            "rebuild.root", "The published entries do not continue this log.", limit=head.root.hex(),
            actual=frontier.root.hex(), todo="Find out which of them was altered: log files, or database.",
        )  # fmt: skip
    note = (Path(settings.CADASTRE_LOG_DIR) / "checkpoint").read_text(encoding="utf-8")
    with transaction.atomic():
        LogEntry.objects.bulk_create(rows, batch_size=WIDTH)
        complete_tiles(completed)
        moved = LogState.objects.filter(id=1, size=state.size, root=state.root).update(
            size=frontier.size, root=frontier.root.hex(), compact_range=[peak.hex() for peak in frontier.peaks],
            checkpoint=note, checkpoint_size=frontier.size, published_size=frontier.size, updated_at=now,
        )  # fmt: skip
        if moved != 1:
            raise RebuildRefusal("rebuild.moved", "The log grew at the same moment.", todo="Stop the signer first.")
    return len(rows)


def _published(first: int, size: int) -> Iterator[tuple[int, bytes]]:
    folder = Path(settings.CADASTRE_LOG_DIR)
    for number in range(first // WIDTH, (size + WIDTH - 1) // WIDTH):
        width = min(WIDTH, size - number * WIDTH)
        path = folder / Tile(None, number, width).path
        if not path.exists():
            raise RebuildRefusal("rebuild.missing", f"There is no {path}.", todo="Restore the log's files.")
        for offset, envelope in enumerate(bundle_entries(path.read_bytes(), width)):
            if number * WIDTH + offset >= first:
                yield number * WIDTH + offset, envelope


def _snapshot(event: ChainEvent, sources: tuple[ContentStore, ...], vkey: VerifierKey) -> LogSnapshot | None:
    """Return the snapshot of an anchor if it is there and signed by the pinned key; anybody may anchor anything."""
    data = _fetched(Cid.of_digest(Sha256.from_hex(event.args["snapshot"].removeprefix("0x"))), sources)
    if data is None:
        return None
    try:
        snapshot = LogSnapshot.parse(data)
        head = open_checkpoint(snapshot.checkpoint, [vkey])
    except Refusal as refusal:
        log.warning("the anchor in %s is passed over: %s", event.tx, refusal)
        return None
    same = (head.size, head.root.hex()) == (snapshot.size, snapshot.root.hex)
    anchored = (event.number("size"), event.args["root"].removeprefix("0x"))
    return snapshot if same and anchored == (snapshot.size, snapshot.root.hex) else None


def _insert(
    snapshot: LogSnapshot,
    sources: tuple[ContentStore, ...],
    vkey: VerifierKey,
    service_key: bytes,
    now: dt.datetime,
) -> int:
    frontier, completed, rows = Frontier(), list[Subtree](), list[LogEntry]()
    for index, envelope in enumerate(_envelopes(snapshot, sources)):
        frontier, grown = frontier.grow([leaf_hash(envelope)])
        completed += grown
        rows.append(_row(index, envelope, service_key, now))
    if frontier.root != snapshot.root.raw:
        raise RebuildRefusal(
            "rebuild.root", "The bundles do not add up to the anchored root.", limit=snapshot.root.hex,
            actual=frontier.root.hex(),
        )  # fmt: skip
    with transaction.atomic():
        LogEntry.objects.bulk_create(rows, batch_size=WIDTH)
        complete_tiles(completed)
        LogState.objects.filter(id=1, size=0).update(
            origin=snapshot.origin, vkey=str(vkey), service_key=service_key.hex(), size=frontier.size,
            root=frontier.root.hex(), compact_range=[peak.hex() for peak in frontier.peaks],
            checkpoint=snapshot.checkpoint, checkpoint_size=frontier.size, published_size=0, updated_at=now,
        )  # fmt: skip
    return len(rows)


def _envelopes(snapshot: LogSnapshot, sources: tuple[ContentStore, ...]) -> Iterator[bytes]:
    for number, cid in enumerate(snapshot.bundles):
        data = b"".join(read_file(cid, lambda wanted: _required(wanted, sources)))
        yield from bundle_entries(data, min(WIDTH, snapshot.size - number * WIDTH))


def _row(index: int, envelope: bytes, service_key: bytes, now: dt.datetime) -> LogEntry:
    entry = Entry.parse(envelope)
    entry.service.verify(entry.statement, service_key)
    return LogEntry(
        index=index,
        subject=entry.statement.subject,
        type=entry.statement.type,
        fact=entry.statement.fact,
        previous=entry.previous,
        leaf_hash=leaf_hash(envelope),
        envelope=envelope,
        logged_at=now,
    )


def _digests(deployment: Deployment) -> Iterator[str]:
    manifests = list(VersionRecord.objects.filter(deployment=deployment).values_list("manifest", flat=True))
    yield from manifests
    for row in Document.objects.filter(sha256__in=manifests):
        yield from _file_lists(row.content)
    yield from PackageRecord.objects.filter(deployment=deployment).values_list("digest", flat=True)
    # Those of earlier days, too: settlements were computed by the splits of their day.
    for event in ChainEvent.objects.filter(deployment=deployment, name__in=("DatasetRegistered", "SplitsSet")):
        if digest := event.digest("splits"):
            yield digest


def _file_lists(manifest: bytes) -> Iterator[str]:
    found = parse_canonical(manifest)
    lists = found.get("file_lists") if isinstance(found, dict) else None
    for digest in lists if isinstance(lists, list) else ():
        yield str(digest)


def _obtained(digest: str, sources: tuple[ContentStore, ...]) -> bool:
    if Document.objects.filter(sha256=digest).exists():
        return True
    try:
        cid = Cid.of_digest(Sha256.from_hex(digest))
    except Refusal:
        return False
    data = _fetched(cid, sources)
    schema = _schema(data) if data is not None else None
    if data is None or schema is None:
        return False
    Document.create_from_bytes(data, schema=schema)
    return True


def _schema(data: bytes) -> str | None:
    try:
        document = parse_canonical(data)
    except CanonicalRefusal:
        return None
    schema = document.get("schema") if isinstance(document, dict) else None
    # Anybody's document may stand behind a digest on chain; what has no name of the known form is none of ours.
    return schema if isinstance(schema, str) and _SCHEMA.fullmatch(schema) else None


def _required(cid: Cid, sources: tuple[ContentStore, ...]) -> bytes:
    data = _fetched(cid, sources)
    if data is None:
        raise RebuildRefusal("rebuild.missing", f"No store has the block {cid}.", todo="Add a store that has it.")
    return data


def _fetched(cid: Cid, sources: tuple[ContentStore, ...]) -> bytes | None:
    for store in sources:
        try:
            return store.get_block(cid)
        except Refusal:
            continue
    return None
