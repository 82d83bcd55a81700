"""Ids in addresses, `{chain}-{contract}-{number}`, and the CAIP-19 names that everything below the API speaks."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from provenance.core.caip import Asset, AssetKind, CaipRefusal, asset_from_slug

_PATTERN = r"[1-9][0-9]{0,17}-[0-9a-f]{40}-[1-9][0-9]{0,17}"

ID_PATTERN = f"^{_PATTERN}$"
Id = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, description="`{chain}-{contract}-{number}`")]
"""A dataset's or license's id as it stands in bodies."""

Sha256Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", description="SHA-256, lower-case hex")]


class NameRefusal(CaipRefusal):
    """What was sent as an id cannot be one; nothing by that name exists."""


class _IdConverter:
    regex = _PATTERN
    kind: ClassVar[AssetKind]

    def to_python(self, value: str) -> str:
        """Return the CAIP-19 name."""
        return caip_of(value, self.kind)

    def to_url(self, value: str) -> str:
        """Return the id of a CAIP-19 name."""
        return id_of(value)


class DatasetIdConverter(_IdConverter):
    """`<dataset:…>` in an address: the view gets the CAIP-19 name."""

    kind = AssetKind.DATASET


class LicenseIdConverter(_IdConverter):
    """`<license:…>` in an address: the view gets the CAIP-19 name."""

    kind = AssetKind.LICENSE


def id_of(caip: str) -> str:
    """Return `31337-5fbd…-12` for a CAIP-19 name of a dataset or license."""
    chain, _, rest = caip.removeprefix("eip155:").partition("/")
    contract, _, number = rest.partition(":0x")[2].partition("/")
    return f"{chain}-{contract}-{number}"


def dataset_caip(text: str) -> str:
    """Return the CAIP-19 name of a dataset given by id or by that name itself. Raises CaipRefusal."""
    return _either(text, AssetKind.DATASET)


def license_caip(text: str) -> str:
    """Return the CAIP-19 name of a license given by id or by that name itself. Raises CaipRefusal."""
    return _either(text, AssetKind.LICENSE)


def caip_of(slug: str, kind: AssetKind) -> str:
    """Return the CAIP-19 name for an id. Raises CaipRefusal."""
    return str(asset_from_slug(slug, kind))


def _either(text: str, kind: AssetKind) -> str:
    if text.startswith("eip155:"):
        return str(Asset.parse(text, kind))
    return caip_of(text, kind)
