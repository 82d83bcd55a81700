"""The operator's dashboard: what is stuck and why, and the few acts that need a person."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from marketplace import alarms
from marketplace.actions import takedowns as acts
from marketplace.queries.actors import Actor
from marketplace.queries.operations import operations
from marketplace.settling.vetoing import veto_settlement
from marketplace.web.acting import attempt, for_account, for_operators
from marketplace.web.ids import dataset_caip, slug_of_caip
from provenance import takedowns
from provenance.answers import review_match
from provenance.content_queries import broken_pins
from provenance.core.refusal import Refusal
from provenance.models import ContentAct, Intent, LogState, Match, PinRow

WORDS = {
    "intents": _("Transactions to be sent"),
    "signatures": _("Signatures"),
    "statements": _("Facts to be logged"),
    "grants": _("Keys to be handed over"),
    "addresses": _("Addresses to be made"),
    "offers": _("Offers to be signed"),
    "orders": _("Orders under way"),
    "vouchers": _("Use to be charged"),
    "withdrawals": _("Withdrawals"),
    "submissions": _("Datasets in the checks"),
    "pins": _("Copies to be made or mended"),
}

NO_REASON = "no reason given"


@for_operators
def operator(request: HttpRequest) -> HttpResponse:
    """Queues, lanes, outbox, log, copies, money, and what waits for a person."""
    found = operations(now=timezone.now())
    log = LogState.objects.first()
    copies = PinRow.objects.count()
    return render(
        request,
        "web/operator.html",
        {
            "found": found,
            "backlogs": [(WORDS.get(each.name, each.name), each) for each in found.backlogs],
            "waiting": sum(each.count for each in found.backlogs),
            "stuck": Intent.objects.exclude(state__in=("final", "failed", "expired"))
            .exclude(cause="")
            .order_by("created_at")[:20],
            "unpublished": log.size - log.published_size if log else 0,
            "broken": broken_pins()[:20],
            "copies": copies,
            "matches": Match.objects.filter(review="waiting").select_related("submission").order_by("created")[:50],
            "acts": [(slug_of_caip(each.dataset), each) for each in ContentAct.objects.order_by("-created")[:20]],
            "reasons": takedowns.REASONS,
        },
    )


@for_operators
@for_account
@require_POST
def judge_match(request: HttpRequest, actor: Actor, match: int) -> HttpResponse:
    """Accept or reject what an uploader answered."""
    accept = "accept" in request.POST
    attempt(
        request,
        lambda: review_match(by=actor.account.pk, match=match, accept=accept, now=timezone.now()),
        done=_("Decided; the checks go on."),
    )
    return redirect("operator")


@for_operators
@for_account
@require_POST
def take_down(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Withhold or erase a dataset, with a reason that stands in its trail."""
    slug = request.POST.get("dataset", "").strip()
    reason, order = request.POST.get("reason", ""), request.POST.get("order", "").strip() or None
    number = request.POST.get("version", "")
    version = int(number) if number.isdecimal() else None
    act = acts.erase_dataset if "erase" in request.POST else acts.withhold_dataset

    def stop() -> None:
        if "erase" in request.POST and request.POST.get("sure") != "erase":
            raise Refusal("takedown.sure", "Erasing cannot be undone.", todo="Write “erase” into the field.")
        act(by=actor, dataset=dataset_caip(slug), reason=reason, now=timezone.now(), version=version, order=order)

    attempt(request, stop, done=_("Delivery has stopped. The trail says why."))
    return redirect("operator")


@for_operators
@require_POST
def clear_alarm(request: HttpRequest) -> HttpResponse:
    """Say that somebody has looked at an alarm and removed its cause."""
    code, subject = request.POST.get("code", ""), request.POST.get("subject", "")
    alarms.clear_alarm(code=code, subject=subject, now=timezone.now(), by=request.user.get_username())
    return redirect("operator")


@for_operators
@require_POST
def veto(request: HttpRequest) -> HttpResponse:
    """Strike a pending root down, whoever proposed it; the next settlement takes up what it would have paid."""
    token, epoch = request.POST.get("token", ""), request.POST.get("epoch", "")
    reason = request.POST.get("reason", "")[:200] or NO_REASON

    def strike() -> None:
        number = int(epoch) if epoch.isdecimal() else 0
        veto_settlement(by=request.user.get_username(), token=token, epoch=number, reason=reason, now=timezone.now())

    attempt(request, strike, done=_("The veto is on its way."))
    return redirect("operator")
