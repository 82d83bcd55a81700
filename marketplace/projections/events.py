"""Rows about the chain as of its newest followed block: computed anew from all events of their subject.

A row is never changed by an event alone, so a reorg needs no undo and folding twice is folding once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings

from marketplace.actions.vouchers import deposit_mined
from marketplace.core.offer import Offer, known_uses, use_words
from marketplace.market_calls import TREASURY, event_time, known_address
from marketplace.models import Account, LicenseRow, Order, PayeeRow, SettlementRow, VoucherRow
from marketplace.queries.addresses import signing_of
from marketplace.queries.catalog import fee_part
from provenance.core.canonical import parse_canonical
from provenance.core.refusal import Refusal
from provenance.models import ChainEvent, Deployment, Document, Intent

_UUID_LIMIT = 1 << 128


def fold_event(event: ChainEvent) -> None:
    """Bring the rows about an event's subject up to date."""
    fold_subject(event.deployment, event.subject)
    if event.name == "Deposited" and (voucher := deposited_voucher(event)) is not None:
        deposit_mined(voucher, now=event_time(event))


def refold(deployment: Deployment, subjects: Sequence[str]) -> None:
    """Compute rows anew whose events a reorg took back."""
    for subject in subjects:
        fold_subject(deployment, subject)


def fold_subject(deployment: Deployment, subject: str) -> None:
    """Compute trade's rows about a subject; other subjects are evidence's."""
    kind, _, name = subject.partition("/")
    match kind:
        case "license":
            fold_license(deployment, int(name))
        case "payee":
            fold_payee(deployment, int(name))
        case "settlement":
            token, _, epoch = name.partition("/")
            fold_settlement(deployment, token, int(epoch))
        case _:
            return


def events_of(deployment: Deployment, subject: str) -> list[ChainEvent]:
    """Return the events of a subject in the order of the chain."""
    rows = ChainEvent.objects.filter(deployment=deployment, subject=subject)
    return list(rows.select_related("deployment").order_by("block_number", "log_index"))


def deposited_voucher(event: ChainEvent) -> VoucherRow | None:
    """Return the voucher for which a transaction of ours made a `Deposited`. A transaction that reverts makes none."""
    intent = Intent.objects.filter(kind__in=("market.deposit", "wallet.deposit"), transactions__hash=event.tx).first()
    return None if intent is None else VoucherRow.objects.filter(pk=intent.payload["voucher"]).first()


def purchased_order(event: ChainEvent) -> Order | None:
    """Return the order that a `LicensePurchased` carries out: the treasury paid for it, or the wallet that it names.

    The reference is public: whoever copies it into a purchase of their own pays for it themselves, and is not us. A
    wallet of ours may use it for something else than what was ordered, too.
    """
    reference, args = int(str(event.args["order"]), 16), event.args
    if not 0 < reference < _UUID_LIMIT:
        return None
    found = Order.objects.select_related("offer").filter(pk=UUID(int=reference)).first()
    if found is None:
        return None
    if not found.payer:
        return found if args["payer"] == known_address(TREASURY) else None
    document = str(args["document"]).removeprefix("0x")
    said = (args["payer"], args["licensee"], document)
    return found if said == (found.payer, found.licensee, found.offer_id) else None


def custodial_order(event: ChainEvent) -> Order | None:
    """Return the order that a `LicensePurchased` carries out, if the account's balance paid for it."""
    order = purchased_order(event)
    return None if order is None or order.payer else order


def fold_license(deployment: Deployment, number: int) -> LicenseRow | None:
    """Compute the row of a license; without a purchase there is none, and its order is on its way again."""
    license_id = deployment.license_caip(number)
    events = events_of(deployment, f"license/{number}")
    purchase = next((event for event in events if event.name == "LicensePurchased"), None)
    if purchase is None:
        LicenseRow.objects.filter(pk=license_id).delete()
        Order.objects.filter(license=license_id, state=Order.State.MINED).update(state=Order.State.PAYING, license="")
        return None
    row, _ = LicenseRow.objects.update_or_create(pk=license_id, defaults=_purchased(purchase, number, events))
    if row.order_id is not None:
        waiting = (Order.State.SIGNING, Order.State.PLACED, Order.State.PAYING)
        Order.objects.filter(pk=row.order_id, state__in=waiting).update(state=Order.State.MINED)
        # A wallet may present its authorization by itself after we gave up: paid means entitled.
        given_up = Order.objects.filter(pk=row.order_id, state=Order.State.FAILED).exclude(payer="")
        given_up.update(state=Order.State.MINED, cause="")
        Order.objects.filter(pk=row.order_id).update(license=license_id, licensee=row.licensee)
    return row


