"""Amounts in answers and requests: base units, the token they are of, and how people read them."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import msgspec

from marketplace.core.money import Amount, MoneyRefusal, Token, read_units
from marketplace.journal import bookable
from marketplace.queries.deployments import payment_token, token_by_caip

Units = Annotated[
    str,
    msgspec.Meta(pattern="^(0|[1-9][0-9]{0,19})$", description="A whole number of base units, as a decimal string"),
]
TokenId = Annotated[
    str, msgspec.Meta(pattern="^eip155:[1-9][0-9]*/erc20:0x[0-9a-f]{40}$", description="CAIP-19 id of an ERC-20 token")
]


class Money(msgspec.Struct, frozen=True):
    """`{"amount": "240000000", "token": "eip155:…/erc20:0x…", "text": "240.00 USD"}`."""

    amount: Annotated[str, msgspec.Meta(pattern="^-?(0|[1-9][0-9]*)$")]
    token: TokenId
    text: str


class MoneyGiven(msgspec.Struct, forbid_unknown_fields=True):
    """An amount in base units; what the API itself returned as money may be sent back."""

    amount: Units
    token: TokenId | None = None
    text: str | None = None


Price = Annotated[str, msgspec.Meta(max_length=40, description="In the site's currency, such as `240.00`")] | MoneyGiven
"""A price that somebody sets: as people write it, or base units as money."""


def money(units: int, token: str) -> Money:
    """Return an amount of the token with this CAIP-19 id as answers show it."""
    return Money(str(units), token, _written(units, token))


def price_units(price: Price, token: Token | None = None) -> int:
    """Return the base units of a price that was sent. Raises MoneyRefusal."""
    quoted = token or payment_token()
    if not isinstance(price, str) and price.token not in {None, quoted.caip}:
        raise MoneyRefusal("amount.token", "Prices here are in another token.", limit=quoted.caip, actual=price.token)
    return bookable(Amount.parse(price, quoted).units if isinstance(price, str) else read_units(price.amount))


def _written(units: int, token: str) -> str:
    sign = "-" if units < 0 else ""
    return f"{sign}{Amount(abs(units), _token(token))}"


@lru_cache(maxsize=64)
def _token(caip: str) -> Token:
    # Symbol and decimals of a token contract never change.
    return token_by_caip(caip)
