"""Names across chains: accounts (CAIP-10), datasets, licenses and tokens (CAIP-19), all in lower case.

eip155:31337:0x<40 hex>                  account
eip155:31337/erc721:0x<registry>/12      dataset
eip155:31337/erc1155:0x<market>/5        license
eip155:31337/erc20:0x<token>             token
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from provenance.core.refusal import Refusal

_ACCOUNT = re.compile(r"eip155:([1-9][0-9]{0,17}):(0x[0-9a-f]{40})")
_ASSET = re.compile(r"eip155:([1-9][0-9]{0,17})/(erc721|erc1155|erc20):(0x[0-9a-f]{40})(?:/(0|[1-9][0-9]{0,77}))?")
_DATASET_SLUG = re.compile(r"([1-9][0-9]{0,17})-([0-9a-f]{40})-([1-9][0-9]{0,77})")


class CaipRefusal(Refusal):
    """A text is not the one spelling of a name."""


class AssetKind(StrEnum):
    """What a CAIP-19 name stands for here, by its token standard."""

    DATASET = "erc721"
    LICENSE = "erc1155"
    TOKEN = "erc20"  # noqa: S105  # a token standard


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """An address on a chain."""

    chain: int
    address: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a CAIP-10 account. Raises CaipRefusal."""
        found = _ACCOUNT.fullmatch(text)
        if found is None:
            raise CaipRefusal(
                "caip.account", "An account is written eip155:<chain>:0x<40 lower-case hex digits>.", actual=text[:100]
            )
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"eip155:{self.chain}:{self.address}"


@dataclass(frozen=True, slots=True, order=True)
class Asset:
    """A dataset, license or token by chain, contract and number; a token has no number."""

    kind: AssetKind
    chain: int
    contract: str
    number: int | None = None

    @classmethod
    def parse(cls, text: str, kind: AssetKind) -> Self:
        """Read a CAIP-19 name of the given kind. Raises CaipRefusal."""
        found = _ASSET.fullmatch(text)
        if found is None or found[2] != kind or (found[4] is None) != (kind is AssetKind.TOKEN):
            raise CaipRefusal(
                "caip.asset", f"The text is not a CAIP-19 name of a {kind.name.lower()}.", actual=text[:100]
            )
        return cls(kind, int(found[1]), found[3], None if found[4] is None else int(found[4]))

    @property
    def slug(self) -> str:
        """The id in addresses (URLs): `{chain}-{contract}-{number}`."""
        return f"{self.chain}-{self.contract[2:]}-{self.number}"

    def __str__(self) -> str:
        tail = "" if self.number is None else f"/{self.number}"
        return f"eip155:{self.chain}/{self.kind}:{self.contract}{tail}"


def asset_from_slug(slug: str, kind: AssetKind) -> Asset:
    """Read the id of a dataset or license from an address (URL). Raises CaipRefusal."""
    found = _DATASET_SLUG.fullmatch(slug)
    if found is None or kind is AssetKind.TOKEN:
        raise CaipRefusal("caip.slug", "An id is written <chain>-<40 hex digits>-<number>.", actual=slug[:100])
    return Asset(kind, int(found[1]), "0x" + found[2], int(found[3]))
