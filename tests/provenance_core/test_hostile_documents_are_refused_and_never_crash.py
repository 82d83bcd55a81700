"""A bundle is a stranger's file: whatever stands in any place of it or of its documents, every step has an outcome."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from marketplace.core.trade_audit import TRADE_CHECKS
from provenance.core.bundle import BundleKind
from provenance.core.canonical import canonical_bytes, parse_canonical
from provenance.core.digest import Sha256
from provenance.core.policy import Verdict
from provenance.core.refusal import Refusal
from provenance.core.verify import verify_bundle
from tests.provenance_core.bundles import World

HOSTILE: tuple[Any, ...] = (None, -1, 2**53 - 1, "", "１２", "2026-02-30", [None], {"a": 1})


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*path, key))


def altered(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = other
    return changed


def hostile(value: Any) -> Iterator[bytes]:
    """Every value of a document in turn replaced by every hostile one, where that is JSON that we write at all."""
    for path in places(value):
        for other in HOSTILE:
            try:
                yield canonical_bytes(altered(value, path, other))
            except Refusal:
                continue


def test_no_document_of_a_bundle_can_stop_the_verifier(world: World):
    bundle = world.bundle()
    steps = len(verify_bundle(bundle.to_bytes(), world.policy(), additional=TRADE_CHECKS).results)
    for digest, data in bundle.documents.items():
        for raw in hostile(parse_canonical(data)):
            named = Sha256.of(raw)
            changes: dict[str, Any] = {"documents": {**bundle.documents, named: raw}}
            changes |= {name: named for name in ("certificate", "grant") if getattr(bundle, name) == digest}
            report = verify_bundle(
                replace(bundle, **changes).to_bytes(), world.policy(), world.auditor(), additional=TRADE_CHECKS
            )
            # The true documents are there as well, so that most verdicts stand; that there is one is the point.
            assert len(report.results) == steps


@pytest.mark.parametrize("kind", BundleKind)
def test_no_value_in_a_bundle_itself_can_stop_the_verifier(world: World, kind: BundleKind):
    data = world.bundle(kind).to_bytes()
    value = parse_canonical(data, limit=len(data))
    short = {key: member for key, member in value.items() if key != "documents"}  # type: ignore[union-attr]
    for path in places(short):
        for other in HOSTILE:
            raw = canonical_bytes(altered(value, path, other)) if path else canonical_bytes(other)
            report = verify_bundle(raw, world.policy(), world.auditor(), additional=TRADE_CHECKS)
            # A trail may do without the claim that nothing is left out; nothing else may be missing or otherwise.
            assert report.verdict is Verdict.FAIL or raw == data or path == ("completeness",)