def _purchased(event: ChainEvent, number: int, events: list[ChainEvent]) -> dict[str, object]:
    deployment, args = event.deployment, event.args
    order = purchased_order(event)
    holder = signing_of(args["licensee"]) if order is None else None
    account: Account | None = order.account if order is not None else holder[0] if holder is not None else None
    uses, commercial = known_uses(event.number("uses"))
    price, end = event.number("price"), event.number("end")
    document = str(args["document"]).removeprefix("0x")
    return {
        "chain": deployment.chain_id,
        "market": deployment.market,
        "number": number,
        "dataset": deployment.dataset_caip(event.number("dataset")),
        "version": _offered_version(document, deployment.dataset_caip(event.number("dataset"))),
        "offer": document,
        "terms": str(args["terms"]).removeprefix("0x"),
        "price": price,
        "fee": fee_part(price, event.number("feeBps")),
        "token": deployment.token_caip(args["token"]),
        "licensee": args["licensee"],
        "payer": args["payer"],
        "order_reference": args["order"],
        "uses": use_words(uses, commercial=commercial),
        "start": _time(event.block_time),
        "end": _time(end) if end else None,
        "hold_until": _time(event.number("heldUntil")),
        "state": _state(events, end),
        "block": event.block_number,
        "block_hash": event.block_hash,
        "tx": event.tx,
        "log": event.log_index,
        "final": event.final,
        "account": account,
        "order": order,
        "charged": max((each.number("total") for each in events if each.name == "Charged"), default=0),
    }


def _state(events: list[ChainEvent], end: int) -> LicenseRow.State:
    names = {event.name for event in events}
    if "LicenseRefunded" in names:
        return LicenseRow.State.REFUNDED
    if "LicenseRevoked" in names:
        return LicenseRow.State.REVOKED
    # The chain emits nothing at the end of a term; the sweep notices it (`actions.licenses.expire_licenses`).
    expired = bool(end) and end <= events[-1].block_time
    return LicenseRow.State.EXPIRED if expired else LicenseRow.State.ACTIVE


def _offered_version(document: str, dataset: str) -> int | None:
    row = Document.objects.filter(pk=document).first()
    if row is None:
        return None
    try:
        offer = Offer.from_document(parse_canonical(row.content))
    except Refusal:
        # Anybody may name the digest of some other document in an offer of their own.
        return None
    return offer.version if str(offer.dataset) == dataset else None


def fold_payee(deployment: Deployment, number: int) -> None:
    """Compute the row of a payee: where it is paid, and whether it has accepted."""
    market = deployment.account_caip(deployment.market)
    address, accepted, block = "", False, 0
    for event in events_of(deployment, f"payee/{number}"):
        match event.name:
            case "PayeeAdded":
                address, accepted, block = event.args["account"], bool(event.args["accepted"]), event.block_number
            case "PayeeAccepted":
                accepted = True
            case "PayeeChanged":
                # Whoever signs for where the money goes accepts it.
                address, accepted = event.args["to"], True
            case _:
                continue
    if not address:
        PayeeRow.objects.filter(market=market, number=number).delete()
        return
    PayeeRow.objects.update_or_create(
        market=market, number=number, defaults={"address": address, "accepted": accepted, "block": block}
    )


def fold_settlement(deployment: Deployment, token: str, epoch: int) -> None:
    """Bring the state of one of our settlements to what the chain says about its root.

    If a root of somebody else is accepted under its number, this try has ended as if it had been vetoed.
    """
    row = SettlementRow.objects.filter(token=deployment.token_caip(token), epoch=epoch).first()
    if row is None:
        return
    state, accept_after, proposed, accepted = SettlementRow.State.PINNED, None, "", ""
    root = ""
    for event in events_of(deployment, f"settlement/{token}/{epoch}"):
        match event.name:
            case "RootProposed" if (root := event.args["root"]) == row.root:
                window = timedelta(seconds=settings.CADASTRE_SETTLEMENT_WINDOW)
                state, proposed = SettlementRow.State.PROPOSED, event.tx
                accept_after = _time(event.block_time) + window
            case "RootVetoed":
                state = SettlementRow.State.VETOED
            case "RootAccepted" if root == row.root:
                state, accepted = SettlementRow.State.ACCEPTED, event.tx
            case "RootAccepted":
                state = SettlementRow.State.VETOED
            case _:
                continue
    if state == SettlementRow.State.PINNED and row.state == SettlementRow.State.COMPUTED:
        return
    SettlementRow.objects.filter(pk=row.pk).update(
        state=state, accept_after=accept_after, proposed_tx=proposed, accepted_tx=accepted
    )


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(min(seconds, 253_402_300_799), tz=UTC)
