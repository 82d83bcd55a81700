"""What follows from a final event and cannot be taken back: journal, log, certificates, keys.

Each handler runs in the follower's transaction and is safe twice: journal effects and facts are unique by the event.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.db.models import Q

from marketplace import journal, market_calls
from marketplace.actions.licenses import want_grants
from marketplace.actions.offers import end_offer, renew_offers
from marketplace.actions.vouchers import deposit_mined
from marketplace.core.caip import AccountName, AssetKind, AssetName
from marketplace.core.document import write_time
from marketplace.core.license import Certificate, Network
from marketplace.core.offer import ground_word, known_uses, use_words
from marketplace.core.terms import Use
from marketplace.models import LicenseRow, Listing, OfferRow, Order, VoucherRow
from marketplace.projections.events import custodial_order, deposited_voucher, fold_license
from marketplace.projections.payouts import (
    record_accepted,
    record_paid,
    record_proposed,
    record_pushed,
    record_skipped,
)
from marketplace.queries.addresses import signing_of
from provenance.core.digest import Sha256
from provenance.models import ChainEvent, Document, PackageRecord, VersionRecord
from provenance.projections import ZERO_ADDRESS

PAID_FROM_DEPOSIT = 3
"""`LicensePurchased.paidBy`: no token moved, see docs/chain.md."""


def record_final(event: ChainEvent) -> None:
    """Do what a final event of the market, or of a dataset's ownership, entails; nothing for others. Safe twice."""
    handler = _HANDLERS.get(event.name)
    if handler is not None:
        handler(event)


def _purchased(event: ChainEvent) -> None:
    row = fold_license(event.deployment, event.number("license"))
    if row is None:
        return
    _book_purchase(event, row)
    now = market_calls.event_time(event)
    if row.order_id is not None:
        under_way = (Order.State.PLACED, Order.State.PAYING, Order.State.MINED)
        Order.objects.filter(pk=row.order_id, state__in=under_way).update(state=Order.State.FINAL, changed=now)
    uses, commercial = known_uses(event.number("uses"))
    market_calls.state_event(
        type="license.purchased",
        subject=row.pk,
        event=event,
        body={
            "dataset": row.dataset,
            "offer": row.offer,
            "terms": row.terms,
            "price": str(row.price),
            "fee": str(row.fee),
            "token": row.token,
            "uses": list(use_words(uses, commercial=commercial)),
        },
    )
    _certify(row)
    want_grants(row, now=now)


def _book_purchase(event: ChainEvent, row: LicenseRow) -> None:
    if not row.price:
        return
    order = custodial_order(event)
    if order is not None:
        source = journal.held(order.account_id)
    elif event.args["paidBy"] == PAID_FROM_DEPOSIT:
        source = journal.DEPOSITS
    else:
        source = journal.OUTSIDE
    _book(event, source, journal.UNSETTLED, row.token, row.price)


def _certify(row: LicenseRow) -> None:
    """Write the certificate of a license whose version and package are known here."""
    name = AssetName.parse(row.dataset, AssetKind.DATASET)
    registry = Q(deployment__chain_id=name.chain, deployment__registry=name.contract, token=name.number)
    if row.version is None or row.certificate:
        return
    version = VersionRecord.objects.filter(registry, version=row.version).first()
    package = PackageRecord.objects.filter(registry, version=row.version).order_by("-package").first()
    if version is None or package is None:
        return
    words = set(row.uses)
    certificate = Certificate(
        license=AssetName.parse(row.pk, AssetKind.LICENSE),
        dataset=name,
        version=version.version,
        manifest=Sha256.from_hex(version.manifest),
        package=Sha256.from_hex(package.digest),
        offer=Sha256.from_hex(row.offer),
        terms=Sha256.from_hex(row.terms),
        price=row.price,
        fee=row.fee,
        token=AssetName.parse(row.token, AssetKind.TOKEN),
        uses=frozenset(use for use in Use if use.value in words),
        commercial="commercial" in words,
        licensee=AccountName(row.chain, row.licensee),
        start=int(row.start.timestamp()),
        end=None if row.end is None else int(row.end.timestamp()),
        tx=row.tx,
        block=row.block,
        block_hash=row.block_hash,
        network=Network.LIVE if settings.CADASTRE_NETWORK == "live" else Network.TEST,
    )
    # Not public: that this licensee bought this is the licensee's to show.
    Document.create_from_bytes(certificate.to_bytes(), schema="cadastre.certificate/1", public=False)
    LicenseRow.objects.filter(pk=row.pk).update(certificate=certificate.digest.hex)
    row.certificate = certificate.digest.hex


def _refunded(event: ChainEvent) -> None:
    row = fold_license(event.deployment, event.number("license"))
    if row is None:
        return
    amount = event.number("amount")
    order = Order.objects.filter(pk=row.order_id).first() if row.order_id else None
    target = journal.OUTSIDE if order is None or order.payer else journal.available(order.account_id)
    _book(event, journal.UNSETTLED, target, row.token, amount)
    if order is not None:
        now = market_calls.event_time(event)
        Order.objects.filter(pk=order.pk, state=Order.State.FINAL).update(state=Order.State.REFUNDED, changed=now)
    market_calls.state_event(
        type="license.refunded", subject=row.pk, event=event, body={"dataset": row.dataset, "amount": str(amount)}
    )


def _revoked(event: ChainEvent) -> None:
    market_calls.state_event(
        type="license.revoked",
        subject=event.deployment.license_caip(event.number("license")),
        event=event,
        body={"ground": ground_word(event.number("ground")), "effective": write_time(event.block_time)},
    )


