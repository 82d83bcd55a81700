"""Ids in addresses: `{chain}-{contract}-{number}`, and the CAIP-19 names that they stand for."""

from __future__ import annotations

import re

from django.http import Http404

from marketplace.core.caip import slug_of as slug_of_caip

__all__ = ["dataset_caip", "license_caip", "slug_of_caip"]

ID = re.compile(r"(?P<chain>[1-9][0-9]{0,18})-(?P<contract>[0-9a-f]{40})-(?P<number>[1-9][0-9]{0,18})")


def dataset_caip(slug: str) -> str:
    """Return the CAIP-19 name of a dataset's id. Raises Http404 for anything else."""
    return _caip(slug, "erc721")


def license_caip(slug: str) -> str:
    """Return the CAIP-19 name of a license's id. Raises Http404 for anything else."""
    return _caip(slug, "erc1155")


def _caip(slug: str, kind: str) -> str:
    found = ID.fullmatch(slug)
    if found is None:
        raise Http404
    return f"eip155:{found['chain']}/{kind}:0x{found['contract']}/{found['number']}"
