"""The CAIP names of what trade deals in: datasets of a registry, licenses of a market."""

from __future__ import annotations

from provenance.core.caip import Account as AccountName
from provenance.core.caip import Asset as AssetName
from provenance.core.caip import AssetKind

__all__ = ["AccountName", "AssetKind", "AssetName", "dataset_name", "license_name"]


def dataset_name(chain: int, registry: str, number: int) -> AssetName:
    """Return the name of dataset `number` of a registry."""
    return AssetName(AssetKind.DATASET, chain, registry, number)


def license_name(chain: int, market: str, number: int) -> AssetName:
    """Return the name of license `number` of a market."""
    return AssetName(AssetKind.LICENSE, chain, market, number)
