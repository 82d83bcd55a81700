"""Real photographs, tables and prose of the story, a part for each journey: what is registered once, no other may."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from cadastre.client import Client
from cadastre.folder import files_of
from marketplace.core.adapting import adapted
from marketplace.core.terms import Rate, RateUnit
from marketplace.management.story.data import Sources, right
from tests.faults.instance import Newcomer, until

METERED = Rate(unit=RateUnit("records-1000"), price=800_000, allowance=0)
"""0.80 for 1,000 records."""


def part(folder: Path, names: Sequence[str], to: Path) -> Path:
    """Copy some files of a folder into a new one, and return it."""
    to.mkdir(parents=True)
    for name in names:
        shutil.copyfile(folder / name, to / name)
    return to


def prose(sources: Sources, number: int, to: Path) -> Path:
    """Eight topics of Python's documentation; each `number` from 0 to 8 has its own.

    All tests of a town share its copy check: 7 repeats a third of what 0, 3 and 6 say, and 4 of what 6 says.
    """
    names = sorted(path.name for path in sources.prose.iterdir())[number * 8 : number * 8 + 8]
    return part(sources.prose, names, to)


def published(person: Newcomer, folder: Path, **description: Any) -> str:
    """Publish a folder through the API, locked and for 12.00 unless described otherwise; return the dataset's id."""
    with person.client() as client:
        draft = client.open_draft()["id"]
        terms = adapted(description.pop("preset", "train-commercial"), rate=description.pop("rate", None))
        changes = {
            "creator": person.name, "kind": "text", "languages": ["en"], "price": "12.00", "terms": terms.to_document(),
            "rights": [right("All of it", "open-license", license="PSF-2.0", sublicensing=True)],
            "slug": f"goods-{uuid4().hex[:8]}", **description,
        }  # fmt: skip
        client.change_draft(draft, changes)
        client.upload(draft, files_of(folder))
        client.check_draft(draft)
        checked = until("the checks", _state(client, draft, "ready", "held", "stopped"))
        assert checked["state"] == "ready", checked["refusal"]
        client.confirm(draft, client.review(draft)["digest"])
        done = until("the registration", _state(client, draft, "published", "stopped"))
        assert done["state"] == "published", done["refusal"]
        dataset = str(done["dataset"])
        until("an offer", lambda: client.offers(dataset))
    return dataset


def _state(client: Client, draft: str, *wanted: str) -> Callable[[], dict[str, Any] | None]:
    def look() -> dict[str, Any] | None:
        found = client.draft(draft)
        return found if found["state"] in wanted else None

    return look
