"""Money is a whole number of base units of one named token. It is divided exactly: every remainder has a named owner.

No float ever touches it. In documents an amount is a decimal string of base units; people read and write it with a
decimal point, which only `Amount.parse` and `Amount.__str__` know.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

from provenance.core.refusal import Refusal

UNITS_LIMIT = 2**64 - 1
DECIMALS_LIMIT = 6
BPS = 10_000

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_CAIP19 = re.compile(r"eip155:(0|[1-9][0-9]{0,18})/erc20:(0x[0-9a-f]{40})")
_SYMBOL = re.compile(r"[A-Za-z0-9.]{1,11}")
_WRITTEN = re.compile(r"(-?)([0-9]+)(?:\.([0-9]*))?")
_UNITS = re.compile(r"0|[1-9][0-9]{0,19}")

Owner = TypeVar("Owner", bound=Hashable)


class MoneyRefusal(Refusal):
    """An amount, a token or a share is not one that money can be kept in."""


@dataclass(frozen=True, slots=True, order=True)
class Token:
    """An ERC-20 token: chain id, lower-case address, symbol, decimals (at most 6, so that 64 bits hold any sum)."""

    chain: int
    address: str
    symbol: str
    decimals: int

    def __post_init__(self) -> None:
        if self.chain < 1:
            raise MoneyRefusal("token.chain", "A chain id is a positive number.", limit=1, actual=self.chain)
        if _ADDRESS.fullmatch(self.address) is None:
            raise MoneyRefusal(
                "token.address", "A token address is 0x and 40 lower-case hex digits.", actual=self.address[:80]
            )
        if _SYMBOL.fullmatch(self.symbol) is None:
            raise MoneyRefusal(
                "token.symbol", "A token symbol is 1 to 11 letters, digits or dots.", actual=self.symbol[:40]
            )
        if not 0 <= self.decimals <= DECIMALS_LIMIT:
            raise MoneyRefusal(
                "token.decimals", f"The token {self.symbol} has too many decimals for 64-bit amounts.",
                limit=DECIMALS_LIMIT, actual=self.decimals,
                todo="Choose a token with at most 6 decimals, such as USDC.",
            )  # fmt: skip

    @classmethod
    def from_caip(cls, text: str, *, symbol: str, decimals: int) -> Self:
        """Read a CAIP-19 id (`eip155:31337/erc20:0x…`); symbol and decimals come from the token itself.

        Raises MoneyRefusal.
        """
        chain, address = read_token_id(text)
        return cls(chain, address, symbol, decimals)

    @property
    def caip(self) -> str:
        """CAIP-19 id, as it stands in documents."""
        return f"eip155:{self.chain}/erc20:{self.address}"


@dataclass(frozen=True, slots=True)
class Amount:
    """`units` base units of `token`, 0 … 2^64 - 1."""

    units: int
    token: Token

    def __post_init__(self) -> None:
        check_units(self.units)

    @classmethod
    def parse(cls, text: str, token: Token) -> Self:
        """Read what a person typed, such as `240` or `240.00`: digits, at most one point, no separators, no exponent.

        More decimals than the token has are refused, never rounded. Raises MoneyRefusal.
        """
        written = _WRITTEN.fullmatch(text.strip()) if text.isascii() else None
        if written is None:
            raise MoneyRefusal(
                "amount.text", "This is not an amount.", actual=text[:40],
                todo="Write digits with at most one decimal point, for example 240.00.",
            )  # fmt: skip
        sign, whole, fraction = written[1], written[2], written[3] or ""
        if sign:
            raise MoneyRefusal("amount.negative", "An amount cannot be negative.", limit=0, actual=text.strip()[:40])
        if len(fraction) > token.decimals:
            raise MoneyRefusal(
                "amount.decimals", f"{token.symbol} has {token.decimals} decimals; the amount has more.",
                limit=token.decimals, actual=len(fraction), todo=f"Write at most {token.decimals} decimals.",
            )  # fmt: skip
        # Cut before int(): Python itself refuses literals of more than 4,300 digits with another exception.
        if len(whole.lstrip("0")) > len(str(UNITS_LIMIT)):
            raise _too_large(text.strip()[:40])
        return cls(int(whole) * 10**token.decimals + int(fraction.ljust(token.decimals, "0") or "0"), token)

    @property
    def written(self) -> str:
        """The number alone, with two decimals or as many as it needs: `240.00`, `0.000001`."""
        decimals = self.token.decimals
        if decimals == 0:
            return str(self.units)
        whole, fraction = divmod(self.units, 10**decimals)
        digits = f"{fraction:0{decimals}d}"
        shown = digits.rstrip("0").ljust(min(2, decimals), "0")
        return f"{whole}.{shown}"

    def __str__(self) -> str:
        return f"{self.written} {self.token.symbol}"

    def __add__(self, other: Amount) -> Amount:
        self._check_same_token(other)
        return Amount(self.units + other.units, self.token)

    def __sub__(self, other: Amount) -> Amount:
        self._check_same_token(other)
        if other.units > self.units:
            raise MoneyRefusal(
                "amount.negative", "More would be taken than is there.", limit=self.units, actual=other.units
            )
        return Amount(self.units - other.units, self.token)

    def _check_same_token(self, other: Amount) -> None:
        if self.token != other.token:
            raise MoneyRefusal(
                "amount.token", "Amounts of two tokens do not add.", limit=self.token.caip, actual=other.token.caip
            )


def check_units(units: int) -> int:
    """Return `units` if it is an amount of base units, 0 … 2^64 - 1. Raises MoneyRefusal."""
    if isinstance(units, bool) or not isinstance(units, int):
        raise MoneyRefusal("amount.type", "An amount is a whole number of base units.", actual=type(units).__name__)
    if units < 0:
        raise MoneyRefusal("amount.negative", "An amount cannot be negative.", limit=0, actual=units)
    if units > UNITS_LIMIT:
        raise _too_large(str(units)[:40])
    return units


def read_units(text: object, where: str = "amount") -> int:
    """Read the amount of a document: a decimal string of base units without sign, point or leading zero.

    Raises MoneyRefusal.
    """
    if not isinstance(text, str) or _UNITS.fullmatch(text) is None:
        raise MoneyRefusal(
            "amount.document", f"{where} is not a decimal string of base units.", actual=repr(text)[:40],
            todo='Write whole base units in quotes, for example "240000000" for 240.00 of a token with 6 decimals.',
        )  # fmt: skip
    return check_units(int(text))


def check_bps(bps: int, where: str = "share") -> int:
    """Return `bps` if it is a share in basis points, 0 … 10,000. Raises MoneyRefusal."""
    if isinstance(bps, bool) or not isinstance(bps, int):
        raise MoneyRefusal(
            "share.type", f"The {where} is not a whole number of basis points.", actual=type(bps).__name__
        )
    if bps < 0:
        raise MoneyRefusal("share.negative", f"The {where} is negative.", limit=0, actual=bps)
    if bps > BPS:
        raise MoneyRefusal(
            "share.over_100_percent", f"The {where} is over 100 %.", limit=BPS, actual=bps,
            todo="Shares are basis points: 500 is 5 %.",
        )  # fmt: skip
    return bps


def percent(bps: int) -> str:
    """Return basis points as people read them: 500 → `5 %`, 250 → `2.5 %`, 1 → `0.01 %`."""
    whole, hundredths = divmod(bps, 100)
    return f"{whole}.{hundredths:02d}".rstrip("0").rstrip(".") + " %"


def part(units: int, bps: int) -> int:
    """Return `bps` of `units`, rounded down; the remainder stays with whoever keeps the rest."""
    return units * bps // BPS


def divide(units: int, shares: Mapping[Owner, int] | Iterable[tuple[Owner, int]], *, rest: Owner) -> dict[Owner, int]:
    """Divide `units` by basis points: each owner gets its part rounded down, `rest` everything else.

    The values of the result sum to exactly `units`; `rest` is always among the keys, last if it has no share of its
    own. An owner that stands twice gets the sum. Raises MoneyRefusal when the shares sum to more than 10,000.
    """
    check_units(units)
    parts: dict[Owner, int] = {}
    total_bps = given = 0
    for owner, bps in shares.items() if isinstance(shares, Mapping) else shares:
        total_bps += check_bps(bps)
        amount = part(units, bps)
        given += amount
        parts[owner] = parts.get(owner, 0) + amount
    check_bps(total_bps, "sum of the shares")
    parts[rest] = parts.get(rest, 0) + units - given
    return parts


def read_token_id(text: object) -> tuple[int, str]:
    """Read the CAIP-19 id of an ERC-20 token; return chain id and lower-case address. Raises MoneyRefusal."""
    found = _CAIP19.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise MoneyRefusal(
            "token.id", "A token is named by CAIP-19, in lower case: eip155:<chain>/erc20:0x<address>.",
            actual=repr(text)[:120],
        )  # fmt: skip
    return int(found[1]), found[2]


def _too_large(actual: str) -> MoneyRefusal:
    return MoneyRefusal(
        "amount.too_large", "The amount does not fit into 64 bits of base units.", limit=str(UNITS_LIMIT), actual=actual
    )
