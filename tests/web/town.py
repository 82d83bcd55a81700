"""A register with a story in it, for pages: photographs, a table built from them, a sale, reported use, a payout."""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from django.test import Client
from PIL import Image, ImageFilter

from marketplace.actions.usage import Usage, report_usage
from marketplace.core.caip import AccountName
from marketplace.core.facts import Border, Facts, FeePayeeSet, ParentLinked, PayeeAdded, Purchase, Registered
from marketplace.core.facts import Deployment as DeploymentFact
from marketplace.core.settlement import settle
from marketplace.core.settlement_documents import write_documents
from marketplace.core.terms import Use
from marketplace.core.voucher import Subject
from marketplace.models import LicenseRow, Listing, Order, PayeeRow, PayoutRow, SettlementRow
from provenance.core.merkle import tree_root
from provenance.models import AnchorRecord, DatasetRecord, Document, ParentEdge
from provenance.queries import log_state, tile_reader
from tests.api.conftest import RECIPIENT, Person, Site

FEE_PAYEE = 1


def photograph(seed: int, *, width: int = 320, height: int = 240) -> bytes:
    """A picture of its own: soft shapes over a slope of color, no two alike."""
    chance = random.Random(seed)
    image = Image.new("RGB", (width, height))
    phases = [chance.uniform(0, 6.28) for _ in range(6)]
    scales = [chance.uniform(0.008, 0.06) for _ in range(6)]
    base = [chance.randint(30, 170) for _ in range(3)]
    pixels = [
        tuple(
            max(
                0,
                min(
                    255,
                    int(
                        base[c]
                        + 60 * math.sin(x * scales[c] + phases[c])
                        + 60 * math.cos(y * scales[c + 3] + phases[c + 3])
                    ),
                ),
            )
            for c in range(3)
        )
        for y in range(height)
        for x in range(width)
    ]
    image.putdata(pixels)
    out = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(1)).save(out, "JPEG", quality=88)
    return out.getvalue()


def browser(person: Person, *, operator: bool = False) -> Client:
    """A signed-in browser."""
    user = person.actor.membership.user
    if operator:
        user.is_staff = True
        user.save()
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def prove_second_factor(client: Client, person: Person) -> None:
    """What allauth keeps in the session after a code or a passkey that was asked for once more."""
    import time

    session = client.session
    session["account_authentication_methods"] = [
        {"method": "mfa", "at": time.time(), "type": "totp", "reauthenticated": True}
    ]
    session["account_authentication_methods_user"] = str(person.actor.membership.user.pk)
    session.save()


@dataclass
class Story:
    """Who did what."""

    site: Site
    ada: Person
    ben: Person
    cleo: Person
    photographs: Listing
    derived: Listing
    license: LicenseRow
    order: Order
    payout: PayoutRow

    @property
    def paths(self) -> dict[str, str]:
        """Ids in addresses."""
        return {
            name: self.slug(row.dataset) for name, row in (("photographs", self.photographs), ("derived", self.derived))
        }

    def manifest(self, name: str) -> str:
        """Digest of the manifest of `photographs` or `derived`."""
        listing = {"photographs": self.photographs, "derived": self.derived}[name]
        return DatasetRecord.objects.get(token=int(listing.dataset.rpartition("/")[2])).manifest

    def slug(self, caip: str) -> str:
        chain, asset, number = caip.removeprefix("eip155:").split("/")
        return f"{chain}-{asset.partition(':0x')[2]}-{number}"


def tell(site: Site, ada: Person, ben: Person, cleo: Person, *, pictures: int = 3) -> Story:
    """Publish, derive, buy, report, settle."""
    files = {f"pools/{number:04}.jpg": photograph(number) for number in range(pictures)}
    photographs = site.publish(
        ada, files=files, title="Tide-pool photographs, Cornwall 2019–2025", creator="Ada Fenwick", kind="image",
        description="Rock pools between Sennen and Lizard at low water, one frame per pool and visit.",
        languages=["en"], collected={"from": "2019-04-01", "to": "2025-09-30"}, preview_public=True,
    )  # fmt: skip
    derived = site.publish(ben, title="Shoreline survey", creator="Ben Okafor", kind="table", preview_public=True)
    _build_from(site, derived, photographs)
    site.give(cleo, 1_000_000_000)
    row, order = buy(site, cleo, derived)
    report(cleo, row)
    payout = settle_one(site, photographs, derived, row)
    site.sequence()
    _anchor(site)
    return Story(site, ada, ben, cleo, photographs, derived, row, order, payout)


