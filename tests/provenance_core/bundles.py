"""A whole bundle, a chain that agrees with it, and a policy that pins its keys: small, and true in every byte."""

import base64
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise

from provenance.core.bundle import Anchor, Bundle, BundleKind, Consistency, Deployment, ProvedEntry
from provenance.core.bundle import Completeness as CompletenessClaim
from provenance.core.caip import Asset, AssetKind
from provenance.core.canonical import canonical_bytes
from provenance.core.chain_checks import LicenseState
from provenance.core.cid import Cid
from provenance.core.completeness import SubjectIndex, latest_by_subject
from provenance.core.digest import Sha256
from provenance.core.entry import rights_attestation
from provenance.core.fields import time_text
from provenance.core.manifest import Visibility, make_manifest
from provenance.core.merkle import consistency_proof, tree_root
from provenance.core.package import Package, PackageKind
from provenance.core.policy import ON_CHAIN, Policy
from provenance.core.statement import ChainPlace, StatementType
from provenance.core.verify import Auditor
from tests.provenance_core.logs import Log
from tests.provenance_core.manifests import description, some_records
from tests.provenance_core.statements import (
    ADA,
    CHAIN,
    CLEO,
    DATASET,
    DOMAIN,
    LICENSE,
    MARKET,
    NOW,
    REGISTRY,
    SERVICE_KEY,
    TOKEN,
    entry,
)

ANCHOR = "0x" + "d4" * 20
DEPLOYMENT = Deployment(CHAIN, REGISTRY, MARKET, ANCHOR, 3)
RECIPIENT = "age1" + "q" * 58
BUYER = "age1" + "p" * 58
NO_DIGEST = "0x" + "00" * 32
PARENT = DATASET.replace("/12", "/3")


@dataclass(frozen=True)
class Event:
    """A decoded log as a node reports it."""

    address: str
    name: str
    args: dict
    log_index: int
    block_number: int
    block_hash: str


@dataclass
class FakeChain:
    """Events by transaction, and the state of licenses."""

    chain_id: int = CHAIN
    head: int = 1000
    by_tx: dict = field(default_factory=dict)
    licenses: dict = field(default_factory=dict)

    def finalized(self):
        return self.head

    def events(self, tx):
        return self.by_tx.get(tx, [])

    def license(self, number):
        return self.licenses.get(number)

    def emit(self, name, args, *, contract, block):
        """Add an event in a transaction of its own; return its place."""
        tx = "0x" + Sha256.of(f"tx {len(self.by_tx)}".encode()).hex
        block_hash = "0x" + Sha256.of(f"block {block}".encode()).hex
        self.by_tx[tx] = [Event(contract, name, args, 4, block, block_hash)]
        return ChainPlace(CHAIN, contract, block, block_hash, tx, 4)


