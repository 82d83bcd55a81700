"""Earnings: what is on its way and why, and each amount's way from a sale or a use to its transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _

from marketplace.core.allocation import AllocationLine, Reason
from marketplace.core.caip import AssetKind, AssetName, dataset_name
from marketplace.core.money import Amount, percent
from marketplace.models import PayoutRow
from marketplace.queries.actors import Act, Actor
from marketplace.queries.catalog import listings_of, sales_of, title_of, usage_of_datasets
from marketplace.queries.deployments import deployment_of, payment_token, token_by_caip
from marketplace.queries.earnings import earnings_of, explain_payout, payouts_of
from marketplace.web.acting import for_account
from marketplace.web.context import actor_of
from marketplace.web.ids import slug_of_caip
from marketplace.web.spreadsheet import csv_response
from provenance.core.refusal import Refusal

ROWS = 50
EXPORT_ROWS = 10_000
CSV_HEAD = ("period ended", "epoch", "dataset", "title", "why", "share",
            "of", "amount", "currency", "state", "transaction")  # fmt: skip


def earnings(request: HttpRequest) -> HttpResponse:
    """Available, pending, paid; when the next payout comes and why; each line one click from its reasons."""
    if actor_of(request) is None:
        return render(request, "web/earnings.html", {})
    return _own_earnings(request)


@for_account
def _own_earnings(request: HttpRequest, actor: Actor) -> HttpResponse:
    actor.require(Act.FINANCE)
    token = payment_token().caip
    return render(
        request,
        "web/earnings.html",
        {
            "found": earnings_of(actor.account, token, now=timezone.now()),
            "token": token,
            "payouts": payouts_of(actor.account)[:ROWS],
            "sales": [(slug_of_caip(row.pk), row) for row in sales_of(actor.account)[:ROWS]],
            "usage": usage_of_datasets(actor.account)[:ROWS],
            "has_datasets": bool(listings_of(actor.account)),
            "month": f"{timezone.now():%Y-%m}",
        },
    )


@for_account
def payout(request: HttpRequest, actor: Actor, payout: int) -> HttpResponse:
    """One payout: the sales and uses it comes from, the shares, the transaction."""
    actor.require(Act.FINANCE)
    found = get_object_or_404(payouts_of(actor.account), pk=payout)
    context: dict[str, Any] = {"payout": found, "token": found.settlement.token}
    try:
        explanation = explain_payout(found)
        context["allocations"] = [_shown(found, line) for line in explanation.allocations]
        context["revenue"] = [(_dataset(found, line.dataset), line) for line in explanation.revenue]
    except Refusal as refusal:
        context["refusal"] = refusal
    return render(request, "web/payout.html", context)


@for_account
def export(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Every line of every payout as CSV."""
    actor.require(Act.FINANCE)
    return csv_response(f"cadastre-earnings-{actor.account.slug}.csv", CSV_HEAD, _lines(actor))


def _lines(actor: Actor) -> Iterator[tuple[object, ...]]:
    for row in payouts_of(actor.account)[:EXPORT_ROWS]:
        token = token_by_caip(row.settlement.token)
        for line in explain_payout(row).allocations:
            caip = _dataset(row, line.dataset)
            yield (
                f"{row.settlement.ended_at:%Y-%m-%dT%H:%M:%SZ}", row.settlement.epoch, slug_of_caip(caip),
                title_of(caip), str(line.reason), percent(line.bps), Amount(line.net, token).written,
                Amount(line.amount, token).written, token.symbol, row.state, row.tx,
            )  # fmt: skip


def _shown(row: PayoutRow, line: AllocationLine) -> dict[str, Any]:
    dataset, via = _dataset(row, line.dataset), _dataset(row, line.via)
    figures = {"title": title_of(via), "percent": percent(line.bps)}
    match line.reason:
        case Reason.OWNER:
            why = _("You own it; this is what is left after the others.")
        case Reason.ANCESTOR:
            why = _("It was built from “%(title)s”, which is owed %(percent)s.") % figures
        case Reason.SPLIT:
            why = _("You share the income of “%(title)s”: %(percent)s.") % figures
    return {"dataset": dataset, "id": slug_of_caip(dataset), "title": title_of(dataset), "why": why, "line": line}


def _dataset(row: PayoutRow, number: int) -> str:
    deployment = deployment_of(AssetName.parse(row.settlement.token, AssetKind.TOKEN))
    return str(dataset_name(deployment.chain_id, deployment.registry, number))
