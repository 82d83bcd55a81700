"""The intake: a fact that is told twice is one statement, and what cannot be sequenced is refused at the door."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import transaction

from provenance.adapters.keystore import SeedKeyRing
from provenance.core.refusal import Refusal
from provenance.intake import IntakeRefusal, submit_statement
from provenance.models import IntakeStatement, LogEntry
from provenance.sequencer import sequence_due
from tests.log.conftest import DATASET, Tell

pytestmark = pytest.mark.django_db


def test_a_fact_told_twice_is_one_row_with_one_digest(tell: Tell) -> None:
    assert tell(1).digest == tell(1).digest
    assert IntakeStatement.objects.count() == 1


def test_the_same_fact_with_another_content_is_refused(tell: Tell) -> None:
    tell(1)
    with pytest.raises(IntakeRefusal) as refused:
        tell(1, reason="mistake")
    assert refused.value.code == "intake.fact_differs"


def test_a_fact_vanishes_with_the_transaction_that_made_it_true(tell: Tell) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        tell(1)
        raise ZeroDivisionError
    assert not IntakeStatement.objects.exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": "dataset.admired", "fact": f"dataset.admired:{DATASET}/1:1"}, "statement.unknown"),
        ({"body": {"state": "listed"}}, "field.missing"),
        ({"fact": "listing.changed"}, "statement.fact"),
        ({"subject": "Ada"}, "statement.subject"),
    ],
)
def test_what_no_verifier_could_read_is_refused_at_the_door(
    changes: dict[str, object], code: str, now: datetime
) -> None:
    statement: dict[str, object] = {
        "type": "listing.changed", "subject": f"{DATASET}/1", "fact": f"listing.changed:{DATASET}/1:1", "time": now,
        "body": {"state": "listed", "offer": None, "reason": "price"},
    }  # fmt: skip
    with pytest.raises(Refusal) as refused:
        submit_statement(**(statement | changes))  # type: ignore[arg-type]
    assert refused.value.code == code
    assert not IntakeStatement.objects.exists()


def test_nobody_brings_a_signature_of_the_service(tell: Tell, now: datetime) -> None:
    subject = f"{DATASET}/1"
    with pytest.raises(IntakeRefusal):
        submit_statement(
            type="listing.changed", subject=subject, fact=f"listing.changed:{subject}:1", time=now,
            body={"state": "listed", "offer": None, "reason": "price"},
            signatures=[{"role": "service", "alg": "ed25519", "key": "00" * 32, "signature": "AAAA"}],
        )  # fmt: skip


def test_a_statement_that_cannot_be_signed_holds_up_nobody(tell: Tell, ring: SeedKeyRing, now: datetime) -> None:
    tell(1)
    IntakeStatement.objects.update(statement='{"schema":"cadastre.statement/1"}')
    tell(2)
    assert sequence_due(ring, now) == 1
    assert LogEntry.objects.get().fact.endswith(":2")
    assert IntakeStatement.objects.exclude(cause="").count() == 1
    assert sequence_due(ring, now) == 0
