"""Bundles as this register hands them out: documents, entries and proofs that hold without it (`core/bundle.py`).

1. Everything is proved against the one signed head that stands when the bundle is made.
2. A trail holds every entry about the dataset and about the content of its versions; a license bundle those about the
   license besides, with certificate and grant.
3. Of the anchors, the first that covers the oldest entry (when it cannot have been written later) and the latest.
4. Where the log has committed to its subjects not long ago, the proof that nothing else is said about the dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from django.db.models import Q

from provenance.anchoring import subject_index
from provenance.core.bundle import Anchor, Bundle, BundleKind, Completeness, Consistency, ProvedEntry
from provenance.core.bundle import Deployment as PinnedDeployment
from provenance.core.caip import Asset, AssetKind
from provenance.core.canonical import parse_canonical
from provenance.core.digest import Sha256
from provenance.core.merkle import consistency_proof, inclusion_proof
from provenance.core.refusal import Refusal
from provenance.core.tiles import TileReader
from provenance.models import AnchorRecord, DatasetRecord, Document, LogEntry, LogState
from provenance.queries import dataset_by_caip, log_state, tile_reader

RANGE_LIMIT = 4_096
"""Entries after the last commitment that a bundle carries to prove that nothing was left out."""


class BundleRefusal(Refusal):
    """A bundle cannot be made yet (`bundle.waiting`), or a document that it needs is gone."""


def trail_bundle(dataset: str) -> bytes:
    """Return the trail bundle of a dataset (CAIP-19). Raises QueryRefusal, BundleRefusal."""
    record = dataset_by_caip(dataset)
    versions = list(record.version_records.order_by("version").values_list("manifest", flat=True))
    packages = list(record.package_records.order_by("version", "package").values_list("digest", flat=True))
    proofs = _Proofs(log_state())
    rows = proofs.rows([dataset, *(f"sha256:{manifest}" for manifest in versions)])
    documents = dict(_documents([*versions, *packages, record.splits, *_offered(rows)]))
    return proofs.bundle(record, rows, documents, kind=BundleKind.TRAIL).to_bytes()


def license_bundle(*, license_id: str, dataset: str, certificate: str, grant: str | None) -> bytes:
    """Return the bundle of a license (CAIP-19) with its certificate and, of sealed data, the grant (digests).

    Raises BundleRefusal `bundle.waiting` while the log does not hold the purchase and the grant yet.
    """
    record = dataset_by_caip(dataset)
    certified = _object(certificate)
    proofs = _Proofs(log_state())
    rows = proofs.rows([dataset, f"sha256:{certified['manifest']}", license_id])
    wanted = {"license.purchased": license_id, **({"key.granted": grant} if grant else {})}
    said = {row.type for row in rows if row.subject == license_id}
    if missing := sorted(wanted.keys() - said):
        raise BundleRefusal(
            "bundle.waiting", "The license's entries are on their way into the log.", actual=", ".join(missing),
            todo="Ask again in a second.",
        )  # fmt: skip
    named = [certified[name] for name in ("manifest", "package", "offer", "terms")]
    documents = dict(_documents([*named, record.splits]))
    # Anything may be named on chain, also documents that are somebody else's to show.
    private = [certificate, *([grant] if grant else []), *_offers_of(dataset, certified["offer"])]
    documents |= dict(_documents(private, public=False))
    if grant:
        documents |= dict(_documents([str(_object(grant)["package"])]))
    return proofs.bundle(
        record, rows, documents, kind=BundleKind.LICENSE, license_id=license_id, certificate=certificate, grant=grant
    ).to_bytes()


class _Proofs:
    """Entries and proofs for one signed head."""

    def __init__(self, state: LogState) -> None:
        if not state.checkpoint_size:
            raise BundleRefusal("bundle.waiting", "The log has no signed head yet.", todo="Ask again in a second.")
        self.state = state
        self.size = state.checkpoint_size
        self._reader = tile_reader(self.size)

    def rows(self, subjects: Iterable[str]) -> list[LogEntry]:
        """Return the entries about some subjects below the head, in the order of the log."""
        return list(LogEntry.objects.filter(subject__in=list(subjects), index__lt=self.size).order_by("index"))

    def bundle(
        self,
        record: DatasetRecord,
        rows: list[LogEntry],
        documents: Mapping[Sha256, bytes],
        *,
        kind: BundleKind,
        license_id: str | None = None,
        certificate: str | None = None,
        grant: str | None = None,
    ) -> Bundle:
        """Put everything together."""
        deployment = record.deployment
        anchors = self._anchors(record, rows[0].index if rows else 0)
        completeness, range_rows = self._completeness(record.caip)
        entries = {row.index: row for row in (*rows, *range_rows)}
        return Bundle(
            kind=kind,
            deployment=PinnedDeployment(
                deployment.chain_id, deployment.registry, deployment.market, deployment.anchor, deployment.first_block
            ),
            origin=self.state.origin,
            vkey=self.state.vkey,
            service_key=bytes.fromhex(self.state.service_key),
            checkpoint=self.state.checkpoint,
            anchors=tuple(anchors),
            consistency=tuple(self._consistency({*(anchor.size for anchor in anchors), self.size})),
            documents=documents,
            entries=tuple(self._proved(entries[index]) for index in sorted(entries)),
            completeness=completeness,
            certificate=None if certificate is None else Sha256.from_hex(certificate),
            grant=None if grant is None else Sha256.from_hex(grant),
            dataset=Asset.parse(record.caip, AssetKind.DATASET),
            license=None if license_id is None else Asset.parse(license_id, AssetKind.LICENSE),
        )

    def _proved(self, row: LogEntry) -> ProvedEntry:
        proof = inclusion_proof(row.index, self.size, self._reader.get_hash)
        return ProvedEntry(row.index, bytes(row.envelope), tuple(proof))

    def _anchors(self, record: DatasetRecord, oldest: int) -> list[Anchor]:
        final = AnchorRecord.objects.filter(deployment=record.deployment, final=True, size__lte=self.size)
        first = final.filter(size__gt=oldest).order_by("size").first()
        last = final.order_by("-size").first()
        chosen = {row.size: row for row in (first, last) if row is not None}
        return [
            Anchor(
                row.tx,
                row.block_number,
                row.block_hash,
                row.size,
                bytes.fromhex(row.root),
                Sha256.from_hex(row.snapshot),
            )
            for _, row in sorted(chosen.items())
        ]

    def _consistency(self, sizes: set[int]) -> Iterator[Consistency]:
        for earlier, later in pairwise(sorted(sizes)):
            reader: TileReader = self._reader if later == self.size else tile_reader(later)
            yield Consistency(earlier, later, tuple(consistency_proof(earlier, later, reader.get_hash)))

    def _completeness(self, subject: str) -> tuple[Completeness | None, list[LogEntry]]:
        committed = LogEntry.objects.filter(type="index.committed", index__lt=self.size).order_by("-index").first()
        if committed is None:
            return None, []
        up_to = int(_statement(committed)["body"]["up_to"])
        if self.size - up_to > RANGE_LIMIT:
            return None, []
        proof = subject_index(up_to).prove(subject)
        later = LogEntry.objects.filter(index__gt=up_to, index__lt=self.size)
        return Completeness(committed.index, proof), list(later.order_by("index"))


def _anchor(row: AnchorRecord) -> Anchor:
    root, snapshot = bytes.fromhex(row.root), Sha256.from_hex(row.snapshot)
    return Anchor(row.tx, row.block_number, row.block_hash, row.size, root, snapshot)


def _offered(rows: Iterable[LogEntry]) -> Iterator[str]:
    for row in rows:
        if row.type == "offer.made":
            body = _statement(row)["body"]
            yield from (str(body["offer"]), str(body["terms"]))


def _offers_of(dataset: str, digest: str) -> list[str]:
    """Return the digest if it is that of an offer of this dataset: a private one is for its licensee to show."""
    row = Document.objects.filter(pk=digest, schema="cadastre.offer/1").first()
    value: Any = None if row is None else parse_canonical(row.content)
    return [digest] if value is not None and value["dataset"] == dataset else []


def _documents(digests: Iterable[str], *, public: bool = True) -> Iterator[tuple[Sha256, bytes]]:
    """Yield documents that are known here, with the file lists of manifests among them."""
    known = Q(public=True) if public else Q()
    rows = Document.objects.filter(known, pk__in={digest for digest in digests if digest})
    for row in rows.order_by("pk"):
        yield Sha256.from_hex(row.pk), row.content
        if row.schema == "cadastre.manifest/1":
            value: Any = parse_canonical(row.content)
            yield from _documents(value["file_lists"] or ())


def _object(digest: str) -> dict[str, Any]:
    row = Document.objects.filter(pk=digest).first()
    if row is None:
        raise BundleRefusal("bundle.document", "A document of the license is gone.", actual=digest)
    value: Any = parse_canonical(row.content)
    return dict(value)


def _statement(row: LogEntry) -> dict[str, Any]:
    envelope: Any = parse_canonical(bytes(row.envelope))
    return dict(envelope["statement"])