def _charged(event: ChainEvent) -> None:
    license_id = event.deployment.license_caip(event.number("license"))
    _book(event, journal.DEPOSITS, journal.UNSETTLED, _token(event), event.number("moved"))
    signed, total, now = event.number("signed"), event.number("total"), market_calls.event_time(event)
    vouchers = (
        VoucherRow.objects.filter(license=license_id, cumulative_units=event.number("units"), cumulative_amount=signed)
        .exclude(signature="")
        .exclude(state=VoucherRow.State.CHARGED)
    )
    if total == signed:
        vouchers.update(state=VoucherRow.State.CHARGED, cause="", changed=now)
        return
    # Whoever has a voucher may send it, also before its deposit: the same voucher charges the rest when there is money.
    cause = f"The deposit had too little: {total} of {signed} base units are charged."
    vouchers.filter(state=VoucherRow.State.CHARGING).update(state=VoucherRow.State.FAILED, cause=cause, changed=now)


def _deposited(event: ChainEvent) -> None:
    if journal.is_booked(f"{event.name}:{event.fact}"):
        return  # told again: whom it was for is decided once
    voucher = _deposited_for(event)
    if voucher is not None:
        deposit_mined(voucher, now=market_calls.event_time(event))
    source = journal.OUTSIDE
    if voucher is not None:
        order = LicenseRow.objects.select_related("order").get(pk=voucher.license).order
        source = journal.OUTSIDE if order is None or order.payer else journal.held(order.account_id)
    _book(event, source, journal.DEPOSITS, _token(event), event.number("amount"))


def _deposited_for(event: ChainEvent) -> VoucherRow | None:
    voucher = deposited_voucher(event)
    if voucher is not None:
        return voucher
    # Somebody sent an authorization before us. The event does not say which one; who paid, and its amount, do.
    paid = LicenseRow.objects.filter(payer=event.args["from"], order__isnull=False).values("pk")
    waiting = VoucherRow.objects.filter(
        state=VoucherRow.State.DEPOSITING, deposit=event.number("amount"), license__in=paid
    )
    return waiting.order_by("created").first()


def _withdrawn(event: ChainEvent) -> None:
    _book(event, journal.DEPOSITS, journal.OUTSIDE, _token(event), event.number("amount"))


def _bond_posted(event: ChainEvent) -> None:
    _book(event, journal.OUTSIDE, journal.BONDS, _token(event), event.number("amount"))


def _bond_left(event: ChainEvent) -> None:
    _book(event, journal.BONDS, journal.OUTSIDE, _token(event), event.number("amount"))


def _offer_cancelled(event: ChainEvent) -> None:
    dataset = event.deployment.dataset_caip(event.number("dataset"))
    open_states = (OfferRow.State.LIVE, OfferRow.State.WANTED)
    now = market_calls.event_time(event)
    for row in OfferRow.objects.filter(dataset=dataset, nonce=str(event.number("nonce")), state__in=open_states):
        Listing.objects.filter(offer=row).update(offer=None, changed=now)
        end_offer(row, OfferRow.State.WITHDRAWN, now=now)


def _transferred(event: ChainEvent) -> None:
    if not event.subject.startswith("dataset/") or event.args["from"] == ZERO_ADDRESS:
        return
    dataset = event.deployment.dataset_caip(int(event.subject.partition("/")[2]))
    listing = Listing.objects.filter(pk=dataset).first()
    holder = signing_of(event.args["to"])
    if listing is None:
        return
    if holder is not None and holder[0].pk == listing.account_id:
        renew_offers(listing=listing, owner=event.args["to"], now=market_calls.event_time(event))
        return
    # Offers of the former owner are worthless on chain: the market asks for the present owner's signature.
    now = market_calls.event_time(event)
    open_states = (OfferRow.State.LIVE, OfferRow.State.WANTED)
    for row in OfferRow.objects.filter(dataset=dataset, state__in=open_states):
        end_offer(row, OfferRow.State.WITHDRAWN, now=now)
    Listing.objects.filter(pk=dataset).exclude(state=Listing.State.WITHHELD).update(
        state=Listing.State.UNLISTED, reason="transferred", offer=None, changed=now
    )
    if holder is not None:
        taken = Listing.objects.filter(account=holder[0], slug=listing.slug).exists()
        slug = f"{listing.slug[:60]}-{event.tx[2:8]}" if taken else listing.slug
        Listing.objects.filter(pk=dataset).update(account=holder[0], slug=slug)


def _packaged(event: ChainEvent) -> None:
    dataset = event.deployment.dataset_caip(event.number("dataset"))
    now = market_calls.event_time(event)
    for row in LicenseRow.objects.select_related("order").filter(dataset=dataset, final=True, account__isnull=False):
        want_grants(row, now=now)


def _book(event: ChainEvent, source: str, target: str, token: str, amount: int) -> None:
    if amount:
        journal.move(
            source=source, target=target, token=token, amount=amount, effect=f"{event.name}:{event.fact}",
            now=market_calls.event_time(event),
        )  # fmt: skip


def _token(event: ChainEvent) -> str:
    return event.deployment.token_caip(event.args["token"])


_HANDLERS: dict[str, Callable[[ChainEvent], None]] = {
    "LicensePurchased": _purchased,
    "LicenseRefunded": _refunded,
    "LicenseRevoked": _revoked,
    "Charged": _charged,
    "Deposited": _deposited,
    "Withdrawn": _withdrawn,
    "BondPosted": _bond_posted,
    "BondReturned": _bond_left,
    "ForfeitsWithdrawn": _bond_left,
    "RootProposed": record_proposed,
    "RootAccepted": record_accepted,
    "Paid": record_paid,
    "Pushed": record_pushed,
    "PayoutSkipped": record_skipped,
    "OfferCancelled": _offer_cancelled,
    "Transfer": _transferred,
    "PackageMade": _packaged,
    "VersionPublished": _packaged,
}