def buy(site: Site, person: Person, listing: Listing, *, state: str = "final") -> tuple[LicenseRow, Order]:
    """A purchase as projections would have it, with its order."""
    listing.refresh_from_db()
    assert listing.offer is not None
    offer = listing.offer
    order = Order.objects.create(
        account=person.actor.account, offer=offer, dataset=listing.dataset, recipient=RECIPIENT, total=offer.price,
        idempotency_key=str(uuid4()), fee=offer.price // 40, placed_by=person.actor.membership, state=state,
        created=site.now, changed=site.now,
    )  # fmt: skip
    row = site.license(person, listing, order=order, log=LicenseRow.objects.count())
    Order.objects.filter(pk=order.pk).update(license=row.pk)
    order.refresh_from_db()
    site.deliver(row)
    row.refresh_from_db()
    return row, order


def report(person: Person, row: LicenseRow, *, quantity: int = 25_000) -> None:
    today = row.start.date() + timedelta(days=1)
    used = Usage(
        version=1, first=max(row.start.date(), date(today.year, today.month, 1)), last=today, use=Use.FINE_TUNE,
        quantity=quantity, model=Subject(id="shore-net-2"), run=Subject(id="run-41"),
    )  # fmt: skip
    report_usage(by=person.actor, license_id=row.pk, key=str(uuid4()), used=used, now=row.start + timedelta(days=2))


def settle_one(site: Site, parent: Listing, child: Listing, row: LicenseRow) -> PayoutRow:
    """A settlement of one sale, with its real documents; returns what the parent's owner gets."""
    deployment, token = site.deployment, row.token.rpartition(":")[2]
    owners = {number: DatasetRecord.objects.get(token=number).owner for number in (1, 2)}
    end = Border(50, "0x" + "5e" * 32, int(site.now.timestamp()))
    facts = Facts(
        deployment=DeploymentFact(deployment.chain_id, deployment.registry, deployment.market), token=token, epoch=1,
        borders=(Border(0, "0x" + "00" * 32, end.time - 86_400), end),
        purchases=(Purchase(row.block, row.log, row.tx, row.number, 2, token, row.price, 250, 0),),
        changes=(
            PayeeAdded(1, 0, FEE_PAYEE, "0x" + "fe" * 20), FeePayeeSet(1, 1, FEE_PAYEE),
            Registered(2, 0, 1, owners[1], None), PayeeAdded(2, 1, 2, owners[1]),
            Registered(3, 0, 2, owners[2], None), ParentLinked(3, 1, 2, 1, 1_000), PayeeAdded(3, 2, 3, owners[2]),
        ),
    )  # fmt: skip
    settlement = settle(facts)
    documents = write_documents(settlement)
    for data, schema in (
        (documents.index, "cadastre.settlement/1"),
        *((shard, "cadastre.settlement-shard/1") for shard in documents.shards),
    ):
        Document.create_from_bytes(data, schema=schema)
    fees = sum(line.fee for line in settlement.revenue)
    held = SettlementRow.objects.create(
        token=row.token, epoch=1, from_block=0, to_block=50, to_block_hash=end.hash, ended_at=site.now,
        revenue=row.price, root="0x" + settlement.payout_tree().root.hex(), digest=documents.digest.hex, fees=fees,
        state="accepted", allocated=row.price - fees, cumulative=row.price, payees=3,
        accept_after=site.now + timedelta(days=2),
    )  # fmt: skip
    market = str(AccountName(deployment.chain_id, deployment.market))
    rows = []
    for leaf, line in enumerate(settlement.balances):
        address = str(line.account).rpartition(":")[2]
        PayeeRow.objects.create(market=market, number=line.payee, address=address, block=3)
        rows.append(
            PayoutRow.objects.create(
                settlement=held,
                leaf=leaf,
                payee=line.payee,
                address=address,
                amount=line.amount,
                cumulative=line.cumulative,
                state="paid",
                tx="0x" + "ab" * 32,
                changed=site.now,
            )
        )
    return next(each for each in rows if each.payee == 2)


def _build_from(site: Site, child: Listing, parent: Listing) -> None:
    numbers = [int(each.dataset.rpartition("/")[2]) for each in (child, parent)]
    record = DatasetRecord.objects.get(token=numbers[0])
    ParentEdge.objects.create(
        deployment=site.deployment, dataset=record, child=numbers[0], parent=numbers[1], bps=1_000
    )


def _anchor(site: Site) -> None:
    size = log_state().size - 3
    AnchorRecord.objects.create(
        deployment=site.deployment, size=size, root=tree_root(size, tile_reader(size).get_hash).hex(),
        snapshot="5a" * 32, tx="0x" + "ac" * 32, block_number=40, block_hash="0x" + "bc" * 32, final=True,
        anchored_at=site.now - timedelta(minutes=3),
    )  # fmt: skip


def anything(value: Any) -> str:
    """Return text for a message of an assertion."""
    return value.content.decode()[:3000] if hasattr(value, "content") else str(value)
