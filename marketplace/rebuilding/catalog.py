"""Listings and offers again, as the log states them, from the documents that it names.

What only the register knew does not come back: names of accounts and addresses that people chose. A dataset stands
under an account named after its owner's address, which nobody can sign in to; who owns the address has all rights to
the dataset on chain. Datasets that the log never calls listed stay registered and unlisted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from django.db import transaction

from marketplace.actions.listings import free_slug, search_text
from marketplace.actions.offers import search_uses
from marketplace.core.offer import Offer, market_domain
from marketplace.core.terms import Terms
from marketplace.models import Account, LicenseRow, Listing, OfferRow, TermsRow
from marketplace.queries.addresses import signing_of
from marketplace.queries.registered import manifest_of
from provenance.core.canonical import Json, parse_canonical
from provenance.core.entry import Entry, PersonSignature
from provenance.core.manifest import Manifest
from provenance.core.refusal import Refusal
from provenance.core.statement import StatementType
from provenance.models import Act, ChainEvent, ContentAct, DatasetRecord, Deployment, Document, LogEntry

log = logging.getLogger(__name__)

NOBODY = UUID(int=0)
_ACTS = {StatementType.CONTENT_WITHHELD: Act.WITHHELD, StatementType.CONTENT_ERASED: Act.ERASED}
_STATED = (StatementType.LISTING_CHANGED, StatementType.OFFER_MADE, StatementType.OFFER_WITHDRAWN, *_ACTS)


@dataclass(slots=True)
class _Made:
    """An `offer.made`: when, with whose signature."""

    time: datetime
    people: tuple[PersonSignature, ...]


@dataclass(slots=True)
class _Stated:
    """What the log says about the sale of one dataset, read entry by entry."""

    listing: Mapping[str, Json] | None = None
    since: datetime | None = None
    changed: datetime | None = None
    offers: dict[str, _Made] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    withheld: str = ""


def catalog_documents(deployment: Deployment) -> Iterator[str]:
    """Name every offer that the log says was made for a dataset of this deployment, and its terms."""
    prefix = deployment.dataset_caip(0).removesuffix("0")
    made = LogEntry.objects.filter(type=StatementType.OFFER_MADE, subject__startswith=prefix)
    for envelope in made.values_list("envelope", flat=True):
        body = Entry.parse(bytes(envelope)).statement.body
        yield from (str(body["offer"]), str(body["terms"]))


def put_up_catalog(deployment: Deployment, *, now: datetime) -> int:
    """Put up the datasets that the log calls listed and that have no listing here; return how many."""
    records = DatasetRecord.objects.select_related("deployment").filter(deployment=deployment).order_by("token")
    return sum(_put_up(record, now) for record in records)


@transaction.atomic
def _put_up(record: DatasetRecord, now: datetime) -> bool:
    stated = _read(record)
    manifest = _manifest(record)
    if stated.listing is None or manifest is None or Listing.objects.filter(pk=record.caip).exists():
        return False
    account = _account(record, manifest, now)
    offers = {row.pk: row for row in _offers(record, stated, account, now)}
    current = offers.get(str(stated.listing["offer"]))
    live = current if current is not None and current.state == OfferRow.State.LIVE else None
    uses = [] if current is None else sorted(use.value for use in _terms(current.terms).uses)
    slug = free_slug(account, manifest.title)
    state, reason = _state(record, stated, offers)
    Listing.objects.create(
        dataset=record.caip,
        account=account,
        slug=slug,
        offer=live if state == Listing.State.LISTED else None,
        state=state,
        reason=reason,
        title=manifest.title,
        creator=manifest.creator,
        description=manifest.description,
        kind=manifest.kind.value,
        visibility=manifest.visibility.value,
        languages=list(manifest.languages),
        uses=uses,
        files=manifest.totals.files,
        bytes=manifest.totals.bytes,
        records=manifest.totals.records,
        version=manifest.version,
        search_text=search_text(manifest.title, manifest.creator, slug, account.slug, manifest.description),
        search_uses=search_uses(uses, list(manifest.languages)),
        created=stated.since or now,
        changed=stated.changed or now,
    )
    return True


def _read(record: DatasetRecord) -> _Stated:
    found = _Stated()
    rows = LogEntry.objects.filter(subject=record.caip, type__in=_STATED).order_by("index")
    for envelope in rows.values_list("envelope", flat=True):
        entry = Entry.parse(bytes(envelope))
        statement, body = entry.statement, entry.statement.body
        match statement.type:
            case StatementType.LISTING_CHANGED:
                found.listing, found.changed = body, statement.time
                found.since = found.since or statement.time
            case StatementType.OFFER_MADE:
                found.offers[str(body["offer"])] = _Made(statement.time, entry.people)
            case StatementType.OFFER_WITHDRAWN:
                found.withdrawn.add(str(body["offer"]))
            case StatementType.CONTENT_WITHHELD | StatementType.CONTENT_ERASED:
                _act(record, StatementType(statement.type), body, statement.time)
                if body["version"] is None:
                    found.withheld = str(body["reason"])
            case _:
                continue
    return found


def _act(record: DatasetRecord, kind: StatementType, body: Mapping[str, Json], time: datetime) -> None:
    ContentAct.objects.get_or_create(
        dataset=record.caip, version=int(str(body["version"] or 0)), act=_ACTS[kind],
        defaults={
            "reason": str(body["reason"]), "order": str(body["order"] or ""), "by": NOBODY, "created": time,
        },
    )  # fmt: skip


def _state(record: DatasetRecord, stated: _Stated, offers: Mapping[str, OfferRow]) -> tuple[Listing.State, str]:
    if stated.listing is None:
        return Listing.State.UNLISTED, ""
    if stated.withheld:
        return Listing.State.WITHHELD, stated.withheld
    if stated.listing["state"] == "delisted":
        return Listing.State.DELISTED, str(stated.listing["reason"])
    offer = offers.get(str(stated.listing["offer"]))
    if offer is not None and _signer(stated.offers[offer.pk]) != record.owner:
        return Listing.State.UNLISTED, "transferred"
    return Listing.State.LISTED, ""


def _offers(record: DatasetRecord, stated: _Stated, account: Account, now: datetime) -> Iterator[OfferRow]:
    cancelled = {
        str(event.number("nonce"))
        for event in ChainEvent.objects.filter(
            deployment=record.deployment, name="OfferCancelled", subject=f"dataset/{record.token}"
        )
    }
    for digest, made in stated.offers.items():
        document = Document.objects.filter(sha256=digest, public=True).first()
        try:
            offer = None if document is None else Offer.from_document(parse_canonical(document.content))
            terms = None if offer is None else _keep_terms(offer.terms.hex, now)
            if offer is None or terms is None or offer.licensee is not None:
                continue
            is_over = digest in stated.withdrawn or str(offer.nonce) in cancelled or _signer(made) != record.owner
            yield _offer_row(record, account, offer, terms, made, is_over=is_over, now=now)
        except Refusal as refusal:
            log.warning("offer %s is passed over: %s", digest, refusal)


def _offer_row(
    record: DatasetRecord, account: Account, offer: Offer, terms: TermsRow, made: _Made, *, is_over: bool, now: datetime
) -> OfferRow:
    deployment = record.deployment
    typed = offer.typed_data(market_domain(deployment.chain_id, deployment.market), _terms(terms))
    signature = next((each for each in made.people if each.digest == typed.digest), None)
    if signature is not None and signature.is_of_a_key:
        signature.verify()
    expires = None if offer.expires is None else datetime.fromtimestamp(offer.expires, tz=UTC)
    state = OfferRow.State.LIVE
    if is_over or signature is None:
        state = OfferRow.State.WITHDRAWN
    elif expires is not None and expires <= now:
        state = OfferRow.State.EXPIRED
    row, _ = OfferRow.objects.get_or_create(
        digest=offer.digest.hex,
        defaults={
            "account": account,
            "dataset": record.caip,
            "version": offer.version,
            "terms": terms,
            "document": offer.to_bytes(),
            "price": offer.price,
            "token": str(offer.token),
            "fee_bps": offer.fee_bps,
            "hold_seconds": offer.hold_seconds,
            "expires": expires,
            "count": offer.count,
            "sold": LicenseRow.objects.filter(offer=offer.digest.hex).count(),
            "nonce": str(offer.nonce),
            "typed_data": typed.to_json(),
            "signature": "" if signature is None else "0x" + signature.signature.hex(),
            "state": state,
            "created": made.time,
            "live_at": made.time,
            "ended_at": None if state == OfferRow.State.LIVE else now,
        },
    )
    return row


def _keep_terms(digest: str, now: datetime) -> TermsRow | None:
    found = TermsRow.objects.filter(pk=digest).first()
    document = Document.objects.filter(sha256=digest).first() if found is None else None
    if document is None:
        return found
    title = Terms.from_document(parse_canonical(document.content)).title
    return TermsRow.objects.create(digest=digest, document=document.content, title=title, created=now)


def _terms(row: TermsRow) -> Terms:
    return Terms.from_document(parse_canonical(bytes(row.document)))


def _signer(made: _Made) -> str:
    return next((each.signer.address for each in made.people if each.role == "owner"), "")


def _manifest(record: DatasetRecord) -> Manifest | None:
    found = manifest_of(record, record.manifest)
    try:
        return Manifest.from_document(found) if found else None
    except Refusal:
        # On chain anybody may register the digest of anything.
        return None


def _account(record: DatasetRecord, manifest: Manifest, now: datetime) -> Account:
    holder = signing_of(record.owner)
    if holder is not None:
        return holder[0]
    address = record.owner.removeprefix("0x")
    is_taken = Account.objects.filter(slug=address).exists()
    account, _ = Account.objects.get_or_create(
        id=uuid5(NAMESPACE_URL, record.deployment.account_caip(record.owner)),
        defaults={
            "kind": Account.Kind.PERSON,
            "slug": f"{address[:33]}-owner" if is_taken else address,
            "display_name": manifest.creator,
            "created": now,
        },
    )
    return account
