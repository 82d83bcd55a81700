"""What wallets sign before a publication: as the review page asks for it, and as its form brings it back."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from marketplace.actions.drafts import WalletConsents
from marketplace.web.ids import dataset_caip, slug_of_caip


def shown_consents(asked: WalletConsents) -> dict[str, Any]:
    """Return the deadline, and (field, signer, typed data) of each signature that wallets give."""
    wanted = [
        (f"derivation-{slug_of_caip(parent)}", wallet, typed.to_json())
        for parent, (wallet, typed) in asked.derivations.items()
    ]
    if asked.owner and asked.registration and asked.attestation:
        wanted.append(("registration", asked.owner, asked.registration.to_json()))
        wanted.append(("attestation", asked.owner, asked.attestation.to_json()))
    return {"deadline": asked.deadline, "owner": asked.owner, "wanted": wanted}


def signed_consents(request: HttpRequest) -> dict[str, Any] | None:
    """Return what the wallets signed, as `drafts.confirm_draft` takes it; None where none was asked."""
    deadline = request.POST.get("deadline", "")
    if not deadline.isdecimal() or len(deadline) > 15:
        return None
    signatures = {name: value[:200] for name, value in request.POST.items() if isinstance(value, str)}
    derivations = {
        dataset_caip(name.removeprefix("derivation-")): value
        for name, value in signatures.items()
        if name.startswith("derivation-")
    }
    owner = {name: signatures.get(name) for name in ("registration", "attestation")}
    return {"deadline": int(deadline), "derivations": derivations, **owner}
