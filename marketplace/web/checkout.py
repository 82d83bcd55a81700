"""Buying: terms, total and fee first; then one page that follows the order until everything is in the buyer's hands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from marketplace import journal
from marketplace.actions.licenses import covered_packages, retry_delivery
from marketplace.actions.orders import decline_order, place_order
from marketplace.core.sentences import sentences
from marketplace.models import LicenseRow, OfferRow, Order, WalletRequest
from marketplace.queries.actors import Act, Actor
from marketplace.queries.addresses import wallets_of
from marketplace.queries.catalog import fee_part, listing_of, offer_terms, offer_value, own_quote
from marketplace.queries.deployments import token_by_caip
from marketplace.queries.orders import certificate_of, delivery_of, own_order, public_offer, recipients_of, visible_of
from marketplace.web.acting import attempt, for_account
from marketplace.web.ids import slug_of_caip
from marketplace.web.negotiation import wants_part
from marketplace.web.wallets import asked_of_wallets

MOVING = frozenset({Order.State.APPROVAL, Order.State.PLACED, Order.State.PAYING, Order.State.MINED})


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an order stands: one sentence, its tone, four steps, and whether the page goes on asking."""

    headline: str
    tone: str
    steps: tuple[tuple[str, str], ...]
    moving: bool
    retry: bool = False


@for_account
def checkout(request: HttpRequest, actor: Actor, digest: str) -> HttpResponse:
    """Terms, total and fee of a public offer; the order."""
    return _sell(request, actor, public_offer(digest, now=timezone.now()), None)


@for_account
def quoted(request: HttpRequest, actor: Actor, quote: UUID) -> HttpResponse:
    """The same for an offer that was made to this account alone."""
    found = own_quote(actor.account, quote)
    if found.offer is None or found.state != "ready":
        messages.info(request, _("This offer is still being signed, or was used. Look again in a minute."))
        return redirect("licenses")
    return _sell(request, actor, found.offer, quote)


def _sell(request: HttpRequest, actor: Actor, offer: OfferRow, quote: UUID | None) -> HttpResponse:
    actor.require(Act.BUY)
    if request.method == "POST":
        placed: list[Order] = []

        def place() -> None:
            key = request.POST.get("order_key", "")[:255]
            recipient = request.POST.get("recipient", "").strip()
            chosen: dict[str, Any] = {"offer": offer.digest} if quote is None else {"quote": quote}
            payer = request.POST.get("payer", "")[:42]
            if payer:
                chosen |= {"payer": payer, "fresh_licensee": "fresh_licensee" in request.POST}
            placed.append(place_order(by=actor, key=key, recipient=recipient, now=timezone.now(), **chosen))

        if attempt(request, place):
            return redirect("order", placed[0].pk)
    token = token_by_caip(offer.token)
    terms = offer_terms(offer)
    listing = listing_of(offer.dataset)
    has = journal.balance_of(actor.account.pk, offer.token).available
    known = recipients_of(actor.account)
    return render(
        request,
        "web/checkout.html",
        {
            "offer": offer,
            "listing": listing,
            "id": slug_of_caip(offer.dataset),
            "terms": terms,
            "sentences": sentences(terms, token, translation),
            "fee": fee_part(offer.price, offer.fee_bps),
            "balance": has,
            "missing": max(0, offer.price - has),
            "over_limit": actor.spend_limit is not None and offer.price > actor.spend_limit,
            "known": known,
            "wallets": wallets_of(actor.account),
            "private": quote is not None and offer_value(offer).licensee is not None,
            "recipient": request.POST.get("recipient") or (known[0] if known else ""),
            "order_key": request.POST.get("order_key") or uuid4(),
            "faucet": not settings.LIVE,
            "here": request.path,
        },
    )


