"""Who shares the income of a dataset: `cadastre.splits/1`. What is not given away is the owner's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from marketplace.core.money import BPS, check_bps, check_units
from provenance.core.caip import Account
from provenance.core.canonical import Json, document_bytes
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.refusal import Refusal

SCHEMA = "cadastre.splits/1"
SHARES_LIMIT = 100
ROLE_LIMIT = 100

_SALT = re.compile(r"[0-9a-f]{32}")


class SplitsRefusal(Refusal):
    """Shares that cannot be paid out as they are written."""


@dataclass(frozen=True, slots=True, order=True)
class Share:
    """`bps` basis points of the dataset's income for `account` (CAIP-10), and the role it is for."""

    account: str
    bps: int
    role: str

    def __post_init__(self) -> None:
        Account.parse(self.account)
        if check_bps(self.bps) == 0:
            raise SplitsRefusal("splits.zero", "A share of 0 % is not a share.", limit=1, actual=0)
        if not 1 <= len(self.role) <= ROLE_LIMIT:
            raise SplitsRefusal(
                "splits.role", f"A role has 1 to {ROLE_LIMIT} characters.", limit=ROLE_LIMIT, actual=len(self.role)
            )


@dataclass(frozen=True, slots=True)
class Splits:
    """The shares, sorted by account; `nonce` (32 hex digits) keeps equal documents of two datasets apart."""

    owner: str
    shares: tuple[Share, ...]
    nonce: str

    def __post_init__(self) -> None:
        Account.parse(self.owner)
        if _SALT.fullmatch(self.nonce) is None:
            raise SplitsRefusal("splits.nonce", "The nonce has 32 lower-case hex digits.", actual=self.nonce[:40])
        if len(self.shares) > SHARES_LIMIT:
            raise SplitsRefusal(
                "splits.too_many", "Too many people share the income.", limit=SHARES_LIMIT, actual=len(self.shares),
                todo="Give one share to an account that pays the others.",
            )  # fmt: skip
        accounts = [share.account for share in self.shares]
        if len(set(accounts)) != len(accounts):
            raise SplitsRefusal("splits.twice", "An account has two shares.", todo="Add them up.")
        if accounts != sorted(accounts):
            raise SplitsRefusal("splits.not_sorted", "Shares are sorted by account.")
        total = sum(share.bps for share in self.shares)
        if total > BPS:
            raise SplitsRefusal(
                "splits.over_100_percent", "The shares add up to more than 100 %.", limit=BPS, actual=total,
                todo="Lower some of them; the owner keeps what is left.",
            )  # fmt: skip

    @property
    def owner_bps(self) -> int:
        """What the owner keeps, in basis points, before remainders."""
        return BPS - sum(share.bps for share in self.shares)

    def to_document(self) -> dict[str, Json]:
        """Return the `cadastre.splits/1` document."""
        return {
            "schema": SCHEMA,
            "owner": self.owner,
            "shares": [{"account": share.account, "bps": share.bps, "role": share.role} for share in self.shares],
            "nonce": self.nonce,
        }

    @property
    def digest(self) -> Sha256:
        """What stands in the registry."""
        return Sha256.of(document_bytes(self.to_document()))

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a `cadastre.splits/1` document. Raises FieldRefusal, SplitsRefusal, CaipRefusal, MoneyRefusal."""
        found = Fields.of(value, "splits", ("owner", "shares", "nonce"), schema=SCHEMA)
        shares = [
            Fields.of(share, "a share", ("account", "bps", "role"))
            for share in found.items("shares", most=SHARES_LIMIT)
        ]
        return cls(
            owner=found.text("owner"),
            shares=tuple(
                Share(
                    share.text("account"),
                    share.integer("bps"),
                    share.text("role"),
                )
                for share in shares
            ),
            nonce=found.text("nonce"),
        )


def divide_income(units: int, splits: Splits) -> tuple[tuple[tuple[Share, int], ...], int]:
    """Return ((share, amount), …) in order and what the owner keeps; they sum to exactly `units`.

    Each share is rounded down; the owner keeps the remainders.
    """
    check_units(units)
    parts = tuple((share, units * share.bps // BPS) for share in splits.shares)
    return parts, units - sum(amount for _, amount in parts)
