"""Names that hold on every chain: accounts (CAIP-10) and datasets, licenses and tokens (CAIP-19), always in lower case.

Source: https://chainagnostic.org/CAIPs/caip-10 and caip-19, namespace eip155.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from provenance.core.refusal import Refusal

_ACCOUNT = re.compile(r"eip155:([1-9][0-9]{0,18}):(0x[0-9a-f]{40})")
_ASSET = re.compile(r"eip155:([1-9][0-9]{0,18})/(erc20|erc721|erc1155):(0x[0-9a-f]{40})(?:/(0|[1-9][0-9]{0,77}))?")


class NameRefusal(Refusal):
    """A text is not the CAIP name that was expected."""


class AssetKind(StrEnum):
    """What a CAIP-19 name names here."""

    TOKEN = "erc20"  # noqa: S105  # a kind of contract, not a secret
    DATASET = "erc721"
    LICENSE = "erc1155"


@dataclass(frozen=True, slots=True, order=True)
class AccountName:
    """An account on a chain: `eip155:31337:0xab…`."""

    chain: int
    address: str

    @classmethod
    def parse(cls, text: object, where: str = "the account") -> Self:
        """Read a CAIP-10 name. Raises NameRefusal."""
        found = _ACCOUNT.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise NameRefusal(
                "name.account", f"{where} is not a CAIP-10 account in lower case.", actual=repr(text)[:120],
                todo="Write eip155:<chain>:0x<40 hex digits>.",
            )  # fmt: skip
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"eip155:{self.chain}:{self.address}"


@dataclass(frozen=True, slots=True, order=True)
class AssetName:
    """A dataset, a license or a token: chain, contract, and the number within the contract (None for tokens)."""

    kind: AssetKind
    chain: int
    contract: str
    number: int | None = None

    @classmethod
    def parse(cls, text: object, kind: AssetKind, where: str = "the id") -> Self:
        """Read a CAIP-19 name of this kind. Raises NameRefusal."""
        found = _ASSET.fullmatch(text) if isinstance(text, str) else None
        if found is None or found[2] != kind.value or (found[4] is None) != (kind is AssetKind.TOKEN):
            number = "" if kind is AssetKind.TOKEN else "/<number>"
            raise NameRefusal(
                "name.asset", f"{where} is not a CAIP-19 name of a {kind.name.lower()}, in lower case.",
                actual=repr(text)[:160], todo=f"Write eip155:<chain>/{kind.value}:0x<40 hex digits>{number}.",
            )  # fmt: skip
        return cls(kind, int(found[1]), found[3], None if found[4] is None else int(found[4]))

    def __str__(self) -> str:
        contract = f"eip155:{self.chain}/{self.kind.value}:{self.contract}"
        return contract if self.number is None else f"{contract}/{self.number}"


def dataset_name(chain: int, registry: str, number: int) -> AssetName:
    """Return the name of dataset `number` of a registry."""
    return AssetName(AssetKind.DATASET, chain, registry, number)


def license_name(chain: int, market: str, number: int) -> AssetName:
    """Return the name of license `number` of a market."""
    return AssetName(AssetKind.LICENSE, chain, market, number)
