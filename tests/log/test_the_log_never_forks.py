"""The sequencer: every fact once, in order, in one tree, whoever else is sequencing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import pytest
from django.db import DatabaseError, connection, connections, transaction
from pytest_django import Settings

from provenance import sequencer
from provenance.adapters.keystore import SeedKeyRing
from provenance.core.checkpoint import VerifierKey, open_checkpoint
from provenance.core.entry import Entry
from provenance.core.merkle import MerkleTree, verify_consistency, verify_inclusion
from provenance.core.refusal import Refusal
from provenance.models import IntakeStatement, LogEntry, LogState, LogTile
from provenance.queries import consistency_proof, entry_bundle, inclusion_proof, log_state, tlog_proof
from provenance.sequencer import SequencerRefusal, log_key, sequence_due
from tests.log.conftest import DATASET, Tell


def _tree() -> MerkleTree:
    rows = LogEntry.objects.order_by("index")
    assert [row.index for row in rows] == list(range(len(rows)))
    return MerkleTree(Entry.parse(bytes(row.envelope)).leaf_hash for row in rows)


def _assert_one_true_log(ring: SeedKeyRing) -> None:
    state, tree = log_state(), _tree()
    assert state.size == len(tree)
    assert state.root == tree.root.hex()
    head = open_checkpoint(state.checkpoint, [log_key(ring)])
    assert (head.size, head.root) == (len(tree), tree.root)
    facts = list(LogEntry.objects.values_list("fact", flat=True))
    assert len(facts) == len(set(facts))
    told = dict(IntakeStatement.objects.filter(sequenced__isnull=False).values_list("fact", "sequenced"))
    assert told == dict(LogEntry.objects.values_list("fact", "index"))


@pytest.mark.django_db
def test_statements_enter_in_the_order_in_which_they_were_told(tell: Tell, ring: SeedKeyRing, now: datetime) -> None:
    digests = [tell(number).digest for number in range(5)]
    assert sequence_due(ring, now, limit=3) == 3
    assert sequence_due(ring, now, limit=3) == 2
    assert sequence_due(ring, now) == 0
    entries = [Entry.parse(bytes(row.envelope)) for row in LogEntry.objects.order_by("index")]
    assert [entry.statement.digest.hex for entry in entries] == digests
    _assert_one_true_log(ring)


@pytest.mark.django_db
def test_each_entry_names_the_latest_earlier_one_about_its_subject(
    tell: Tell, ring: SeedKeyRing, now: datetime
) -> None:
    for number, dataset in enumerate([1, 2, 1, 1, 2]):
        tell(number, dataset=dataset)
    sequence_due(ring, now, limit=3)
    sequence_due(ring, now)
    rows = LogEntry.objects.order_by("index")
    assert [row.previous for row in rows] == [None, None, 0, 2, 1]
    assert [Entry.parse(bytes(row.envelope)).previous for row in rows] == [None, None, 0, 2, 1]


@pytest.mark.django_db
def test_every_proof_of_a_log_across_tiles_is_accepted(tell: Tell, ring: SeedKeyRing, now: datetime) -> None:
    for number in range(520):
        tell(number, dataset=number % 7 + 1)
    while sequence_due(ring, now, limit=97):
        pass
    tree = _tree()
    assert LogTile.objects.count() == 1
    for size in (1, 2, 255, 256, 257, 512, 513, 520):
        root = MerkleTree(
            Entry.parse(bytes(row.envelope)).leaf_hash for row in LogEntry.objects.order_by("index")[:size]
        ).root
        for index in (0, size // 2, size - 1):
            leaf = bytes(LogEntry.objects.get(index=index).leaf_hash)
            verify_inclusion(leaf, index, size, inclusion_proof(index, size), root)
        verify_consistency(size, root, 520, tree.root, consistency_proof(size, 520))
    assert len(entry_bundle(2, 8)) > 0
    _assert_one_true_log(ring)


@pytest.mark.django_db
def test_a_proof_file_convinces_a_stranger_and_its_absence_is_explained(
    tell: Tell, ring: SeedKeyRing, now: datetime
) -> None:
    from provenance.core.tlogproof import TlogProof

    tell(1)
    with pytest.raises(Refusal) as refused:
        tlog_proof(0)
    assert refused.value.code == "log.not_signed"
    sequence_due(ring, now)
    vkey = VerifierKey.parse(log_state().vkey)
    envelope = bytes(LogEntry.objects.get().envelope)
    assert TlogProof.parse(tlog_proof(0)).verify(envelope, [vkey]).size == 1
    with pytest.raises(Refusal):
        TlogProof.parse(tlog_proof(0)).verify(envelope + b" ", [vkey])


@pytest.mark.django_db
def test_a_log_is_not_continued_with_another_key(
    tell: Tell, ring: SeedKeyRing, now: datetime, settings: Settings
) -> None:
    tell(1)
    sequence_due(ring, now)
    tell(2)
    with pytest.raises(SequencerRefusal) as refused:
        sequence_due(SeedKeyRing(bytes(32)), now)
    assert refused.value.code == "log.other_key"
    settings.CADASTRE_LOG_ORIGIN = "other.example/log"
    with pytest.raises(SequencerRefusal):
        sequence_due(ring, now)
    assert log_state().size == 1


@pytest.mark.django_db(transaction=True)
def test_two_sequencers_at_once_make_one_log(tell: Tell, ring: SeedKeyRing, now: datetime) -> None:
    for number in range(60):
        tell(number)
    log_state()
    _at_once(4, lambda: _until_done(ring, now))
    assert log_state().size == 60
    _assert_one_true_log(ring)


@pytest.mark.django_db(transaction=True)
def test_a_sequencer_that_was_overtaken_changes_nothing(
    tell: Tell, ring: SeedKeyRing, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        tell(number)
    extend = sequencer._extend

    def overtaken(*arguments: object) -> None:
        monkeypatch.setattr(sequencer, "_extend", extend)
        # Rolled back to before the overtaker, which runs in a transaction of its own.
        thread = threading.Thread(target=_in_own_connection(lambda: sequence_due(ring, now, limit=2)))
        if connection.vendor == "sqlite":
            # SQLite has one writer: the overtaker was there before this transaction began.
            raise sequencer._LostRaceError
        thread.start()
        thread.join()
        extend(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sequencer, "_extend", overtaken)
    assert sequence_due(ring, now) == 0
    _until_done(ring, now)
    assert log_state().size == 4
    _assert_one_true_log(ring)


@pytest.mark.django_db(transaction=True)
def test_a_crash_at_any_query_leaves_either_nothing_or_everything(tell: Tell, ring: SeedKeyRing, now: datetime) -> None:
    for number in range(6):
        tell(number)
    log_state()
    crashes = 0
    for query in range(1, 200):
        before = LogEntry.objects.count()
        try:
            with connection.execute_wrapper(_crash_at(query)):
                sequence_due(ring, now, limit=2)
        except _Killed:
            crashes += 1
            assert log_state().size == LogEntry.objects.count() == before
            continue
        if LogEntry.objects.count() == 6:
            break
    assert crashes >= 5
    _assert_one_true_log(ring)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE provenance_logentry SET subject = 'x'",
        "DELETE FROM provenance_logentry",
        'UPDATE provenance_logentry SET envelope = envelope WHERE "index" = 0',
    ],
)
def test_the_database_itself_refuses_to_change_an_entry(
    statement: str, tell: Tell, ring: SeedKeyRing, now: datetime
) -> None:
    tell(1)
    sequence_due(ring, now)
    before = LogEntry.objects.values().get()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert LogEntry.objects.values().get() == before


@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_the_ways_around_its_own_rule(tell: Tell, ring: SeedKeyRing, now: datetime) -> None:
    tell(1)
    sequence_due(ring, now)
    around = {
        "sqlite": "REPLACE INTO provenance_logentry SELECT * FROM provenance_logentry",
        "postgresql": "TRUNCATE provenance_logentry",
    }[connection.vendor]
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(around)
    assert LogEntry.objects.count() == 1


@pytest.mark.django_db
def test_one_log_has_one_state() -> None:
    log_state()
    with pytest.raises(DatabaseError), transaction.atomic():
        LogState.objects.create(id=2, origin=DATASET, root="", updated_at=datetime.now().astimezone())


class _Killed(BaseException):
    """A process ends here."""


def _crash_at(number: int) -> Callable[..., object]:
    seen = 0

    def wrapper(execute: Callable[..., object], *arguments: object) -> object:
        nonlocal seen
        seen += 1
        if seen == number:
            raise _Killed
        return execute(*arguments)

    return wrapper


def _until_done(ring: SeedKeyRing, now: datetime) -> None:
    while IntakeStatement.objects.filter(sequenced__isnull=True).exists():
        sequence_due(ring, now, limit=5)


def _at_once(count: int, work: Callable[[], object]) -> None:
    barrier = threading.Barrier(count)
    failures: list[BaseException] = []

    def run() -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def _in_own_connection(work: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    return run
