"""What a holder does with a license: refund while it is held, show it to somebody, add a recipient for its key."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import transaction

from marketplace import market_calls
from marketplace.actions.orders import RECIPIENT, OrderRefusal
from marketplace.models import Disclosure, LicenseRow, Order
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.catalog import own_listing
from marketplace.queries.metering import license_deployment, license_terms
from marketplace.queries.orders import own_license
from provenance.doorbell import ring
from provenance.models import ContentKey, GrantRow, GrantState, Intent, IntentState, PackageRecord

RECIPIENTS_LIMIT = 20
DISCLOSURE_DAYS = 366


@transaction.atomic
def request_refund(*, by: Actor, license_id: str, now: datetime) -> Order:
    """Ask for the price back while it is held: at once if the key was never granted, else the seller decides.

    Raises AccessRefusal, OrderRefusal.
    """
    by.require(Act.BUY)
    own_license(by.account, license_id)
    row = _locked(license_id)
    order = _refundable(row, now)
    if order.refund_wanted is not None:
        return order
    Order.objects.filter(pk=order.pk, refund_wanted=None).update(refund_wanted=now, changed=now)
    if _take_back_undelivered(row, now):
        want_refund(row, now=now)
    order.refresh_from_db()
    return order


@transaction.atomic
def grant_refund(*, by: Actor, license_id: str, now: datetime) -> None:
    """Agree, as the dataset's owner, to give the price back. Raises AccessRefusal, OrderRefusal."""
    by.require(Act.PUBLISH)
    row = LicenseRow.objects.select_related("order").filter(pk=license_id).first()
    if row is None:
        raise AccessRefusal("license.not_found", "There is no such license.", actual=license_id[:160])
    own_listing(by.account, row.dataset)
    _refundable(row, now)
    _locked(row.pk)
    _take_back_undelivered(row, now)
    want_refund(row, now=now)


@transaction.atomic
def refund_undelivered(*, dataset: str, now: datetime) -> int:
    """Want refunds of all held licenses of a withheld dataset whose key was never granted; return how many."""
    held = LicenseRow.objects.select_related("order").filter(
        dataset=dataset, state=LicenseRow.State.ACTIVE, hold_until__gt=now, order__isnull=False, price__gt=0
    )
    waiting = [row for row in held if _take_back_undelivered(_locked(row.pk), now)]
    for row in waiting:
        want_refund(row, now=now)
    return len(waiting)


def want_refund(row: LicenseRow, *, now: datetime) -> None:
    """Want the refund on chain, once per license."""
    market_calls.want(
        kind="market.refund",
        key=_refund_key(row),
        payload={"payer": row.payer, "order": row.order_reference},
        deployment=license_deployment(row.pk),
        now=now,
    )


def disclose_license(*, by: Actor, license_id: str, reader: str, days: int, now: datetime) -> tuple[Disclosure, str]:
    """Show a license, with the account behind it, to one named reader; return the token of the link, stored nowhere.

    Raises AccessRefusal, OrderRefusal.
    """
    by.require(Act.BUY)
    own_license(by.account, license_id)
    if not 1 <= len(reader.strip()) <= 100:
        raise OrderRefusal(
            "disclosure.reader", "Name the reader in 1 to 100 characters.", limit=100, actual=len(reader)
        )
    if not 1 <= days <= DISCLOSURE_DAYS:
        raise OrderRefusal("disclosure.days", "A link lives 1 to 366 days.", limit=DISCLOSURE_DAYS, actual=days)
    token = secrets.token_urlsafe(32)
    disclosure = Disclosure.objects.create(
        account=by.account,
        license=license_id,
        reader=reader.strip(),
        token_digest=hashlib.sha256(token.encode()).hexdigest(),
        created=now,
        expires=now + timedelta(days=days),
    )
    return disclosure, token


def revoke_disclosure(*, by: Actor, disclosure: Disclosure, now: datetime) -> None:
    """Make a link worthless. Raises AccessRefusal."""
    by.require(Act.BUY)
    open_ones = Disclosure.objects.filter(pk=disclosure.pk, account=by.account, revoked=None)
    if open_ones.update(revoked=now) != 1:
        raise AccessRefusal("disclosure.not_found", "There is no such link.")


@transaction.atomic
def add_recipient(*, by: Actor, license_id: str, recipient: str, now: datetime) -> list[GrantRow]:
    """Ask for the content keys of a license under another age recipient of the same licensee.

    Raises AccessRefusal, OrderRefusal.
    """
    by.require(Act.BUY)
    row = own_license(by.account, license_id)
    if RECIPIENT.fullmatch(recipient) is None:
        raise OrderRefusal("order.recipient", "The recipient is not an age public key.", actual=recipient[:80])
    if row.state != LicenseRow.State.ACTIVE:
        raise OrderRefusal("license.ended", "The license has ended.", actual=str(row.state), todo="Buy a new one.")
    known = set(GrantRow.objects.filter(license=license_id).values_list("recipient", flat=True))
    if recipient not in known and len(known) >= RECIPIENTS_LIMIT:
        raise OrderRefusal(
            "license.recipients", "The license has too many recipients.", limit=RECIPIENTS_LIMIT, actual=len(known)
        )
    _locked(row.pk)
    if _refund_under_way(row):
        raise OrderRefusal(
            "license.refund_under_way", "The price of this license is being given back.", actual=row.pk,
            todo="Buy a new license for another key.",
        )  # fmt: skip
    return [_want_grant(row, package, recipient, now) for package in covered_packages(row)]


