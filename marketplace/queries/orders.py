"""Orders and licenses of an account, and what a disclosed license shows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from marketplace.models import Account, Disclosure, LicenseRow, OfferRow, Order, Quote, UsageReport, VoucherRow
from marketplace.queries.actors import AccessRefusal
from provenance.models import Document, GrantRow


@dataclass(frozen=True, slots=True)
class Delivery:
    """Whether a license can be used to decrypt: `state` is `waiting`, `granted` or `refused`, `cause` says why not."""

    state: str
    cause: str
    grants: tuple[GrantRow, ...]


def own_order(account: Account, order: UUID) -> Order:
    """Return an order of the account. Somebody else's looks like one that does not exist. Raises AccessRefusal."""
    rows = Order.objects.select_related("offer", "offer__terms", "account", "quote")
    found = rows.filter(pk=order, account=account).first()
    if found is None:
        raise AccessRefusal("order.not_found", "There is no such order.", actual=str(order))
    return found


def orders_of(account: Account) -> QuerySet[Order]:
    """Return the account's orders, newest first."""
    return Order.objects.select_related("offer").filter(account=account).order_by("-created", "pk")


def visible_of(order: Order) -> str | None:
    """Return what everybody will see on chain of an order that a wallet pays, or None when the balance pays."""
    if not order.payer:
        return None
    if order.licensee == order.payer:
        words = _("Everybody can see on the chain that %(payer)s bought and holds this license.")
    else:
        words = _("Everybody can see on the chain that %(payer)s paid for this license; a fresh address holds it.")
    return words % {"payer": order.payer}


def orders_to_approve(account: Account) -> QuerySet[Order]:
    """Return the orders of members that wait for somebody's approval, oldest first."""
    return Order.objects.filter(account=account, state=Order.State.APPROVAL).order_by("created")


def reports_to_approve(account: Account) -> QuerySet[UsageReport]:
    """Return the usage reports of members that wait for somebody's approval, oldest first."""
    return UsageReport.objects.filter(account=account, state=UsageReport.State.APPROVAL).order_by("created")


def own_report(account: Account, digest: str) -> UsageReport:
    """Return a usage report of the account. Somebody else's looks like one that does not exist."""
    found = UsageReport.objects.filter(pk=digest, account=account).first()
    if found is None:
        raise AccessRefusal("usage_report.not_found", "There is no such report.", actual=digest[:80])
    return found


def licenses_of(account: Account) -> QuerySet[LicenseRow]:
    """Return the account's licenses, newest first."""
    return LicenseRow.objects.select_related("order").filter(account=account).order_by("-start", "pk")


def own_license(account: Account, license_id: str) -> LicenseRow:
    """Return a license (CAIP-19) of the account. Somebody else's looks like one that does not exist."""
    found = LicenseRow.objects.select_related("order", "account").filter(pk=license_id, account=account).first()
    if found is None:
        raise AccessRefusal("license.not_found", "There is no such license.", actual=license_id[:160])
    return found


def license_by_id(license_id: str) -> LicenseRow:
    """Return a license as the chain shows it to anybody. Raises AccessRefusal `license.not_found`."""
    found = LicenseRow.objects.filter(pk=license_id).first()
    if found is None:
        raise AccessRefusal("license.not_found", "There is no such license.", actual=license_id[:160])
    return found


def certificate_of(row: LicenseRow) -> Document | None:
    """Return the certificate of a final license, or None while it is not final."""
    return Document.objects.filter(pk=row.certificate).first() if row.certificate else None


def delivery_of(row: LicenseRow) -> Delivery:
    """Return whether the content key has been granted, and why not."""
    grants = tuple(GrantRow.objects.filter(license=row.pk).order_by("created"))
    granted = [grant for grant in grants if grant.state == "granted"]
    if granted:
        return Delivery("granted", "", grants)
    refused = next((grant for grant in grants if grant.state == "refused"), None)
    if refused is not None:
        return Delivery("refused", refused.cause, grants)
    waits_for = _("the key is being granted") if row.final else _("the purchase is not final on chain yet")
    return Delivery("waiting", waits_for, grants)


def disclosed_license(token: str, *, now: datetime) -> tuple[LicenseRow, Disclosure]:
    """Return the license that a link discloses to its reader. Raises AccessRefusal when it is over."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    found = Disclosure.objects.filter(token_digest=digest, revoked=None, expires__gt=now).first()
    row = LicenseRow.objects.select_related("account").filter(pk=found.license).first() if found is not None else None
    if found is None or row is None:
        raise AccessRefusal("disclosure.not_found", "This link is unknown, revoked or expired.")
    return row, found


def recipients_of(account: Account) -> list[str]:
    """Return the age recipients that the account has bought for, latest first, each once."""
    used = Order.objects.filter(account=account).order_by("-created").values_list("recipient", flat=True)[:50]
    return list(dict.fromkeys(used))


def public_offer(digest: str, *, now: datetime) -> OfferRow:
    """Return a live public offer by its digest. Raises AccessRefusal `offer.not_found`."""
    row = OfferRow.objects.select_related("terms", "account").filter(pk=digest, public=True, state="live").first()
    if row is None or (row.expires is not None and row.expires <= now):
        raise AccessRefusal("offer.not_found", "This offer does not exist, or has ended.", actual=digest[:80])
    return row


def quotes_to(account: Account, *, now: datetime) -> QuerySet[Quote]:
    """Return the private offers that were made to the account and can still be accepted, newest first."""
    private = Quote.objects.select_related("listing", "offer", "offer__terms").filter(
        account=account, wanted__isnull=False
    )
    return private.filter(state__in=(Quote.State.WANTED, Quote.State.READY), expires__gt=now).order_by("-created")


def disclosures_of(license_id: str, *, now: datetime) -> QuerySet[Disclosure]:
    """Return the links by which a license is shown to named readers, newest first."""
    return Disclosure.objects.filter(license=license_id, revoked=None, expires__gt=now).order_by("-created")


def reports_of(account: Account, license_id: str = "") -> QuerySet[UsageReport]:
    """Return the account's usage reports, newest first; of one license where it is named."""
    rows = UsageReport.objects.filter(account=account)
    return (rows.filter(license=license_id) if license_id else rows).order_by("-created", "-sequence")


def vouchers_of(license_id: str) -> QuerySet[VoucherRow]:
    """Return the vouchers of a license, latest first."""
    return VoucherRow.objects.filter(license=license_id).order_by("-sequence")