class World:
    """One dataset from registration to a sold license, on a chain and in a log."""

    def __init__(self, visibility=Visibility.SEALED):
        self.chain = FakeChain()
        self.log = Log()
        self.latest = {}
        self.documents = {}
        self.records = self.make_records()
        self.anchors = []
        self.publish(visibility)
        self.anchor(block=20)
        self.sell()
        self.anchor(block=40)
        self.commit()

    def make_records(self):
        return some_records(4)

    def make_package(self):
        sealed = self.manifest.visibility is Visibility.SEALED
        return Package(
            owner=ADA.account, manifest=self.manifest.digest, version=1, number=1, root=Cid.of(b"root"),
            kind=PackageKind.SEALED if sealed else PackageKind.OPEN, recipient=RECIPIENT if sealed else None,
            files=5, stored_bytes=999,
        )  # fmt: skip

    def add(self, kind, **options):
        made = entry(kind, previous=self.latest.get(options.get("subject", DATASET)), **options)
        index = self.log.append(made.to_bytes())
        self.latest[made.statement.subject] = index
        return index

    def file(self, document):
        raw = document if isinstance(document, bytes) else canonical_bytes(document)
        self.documents[Sha256.of(raw)] = raw
        return Sha256.of(raw)

    def publish(self, visibility):
        self.manifest, lists = make_manifest(description(), self.records, visibility=visibility)
        for each in (self.manifest.to_bytes(), *lists):
            self.file(each)
        sealed = visibility is Visibility.SEALED
        self.package = self.make_package()
        self.file(self.package.to_bytes())
        manifest, package = self.manifest.digest, self.package.digest
        content = f"sha256:{manifest}"
        signed = ADA.sign(rights_attestation(DOMAIN, ADA.address, manifest).digest)
        said = {"manifest": manifest.hex, "owner": str(ADA.account)}
        self.add(StatementType.RIGHTS_ATTESTED, subject=content, body=said, people=(signed,))
        self.add(StatementType.GATE_PASSED, subject=content, body=said)
        registered = {
            "dataset": "12", "owner": ADA.address, "manifest": f"0x{manifest}", "package": f"0x{package}",
            "packageKind": "1" if sealed else "0", "deriveBps": "500", "splits": NO_DIGEST,
        }  # fmt: skip
        place = self.chain.emit("DatasetRegistered", registered, contract=REGISTRY, block=8)
        body = {
            "manifest": manifest.hex, "package": package.hex,
            "parents": [{"dataset": PARENT, "bps": 500, "license": LICENSE}],
        }  # fmt: skip
        self.add(StatementType.DATASET_REGISTERED, subject=DATASET, chain=place, body=body)
        version = {"manifest": manifest.hex, "package": package.hex}
        self.add(StatementType.VERSION_PUBLISHED, subject=DATASET, chain=place, body=version)
        stored = {"digest": package.hex, "kind": self.package.kind.value}
        self.add(StatementType.PACKAGE_MADE, subject=DATASET, chain=place, body=stored)

    def sell(self):
        terms = self.file({"schema": "cadastre.terms/1", "title": "Train a model", "text": "You may."})
        offer = self.file(
            {
                "schema": "cadastre.offer/1", "dataset": DATASET, "version": 1, "manifest": self.manifest.digest.hex,
                "terms": terms.hex, "price": "240000000", "token": TOKEN, "fee_bps": 250, "hold_seconds": 0,
                "expires": None, "count": None, "licensee": str(CLEO.account), "nonce": "7",
            }
        )  # fmt: skip
        self.add(StatementType.OFFER_MADE, subject=DATASET, body={"offer": offer.hex, "terms": terms.hex, "nonce": "7"})
        purchased = {
            "license": "5", "dataset": "12", "licensee": CLEO.address, "document": f"0x{offer}", "terms": f"0x{terms}",
            "token": TOKEN.rpartition(":")[2], "price": "240000000", "feeBps": "250",
        }  # fmt: skip
        place = self.chain.emit("LicensePurchased", purchased, contract=MARKET, block=30)
        bought = {"offer": offer.hex, "terms": terms.hex}
        self.add(StatementType.LICENSE_PURCHASED, subject=LICENSE, chain=place, body=bought)
        end = NOW + timedelta(days=365)
        self.certificate = self.file(
            {
                "schema": "cadastre.certificate/1", "license": LICENSE, "dataset": DATASET, "version": 1,
                "manifest": self.manifest.digest.hex, "package": self.package.digest.hex, "offer": offer.hex,
                "terms": terms.hex, "price": "240000000", "fee": "6000000", "token": TOKEN,
                "uses": ["derive", "pretrain"], "licensee": str(CLEO.account), "start": time_text(NOW),
                "end": time_text(end), "tx": place.tx, "block": place.block, "block_hash": place.block_hash,
                "network": "test",
            }
        )  # fmt: skip
        self.chain.licenses[5] = LicenseState(12, CLEO.address, int(end.timestamp()), active=True)
        self.grant = self.file(
            {
                "schema": "cadastre.grant/1", "license": LICENSE, "package": self.package.digest.hex,
                "recipient": BUYER, "sealed_key": base64.b64encode(b"sealed").decode(),
            }
        )  # fmt: skip
        granted = {"package": self.package.digest.hex, "grant": self.grant.hex}
        self.add(StatementType.KEY_GRANTED, subject=LICENSE, body=granted)

    def anchor(self, block):
        size = len(self.log.entries)
        root, snapshot = tree_root(size, self.log.tree.get_hash), Sha256.of(f"snapshot {size}".encode())
        said = {
            "origin": f"0x{Sha256.of(self.log.origin.encode())}", "sender": ADA.address, "size": str(size),
            "root": f"0x{root.hex()}", "snapshot": f"0x{snapshot}",
        }  # fmt: skip
        place = self.chain.emit("Anchored", said, contract=ANCHOR, block=block)
        self.anchors.append(Anchor(place.tx, place.block, place.block_hash, size, root, snapshot))

    def commit(self):
        from provenance.core.entry import Entry

        subjects = [(index, Entry.parse(raw).statement.subject) for index, raw in enumerate(self.log.entries)]
        self.index = SubjectIndex(latest_by_subject(subjects), len(subjects) - 1)
        made = self.index.commitment
        body = {"up_to": made.up_to, "count": made.count, "root": made.root.hex()}
        self.committed = self.add(
            StatementType.INDEX_COMMITTED, subject=f"log:{self.log.origin}", unique=str(made.up_to), body=body
        )

    def proved(self, index):
        return ProvedEntry(index, self.log.entries[index], tuple(self.log.tree.inclusion_proof(index)))

    def bundle(self, kind=BundleKind.LICENSE, **changes):
        size = len(self.log.entries)
        sizes = sorted({*(anchor.size for anchor in self.anchors), size})
        links = [
            Consistency(before, after, tuple(consistency_proof(before, after, self.log.tree.get_hash)))
            for before, after in pairwise(sizes)
        ]
        licensed = kind is BundleKind.LICENSE
        said = {
            "kind": kind, "deployment": DEPLOYMENT, "origin": self.log.origin, "vkey": str(self.log.vkey),
            "service_key": SERVICE_KEY, "checkpoint": self.log.note(), "anchors": tuple(self.anchors),
            "consistency": tuple(links), "documents": self.documents,
            "entries": tuple(self.proved(index) for index in range(size)),
            "completeness": CompletenessClaim(self.committed, self.index.prove(DATASET)),
            "certificate": self.certificate if licensed else None, "grant": self.grant if licensed else None,
            "dataset": Asset.parse(DATASET, AssetKind.DATASET),
            "license": Asset.parse(LICENSE, AssetKind.LICENSE) if licensed else None,
        }  # fmt: skip
        return Bundle(**{**said, **changes})

    def policy(self, required=ON_CHAIN, **changes):
        made = Policy(
            vkey=self.log.vkey, service_key=SERVICE_KEY, deployment=DEPLOYMENT, required=required,
            anchor_sender=ADA.address,
        )  # fmt: skip
        return replace(made, **changes)

    def auditor(self, **changes):
        return replace(
            Auditor(
                self.chain, lambda _sealed: RECIPIENT, lambda manifest, _package: f"{manifest.totals.files} files."
            ),
            **changes,
        )