@for_account
def order(request: HttpRequest, actor: Actor, order: UUID) -> HttpResponse:
    """Follow an order; safe to close."""
    found = own_order(actor.account, order)
    row = LicenseRow.objects.filter(pk=found.license).first() if found.license else None
    context = {
        "order": found,
        "license": row,
        "license_id": slug_of_caip(row.pk) if row else "",
        "dataset_id": slug_of_caip(found.dataset),
        "certificate": certificate_of(row) if row else None,
        "progress": progress_of(found, row),
        "visible": visible_of(found),
        "asked": asked_of_wallets(actor.account, subject=str(found.pk)),
        "mine": found.placed_by_id == actor.membership.pk,
    }
    return render(request, "web/parts/order.html" if wants_part(request) else "web/order.html", context)


@for_account
@require_POST
def take_back(request: HttpRequest, actor: Actor, order: UUID) -> HttpResponse:
    """Take back one's own order that waits for approval."""
    attempt(request, lambda: decline_order(by=actor, order=order, now=timezone.now()), done=_("Taken back."))
    return redirect("order", order)


@for_account
@require_POST
def retry(request: HttpRequest, actor: Actor, order: UUID) -> HttpResponse:
    """Ask again for keys that were not delivered; nothing is paid again."""
    found = own_order(actor.account, order)
    attempt(request, lambda: retry_delivery(by=actor, license_id=found.license, now=timezone.now()))
    return redirect("order", order)


def progress_of(order: Order, row: LicenseRow | None) -> Progress:
    """Return where an order stands, in words that stay true when delivery fails: paid means entitled."""
    match Order.State(order.state):
        case Order.State.APPROVAL:
            return Progress(_("Somebody in your organization has to approve this order."), "warn", (), moving=True)
        case Order.State.DECLINED:
            return Progress(_("Declined. Nothing was paid.") + _cause(order), "warn", (), moving=False)
        case Order.State.FAILED:
            return Progress(_("Not bought. Nothing was paid.") + _cause(order), "bad", (), moving=False)
        case Order.State.REFUNDED:
            return Progress(_("Refunded. The license has ended."), "warn", (), moving=False)
        case Order.State.SIGNING:
            # A page that loads itself anew would take the form away under the wallet's window.
            asked = WalletRequest.objects.filter(subject=str(order.pk), state=WalletRequest.State.WANTED).exists()
            said = _("Your wallet has to sign the payment.") if asked else _("The payment is being prepared.")
            return Progress(said, "warn" if asked else "", _steps(0), moving=not asked)
        case Order.State.PLACED | Order.State.PAYING:
            return Progress(_("Your payment is under way."), "", _steps(1), moving=True)
        case Order.State.MINED | Order.State.FINAL if row is None:
            return Progress(_("Paid. Your license is being read from the chain."), "ok", _steps(2), moving=True)
        case Order.State.MINED:
            return Progress(
                _("Paid. Your license is valid. The key follows in a moment."), "ok", _steps(2), moving=True
            )
        case Order.State.FINAL:
            assert row is not None
            return _delivered(row)
        case _ as never:
            assert_never(never)


def _delivered(row: LicenseRow) -> Progress:
    if not covered_packages(row):
        return Progress(
            _("Your license is valid. The data is open: download it at any time."), "ok", _steps(4), moving=False
        )
    delivery = delivery_of(row)
    match delivery.state:
        case "granted":
            return Progress(_("Paid. Your license is valid. Everything is ready."), "ok", _steps(4), moving=False)
        case "refused":
            said = _("Paid. Your license is valid. The key could not be delivered: %s") % delivery.cause
            return Progress(said, "warn", _steps(3, failed=True), moving=False, retry=True)
        case _:
            return Progress(_("Paid. Your license is valid. The key is being prepared."), "ok", _steps(3), moving=True)


def _steps(current: int, *, failed: bool = False) -> tuple[tuple[str, str], ...]:
    names = (_("Ordered"), _("Paid"), _("Can no longer be undone"), _("Key delivered"))
    running = "failed" if failed else "running"
    return tuple(
        (name, "done" if number < current else running if number == current else "waiting")
        for number, name in enumerate(names)
    )


def _cause(order: Order) -> str:
    return f" {order.cause}" if order.cause else ""
