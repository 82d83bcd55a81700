"""Offers: made, signed, live, superseded, withdrawn. An edit is a new offer; the old one is cancelled on chain.

1. `create_offer` fixes terms and price in a document and asks for the owner's signature, ours or their wallet's.
2. `advance_offers` takes what is signed: the offer goes live, the one before it is superseded.
3. What was live is cancelled on chain by its nonce, because whoever holds a signed offer could still accept it there.
"""

from __future__ import annotations

import logging
import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from marketplace import limits, market_calls
from marketplace.actions.wallet_requests import ask_wallet, drop
from marketplace.core.caip import AccountName, AssetKind, AssetName
from marketplace.core.offer import Offer, check_derive_share, market_domain
from marketplace.core.terms import Terms
from marketplace.models import Account, Listing, OfferRow, Quote, TermsRow, WalletRequest
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.addresses import signing_of
from marketplace.queries.catalog import current_fee_bps, offer_terms, offer_value
from marketplace.queries.deployments import deployment_of, payment_token
from provenance.core.canonical import Json
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal
from provenance.core.typed_data import TypedData
from provenance.models import DatasetRecord, Deployment, Document, SignatureRequest

log = logging.getLogger(__name__)

OFFERS_PER_DAY = 100
WALLET_SIGNS_WITHIN = timedelta(days=30)
# As long as it is not cancelled, whoever holds the offer's signature can accept it.
WALLET_CANCELS_WITHIN = timedelta(days=365)


class OfferRefusal(Refusal):
    """An offer cannot be made, changed or taken."""


@transaction.atomic
def create_offer(
    *,
    listing: Listing,
    terms: Terms,
    price: int,
    hold_seconds: int,
    now: datetime,
    expires: datetime | None = None,
    count: int | None = None,
    licensee: AccountName | None = None,
) -> OfferRow:
    """Write the offer and ask for its signature; with a `licensee` it is private. Raises OfferRefusal."""
    # Each offer that ends is cancelled on chain at the register's expense.
    limits.take(f"offers:{listing.account_id}", limit=OFFERS_PER_DAY, seconds=86_400, now=now)
    name = AssetName.parse(listing.dataset, AssetKind.DATASET)
    deployment = deployment_of(name)
    record = dataset_record(name, deployment)
    check_derive_share(terms, record.derive_bps)
    token = payment_token(deployment)
    offer = Offer(
        dataset=name,
        version=record.versions,
        manifest=Sha256.from_hex(record.manifest),
        terms=terms.digest,
        price=price,
        token=AssetName(AssetKind.TOKEN, token.chain, token.address),
        fee_bps=current_fee_bps(deployment),
        hold_seconds=hold_seconds,
        nonce=secrets.randbits(128),
        expires=None if expires is None else int(expires.timestamp()),
        count=count,
        licensee=licensee,
    )
    typed = offer.typed_data(market_domain(deployment.chain_id, deployment.market), terms)
    row = OfferRow(
        digest=offer.digest.hex,
        account=listing.account,
        dataset=listing.dataset,
        version=offer.version,
        terms=keep_terms(terms, now=now),
        document=offer.to_bytes(),
        price=price,
        token=str(offer.token),
        fee_bps=offer.fee_bps,
        hold_seconds=hold_seconds,
        expires=expires,
        count=count,
        nonce=str(offer.nonce),
        public=licensee is None,
        typed_data=typed.to_json(),
        created=now,
    )
    if licensee is None:
        market_calls.publish_document(offer.to_bytes(), schema="cadastre.offer/1", now=now)
    else:
        Document.create_from_bytes(offer.to_bytes(), schema="cadastre.offer/1", public=False)
    holder = signing_of(record.owner)
    if holder is not None and holder[1].key_path is not None:
        request = market_calls.want_signature(
            party=listing.account.pk, key_path=holder[1].key_path, typed_data=typed, now=now
        )
        row.signature_request = str(request.pk)
    row.save(force_insert=True)
    if holder is not None and holder[1].key_path is None:
        latest = now + WALLET_SIGNS_WITHIN
        ask_wallet(
            account=listing.account, wallet=record.owner, act=WalletRequest.Act.OFFER, key=f"offer:{row.digest}",
            subject=row.digest, dataset=row.dataset, typed=typed, now=now,
            expires=latest if expires is None else min(latest, expires),
        )  # fmt: skip
    return row


