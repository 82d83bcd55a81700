"""What a measurement says: our figure and a peer's, taken in the same run on the same machine, and their ratio."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """`ratio` is above 1 where ours beats `peer`, whichever way `unit` counts; `note` says what was compared."""

    name: str
    ours: float
    peer: float
    ratio: float
    unit: str
    note: str
