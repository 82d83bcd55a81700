"""Deployments, datasets and lineage, as the follower has read them."""

from __future__ import annotations

import re

from provenance.core.refusal import Refusal
from provenance.models import DatasetRecord, Deployment, ParentEdge

_SLUG = re.compile(r"([1-9]\d{0,18})-([0-9a-f]{40})-(0|[1-9]\d{0,18})")
_DATASET = re.compile(r"eip155:([1-9]\d{0,18})/erc721:(0x[0-9a-f]{40})/([1-9]\d{0,18})")
_LICENSE = re.compile(r"eip155:([1-9]\d{0,18})/erc1155:(0x[0-9a-f]{40})/([1-9]\d{0,18})")


class QueryRefusal(Refusal):
    """What was asked for is not there, or its name is malformed."""


def active_deployment() -> Deployment:
    """Return the deployment that new datasets and licenses go to: the newest active one. Raises QueryRefusal."""
    found = Deployment.objects.filter(active=True).order_by("-pk").first()
    if found is None:
        raise QueryRefusal(
            "deployment.none", "No contracts are deployed yet.", todo="Run `manage.py deploy_contracts`."
        )
    return found


def deployment_of(chain_id: int, registry: str) -> Deployment:
    """Return the deployment with this registry. Raises QueryRefusal."""
    found = Deployment.objects.filter(chain_id=chain_id, registry=registry).first()
    if found is None:
        raise QueryRefusal("deployment.unknown", "This register does not follow that contract.", actual=registry)
    return found


def dataset_by_slug(slug: str) -> DatasetRecord:
    """Return a dataset by the id in its address, `{chain}-{registry}-{token}`. Raises QueryRefusal."""
    parts = _SLUG.fullmatch(slug)
    if parts is None:
        raise QueryRefusal("dataset.id", "That is not the id of a dataset.", actual=slug[:80])
    return _dataset(int(parts[1]), f"0x{parts[2]}", int(parts[3]), slug)


def dataset_by_caip(name: str) -> DatasetRecord:
    """Return a dataset by its CAIP-19 name. Raises QueryRefusal."""
    parts = _DATASET.fullmatch(name)
    if parts is None:
        raise QueryRefusal("dataset.id", "That is not the CAIP-19 name of a dataset.", actual=name[:120])
    return _dataset(int(parts[1]), parts[2], int(parts[3]), name)


def license_deployment(name: str) -> tuple[Deployment, int]:
    """Return the deployment and the number of a license by its CAIP-19 name. Raises QueryRefusal."""
    parts = _LICENSE.fullmatch(name)
    if parts is None:
        raise QueryRefusal("license.id", "That is not the CAIP-19 name of a license.", actual=name[:120])
    found = Deployment.objects.filter(chain_id=int(parts[1]), market=parts[2]).first()
    if found is None:
        raise QueryRefusal("deployment.unknown", "This register does not follow that market.", actual=parts[2])
    return found, int(parts[3])


def ancestor_edges(dataset: DatasetRecord) -> list[ParentEdge]:
    """Return the distinct edges that are reachable from a dataset upwards, nearest first."""
    edges: list[ParentEdge] = []
    seen: set[int] = set()
    level = {dataset.token}
    while level:
        seen |= level
        found = list(
            ParentEdge.objects.filter(deployment=dataset.deployment, child__in=level).order_by("child", "parent")
        )
        edges += found
        level = {edge.parent for edge in found} - seen
    return edges


def _dataset(chain_id: int, registry: str, token: int, name: str) -> DatasetRecord:
    found = (
        DatasetRecord.objects.select_related("deployment")
        .filter(deployment__chain_id=chain_id, deployment__registry=registry, token=token)
        .first()
    )
    if found is None:
        raise QueryRefusal("dataset.unknown", "There is no such dataset.", actual=name[:120])
    return found