def sign_offer(*, by: Actor, offer: str, signature: str, now: datetime) -> OfferRow:
    """Give the signature of the owner's own wallet over `typed_data`. Raises AccessRefusal, OfferRefusal."""
    by.require(Act.PUBLISH)
    row = own_offer(by.account, offer)
    deployment = deployment_of(AssetName.parse(row.dataset, AssetKind.DATASET))
    record = dataset_record(AssetName.parse(row.dataset, AssetKind.DATASET), deployment)
    typed = offer_value(row).typed_data(market_domain(deployment.chain_id, deployment.market), offer_terms(row))
    typed.check_signer(_signature_bytes(signature), record.owner)
    with transaction.atomic():
        signed = OfferRow.objects.filter(pk=row.pk, state=OfferRow.State.WANTED).update(signature=signature.lower())
        if signed != 1:
            raise OfferRefusal("offer.state", "This offer does not wait for a signature.", actual=str(row.state))
        row.refresh_from_db()
        digest = "0x" + typed.digest.hex()
        _go_live(row, _entry_signature(deployment, record.owner, digest, row.signature), now)
    return row


def refuse_offer(*, offer: str, cause: str, now: datetime) -> None:
    """An offer that nobody signed goes live no more. Safe twice."""
    waiting = OfferRow.objects.filter(pk=offer, state=OfferRow.State.WANTED)
    waiting.update(state=OfferRow.State.REFUSED, cause=cause[:500], ended_at=now)


def withdraw_offer(*, by: Actor, offer: str, now: datetime) -> OfferRow:
    """Withdraw an offer for good; licenses bought under it stay. A listing without an offer is not for sale.

    Raises AccessRefusal, OfferRefusal.
    """
    by.require(Act.PUBLISH)
    row = own_offer(by.account, offer)
    with transaction.atomic():
        if not end_offer(row, OfferRow.State.WITHDRAWN, now=now):
            raise OfferRefusal(
                "offer.state", "This offer has ended already.", limit="live or wanted", actual=str(row.state)
            )
        Listing.objects.filter(offer=row).update(offer=None, changed=now)
    row.refresh_from_db()
    return row


def advance_offers(*, now: datetime, limit: int = 200) -> int:
    """Take every offer whose signature has arrived, and end those that have expired; return how many moved."""
    moved = 0
    for row in OfferRow.objects.filter(state=OfferRow.State.WANTED).exclude(signature_request="")[:limit]:
        request = SignatureRequest.objects.filter(pk=row.signature_request).first()
        if request is None or request.state == "wanted":
            continue
        moved += _take_signature(row, request, now)
    for row in OfferRow.objects.filter(state=OfferRow.State.LIVE, expires__lte=now)[:limit]:
        with transaction.atomic():
            Listing.objects.filter(offer=row).update(offer=None, changed=now)
            # It can no longer be accepted on chain, so nothing needs to be cancelled there.
            moved += OfferRow.objects.filter(pk=row.pk, state=OfferRow.State.LIVE).update(
                state=OfferRow.State.EXPIRED, ended_at=now
            )
    return moved


def end_offer(row: OfferRow, state: OfferRow.State, *, now: datetime) -> bool:
    """Move a wanted or live offer to its end; cancel on chain what somebody might hold a signature of."""
    open_states = (OfferRow.State.WANTED, OfferRow.State.LIVE)
    ended = OfferRow.objects.filter(pk=row.pk, state__in=open_states).update(state=state, ended_at=now)
    if ended != 1:
        return False
    drop(WalletRequest.objects.filter(key=f"offer:{row.digest}"), cause="The offer has ended.", now=now)
    if row.signature or row.signature_request:
        _want_cancellation(row, now)
    if row.state == OfferRow.State.LIVE:
        market_calls.state_fact(
            type="offer.withdrawn",
            subject=row.dataset,
            unique=row.digest,
            body={"offer": row.digest, "terms": row.terms_id, "nonce": row.nonce},
            now=now,
        )
    return True


