"""The CAIP names of what trade deals in: datasets of a registry, licenses of a market."""

from __future__ import annotations

from provenance.core.caip import Account as AccountName
from provenance.core.caip import Asset as AssetName
from provenance.core.caip import AssetKind

__all__ = ["AccountName", "AssetKind", "AssetName", "dataset_name", "license_name", "slug_of"]


def dataset_name(chain: int, registry: str, number: int) -> AssetName:
    """Return the name of dataset `number` of a registry."""
    return AssetName(AssetKind.DATASET, chain, registry, number)


def license_name(chain: int, market: str, number: int) -> AssetName:
    """Return the name of license `number` of a market."""
    return AssetName(AssetKind.LICENSE, chain, market, number)


def slug_of(caip: str) -> str:
    """Return the id in addresses, `31337-5fbd…-12`, of a dataset or license by its CAIP-19 name. Raises CaipRefusal."""
    kind = AssetKind.LICENSE if f"/{AssetKind.LICENSE}:" in caip else AssetKind.DATASET
    return AssetName.parse(caip, kind).slug
