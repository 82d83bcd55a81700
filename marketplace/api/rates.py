"""How often who may ask: counted exactly (`marketplace.limits`), per account, or per address of a visitor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from marketplace.limits import Allowance, take
from marketplace.queries.actors import Actor
from marketplace.session import address_of


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests per window of `seconds`: of an account, and of a visitor's address."""

    name: str
    account: int
    visitor: int
    seconds: int = 60


GENERAL = Rate("general", 3_000, 1_200)
# A download asks for one block of at most 1 MiB at a time.
BLOCKS = Rate("blocks", 60_000, 12_000)
# An upload sends one piece at a time, and three requests for a small file.
UPLOADS = Rate("uploads", 30_000, 600)
# Each answer says something about data of others: enough to ask about one's own files, too little to sift.
LOOK_UPS = Rate("look-ups", 120, 30)


def use(rate: Rate, *, actor: Actor | None, request: HttpRequest, now: datetime) -> Allowance:
    """Count one request. Raises LimitRefusal. `CADASTRE_API_RATES` overrides figures by name, for both kinds."""
    override = getattr(settings, "CADASTRE_API_RATES", {}).get(rate.name)
    if actor is not None:
        return take(
            f"api:{rate.name}:{actor.account.pk}", limit=override or rate.account, seconds=rate.seconds, now=now
        )
    return take(f"api:{rate.name}:{address_of(request)}", limit=override or rate.visitor, seconds=rate.seconds, now=now)


def show(response: HttpResponse, allowance: Allowance, *, now: datetime) -> None:
    """Say in headers what is left; `RateLimit-Reset` is in seconds."""
    response["RateLimit-Limit"] = str(allowance.limit)
    response["RateLimit-Remaining"] = str(allowance.remaining)
    response["RateLimit-Reset"] = str(max(0, math.ceil((allowance.reset - now).total_seconds())))
