"""A dataset that can really be downloaded: files, blocks, a grant that opens, and terms that were really signed."""

import base64
from datetime import timedelta

import pyrage

from marketplace.core.license import Certificate, Network
from marketplace.core.offer import Offer, market_domain, use_words
from marketplace.core.terms import Terms, Use
from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.car import write_car
from provenance.core.chain_checks import LicenseState
from provenance.core.digest import Sha256
from provenance.core.file_record import FileRecord, sorted_records
from provenance.core.manifest import Visibility
from provenance.core.package import Package, PackageKind, manifest_name
from provenance.core.private_manifest import private_manifests
from provenance.core.statement import StatementType
from provenance.core.unixfs.directory import build_tree
from provenance.core.unixfs.file import FileHasher
from provenance.sealing import seal_bytes
from tests.provenance_core.bundles import World
from tests.provenance_core.statements import ADA, CHAIN, CLEO, DATASET, LICENSE, MARKET, NOW, TOKEN

BUYER = pyrage.x25519.Identity.generate()
CONTENT_KEY = pyrage.x25519.Identity.generate()
FILES = {
    "photos/tide pool 🦀.jpg": bytes(range(256)) * 12_000,  # three chunks of a MiB
    "photos/empty.jpg": b"",
    "readme.txt": b"Photographs of tide pools.\n",
}
TERMS = Terms(
    title="Train a model", text="You may train a model with it.", uses=frozenset({Use.PRETRAIN, Use.DERIVE}),
    commercial=True, term_days=365, derive_bps=500,
)  # fmt: skip
PRICE = 240_000_000


class Goods(World):
    """Ada's dataset, bought by Cleo. `blocks` holds what is stored, by CID."""

    def __init__(self, visibility=Visibility.SEALED, files=FILES, **changes):
        self.plain = files
        self.changes = changes
        self.blocks = {}
        super().__init__(visibility)

    def make_records(self):
        return sorted_records(
            FileRecord(
                path, len(data), Sha256.of(data), "image/jpeg" if path.endswith("jpg") else "text/plain", 1,
                Sha256.of(path.encode()).raw[:16],
            )
            for path, data in self.plain.items()
        )  # fmt: skip

    def store(self, data):
        hasher = FileHasher(self.keep)
        hasher.update(data)
        return hasher.finish()

    def keep(self, cid, block):
        self.blocks[cid] = bytes(block)

    def make_package(self):
        sealed = self.manifest.visibility is Visibility.SEALED
        stored = self.stored_sealed() if sealed else self.plain
        nodes = {name: self.store(data) for name, data in stored.items()}
        return Package(
            owner=ADA.account, manifest=self.manifest.digest, version=1, number=1,
            root=build_tree(nodes.items(), self.keep).cid, kind=PackageKind.SEALED if sealed else PackageKind.OPEN,
            recipient=str(CONTENT_KEY.to_public()) if sealed else None, files=len(stored),
            stored_bytes=sum(map(len, stored.values())),
        )  # fmt: skip

    def stored_sealed(self):
        recipient = str(CONTENT_KEY.to_public())
        contents = {record.stored_name: self.plain[record.path] for record in self.records}
        for part, each in enumerate(private_manifests(self.manifest, self.records)):
            contents[manifest_name(part)] = each.to_bytes()
        return {name: seal_bytes(data, recipient) for name, data in contents.items()}

    def sell(self):
        terms = self.file(TERMS.to_document())
        self.offer = Offer(
            **{
                "dataset": Asset.parse(DATASET, AssetKind.DATASET), "version": 1, "manifest": self.manifest.digest,
                "terms": TERMS.digest, "price": PRICE, "token": Asset.parse(TOKEN, AssetKind.TOKEN), "fee_bps": 250,
                "hold_seconds": 0, "nonce": 7, **self.changes.get("offer", {}),
            }
        )  # fmt: skip
        offer = self.file(self.offer.to_bytes())
        self.typed = self.offer.typed_data(market_domain(CHAIN, MARKET), TERMS)
        signed = self.changes.get("signer", ADA).sign(self.typed.digest)
        made = {"offer": offer.hex, "terms": terms.hex, "nonce": "7"}
        if self.changes.get("logged", True):
            self.add(StatementType.OFFER_MADE, subject=DATASET, body=made, people=(signed,))
        self.purchase(offer, terms)

    def purchase(self, offer, terms):
        price, fee = str(PRICE), str(self.changes.get("fee", 6_000_000))
        place = self.chain.emit(
            "LicensePurchased",
            {
                "license": "5", "dataset": "12", "licensee": CLEO.address, "document": f"0x{offer}",
                "terms": f"0x{terms}", "token": TOKEN.rpartition(":")[2], "price": price, "feeBps": "250",
                "offer": f"0x{self.typed.struct_hash.hex()}", **self.changes.get("event", {}),
            },
            contract=MARKET, block=30,
        )  # fmt: skip
        uses = self.changes.get("uses", TERMS.uses)
        bought = {"offer": offer.hex, "terms": terms.hex, "price": price, "fee": fee, "token": TOKEN}
        bought["uses"] = use_words(uses, commercial=True)
        self.add(StatementType.LICENSE_PURCHASED, subject=LICENSE, chain=place, body=bought)
        end = int((NOW + timedelta(days=self.changes.get("days", 365))).timestamp())
        certificate = Certificate(
            license=Asset.parse(LICENSE, AssetKind.LICENSE), dataset=self.offer.dataset, version=1,
            manifest=self.manifest.digest, package=self.package.digest, offer=offer, terms=terms, price=PRICE,
            fee=int(fee), token=self.offer.token, uses=frozenset(uses), commercial=True,
            licensee=Account(CHAIN, CLEO.address), start=int(NOW.timestamp()), end=end, tx=place.tx,
            block=place.block, block_hash=place.block_hash, network=Network.TEST,
        )  # fmt: skip
        self.certificate = self.file(certificate.to_bytes())
        self.chain.licenses[5] = LicenseState(12, CLEO.address, end, active=True)
        self.grant = None
        if self.manifest.visibility is Visibility.SEALED:
            self.make_grant()

    def make_grant(self):
        sealed = seal_bytes(f"{CONTENT_KEY}\n".encode(), str(BUYER.to_public()))
        self.grant = self.file(
            {
                "schema": "cadastre.grant/1", "license": LICENSE, "package": self.package.digest.hex,
                "recipient": str(BUYER.to_public()), "sealed_key": base64.b64encode(sealed).decode(),
            }
        )  # fmt: skip
        granted = {"package": self.package.digest.hex, "grant": self.grant.hex}
        self.add(StatementType.KEY_GRANTED, subject=LICENSE, body=granted)

    def pins(self):
        """What `/api/v1/deployment` would say."""
        bundle = self.bundle()
        return {
            "deployment": bundle.deployment.to_document(),
            "log": {"origin": bundle.origin, "vkey": bundle.vkey},
            "service_key": bundle.service_key.hex(),
            "tokens": [{"address": TOKEN.rpartition(":")[2], "symbol": "TUSD", "decimals": 6, "name": "TestUSD"}],
        }

    def car(self):
        return b"".join(write_car([self.package.root], self.blocks.items()))
