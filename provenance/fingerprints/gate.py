"""The gate: whether what an owner wants to list is, for too large a part, somebody else's.

1. `compare` searches all files of a submission against one version of the index.
2. `decide` counts, for each dataset of another owner and each kind of record, what share of the submission's words,
   images, rows or other files it covers. Of several ways to match a file (whole file, segments, excerpt; rows, columns)
   the one that covers most counts.
3. A share above the threshold of its kind stops the listing, unless the uploader has answered for that dataset. Less
   is shown and recorded. A kind that makes up less than a twentieth of the submission's bytes never stops it by itself:
   the same license text lies in thousands of datasets. Of images found in the review band, as many as chance explains
   are not counted: 20 in a million pairs look that much alike, which is a fifth of a set only beside 10,000 others.
4. The other direction, how much of *theirs* is covered, is shown beside it: a large set that contains a whole small one
   is shown as such, but only its own share decides, since it is its own listing that is asked for.
5. Two copies ingested at once: a comparison holds for the version it was made against. Whoever reserves the next
   version first wins; the other one is told (`require_current`), compares with what was added since (`recheck`),
   decides again, and tries again:

       comparison = compare(index_at(version), files, exclude_owner=owner)
       loop:  result = decide(comparison, answered=…)
              reserve version + 1 by compare-and-set; on success done
              comparison = recheck(comparison, index_at(new version), files, exclude_owner=owner)

"First registered here" never means "owner": a stop is a question to the uploader, not a judgment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from provenance.core.canonical import canonical_bytes
from provenance.fingerprints.algorithm import FingerprintRefusal, Kind
from provenance.fingerprints.index import SimilarityIndex
from provenance.fingerprints.matches import Closeness, IndexedFile, Part, RecordMatch
from provenance.fingerprints.search import WHOLE

MOST_NAMED = 1000
CHANCE_PER_MILLION = 20


class Result(StrEnum):
    """What the gate says."""

    NONE = "none"
    SHOWN = "shown"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Basis points. A listing stops above the share of a kind; below `minor_bps` of all bytes a kind does not count."""

    text_bps: int = 2_000
    image_bps: int = 2_000
    table_bps: int = 3_000
    file_bps: int = 2_000
    minor_bps: int = 500

    def of(self, kind: Kind) -> int:
        """Return the threshold of a kind."""
        limits = {
            Kind.TEXT: self.text_bps,
            Kind.IMAGE: self.image_bps,
            Kind.TABLE: self.table_bps,
            Kind.FILE: self.file_bps,
        }
        return limits[kind]

    @property
    def document(self) -> dict[str, int]:
        """What `digest` covers."""
        return {f"{kind}_bps": self.of(kind) for kind in Kind} | {"minor_bps": self.minor_bps}

    @property
    def digest(self) -> str:
        """SHA-256 of the JCS document, for the statement `gate.passed`."""
        return hashlib.sha256(canonical_bytes({**self.document})).hexdigest()


THRESHOLDS = Thresholds()


@dataclass(frozen=True, slots=True)
class Total:
    """What a submission has of one kind."""

    units: int
    size: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found, up to which version of the index, and how many units both sides have of each kind."""

    version: int
    matches: tuple[RecordMatch, ...]
    totals: Mapping[Kind, Total]
    their_units: Mapping[tuple[str, Kind], int]


@dataclass(frozen=True, slots=True)
class Finding:
    """One dataset and one kind. Units are words, images, rows or files of the submission.

    `covers_bps` is the share of the dataset's own units that lie in the submission. `records` are at most 1,000
    matches, the closest first; `files` are all files of the submission that hold one.
    """

    dataset: str
    owner: str
    kind: Kind
    exact: int
    near: int
    review: int
    total: int
    share_bps: int
    threshold_bps: int
    covers_bps: int
    stops: bool
    answered: bool
    closeness: Closeness
    records: tuple[RecordMatch, ...]
    files: frozenset[int]


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the gate says, against which version, and everything it found, the largest share first."""

    result: Result
    version: int
    findings: tuple[Finding, ...]
    thresholds: Thresholds

    @property
    def stopping(self) -> tuple[Finding, ...]:
        """The findings that stop the listing."""
        return tuple(finding for finding in self.findings if finding.stops)

    @property
    def closest(self) -> Finding | None:
        """The finding with the largest share, a stopping one before others; None if nothing was found."""
        return self.findings[0] if self.findings else None


def compare(index: SimilarityIndex, files: Iterable[IndexedFile], *, exclude_owner: str, since: int = 0) -> Comparison:
    """Return what the files match in the index, among rows added after version `since`. Raises FingerprintRefusal."""
    matches: list[RecordMatch] = []
    totals: dict[Kind, Total] = {}
    for found in index.search(files, exclude_owner=exclude_owner, since=since):
        matches += found.matches
        known = totals.get(found.file.kind, Total(0, 0))
        totals[found.file.kind] = Total(known.units + found.units, known.size + found.file.size)
    wanted = {(match.dataset, match.kind) for match in matches}
    their_units = {key: index.batches.units_of(*key) for key in wanted}
    return Comparison(index.version, tuple(matches), totals, their_units)


