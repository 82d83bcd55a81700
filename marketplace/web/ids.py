"""Ids in addresses: `{chain}-{contract}-{number}`, and the CAIP-19 names that they stand for."""

from __future__ import annotations

import re

from django.http import Http404

ID = re.compile(r"(?P<chain>[1-9][0-9]{0,18})-(?P<contract>[0-9a-f]{40})-(?P<number>[1-9][0-9]{0,18})")


def slug_of_caip(caip: str) -> str:
    """Return `31337-5fbd…-12` for `eip155:31337/erc721:0x5fbd…/12`."""
    chain, asset, number = caip.removeprefix("eip155:").split("/")
    return f"{chain}-{asset.partition(':0x')[2]}-{number}"


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