def renew_offers(*, listing: Listing, owner: str, now: datetime) -> None:
    """The dataset went to another address of its account: offer it anew, because that address has to sign. Safe twice.

    The market asks for the present owner's signature, so what the former address signed can be accepted by nobody.
    """
    open_states = (OfferRow.State.LIVE, OfferRow.State.WANTED)
    rows = OfferRow.objects.filter(dataset=listing.dataset, state__in=open_states).order_by("-created")
    stale = [row for row in rows if not _is_for(row, owner)]
    for row in stale:
        end_offer(row, OfferRow.State.WITHDRAWN, now=now)
    Listing.objects.filter(pk=listing.pk, offer__in=stale).update(offer=None, changed=now)
    public = next((row for row in stale if row.public), None)
    if public is None:
        return
    try:
        create_offer(
            listing=listing, terms=offer_terms(public), price=public.price, hold_seconds=public.hold_seconds,
            expires=public.expires, count=None if public.count is None else max(1, public.count - public.sold), now=now,
        )  # fmt: skip
    except Refusal as refusal:
        # The event is a fact all the same; the owner's page says that nothing is offered.
        log.warning("%s is not offered anew: %s", listing.dataset, refusal)


def _is_for(row: OfferRow, owner: str) -> bool:
    """Whether the present owner has signed an offer, or is who is asked to."""
    if row.signature:
        return TypedData.from_json(row.typed_data).signer(_signature_bytes(row.signature)) == owner
    if row.signature_request:
        holder = signing_of(owner)
        path = SignatureRequest.objects.filter(pk=row.signature_request).values_list("key_path", flat=True).first()
        return holder is not None and holder[1].key_path == path
    return WalletRequest.objects.filter(key=f"offer:{row.digest}", wallet=owner).exists()


def keep_terms(terms: Terms, *, now: datetime) -> TermsRow:
    """Keep a terms document here and among the public documents."""
    data = terms.to_bytes()
    market_calls.publish_document(data, schema="cadastre.terms/1", now=now)
    row, _ = TermsRow.objects.get_or_create(
        digest=terms.digest.hex, defaults={"document": data, "title": terms.title, "created": now}
    )
    return row


def own_offer(account: Account, offer: str) -> OfferRow:
    """Return an offer that the account made. Raises AccessRefusal `offer.not_found`."""
    found = OfferRow.objects.select_related("terms", "account").filter(pk=offer, account=account).first()
    if found is None:
        raise AccessRefusal("offer.not_found", "There is no such offer.", actual=offer[:80])
    return found


def dataset_record(name: AssetName, deployment: Deployment) -> DatasetRecord:
    """Return the registry's record of a dataset. Raises OfferRefusal while it is not registered."""
    found = DatasetRecord.objects.filter(deployment=deployment, token=name.number or 0).first()
    if found is None:
        raise OfferRefusal("offer.not_registered", "The dataset is not registered on chain.", actual=str(name))
    return found


def _want_cancellation(row: OfferRow, now: datetime) -> None:
    name = AssetName.parse(row.dataset, AssetKind.DATASET)
    deployment = deployment_of(name)
    owner = dataset_record(name, deployment).owner
    holder = signing_of(owner)
    key = f"cancel-offer:{row.digest}"
    if holder is None or holder[1].key_path is not None:
        market_calls.want(
            kind="market.cancel_offer", key=key, payload={"offer": row.digest}, deployment=deployment, now=now
        )
        return
    if not row.signature or not _is_for(row, owner):
        # The market asks for the present owner's signature: a former owner's offer can be accepted by nobody.
        return
    expires = now + WALLET_CANCELS_WITHIN
    ask_wallet(
        account=holder[0], wallet=owner, act=WalletRequest.Act.CANCEL_OFFER, key=key, subject=row.digest,
        dataset=row.dataset, kind="wallet.cancel_offer",
        call={"offer": row.digest, "deadline": int(expires.timestamp())}, expires=expires, now=now,
    )  # fmt: skip


