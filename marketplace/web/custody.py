"""Whose key signs: the account's custodial key, its export, wallets of one's own, and handing datasets over to them."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from marketplace.actions import custody
from marketplace.actions.letters import tell_owners
from marketplace.queries.actors import Act, Actor
from marketplace.queries.addresses import owner_addresses, wallets_of
from marketplace.queries.catalog import listings_of
from marketplace.queries.members import key_exports_of
from marketplace.web.acting import attempt, for_account
from marketplace.web.ids import dataset_caip, slug_of_caip
from marketplace.web.wallets import asked_of_wallets
from provenance.core.refusal import Refusal


@for_account
def own_key(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Say who signs now, and offer to take over."""
    actor.require(Act.MANAGE)
    addresses = owner_addresses(actor.account)
    return render(
        request,
        "web/own_key.html",
        {
            "custodial": next((row for row in addresses if row.key_path != "wallet"), None),
            "wallets": wallets_of(actor.account),
            "asked": asked_of_wallets(actor.account),
            "exports": key_exports_of(actor.account)[:10],
            "listings": [(slug_of_caip(each.dataset), each) for each in listings_of(actor.account)],
            "handovers": actor.account.handovers.order_by("-created")[:20],
            "second_factor": actor.second_factor,
            "delay": settings.CADASTRE_WITHDRAWAL_DELAY,
        },
    )


@for_account
@require_POST
def request_export(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Ask for the key; the owners hear of it, and can stop it during the delay."""
    recipient = request.POST.get("recipient", "").strip()

    def ask() -> None:
        export = custody.request_key_export(by=actor, recipient=recipient, now=timezone.now())
        tell_owners(
            actor.account,
            gettext("Your Cadastre key will be handed out"),
            gettext(
                "Somebody signed in to %(name)s asked for its signing key.\n"
                "It can be downloaded from %(due)s UTC on.\n"
                "If this was not you, sign in, cancel it under\n"
                "%(page)s and change your password.\n"
            )
            % {
                "name": actor.account.display_name,
                "due": f"{export.due:%Y-%m-%d %H:%M}",
                "page": f"{settings.CADASTRE_PUBLIC_URL}/settings/key",
            },
        )

    attempt(request, ask, done=_("The key will be encrypted for you after the delay. We have written to all owners."))
    return redirect("own-key")


@for_account
@require_POST
def cancel_export(request: HttpRequest, actor: Actor, export: UUID) -> HttpResponse:
    """Stop an export in time."""
    attempt(
        request,
        lambda: custody.cancel_key_export(by=actor, export=export),
        done=_("Cancelled. Nothing was handed out."),
    )
    return redirect("own-key")


@for_account
def download_export(request: HttpRequest, actor: Actor, export: UUID) -> HttpResponse:
    """Hand out the encrypted key; only the recipient's own key opens it."""
    actor.require(Act.MANAGE)
    found = key_exports_of(actor.account).filter(pk=export, state="ready").first()
    if found is None or found.sealed_key is None:
        raise Http404
    return HttpResponse(
        bytes(found.sealed_key),
        content_type="application/octet-stream",
        headers={"Content-Disposition": 'attachment; filename="cadastre-signing-key.age"', "Cache-Control": "no-store"},
    )


@for_account
def wallet_link(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Return what the wallet at `address` signs to show that it belongs to this account."""
    actor.require(Act.MANAGE)
    deadline = int(timezone.now().timestamp()) + custody.LINK_SECONDS - 60
    try:
        typed = custody.wallet_link(by=actor, address=request.GET.get("address", "")[:42], deadline=deadline)
        return JsonResponse({"typed_data": typed.to_json(), "deadline": deadline})
    except Refusal as refusal:
        return JsonResponse({"error": str(refusal)}, status=422)


@for_account
@require_POST
def connect_wallet(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Take the wallet's signature: it owns what is published from now on."""
    deadline = request.POST.get("deadline", "")
    address, signature = (request.POST.get(name, "")[:200] for name in ("address", "signature"))

    def connect() -> None:
        custody.connect_wallet(
            by=actor, address=address, deadline=int(deadline) if deadline.isdecimal() else 0, signature=signature,
            now=timezone.now(),
        )  # fmt: skip

    attempt(
        request, connect, done=_("Connected. What you publish from now on belongs to this wallet; it signs, not we.")
    )
    return redirect("own-key")


@for_account
@require_POST
def hand_over(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Move a dataset to the account's own wallet."""
    caip = dataset_caip(request.POST.get("dataset", ""))
    address = request.POST.get("address", "")[:42]
    if attempt(request, lambda: custody.hand_over_dataset(by=actor, dataset=caip, address=address, now=timezone.now())):
        messages.success(
            request, _("On its way. From its arrival on, only the new owner's key signs for this dataset.")
        )
    return redirect("own-key")
