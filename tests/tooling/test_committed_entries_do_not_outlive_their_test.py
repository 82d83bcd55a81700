"""Tests that commit leave an empty log behind, and a log that still refuses changes."""

from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connection
from django.test import TransactionTestCase

from provenance.models import LogEntry

pytestmark = pytest.mark.django_db(transaction=True)


def append_one() -> LogEntry:
    return LogEntry.objects.create(
        index=0,
        fact="test:1",
        subject="log:test",
        type="index.committed",
        leaf_hash=bytes(32),
        envelope=b"{}",
        logged_at=datetime(2026, 11, 20, tzinfo=UTC),
    )


@pytest.mark.parametrize("run", [1, 2])
def test_each_test_begins_with_an_empty_log(run: int) -> None:
    assert not LogEntry.objects.exists()
    append_one()


def test_the_log_refuses_changes_after_it_was_emptied() -> None:
    append_one()
    TransactionTestCase._fixture_teardown(TransactionTestCase())
    entry = append_one()
    with pytest.raises(DatabaseError, match="append-only"):
        LogEntry.objects.filter(index=entry.index).delete()
    with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
        cursor.execute("UPDATE provenance_logentry SET subject = 'x'")
