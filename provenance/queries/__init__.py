"""What can be asked about evidence without changing it."""

from provenance.queries.chain import (
    QueryRefusal,
    active_deployment,
    ancestor_edges,
    dataset_by_caip,
    dataset_by_slug,
    deployment_of,
    license_deployment,
)
from provenance.queries.log import (
    checkpoint,
    consistency_proof,
    entries_of,
    entry,
    entry_bundle,
    inclusion_proof,
    log_state,
    tile_reader,
    tlog_proof,
)

__all__ = [
    "QueryRefusal",
    "active_deployment",
    "ancestor_edges",
    "checkpoint",
    "consistency_proof",
    "dataset_by_caip",
    "dataset_by_slug",
    "deployment_of",
    "entries_of",
    "entry",
    "entry_bundle",
    "inclusion_proof",
    "license_deployment",
    "log_state",
    "tile_reader",
    "tlog_proof",
]
