"""A database that was restored from a backup is behind what others have seen signed: it takes that back, or stops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

import marketplace.tasks
from marketplace.alarms import clear_alarm
from marketplace.models import Alarm
from marketplace.queries.operations import operations
from provenance import append_only
from provenance.adapters.keystore import SeedKeyRing
from provenance.core.checkpoint import VerifierKey, open_checkpoint
from provenance.intake import submit_statement
from provenance.models import IntakeStatement, LogEntry, LogState, LogTile
from provenance.queries import inclusion_proof, log_state
from provenance.rebuild import RebuildRefusal, catch_up_log
from provenance.sequencer import SequencerRefusal, publish, sequence_due
from provenance.tasks import sign_once

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RING = SeedKeyRing(bytes(range(1, 33)))
DATASET = "eip155:31337/erc721:0x" + "11" * 20


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.CADASTRE_LOG_DIR = tmp_path / "log"
    settings.CADASTRE_LOG_ORIGIN = "register.example/log"
    return tmp_path / "log"


def tell(*numbers: int) -> None:
    for number in numbers:
        subject = f"{DATASET}/{number % 7}"
        submit_statement(
            type="listing.changed", subject=subject, fact=f"listing.changed:{subject}:{number}", time=NOW,
            body={"state": "listed", "offer": None, "reason": "price"},
        )  # fmt: skip


def grow(*numbers: int) -> None:
    tell(*numbers)
    while sequence_due(RING, NOW):
        pass
    publish(NOW)


@contextmanager
def without_triggers() -> Iterator[None]:
    with connection.cursor() as cursor:
        for statement in append_only.removing(connection.vendor):
            cursor.execute(statement)
        yield
        for statement in append_only.installing(connection.vendor):
            cursor.execute(statement)


@pytest.fixture
def restored(folder: Path) -> str:
    """A log of 300 entries was backed up, grew to 320, and the backup was restored; the head that others hold."""
    grow(*range(300))
    backup, tiles = LogState.objects.get(), list(LogTile.objects.all())
    grow(*range(300, 320))
    head = log_state().checkpoint
    with without_triggers():
        LogEntry.objects.filter(index__gte=300).delete()
        LogTile.objects.all().delete()
        LogTile.objects.bulk_create(tiles)
        IntakeStatement.objects.filter(sequenced__gte=300).delete()
        backup.save()
    assert (folder / "checkpoint").read_text() == head
    return head


def test_a_database_behind_the_published_log_signs_nothing(restored: str, folder: Path) -> None:
    tell(1000)
    with pytest.raises(SequencerRefusal) as refused:
        sequence_due(RING, NOW)
    assert (refused.value.code, refused.value.limit, refused.value.actual) == ("log.behind", 320, 300)
    assert "rebuild" in str(refused.value.todo)
    sign_once(RING, NOW)
    assert log_state().size == LogEntry.objects.count() == 300
    assert (folder / "checkpoint").read_text() == restored


def test_the_operator_is_told_once_and_sees_it_until_the_entries_are_back(restored: str) -> None:
    marketplace.tasks.reconcile()
    marketplace.tasks.reconcile()
    alarm = Alarm.objects.get(code="log.behind")
    assert "320 entries were published, the database has 300" in alarm.message
    found = operations(now=NOW)
    assert (found.published, found.healthy) == (320, False)

    call_command("rebuild")
    clear_alarm(code="log.behind", subject=alarm.subject, now=NOW, by="operator")
    marketplace.tasks.reconcile()
    found = operations(now=NOW)
    assert (found.published, found.alarms, found.healthy) == (None, (), True)


def test_a_log_that_is_in_order_is_no_alarm(folder: Path) -> None:
    grow(1, 2, 3)
    marketplace.tasks.reconcile()
    assert not Alarm.objects.exists()
    assert operations(now=NOW).published is None


def test_rebuilding_takes_the_missing_entries_back_and_the_log_goes_on(
    restored: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("rebuild")
    assert "20 log entries came back" in capsys.readouterr().out
    state = log_state()
    assert (state.size, state.checkpoint) == (320, restored)
    assert inclusion_proof(310, 320)
    # The chain tells again what the backup did not know; it is in the log already.
    grow(*range(310, 325))
    assert log_state().size == LogEntry.objects.count() == 325
    assert not IntakeStatement.objects.filter(sequenced=None).exists()
    head = open_checkpoint(log_state().checkpoint, [VerifierKey.parse(log_state().vkey)])
    assert head.size == 325
    assert catch_up_log(now=NOW) == 0


def test_published_entries_that_were_altered_are_not_taken_back(restored: str, folder: Path) -> None:
    bundle = folder / "tile" / "entries" / "001.p" / "64"
    altered = bytearray(bundle.read_bytes())
    at = bytes(altered).rindex(b"price")
    altered[at : at + 5] = b"owner"
    bundle.write_bytes(altered)
    with pytest.raises(CommandError):
        call_command("rebuild")
    assert log_state().size == LogEntry.objects.count() == 300


def test_published_files_that_were_lost_are_named(restored: str, folder: Path) -> None:
    (folder / "tile" / "entries" / "001.p" / "64").unlink()
    with pytest.raises(RebuildRefusal) as refused:
        catch_up_log(now=NOW)
    assert refused.value.code == "rebuild.missing"


def test_an_empty_database_does_not_begin_a_second_log_beside_the_published_one(restored: str) -> None:
    with without_triggers():
        for model in (LogEntry, LogTile, IntakeStatement, LogState):
            model.objects.all().delete()
    tell(1)
    with pytest.raises(SequencerRefusal):
        sequence_due(RING, NOW)
    assert catch_up_log(now=NOW) == 320
    assert log_state().checkpoint == restored
    assert sequence_due(RING, NOW) == 0
    assert LogEntry.objects.count() == 320


def test_a_published_log_of_somebody_else_stops_nothing(folder: Path) -> None:
    folder.mkdir()
    (folder / "checkpoint").write_text(f"register.example/log\n9\n{'A' * 43}=\n\n— x {'A' * 90}\n")
    grow(1, 2)
    assert log_state().size == 2