def recheck(
    comparison: Comparison, index: SimilarityIndex, files: Iterable[IndexedFile], *, exclude_owner: str
) -> Comparison:
    """Return the comparison carried on to a later version: only what was added since is searched.

    Raises FingerprintRefusal if the index is older than the comparison.
    """
    if index.version < comparison.version:
        raise _stale("The index is older than the comparison.", comparison.version, index.version)
    later = compare(index, files, exclude_owner=exclude_owner, since=comparison.version)
    units = {key: index.batches.units_of(*key) for key in {**comparison.their_units, **later.their_units}}
    return Comparison(index.version, comparison.matches + later.matches, comparison.totals, units)


def require_current(comparison: Comparison, version: int) -> None:
    """Refuse a comparison that was made against another version than the one that is being reserved after."""
    if comparison.version != version:
        raise _stale("Something was added to the index since the comparison.", version, comparison.version)


def decide(
    comparison: Comparison, thresholds: Thresholds = THRESHOLDS, *, answered: Collection[str] = ()
) -> GateResult:
    """Return what the gate says; `answered` are datasets that the uploader has answered for, and they never stop.

    Raises FingerprintRefusal if there is nothing to decide about: an empty submission does not pass.
    """
    if not comparison.totals:
        raise FingerprintRefusal("gate.empty", "There is no file to compare.", limit=1, actual=0)
    tallies: dict[tuple[str, Kind], _Tally] = {}
    for match in comparison.matches:
        tallies.setdefault((match.dataset, match.kind), _Tally(match.owner)).add(match)
    findings = [
        tally.finding(dataset, kind, thresholds, comparison, answered=dataset in answered)
        for (dataset, kind), tally in tallies.items()
    ]
    findings.sort(key=lambda finding: (not finding.stops, -finding.share_bps, finding.dataset, finding.kind))
    shown = Result.SHOWN if findings else Result.NONE
    result = Result.STOPPED if any(finding.stops for finding in findings) else shown
    return GateResult(result, comparison.version, tuple(findings), thresholds)


@dataclass(slots=True)
class _Tally:
    """Counts what one dataset covers of one kind, file by file and way by way."""

    owner: str
    ways: dict[tuple[int, Part], dict[int, RecordMatch]] = field(default_factory=dict)
    theirs: dict[tuple[Part, int, int], int] = field(default_factory=dict)

    def add(self, match: RecordMatch) -> None:
        way = self.ways.setdefault((match.file, match.part), {})
        known = way.get(match.ordinal)
        if known is None or _rank(match) < _rank(known):
            way[match.ordinal] = match
        place = (match.part, match.other_file, match.other_ordinal)
        self.theirs[place] = max(self.theirs.get(place, 0), match.other_units)

    def finding(
        self, dataset: str, kind: Kind, thresholds: Thresholds, comparison: Comparison, *, answered: bool
    ) -> Finding:
        totals = comparison.totals
        total = totals.get(kind, Total(0, 0))
        counts, records, files = self._counted()
        their_total = comparison.their_units.get((dataset, kind), 0)
        by_chance = total.units * their_total * CHANCE_PER_MILLION // 1_000_000 if kind is Kind.IMAGE else 0
        covered = counts[Closeness.EXACT] + counts[Closeness.NEAR] + max(0, counts[Closeness.REVIEW] - by_chance)
        share = min(WHOLE, covered * WHOLE // total.units) if total.units else 0
        size = sum(each.size for each in totals.values())
        minor = total.size * WHOLE < thresholds.minor_bps * size
        limit = thresholds.of(kind)
        return Finding(
            dataset=dataset,
            owner=self.owner,
            kind=kind,
            exact=counts[Closeness.EXACT],
            near=counts[Closeness.NEAR],
            review=counts[Closeness.REVIEW],
            total=total.units,
            share_bps=share,
            threshold_bps=limit,
            covers_bps=min(WHOLE, self._covered_of_theirs() * WHOLE // their_total) if their_total else 0,
            stops=not answered and not minor and covered * WHOLE > limit * total.units,
            answered=answered,
            closeness=min(match.closeness for match in records),
            records=tuple(sorted(records, key=_rank)[:MOST_NAMED]),
            files=files,
        )

    def _counted(self) -> tuple[list[int], list[RecordMatch], frozenset[int]]:
        """Return (units by closeness, matches, files), each file by the way that covers most of it."""
        best: dict[int, tuple[int, Part]] = {}
        for (file, part), way in self.ways.items():
            units = sum(match.units for match in way.values())
            if file not in best or units > best[file][0] or (units == best[file][0] and part is Part.FILE):
                best[file] = (units, part)
        counts = [0] * len(Closeness)
        records = []
        for file, (_, part) in best.items():
            for match in self.ways[file, part].values():
                counts[match.closeness] += match.units
                records.append(match)
        return counts, records, frozenset(best)

    def _covered_of_theirs(self) -> int:
        """Return how many of their units are covered, by the way that covers most."""
        by_part: dict[Part, int] = {}
        for (part, _, _), units in self.theirs.items():
            by_part[part] = by_part.get(part, 0) + units
        return max(by_part.values(), default=0)


def _rank(match: RecordMatch) -> tuple[int, int, int, int]:
    return match.closeness, match.distance, match.file, match.ordinal


def _stale(message: str, limit: int, actual: int) -> FingerprintRefusal:
    return FingerprintRefusal(
        "gate.stale", message, limit=limit, actual=actual, todo="Compare with what was added since, and try again."
    )
