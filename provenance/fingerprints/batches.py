"""Who owns the rows of an index: a batch is what one addition brought, under one version, for one dataset.

Rows carry the number of their batch only (4 bytes), so an owner's rows are left out of a search by one look-up, and
"added since version V" is "batch number at least N".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from provenance.fingerprints.algorithm import FingerprintRefusal, Kind
from provenance.fingerprints.hashing import Positions

Codes = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Batch:
    """One addition: `units` of each kind are words, images, rows, files."""

    version: int
    owner: str
    dataset: str
    units: Mapping[str, int]
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Batches:
    """All additions in the order of their versions, and codes of their owners and datasets for whole arrays of rows."""

    items: tuple[Batch, ...] = ()
    owners: Mapping[str, int] = field(default_factory=dict)
    datasets: Mapping[str, int] = field(default_factory=dict)
    owner_codes: Codes = field(default_factory=lambda: np.empty(0, dtype=np.uint32))
    dataset_codes: Codes = field(default_factory=lambda: np.empty(0, dtype=np.uint32))

    @classmethod
    def of(cls, items: tuple[Batch, ...]) -> Batches:
        """Build the codes of a list of additions."""
        owners: dict[str, int] = {}
        datasets: dict[str, int] = {}
        owner_codes = np.array([owners.setdefault(b.owner, len(owners)) for b in items], dtype=np.uint32)
        dataset_codes = np.array([datasets.setdefault(b.dataset, len(datasets)) for b in items], dtype=np.uint32)
        return cls(items, owners, datasets, owner_codes, dataset_codes)

    @property
    def version(self) -> int:
        """The version of the latest addition."""
        return self.items[-1].version if self.items else 0

    def appended(self, batch: Batch) -> Batches:
        """Return the list with one more; versions may repeat (files of one submission) but never fall."""
        if batch.version < self.version:
            raise FingerprintRefusal(
                "index.version",
                "An addition to the index must not be older than the latest one.",
                limit=self.version,
                actual=batch.version,
                todo="Build the index in the order of versions.",
            )
        owners = self.owners if batch.owner in self.owners else {**self.owners, batch.owner: len(self.owners)}
        known = batch.dataset in self.datasets
        datasets = self.datasets if known else {**self.datasets, batch.dataset: len(self.datasets)}
        return Batches(
            (*self.items, batch),
            owners,
            datasets,
            np.append(self.owner_codes, np.uint32(owners[batch.owner])),
            np.append(self.dataset_codes, np.uint32(datasets[batch.dataset])),
        )

    def of_dataset(self, dataset: str) -> Positions:
        """Return the numbers of a dataset's batches."""
        code = self.datasets.get(dataset)
        if code is None:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.dataset_codes == code)

    def first_since(self, version: int) -> int:
        """Return the number of the first batch that is newer than `version`."""
        return bisect_right([batch.version for batch in self.items], version) if version else 0

    def units_of(self, dataset: str, kind: Kind) -> int:
        """Return how many units of a kind a dataset has here."""
        return sum(
            self.items[n].units.get(kind, 0) for n in self.of_dataset(dataset).tolist() if not self.items[n].gone
        )

    def allowed(self, batch: npt.NDArray[np.generic], *, exclude_owner: str, first: int) -> npt.NDArray[np.bool_]:
        """Say of rows, given their batch numbers, which a search may return."""
        numbers = batch.astype(np.int64)
        keep = numbers >= first
        code = self.owners.get(exclude_owner)
        if code is not None:
            keep &= self.owner_codes[numbers] != code
        return keep
