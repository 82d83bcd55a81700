"""The index: everything registered, searchable by likeness.

A `SimilarityIndex` is a value with a version. Whoever keeps rows in a database builds it in the order of versions:

    index = SimilarityIndex.load(directory)                  # segments on disk, mapped into memory; or empty()
    for each addition with a version above index.version:    # the small tail that the database knows more
        index = index.added(version=…, owner=…, dataset=…, files=[IndexedFile(…), …])
    comparison = compare(index, files, exclude_owner=…)      # in `gate`
    index.save(directory)                                    # now and then: immutable .npy files, no pickle

`owner` and `dataset` are opaque strings: matches of the searching owner are never returned, and shares are counted per
dataset, so all versions of a dataset go under one name. `without(dataset)` removes its rows physically.

A text segment takes 408 bytes, of which 128 are searched (112 of bands); the rest is only read for candidates. A
look-up is a few binary searches; see `docs/algorithms/gate.md` for measured figures.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.batches import Batch, Batches
from provenance.fingerprints.matches import IndexedFile, SearchedFile
from provenance.fingerprints.registry import ALGORITHMS
from provenance.fingerprints.search import Scope, search_file
from provenance.fingerprints.shelf import Shelf
from provenance.fingerprints.shelving import SHELVES, new_segments

FORMAT = 2
_HEAD = "index.json"


@dataclass(frozen=True, slots=True)
class SimilarityIndex:
    """Shelves of rows and the batches they belong to; immutable."""

    shelves: Mapping[str, Shelf] = field(default_factory=lambda: {name: Shelf() for name in SHELVES})
    batches: Batches = field(default_factory=Batches)

    @property
    def version(self) -> int:
        """The version of the latest addition, 0 for an empty index."""
        return self.batches.version

    @classmethod
    def empty(cls) -> SimilarityIndex:
        """Return an index of nothing."""
        return cls()

    def added(self, *, version: int, owner: str, dataset: str, files: Iterable[IndexedFile]) -> SimilarityIndex:
        """Return the index with files added under a version that is not below the latest one.

        Raises FingerprintRefusal for an older version, a broken payload, and another algorithm's records.
        """
        segments, units = new_segments(files, len(self.batches.items))
        batches = self.batches.appended(Batch(version, owner, dataset, units))
        shelves = {
            name: shelf.appended(segments[name]) if name in segments else shelf for name, shelf in self.shelves.items()
        }
        return SimilarityIndex(shelves, batches)

    def without(self, dataset: str) -> SimilarityIndex:
        """Return the index without a dataset: erased means that no array holds its rows any more."""
        numbers = self.batches.of_dataset(dataset)
        gone = set(numbers.tolist())
        items = tuple(replace(b, gone=True, units={}) if n in gone else b for n, b in enumerate(self.batches.items))
        shelves = {name: shelf.without(numbers) for name, shelf in self.shelves.items()}
        return SimilarityIndex(shelves, Batches.of(items))

    def compacted(self) -> SimilarityIndex:
        """Return the same index in as few segments as possible."""
        return SimilarityIndex({name: shelf.compacted() for name, shelf in self.shelves.items()}, self.batches)

    def search(self, files: Iterable[IndexedFile], *, exclude_owner: str, since: int = 0) -> Iterator[SearchedFile]:
        """Yield each file with, for each of its records and each dataset of another owner, the closest match if any.

        Only rows added after version `since` are searched. Raises FingerprintRefusal for another algorithm's records.
        """
        scope = Scope(self.shelves, self.batches, exclude_owner, self.batches.first_since(since))
        for file in files:
            yield search_file(scope, file)

    def save(self, directory: Path) -> None:
        """Write the index to a directory that appears only when it is whole, in place of one that was there."""
        partial = directory.with_name(directory.name + ".new")
        old = directory.with_name(directory.name + ".old")
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, shelf in self.shelves.items():
            shelf.save(partial / name)
        head = {
            "format": FORMAT,
            "algorithms": {kind: algorithm.digest for kind, algorithm in ALGORITHMS.items()},
            "batches": [asdict(batch) for batch in self.batches.items],
        }
        (partial / _HEAD).write_text(json.dumps(head), encoding="utf-8")
        if directory.exists():
            directory.rename(old)
        partial.rename(directory)
        shutil.rmtree(old, ignore_errors=True)

    @classmethod
    def load(cls, directory: Path) -> SimilarityIndex:
        """Open what `save` wrote; empty if nothing is there.

        Raises FingerprintRefusal (`index.format`) if other algorithms or another format wrote it: build it again.
        """
        try:
            head = json.loads((directory / _HEAD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls.empty()
        wanted = {"format": FORMAT, "algorithms": {str(kind): a.digest for kind, a in ALGORITHMS.items()}}
        if {name: head.get(name) for name in wanted} != wanted:
            raise FingerprintRefusal(
                "index.format",
                "The index on disk was written by other algorithms.",
                limit=FORMAT,
                actual=str(head.get("format")),
                todo="Remove it; it is built again from the database.",
            )
        shelves = {name: Shelf.load(directory / name) for name in SHELVES}
        return cls(shelves, Batches.of(tuple(Batch(**batch) for batch in head["batches"])))
