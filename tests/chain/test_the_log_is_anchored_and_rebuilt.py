"""Anchors and commitments; and everything that is public, again from chain and blocks alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import Settings

from provenance import append_only, bootstrap
from provenance.adapters.keystore import SeedKeyRing
from provenance.anchoring import anchor_due, commit_index_due, subject_index
from provenance.core.checkpoint import VerifierKey
from provenance.core.cid import Cid
from provenance.core.completeness import Absence, Membership, verify_latest
from provenance.core.digest import Sha256
from provenance.core.snapshot import LogSnapshot
from provenance.follower import follow
from provenance.intake import submit_statement
from provenance.models import (
    AnchorRecord,
    ChainEvent,
    Deployment,
    Document,
    IntakeStatement,
    Intent,
    IntentTransaction,
    LogEntry,
    LogState,
    LogTile,
    PinRow,
)
from provenance.queries import inclusion_proof, log_state
from provenance.rebuild import RebuildRefusal, rebuild_log
from provenance.sequencer import sequence_due
from tests.chain.conftest import Mint, World

pytestmark = pytest.mark.django_db

DATASET = "eip155:31337/erc721:0x" + "11" * 20


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, settings: Settings) -> Iterator[None]:
    settings.CADASTRE_BLOCK_DIR = tmp_path / "blocks"
    settings.CADASTRE_STORE, settings.CADASTRE_COPIES = "local", 1
    settings.CADASTRE_LOG_ORIGIN = "register.example/log"
    settings.CADASTRE_LOG_DIR = tmp_path / "log"
    yield
    bootstrap._local_stores.cache_clear()


def _tell(first: int, last: int, now: datetime) -> None:
    for number in range(first, last):
        subject = f"{DATASET}/{number % 5 + 1}"
        submit_statement(
            type="listing.changed", subject=subject, fact=f"listing.changed:{subject}:{number}", time=now,
            body={"state": "listed", "offer": None, "reason": "price"},
        )  # fmt: skip


def _sequence(ring: SeedKeyRing, now: datetime) -> None:
    while sequence_due(ring, now):
        pass


def _anchored(mint: Mint, deployment: Deployment, world: World, now: datetime) -> None:
    assert anchor_due(deployment, now) is not None
    mint.work(now, lane="anchor")
    world.development.mine(3)
    mint.work(now, lane="anchor")
    follow(deployment, world.chain, now)


def test_a_tree_head_stands_on_chain_and_leads_to_every_entry(
    mint: Mint, deployment: Deployment, world: World, ring: SeedKeyRing, now: datetime
) -> None:
    assert anchor_due(deployment, now) is None
    _tell(0, 300, now)
    _sequence(ring, now)
    _anchored(mint, deployment, world, now)
    anchor = AnchorRecord.objects.get()
    assert (anchor.size, anchor.root, anchor.final) == (300, log_state().root, True)
    store = bootstrap.content_store()
    data = store.get_block(Cid.of_digest(Sha256.from_hex(anchor.snapshot)))
    snapshot = LogSnapshot.parse(data)
    assert (snapshot.size, len(snapshot.bundles), snapshot.previous) == (300, 2, None)
    assert all(store.has(cid) for cid in snapshot.bundles)
    assert Document.objects.get(sha256=anchor.snapshot).content == data
    assert PinRow.objects.filter(announced=True).count() == 3


def test_anchors_come_one_after_another_and_not_too_often(  # fixtures
    mint: Mint, deployment: Deployment, world: World, ring: SeedKeyRing, now: datetime, settings: Settings
) -> None:
    settings.CADASTRE_ANCHOR_SECONDS = 60
    _tell(0, 2, now)
    _sequence(ring, now)
    first = anchor_due(deployment, now)
    assert first is not None
    assert anchor_due(deployment, now) is None
    mint.work(now, lane="anchor")
    assert anchor_due(deployment, now + timedelta(seconds=61)) is None
    world.development.mine(3)
    mint.work(now, lane="anchor")
    follow(deployment, world.chain, now)
    assert anchor_due(deployment, now + timedelta(seconds=61)) is None
    _tell(2, 4, now)
    _sequence(ring, now)
    assert anchor_due(deployment, now + timedelta(seconds=59)) is None
    second = anchor_due(deployment, now + timedelta(seconds=61))
    assert second is not None
    assert second.payload["size"] == 4
    snapshot = LogSnapshot.parse(Document.objects.get(sha256=second.payload["snapshot"]).content)
    assert snapshot.previous is not None
    assert snapshot.previous.hex == first.payload["snapshot"]


def test_an_anchor_of_another_root_under_our_origin_is_not_ours(
    mint: Mint, deployment: Deployment, world: World, ring: SeedKeyRing, now: datetime
) -> None:
    _tell(0, 3, now)
    _sequence(ring, now)
    intent = anchor_due(deployment, now)
    assert intent is not None
    Intent.objects.filter(pk=intent.pk).update(payload={**intent.payload, "root": "66" * 32})
    mint.work(now, lane="anchor")
    follow(deployment, world.chain, now)
    assert ChainEvent.objects.filter(name="Anchored").count() == 1
    assert not AnchorRecord.objects.exists()


def test_the_log_commits_to_its_subjects_once_enough_is_new(
    ring: SeedKeyRing, now: datetime, settings: Settings
) -> None:
    settings.CADASTRE_INDEX_ENTRIES = 10
    _tell(0, 9, now)
    _sequence(ring, now)
    assert commit_index_due(now) is None
    _tell(9, 12, now)
    _sequence(ring, now)
    assert commit_index_due(now) == 11
    assert commit_index_due(now) is None
    _sequence(ring, now)
    entry = json.loads(bytes(LogEntry.objects.get(type="index.committed").envelope))["statement"]
    index = subject_index(11)
    assert entry["body"] == {"up_to": 11, "count": 5, "root": index.commitment.root.hex()}
    present, absent = index.prove(f"{DATASET}/1"), index.prove(f"{DATASET}/9")
    assert isinstance(present, Membership)
    assert verify_latest(f"{DATASET}/1", present, index.commitment) == 10
    assert isinstance(absent, Absence)
    assert verify_latest(f"{DATASET}/9", absent, index.commitment) is None


def _lose_the_log() -> None:
    append_only.remove(connection)
    for model in (LogEntry, LogTile, LogState, IntakeStatement, AnchorRecord):
        model.objects.all().delete()
    append_only.install(connection)


def test_a_stranger_rebuilds_the_log_from_chain_and_blocks(
    mint: Mint, deployment: Deployment, world: World, ring: SeedKeyRing, now: datetime
) -> None:
    _tell(0, 520, now)
    _sequence(ring, now)
    _anchored(mint, deployment, world, now)
    before, state = list(LogEntry.objects.order_by("index").values_list("index", "envelope", "fact")), log_state()
    proof = inclusion_proof(300, 520)
    _lose_the_log()
    stores = bootstrap.content_stores().values()
    vkey, service = VerifierKey.parse(state.vkey), bytes.fromhex(state.service_key)
    assert rebuild_log(deployment, stores, vkey=vkey, service_key=service, now=now) == 520
    after = list(LogEntry.objects.order_by("index").values_list("index", "envelope", "fact"))
    assert [(a, bytes(b), c) for a, b, c in after] == [(a, bytes(b), c) for a, b, c in before]
    assert (log_state().root, log_state().checkpoint) == (state.root, state.checkpoint)
    assert inclusion_proof(300, 520) == proof
    assert AnchorRecord.objects.get().size == 520
    _tell(600, 602, now)
    _sequence(ring, now)
    assert log_state().size == 522
    with pytest.raises(RebuildRefusal) as refused:
        rebuild_log(deployment, stores, vkey=vkey, service_key=service, now=now)
    assert refused.value.code == "rebuild.log_not_empty"


def test_a_log_of_another_key_is_not_rebuilt(
    mint: Mint, deployment: Deployment, world: World, ring: SeedKeyRing, now: datetime
) -> None:
    _tell(0, 2, now)
    _sequence(ring, now)
    _anchored(mint, deployment, world, now)
    _lose_the_log()
    stranger = VerifierKey("register.example/log", SeedKeyRing(bytes(32)).ed25519_public("log"))
    stores = bootstrap.content_stores().values()
    assert rebuild_log(deployment, stores, vkey=stranger, service_key=bytes(32), now=now) == 0
    assert not LogEntry.objects.exists()


def test_the_rebuild_command_reads_contracts_that_the_database_does_not_know(  # fixtures
    world: World, mint: Mint, deployment: Deployment, ring: SeedKeyRing, now: datetime,
    capsys: pytest.CaptureFixture[str], settings: Settings,
) -> None:  # fmt: skip
    _tell(0, 4, now)
    _sequence(ring, now)
    _anchored(mint, deployment, world, now)
    state = log_state()
    _lose_the_log()
    IntentTransaction.objects.all().delete()
    Intent.objects.all().delete()
    names = {name: getattr(deployment, name) for name in ("registry", "market", "anchor", "first_block")}
    deployment.delete()
    call_command("rebuild", **names, vkey=state.vkey, service_key=state.service_key)
    assert "4 log entries" in capsys.readouterr().out
    assert LogEntry.objects.count() == 4
    assert ChainEvent.objects.filter(name="Anchored", final=True).count() == 1
    call_command("log_publish", all=True)
    assert "4 entries" in capsys.readouterr().out
    assert (Path(settings.CADASTRE_LOG_DIR) / "checkpoint").read_text() == state.checkpoint