@transaction.atomic
def retry_delivery(*, by: Actor, license_id: str, now: datetime) -> int:
    """Ask again for the keys whose grant was refused, for a cause that may have passed; return how many.

    Raises AccessRefusal.
    """
    by.require(Act.BUY)
    own_license(by.account, license_id)
    row = _locked(license_id)
    if _refund_under_way(row):
        return 0
    refused = GrantRow.objects.filter(license=row.pk, state=GrantState.REFUSED)
    again = refused.update(state=GrantState.WANTED, cause="", changed=now)
    if again:
        ring(market_calls.SIGN)
    return again


@transaction.atomic
def want_grants(row: LicenseRow, *, now: datetime) -> int:
    """Want the content keys of every sealed package that a final license covers, for each of its recipients."""
    recipients = set(GrantRow.objects.filter(license=row.pk).values_list("recipient", flat=True))
    if row.order is not None:
        recipients.add(row.order.recipient)
    if not row.final or row.state != LicenseRow.State.ACTIVE or not recipients:
        return 0
    _locked(row.pk)
    if _refund_under_way(row):
        return 0
    packages = covered_packages(row)
    for package in packages:
        for recipient in sorted(recipients):
            _want_grant(row, package, recipient, now)
    return len(packages)


def expire_licenses(*, now: datetime, limit: int = 500) -> int:
    """Notice terms that have ended, which the chain does not say by an event; return how many. Safe twice."""
    ended = LicenseRow.objects.filter(state=LicenseRow.State.ACTIVE, final=True, end__lte=now)
    expired = 0
    for row in ended[:limit]:
        with transaction.atomic():
            moved = LicenseRow.objects.filter(pk=row.pk, state=LicenseRow.State.ACTIVE).update(
                state=LicenseRow.State.EXPIRED
            )
            if moved:
                expired += 1
                market_calls.state_fact(
                    type="license.expired", subject=row.pk, unique="term", body={"dataset": row.dataset}, now=now
                )
    return expired


def covered_packages(row: LicenseRow) -> list[str]:
    """Return the digests of the sealed packages whose key the license entitles to: of its version, or of all.

    Only packages that were sealed here for this dataset count: anybody may register the digest of another one.
    """
    deployment = license_deployment(row.pk)
    token = int(row.dataset.rpartition("/")[2])
    packages = PackageRecord.objects.filter(deployment=deployment, token=token)
    if row.version is not None and not license_terms(row).all_versions:
        packages = packages.filter(version=row.version)
    digests = list(packages.order_by("version", "package").values_list("digest", flat=True))
    keys = ContentKey.objects.filter(package__in=digests, submission__dataset=row.dataset)
    sealed = set(keys.values_list("package", flat=True))
    return [digest for digest in digests if digest in sealed]


def _locked(license_id: str) -> LicenseRow:
    """Return a license that nobody else refunds or delivers meanwhile: it is the one or the other."""
    return LicenseRow.objects.select_related("order").select_for_update(of=("self",)).get(pk=license_id)


def _take_back_undelivered(row: LicenseRow, now: datetime) -> bool:
    """Stop every grant that the signer has not made; return whether it has made none. Call it with the row locked."""
    grants = GrantRow.objects.filter(license=row.pk)
    grants.filter(state=GrantState.WANTED).update(
        state=GrantState.REFUSED, cause="The price was asked back before the key was granted.", changed=now
    )
    return not grants.filter(state=GrantState.GRANTED).exists()


def _refund_under_way(row: LicenseRow) -> bool:
    # One that the contract refused is no reason to withhold what was paid for.
    over = (IntentState.FAILED, IntentState.EXPIRED)
    return Intent.objects.filter(key=_refund_key(row)).exclude(state__in=over).exists()


def _refund_key(row: LicenseRow) -> str:
    return f"refund:{row.pk}"


def _want_grant(row: LicenseRow, package: str, recipient: str, now: datetime) -> GrantRow:
    grant, made = GrantRow.objects.get_or_create(
        license=row.pk, package=package, recipient=recipient, defaults={"created": now, "changed": now}
    )
    if made:
        ring(market_calls.SIGN)
    return grant


def _refundable(row: LicenseRow, now: datetime) -> Order:
    order = row.order
    if order is None:
        raise OrderRefusal("license.not_ours", "This license was not bought through this register.", actual=row.pk)
    if row.state != LicenseRow.State.ACTIVE:
        raise OrderRefusal("license.ended", "The license has ended.", actual=str(row.state))
    if now >= row.hold_until or row.price == 0:
        raise OrderRefusal(
            "license.hold_over", "The price is not held any more.",
            limit=f"{row.hold_until:%Y-%m-%dT%H:%M:%SZ}", actual=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            todo="Write to the dataset's owner.",
        )  # fmt: skip
    return order