@transaction.atomic
def _take_signature(row: OfferRow, request: SignatureRequest, now: datetime) -> int:
    waiting = OfferRow.objects.filter(pk=row.pk, state=OfferRow.State.WANTED)
    if request.state == "refused":
        return waiting.update(state=OfferRow.State.REFUSED, cause=request.cause[:500], ended_at=now)
    if waiting.update(signature=request.signature) != 1:
        return 0
    row.refresh_from_db()
    deployment = deployment_of(AssetName.parse(row.dataset, AssetKind.DATASET))
    _go_live(row, market_calls.owner_signature(request, deployment), now)
    return 1


def _go_live(row: OfferRow, signature: dict[str, Json], now: datetime) -> None:
    OfferRow.objects.filter(pk=row.pk).update(state=OfferRow.State.LIVE, live_at=now)
    market_calls.state_fact(
        type="offer.made",
        subject=row.dataset,
        unique=row.digest,
        body={"offer": row.digest, "terms": row.terms_id, "nonce": row.nonce},
        signatures=[signature],
        now=now,
    )
    if row.public:
        _list(row, now)
    else:
        Quote.objects.filter(offer=row, state=Quote.State.WANTED).update(state=Quote.State.READY)


def _list(row: OfferRow, now: datetime) -> None:
    for older in OfferRow.objects.filter(
        Q(state=OfferRow.State.LIVE) | Q(state=OfferRow.State.WANTED, created__lt=row.created),
        dataset=row.dataset,
        public=True,
    ).exclude(pk=row.pk):
        end_offer(older, OfferRow.State.SUPERSEDED, now=now)
    listing = Listing.objects.get(pk=row.dataset)
    if listing.state == Listing.State.WITHHELD:
        end_offer(OfferRow.objects.get(pk=row.pk), OfferRow.State.WITHDRAWN, now=now)
        return
    terms = offer_terms(row)
    uses = sorted(use.value for use in terms.uses)
    reason = "edited" if listing.state == Listing.State.LISTED else "published"
    if listing.state == Listing.State.DELISTED:
        reason = "relisted"
    Listing.objects.filter(pk=row.dataset).update(
        offer=row, state=Listing.State.LISTED, reason="", uses=uses, changed=now,
        search_uses=search_uses(uses, listing.languages),
    )  # fmt: skip
    market_calls.state_fact(
        type="listing.changed",
        subject=row.dataset,
        unique=f"listed:{row.digest}",
        body={"state": "listed", "offer": row.digest, "reason": reason},
        now=now,
    )


def search_uses(uses: list[str], languages: list[str]) -> str:
    """Return the words that filters look for, each between spaces."""
    return "".join(f" {word}" for word in (*uses, *(f"lang:{tag.lower()}" for tag in languages))) + " "


def count_sale(row: OfferRow) -> None:
    """Reserve one license of an offer. Raises OfferRefusal when all are sold or it is not live."""
    room = Q(count__isnull=True) | Q(sold__lt=F("count"))
    reserved = OfferRow.objects.filter(room, pk=row.pk, state=OfferRow.State.LIVE).update(sold=F("sold") + 1)
    if reserved == 1:
        return
    row.refresh_from_db()
    if row.state != OfferRow.State.LIVE:
        raise OfferRefusal(
            "offer.not_live", "This offer cannot be accepted.", limit=str(OfferRow.State.LIVE), actual=str(row.state),
            todo="Ask for a new quote.",
        )  # fmt: skip
    raise OfferRefusal(
        "offer.sold_out", "All licenses of this offer are sold.", limit=row.count, actual=row.sold,
        todo="Ask the owner for another offer.",
    )  # fmt: skip


def uncount_sale(row: OfferRow) -> None:
    """Give back a reserved license after a purchase that did not happen."""
    OfferRow.objects.filter(pk=row.pk, sold__gt=0).update(sold=F("sold") - 1)


def _entry_signature(deployment: Deployment, signer: str, digest: str, signature: str) -> dict[str, Json]:
    return {
        "role": "owner",
        "alg": "eip712",
        "signer": deployment.account_caip(signer),
        "digest": digest,
        "signature": signature,
    }


def _signature_bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise OfferRefusal("signature.hex", "A signature is 0x and 130 hex digits.", actual=text[:40]) from error
