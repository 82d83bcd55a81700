"""What pages ask a browser's wallet to sign, and where its signatures arrive."""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from marketplace.actions.wallet_requests import WAITING, own_request
from marketplace.actions.wallet_signatures import give_signature
from marketplace.models import Account, WalletRequest
from marketplace.queries.actors import Actor
from marketplace.web.acting import attempt, for_account
from marketplace.web.ids import slug_of_caip


def asked_of_wallets(account: Account, **about: str) -> QuerySet[WalletRequest]:
    """Return what the account's wallets have still to sign, oldest first; `about`: its dataset or subject."""
    waiting = WalletRequest.objects.filter(account=account, state__in=WAITING, expires__gt=timezone.now())
    return waiting.filter(**about).order_by("created")


@for_account
@require_POST
def sign(request: HttpRequest, actor: Actor, asked: UUID) -> HttpResponse:
    """Take a signature, and go on where it was asked for."""
    row = own_request(actor.account, asked)
    signature = request.POST.get("signature", "")[:200]
    attempt(
        request,
        lambda: give_signature(by=actor, request=asked, signature=signature, now=timezone.now()),
        done=_("Signed. The rest happens without you."),
    )
    match WalletRequest.Act(row.act):
        case WalletRequest.Act.PURCHASE:
            return redirect("order", row.subject)
        case WalletRequest.Act.VOUCHER | WalletRequest.Act.DEPOSIT:
            return redirect("license-held", slug_of_caip(row.subject))
        case WalletRequest.Act.HAND_OVER:
            return redirect("own-key")
        case (
            WalletRequest.Act.OFFER
            | WalletRequest.Act.CANCEL_OFFER
            | WalletRequest.Act.SPLITS
            | WalletRequest.Act.DERIVE_TERMS
        ):
            return redirect("dataset-manage", slug_of_caip(row.dataset))
        case _ as never:
            assert_never(never)
